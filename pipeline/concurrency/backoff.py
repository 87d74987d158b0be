"""Delays before each new try of something that failed."""

from __future__ import annotations

import random

DELAYS_S = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0)
"""Seconds before each new try, 20 % more or less; the last one for ever."""
HEALTHY_S = 30.0
"""Seconds of success after which a loss starts again at the first delay."""
LOCKED_OUT_S = 60.0
"""Least seconds between tries with a password that was refused, because cameras and servers lock users out."""

_JITTER_RATIO = 0.2


class Backoff:
    """The delays of one thing that is tried again and again."""

    def __init__(self, name: str) -> None:
        """Take a name, from which the random part of the delays comes: not all things retry at once."""
        self.losses = 0
        self._random = random.Random(name)

    def next(self, worked: float = 0.0, *, refused: bool = False) -> float:
        """Return the seconds to wait after `worked` seconds of success and a failure; `refused`: a wrong password."""
        if worked >= HEALTHY_S:
            self.losses = 0
        delay = LOCKED_OUT_S / (1 - _JITTER_RATIO) if refused else DELAYS_S[min(self.losses, len(DELAYS_S) - 1)]
        self.losses += 1
        return delay * self._random.uniform(1 - _JITTER_RATIO, 1 + _JITTER_RATIO)
