"""The runtimes that compute, one package a kind."""
