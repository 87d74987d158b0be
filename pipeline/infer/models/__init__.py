"""The known models, and where their files come from."""
