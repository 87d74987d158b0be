"""What results mean over time: a result of a camera in, the same result with more known about it out."""
