"""Whether a camera is as it should be."""
