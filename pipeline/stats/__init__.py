"""What is counted while a run lasts, and what the numbers say."""
