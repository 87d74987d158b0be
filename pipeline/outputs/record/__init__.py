"""Recordings, and what is kept of them."""
