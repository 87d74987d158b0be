"""Boxes and words on pictures."""
