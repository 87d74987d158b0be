"""The command line: `main` is what `lookout`, `run.py` and `python -m pipeline` call."""

from .app import main

__all__ = ["main"]
