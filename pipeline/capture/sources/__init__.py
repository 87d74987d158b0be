"""Where pictures come from, one module a kind."""
