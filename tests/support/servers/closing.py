"""The end of a server's event loop, which leaves no connection behind."""

from __future__ import annotations

import asyncio

_TURNS = 4
"""Turns of the loop in which a transport that was aborted or closed lets go of its socket."""


async def let_go() -> None:
    """End every other task of the loop, those that are just accepting a connection included, and their transports."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    for _ in range(_TURNS):
        await asyncio.sleep(0)
