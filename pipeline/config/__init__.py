"""The keys of the configuration, and the reading of it."""
