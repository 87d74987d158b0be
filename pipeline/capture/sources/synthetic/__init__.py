"""The drawn street."""
