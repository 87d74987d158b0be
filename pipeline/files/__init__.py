"""The files that a run writes: what their names mean, which of them are the same, and who holds them."""
