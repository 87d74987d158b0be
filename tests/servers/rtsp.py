"""An RTSP camera in pure Python: H.264 over interleaved TCP or UDP, with Basic or Digest, and faults on request.

Serve a file or the drawn street by hand:  python -m tests.servers.rtsp --port 8554 demo
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import re
import struct
import threading
import time
from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import quote

from .h264 import Clip, record
from .login import Login
from .rtp import CLOCK, description, payloads, sender_report


class RtspServer:
    """A camera on 127.0.0.1 that runs in a thread of its own; most attributes are faults to switch on and off.

    All players see one timeline that has run since the server began, so a late one waits for a keyframe.
    """

    def __init__(
        self,
        clips: Mapping[str, Clip],
        *,
        port: int = 0,
        user: str = "",
        password: str = "",
        auth: Literal["basic", "digest"] = "digest",
        parameter_sets: bool = True,
    ) -> None:
        self.clips = dict(clips)
        self.port = port
        self.user, self.password, self.auth = user, password, auth
        self.parameter_sets = parameter_sets
        """Whether the description carries them, as most cameras do."""
        self.stalled = False
        """Whether no pictures are sent although the connection stays and sender reports go on."""
        self.mute: set[str] = set()
        """Verbs that get no answer."""
        self.status: dict[str, str] = {}
        """Verbs that get this status, such as `404 Not Found`."""
        self.change: Callable[[int, tuple[bytes, ...]], tuple[bytes, ...]] = lambda number, units: units
        """Given a picture's place in its clip and its NAL units, what is sent instead; nothing skips it."""
        self.lost: Callable[[int], bool] = lambda sequence: False
        """Which RTP packets are lost, by sequence number."""
        self.stamp: Callable[[float], float] = lambda seconds: seconds
        """What the camera's own clock says after so many seconds."""
        self.delay: dict[str, float] = {}
        """Verbs whose answer takes this many seconds."""
        self.verbs: list[str] = []
        """Every verb that was asked, in order."""
        self.transports: list[str] = []
        """The transport of every player, `tcp` or `udp`, in order."""
        self.sent: dict[int, float] = {}
        """Monotonic seconds when the last byte of each picture was last sent, by its place in the clip."""
        self.began = time.monotonic()
        self._sessions: set[_Session] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen; the port stays the same when started again."""
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="rtsp-server")
        self._thread.start()
        if not ready.wait(5) or self._server is None:
            raise RuntimeError(f"the camera cannot listen on port {self.port}")

    def stop(self) -> None:
        """Cut every connection and close the port, as a camera without power does."""
        loop, thread = self._loop, self._thread
        if loop is not None and thread is not None and thread.is_alive():
            loop.call_soon_threadsafe(self._stop_serving)
            thread.join(5)
        self._thread = self._server = None

    def cut(self) -> None:
        """Cut every connection, but go on listening."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cut)

    def url(self, path: str, user: str | None = None, password: str | None = None) -> str:
        """The address of a path, with this login or the right one."""
        name = self.user if user is None else user
        secret = self.password if password is None else password
        login = f"{quote(name, safe='')}:{quote(secret, safe='')}@" if name else ""
        return f"rtsp://{login}127.0.0.1:{self.port}/{path}"

    @property
    def players(self) -> int:
        """How many connections are playing."""
        return sum(session.playing for session in list(self._sessions))

    def __enter__(self) -> RtspServer:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _run(self, ready: threading.Event) -> None:
        asyncio.run(self._serve(ready))

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]
        finally:
            ready.set()
        self._ended = asyncio.Event()
        await self._ended.wait()

    def _stop_serving(self) -> None:
        if self._server is not None:
            self._server.close()
        self._cut()
        self._ended.set()

    def _cut(self) -> None:
        for session in list(self._sessions):
            session.writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session(self, reader, writer)
        self._sessions.add(session)
        try:
            await session.talk()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._sessions.discard(session)
            session.close()


