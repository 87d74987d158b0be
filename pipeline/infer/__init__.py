"""The way from frames to results."""
