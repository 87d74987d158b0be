"""What may be configured, and how it is read."""
