"""The steps of a run: targets, losses, teacher, optimiser, and what is kept of them."""
