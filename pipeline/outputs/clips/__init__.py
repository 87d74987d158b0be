"""Clips of the last seconds, on demand."""
