"""Tokens that turned out wrong, by the addresses that sent them, and who may have the next one looked at."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque

from pipeline.web import limits


class Guesses:
    """Counts what each address gives for the token before anybody looks at it, on the server's event loop.

    So many wrong ones within a time are judged at once; from then on one after the other at that pace, which finds no
    token, but lets whoever has it and shares the address in.
    """

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._waiting: set[str] = set()

    async def turn(self, network: str) -> int:
        """Return 0 as soon as one token from there may be judged, which now counts as wrong until `forgive`.

        Return the seconds after which to try again where another one waits for its turn already.
        """
        if (seconds := self._seconds_to_turn(network)) > 0:
            if network in self._waiting:
                return math.ceil(seconds)
            self._waiting.add(network)
            try:
                while (seconds := self._seconds_to_turn(network)) > 0:
                    await asyncio.sleep(seconds)
            finally:
                self._waiting.discard(network)
        times = self._times.setdefault(network, deque(maxlen=limits.MAX_WRONG_TOKEN_COUNT))
        times.append(asyncio.get_running_loop().time())
        self._times.move_to_end(network)
        if len(self._times) > limits.MAX_WRONG_TOKEN_ADDRESS_COUNT:
            self._times.popitem(last=False)
        return 0

    def forgive(self, network: str) -> None:
        """Take back the count of the last turn, because it was the token."""
        self._times[network].pop()
        if not self._times[network]:
            del self._times[network]

    def _seconds_to_turn(self, network: str) -> float:
        times, now = self._times.get(network, deque()), asyncio.get_running_loop().time()
        if sum(time > now - limits.WRONG_TOKEN_WINDOW_S for time in times) < limits.MAX_WRONG_TOKEN_COUNT:
            return 0.0
        return times[-1] + limits.WRONG_TOKEN_WINDOW_S / limits.MAX_WRONG_TOKEN_COUNT - now
