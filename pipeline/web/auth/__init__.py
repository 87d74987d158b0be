"""Authentication of viewers."""
