"""Watch people live: capture, infer, render."""
