"""Waiting for events: however slow the machine, what is waited for may take its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

HANG_S = 90.0
"""Seconds after which a wait is given up as hung; never a bound on how fast anything must be."""

_POLL_S = 0.01

Found = TypeVar("Found")


def until(find: Callable[[], Found], seconds: float = HANG_S) -> Found:
    """Return what `find` gives as soon as it is true, or its last answer after `seconds`."""
    ends = time.monotonic() + seconds
    while not (found := find()) and time.monotonic() < ends:
        time.sleep(_POLL_S)
    return found
