"""A web server that passes what lies under one of its paths on to another, as nginx does, and has a page of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping

from tests.support.servers.closing import end_serving
from tests.support.wait import HANG_S

_OWN_PAGE = b"<!doctype html><title>Another site</title>"


class Front:
    """Serves in a thread of its own; each connection carries one request, or one WebSocket."""

    def __init__(
        self, target: int, prefix: str = "/never", *, strip: bool = True, headers: Mapping[str, str] | None = None
    ) -> None:
        """Pass requests under `prefix` on to a port, without it if `strip`, with those `headers` instead of theirs."""
        self.port = 0
        self._target = target
        self._prefix = prefix
        self._strip = strip
        self._headers = headers or {}
        self._writers: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="front")
        self._ready = threading.Event()

    def use(self, headers: Mapping[str, str]) -> None:
        """Send those headers from now on."""
        self._headers = headers

    def __enter__(self) -> Front:
        self._thread.start()
        assert self._ready.wait(HANG_S)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(HANG_S)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        await end_serving(server, self._handlers, self._cut)

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        self._writers.add(writer)
        try:
            await self._answer(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self._handlers.discard(handler)
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.split("\r\n")[:-2]
        method, target, version = line.split(" ")
        below = target[len(self._prefix) :]
        if not target.startswith(self._prefix) or below[:1] not in ("", "/", "?"):
            kind = b"Content-Type: text/html\r\nConnection: close\r\n"
            writer.write(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (kind, len(_OWN_PAGE)) + _OWN_PAGE)
            await writer.drain()
            return
        if self._strip:
            target = below if below.startswith("/") else f"/{below}"
        mine = {name.lower() for name in self._headers}
        kept = [field for field in fields if field.partition(":")[0].lower() not in mine]
        if not any(field.lower().startswith("upgrade:") for field in kept):
            kept = [field for field in kept if not field.lower().startswith("connection:")] + ["Connection: close"]
        kept += [f"{name}: {value}" for name, value in self._headers.items()]
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers.add(far_writer)
        far_writer.write("\r\n".join([f"{method} {target} {version}", *kept, "", ""]).encode("latin-1"))
        ways = [asyncio.create_task(_pass(*way)) for way in ((reader, far_writer), (far_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._writers.discard(far_writer)
            far_writer.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
