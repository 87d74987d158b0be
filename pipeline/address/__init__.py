"""The meaning of an address, and the faults that may be rehearsed in front of it."""
