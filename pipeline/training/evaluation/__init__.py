"""How good a detector is on labelled pictures, and how fast."""
