"""A TCP proxy that spoils what passes through it, and heals without closing."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from dataclasses import dataclass

from tests.support.servers.closing import end_serving
from tests.support.wait import HANG_S

_POLL = 0.02
_PIECE = 16384


@dataclass
class Direction:
    """What happens to the bytes of one direction; set any of it at any time."""

    stalled: bool = False
    """Whether nothing passes, nor is read."""
    rate: float = 0.0
    """Bytes a second; 0 is no limit."""
    delay: float = 0.0
    """Seconds that everything comes later."""
    left: int = -1
    """Bytes until the connection is cut; negative is never."""
    flipped: int = 0
    """Every how many bytes one is inverted; 0 is none."""


class Proxy:
    """Passes connections on to a port of 127.0.0.1, in a thread of its own."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.to_client = Direction()
        self.to_server = Direction()
        self._lines: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="proxy")
        self._ready = threading.Event()

    def start(self) -> None:
        """Listen on a free port."""
        self._thread.start()
        if not self._ready.wait(HANG_S) or not self.port:
            raise RuntimeError("the proxy cannot listen")

    def stop(self) -> None:
        """Cut everything and end."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join(HANG_S)

    def reset(self) -> None:
        """Cut every connection with a reset, as a router does that has forgotten it."""
        self._loop.call_soon_threadsafe(self._reset)

    def half_close(self) -> None:
        """End what goes to the clients, and go on listening to them."""
        self._loop.call_soon_threadsafe(self._half_close)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        await end_serving(server, self._handlers, self._cut)

    def _cut(self) -> None:
        for writer in [each for line in self._lines for each in line]:
            writer.transport.abort()

    def _reset(self) -> None:
        for client, server in list(self._lines):
            plug = client.get_extra_info("socket")
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.transport.abort()
            server.transport.abort()

    def _half_close(self) -> None:
        for client, _ in list(self._lines):
            if client.can_write_eof() and not client.is_closing():
                client.write_eof()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except (OSError, asyncio.CancelledError):
            self._handlers.discard(handler)
            writer.transport.abort()
            return
        line = (writer, far_writer)
        self._lines.add(line)
        there = asyncio.create_task(self._pass(reader, far_writer, self.to_server))
        back = asyncio.create_task(self._pass(far_reader, writer, self.to_client))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            pass
        finally:
            self._handlers.discard(handler)
            self._lines.discard(line)
            there.cancel()
            back.cancel()
            for each in line:
                each.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Direction) -> None:
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)
        writing = asyncio.create_task(self._write(waiting, writer, way))
        passed = 0
        try:
            while True:
                while way.stalled:
                    await asyncio.sleep(_POLL)
                data = await reader.read(_PIECE)
                await waiting.put((time.monotonic() + way.delay, _spoiled(data, passed, way.flipped)))
                passed += len(data)
                if not data:
                    break
            await writing
        except ConnectionError:
            return
        finally:
            writing.cancel()

    async def _write(
        self, waiting: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, way: Direction
    ) -> None:
        while True:
            due, data = await waiting.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not data:
                return
            at = 0
            while at < len(data):
                while way.stalled:
                    await asyncio.sleep(_POLL)
                piece = data[at : at + (max(1, int(way.rate * 0.1)) if way.rate else _PIECE)]
                if way.left >= 0:
                    piece, way.left = piece[: way.left], max(0, way.left - len(piece))
                if not piece:
                    writer.transport.abort()
                    return
                writer.write(piece)
                await writer.drain()
                at += len(piece)
                if way.rate:
                    await asyncio.sleep(len(piece) / way.rate)


def _spoiled(data: bytes, passed: int, every: int) -> bytes:
    if not every:
        return data
    changed = bytearray(data)
    for at in range(-passed % every, len(changed), every):
        changed[at] ^= 0xFF
    return bytes(changed)
