"""Training, judging, exporting and quantising Lookout's person detector."""
