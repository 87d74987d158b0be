"""An RTSP server that takes one stream (ANNOUNCE, SETUP, RECORD) over interleaved TCP, with faults on request."""

from __future__ import annotations

import asyncio
import struct
import threading
import time
from types import TracebackType

from tests.support.servers.closing import end_serving
from tests.support.servers.login import Login
from tests.support.wait import HANG_S

_START = b"\0\0\0\1"


class RtspSink:
    """A server on 127.0.0.1 in a thread of its own."""

    def __init__(self, *, user: str = "", password: str = "", port: int = 0) -> None:
        self.port = port
        self.user, self.password = user, password
        self.status: dict[str, str] = {}
        """Verbs that get this status, such as `403 Forbidden`."""
        self.stalled = False
        """Whether it reads nothing more although the connection stays."""
        self.pictures: list[bytes] = []
        """What came, as Annex B."""
        self.arrived: list[float] = []
        """Monotonic seconds when each picture was complete."""
        self.verbs: list[str] = []
        """Every verb that was asked, in order."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Listen; the port stays the same when started again."""
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), name="rtsp-sink")
        self._thread.start()
        if not ready.wait(HANG_S):
            raise RuntimeError(f"the server cannot listen on port {self.port}")

    def stop(self) -> None:
        """Cut every connection and close the port, as a killed server does."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(HANG_S)
        self._loop = self._thread = None

    @property
    def address(self) -> str:
        """Where to publish, with the right login."""
        login = f"{self.user}:{self.password}@" if self.user else ""
        return f"rtsp://{login}127.0.0.1:{self.port}/door"

    def __enter__(self) -> RtspSink:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        # A small buffer, so that a stall is felt after few pictures.
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, limit=4096)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._end.wait()
        await end_serving(server, self._handlers, self._cut)

    def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        self._writers.add(writer)
        try:
            await self._talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._handlers.discard(handler)
            self._writers.discard(writer)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        login = Login(self.user, self.password, "digest")
        units: list[bytes] = []
        while True:
            first = await reader.readexactly(1)
            while self.stalled:
                await asyncio.sleep(0.05)
            if first == b"$":
                channel, length = struct.unpack(">BH", await reader.readexactly(3))
                self._take(units, channel, await reader.readexactly(length))
                continue
            head = (first + await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            verb = head[0].split(" ")[0]
            fields = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in head[1:])}
            await reader.readexactly(int(fields.get("content-length", 0)))
            self.verbs.append(verb)
            lines = [f"CSeq: {fields.get('cseq', '0')}", "Session: 12345678"]
            status = self.status.get(verb, "200 OK")
            if self.user and verb != "OPTIONS" and not login.opens(verb, fields.get("authorization", "")):
                status = "401 Unauthorized"
                lines.append(f"WWW-Authenticate: {login.challenge}")
            elif verb == "SETUP":
                lines.append(f"Transport: {fields['transport']}")
            writer.write("\r\n".join([f"RTSP/1.0 {status}", *lines, "", ""]).encode())
            if verb == "TEARDOWN":
                return

    def _take(self, units: list[bytes], channel: int, packet: bytes) -> None:
        """Add an RTP packet of H.264: a whole unit, several in one packet, or a fragment."""
        if channel:
            return
        payload = packet[12:]
        kind = payload[0] & 31
        if kind == 24:
            at = 1
            while at < len(payload):
                length = int.from_bytes(payload[at : at + 2], "big")
                units.append(payload[at + 2 : at + 2 + length])
                at += 2 + length
        elif kind == 28:
            if payload[1] & 0x80:
                units.append(bytes((payload[0] & 0xE0 | payload[1] & 31,)))
            units[-1:] = [units[-1] + payload[2:]] if units else []
        else:
            units.append(payload)
        if packet[1] & 0x80:
            self.pictures.append(b"".join(_START + unit for unit in units))
            self.arrived.append(time.monotonic())
            units.clear()
