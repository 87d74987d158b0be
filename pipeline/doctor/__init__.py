"""What is wrong with a camera."""
