"""Lines about what was found."""
