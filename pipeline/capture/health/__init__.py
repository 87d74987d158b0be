"""The health of a camera, told from what it sends."""
