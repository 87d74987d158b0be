"""What computes, one package a kind."""
