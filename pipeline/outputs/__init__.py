"""Where results go, one module or package a kind."""
