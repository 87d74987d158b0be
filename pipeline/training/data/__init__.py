"""Pictures to learn from: read, drawn, put together, and damaged on purpose."""
