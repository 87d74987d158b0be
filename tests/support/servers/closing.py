"""The end of a server's event loop, which leaves no connection behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_TURNS = 4
"""Turns of the loop in which a transport that was aborted or closed lets go of its socket."""


async def end_serving(server: asyncio.Server, handlers: set[asyncio.Task[None]], cut: Callable[[], None]) -> None:
    """Close a server of this loop and end all of its connections; `cut` aborts those that are known.

    Nothing more is accepted at once, but the server is closed only when what it has accepted has a transport: asyncio
    drops a connection unclosed whose server is gone by then. Handlers are cancelled, for some wait for a time that
    would still come.
    """
    loop = asyncio.get_running_loop()
    for listener in server.sockets:
        loop.remove_reader(listener.fileno())
    while asyncio.all_tasks() - {asyncio.current_task()}:
        cut()
        for task in list(handlers):
            task.cancel()
        await asyncio.sleep(0)
    server.close()
    for _ in range(_TURNS):
        await asyncio.sleep(0)
