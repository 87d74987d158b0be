"""One connection of one player to the test camera: the talk, then the pictures."""

from __future__ import annotations

import asyncio
import itertools
import re
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.support.clips import Clip
from tests.support.servers.login import Login
from tests.support.servers.rtp import CLOCK, description, goodbye, payloads, sender_report

if TYPE_CHECKING:
    from tests.support.servers.rtsp import RtspServer

_ROOM = 4 << 20
_AUDIO_CHANNEL = 6


class Session:
    """Answers one player and sends it the camera's timeline, with the faults that the camera has at the moment."""

    def __init__(self, server: RtspServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self.reader, self.writer = server, reader, writer
        self.playing = False
        self._login = Login(server.user, server.password, server.auth)
        self._send: list[Callable[[bytes], None]] = []
        self._ports: list[asyncio.DatagramTransport] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def talk(self) -> None:
        if self.server.greeting:
            self.writer.write(self.server.greeting)
            return
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
                self._tasks = [asyncio.create_task(self._play(self._clip(url))), asyncio.create_task(self._speak())]
            if verb == "TEARDOWN":
                return

    def bye(self) -> None:
        """Say that the stream is over, and send no more of it."""
        self.playing = False
        if self._send:
            self._send[1](goodbye())

    def close(self) -> None:
        self.playing = False
        for task in self._tasks:
            task.cancel()
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
            said = description(clip, server.parameter_sets, server.frame_rate, server.media)
            return "200 OK", content, said
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
            if not self.writer.is_closing() and self.writer.transport.get_write_buffer_size() < _ROOM:
                self.writer.write(struct.pack(">cBH", b"$", channel, len(packet)) + packet)

        return send

    async def _speak(self) -> None:
        """Sound that nobody asked for, as careless cameras send it."""
        send = self._interleaved(_AUDIO_CHANNEL)
        for number in itertools.count():
            await asyncio.sleep(0.02)
            if self.server.audio:
                send(struct.pack(">BBHII", 0x80, 0, number & 0xFFFF, 160 * number, 8) + bytes(160))

    async def _play(self, clip: Clip | None) -> None:
        assert clip is not None
        server, fps = self.server, clip.fps
        sequence = itertools.count(1)
        number = int((time.monotonic() - server.began) * fps) + 1
        reported = 0.0
        while self.playing:
            await asyncio.sleep(max(0.0, server.began + number / fps - time.monotonic()))
            while server.held:
                await asyncio.sleep(0.02)
            stamp = server.stamp(int(number * CLOCK / fps)) & 0xFFFFFFFF
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
