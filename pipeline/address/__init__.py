"""What an address means, and the faults that may be rehearsed in front of it."""
