"""From packets to pictures."""
