"""Starts the stages and ends them in order."""
