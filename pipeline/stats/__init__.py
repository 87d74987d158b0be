"""The counters of a run, and the meaning of the numbers."""
