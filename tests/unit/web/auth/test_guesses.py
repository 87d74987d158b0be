"""Wrong tokens are counted for each address, in bounded memory."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.web import limits
from pipeline.web.auth.guesses import Guesses


def test_failures_are_counted_for_each_address_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_WRONG_TOKEN_ADDRESS_COUNT", 50)
    guesses = Guesses()

    async def guess() -> None:
        for number in range(10):
            assert await guesses.turn("192.0.2.7") == 0
            for other in range(number * 10, number * 10 + 4):
                assert await guesses.turn(f"198.51.100.{other}") == 0
        waiting = asyncio.ensure_future(guesses.turn("192.0.2.7"))
        await asyncio.sleep(0)
        assert 0 < await guesses.turn("192.0.2.7") <= limits.WRONG_TOKEN_WINDOW_S / limits.MAX_WRONG_TOKEN_COUNT
        assert await guesses.turn("198.51.100.1") == 0
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert not guesses._waiting
        for other in range(60):
            assert await guesses.turn(f"203.0.113.{other}") == 0
        assert len(guesses._times) == 50
        guesses.forgive("203.0.113.59")
        assert len(guesses._times) == 49

    asyncio.run(guess())