class _Session:
    """One connection of one player."""

    def __init__(self, server: RtspServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self.reader, self.writer = server, reader, writer
        self.playing = False
        self._login = Login(server.user, server.password, server.auth)
        self._send: list[Callable[[bytes], None]] = []
        self._ports: list[asyncio.DatagramTransport] = []
        self._task: asyncio.Task[None] | None = None

    async def talk(self) -> None:
        while True:
            first = await self.reader.readexactly(1)
            if first == b"$":
                _, length = struct.unpack(">BH", await self.reader.readexactly(3))
                await self.reader.readexactly(length)
                continue
            head = (first + await self.reader.readuntil(b"\r\n\r\n")).decode("utf-8", "replace").strip().split("\r\n")
            verb, url = head[0].split(" ")[:2]
            fields = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in head[1:])}
            if length := int(fields.get("content-length", 0)):
                await self.reader.readexactly(length)
            self.server.verbs.append(verb)
            if verb in self.server.mute:
                continue
            await asyncio.sleep(self.server.delay.get(verb, 0))
            status, extra, body = await self._answer(verb, url, fields)
            extra = {"CSeq": fields.get("cseq", "0"), "Session": "12345678;timeout=60", **extra}
            if body:
                extra["Content-Length"] = str(len(body))
            lines = [f"RTSP/1.0 {status}", *(f"{key}: {value}" for key, value in extra.items()), "", ""]
            self.writer.write("\r\n".join(lines).encode() + body)
            if verb == "PLAY" and status.startswith("200") and not self.playing:
                self.playing = True
                self._task = asyncio.create_task(self._play(self._clip(url)))
            if verb == "TEARDOWN":
                return

    def close(self) -> None:
        self.playing = False
        if self._task is not None:
            self._task.cancel()
        for port in self._ports:
            port.close()
        self.writer.close()

    def _clip(self, url: str) -> Clip | None:
        path = re.sub(r"^rtsp://[^/]*/", "", url).partition("?")[0].rstrip("/").removesuffix("/trackID=0")
        return self.server.clips.get(path)

    async def _answer(self, verb: str, url: str, fields: dict[str, str]) -> tuple[str, dict[str, str], bytes]:
        server = self.server
        if verb in server.status:
            return server.status[verb], {}, b""
        if verb == "OPTIONS":
            return "200 OK", {"Public": "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"}, b""
        if server.user and not self._login.opens(verb, fields.get("authorization", "")):
            return "401 Unauthorized", {"WWW-Authenticate": self._login.challenge}, b""
        clip = self._clip(url)
        if verb in ("DESCRIBE", "SETUP", "PLAY") and clip is None:
            return "404 Not Found", {}, b""
        if verb == "DESCRIBE" and clip is not None:
            content = {"Content-Type": "application/sdp", "Content-Base": f"{url.rstrip('/')}/"}
            return "200 OK", content, description(clip, server.parameter_sets)
        if verb == "SETUP":
            return "200 OK", {"Transport": await self._transport(fields.get("transport", ""))}, b""
        if verb in ("PLAY", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER", "PAUSE"):
            return "200 OK", {}, b""
        return "501 Not Implemented", {}, b""

    async def _transport(self, wanted: str) -> str:
        self.server.transports.append("tcp" if "TCP" in wanted else "udp")
        if "TCP" in wanted:
            found = re.search(r"interleaved=(\d+)", wanted)
            channel = int(found[1]) if found else 0
            self._send = [self._interleaved(channel), self._interleaved(channel + 1)]
            return f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
        found = re.search(r"client_port=(\d+)-(\d+)", wanted)
        host = self.writer.get_extra_info("peername")[0]
        theirs = [int(port) for port in found.groups()] if found else [0, 0]
        loop = asyncio.get_running_loop()
        for port in theirs:
            made, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0), remote_addr=(host, port)
            )
            self._ports.append(made)
        self._send = [port.sendto for port in self._ports]
        ours = "-".join(str(port.get_extra_info("sockname")[1]) for port in self._ports)
        return f"RTP/AVP;unicast;client_port={theirs[0]}-{theirs[1]};server_port={ours}"

    def _interleaved(self, channel: int) -> Callable[[bytes], None]:
        def send(packet: bytes) -> None:
            if not self.writer.is_closing() and self.writer.transport.get_write_buffer_size() < 4 << 20:
                self.writer.write(struct.pack(">cBH", b"$", channel, len(packet)) + packet)

        return send

    async def _play(self, clip: Clip | None) -> None:
        assert clip is not None
        server, fps = self.server, clip.fps
        sequence = itertools.count(1)
        number = int((time.monotonic() - server.began) * fps) + 1
        reported = 0.0
        while self.playing:
            await asyncio.sleep(max(0.0, server.began + number / fps - time.monotonic()))
            stamp = round(server.stamp(number / fps) * CLOCK) & 0xFFFFFFFF
            place = number % len(clip.units)
            units = () if server.stalled else server.change(place, clip.units[place])
            for payload, last in payloads(units):
                at = next(sequence) & 0xFFFF
                if not server.lost(at):
                    self._send[0](struct.pack(">BBHII", 0x80, 96 | last << 7, at, stamp, 7) + payload)
            if units:
                server.sent[place] = time.monotonic()
            if time.monotonic() - reported > 1:
                reported = time.monotonic()
                self._send[1](sender_report(stamp))
            number += 1


def main() -> None:
    """Serve one clip at /live until interrupted."""
    parser = argparse.ArgumentParser(description="An RTSP camera for trials.")
    parser.add_argument("source", help="a video file, or demo")
    parser.add_argument("--port", type=int, default=8554)
    parser.add_argument("--auth", nargs=2, metavar=("KIND", "USER:PASSWORD"), default=("digest", ""))
    parser.add_argument("--frames", type=int, default=300, help="how many pictures to repeat")
    parser.add_argument("--keyframe-every", type=int, default=30)
    chosen = parser.parse_args()
    clip = record(chosen.source, chosen.frames, chosen.keyframe_every)
    kind, login = chosen.auth
    user, _, password = login.partition(":")
    with RtspServer({"live": clip}, port=chosen.port, user=user, password=password, auth=kind) as server:
        print(f"rtsp://127.0.0.1:{server.port}/live", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
