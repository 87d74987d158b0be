"""What can go wrong for the person at the command line."""

from __future__ import annotations


class TrainingError(Exception):
    """Input that training cannot use; the message is one complete line."""
