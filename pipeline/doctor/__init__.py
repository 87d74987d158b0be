"""The examination of one camera."""
