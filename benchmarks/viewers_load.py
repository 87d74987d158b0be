"""Two hundred viewers, a fifth of whom never read and a tenth a byte a second, beside one viewer alone.

python -m benchmarks.viewers_load [--viewers 200] [--seconds 20] [--size 640x480] [--model auto]

A viewer is what the page is: a WebSocket that takes the camera's own pictures and word of their boxes. Ages are from
the read in the server until a viewer has the picture, and until it has its boxes too, by the clock that both processes
share. They are measured at one viewer in a process of its own, so that the crowd's own work does not count; rates are
measured at all. Then the age of pictures when painted is measured in one Chromium beside them, where there is one.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import multiprocessing
import os
import re
import select
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import psutil

from benchmarks.viewer import in_page
from tests.support.clips import encode, street
from tests.support.servers.rtsp import RtspServer

_SETTLE = 3.0
_BROWSER = 20.0
_UPGRADE = (
    "GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n\r\n"
).encode()


def frame(opcode: int, payload: bytes) -> bytes:
    """A short WebSocket frame of a client, masked with zeros."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


WATCH = frame(1, b'{"watch":["door"],"direct":["door"]}')


@dataclass
class Seen:
    """What the healthy viewers saw between two moments."""

    begins: float
    ends: float
    ages: list[float] = field(default_factory=list)
    boxed: list[float] = field(default_factory=list)
    pictures: dict[int, int] = field(default_factory=dict)


class Healthy(asyncio.Protocol):
    """Reads everything at once and answers pings, as a browser does."""

    def __init__(self, number: int, seen: Seen, timed: bool) -> None:
        self._number = number
        self._timed = timed
        self._seen = seen
        self._held = b""
        self._open = False
        self._awaited: dict[int, float] = {}
        seen.pictures[number] = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the socket."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(_UPGRADE)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._held += data
        if not self._open:
            head, found, rest = self._held.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head:
                raise SystemExit(f"the server said {head[:60]!r}")
            self._open, self._held = True, rest
            self._transport.write(WATCH)
        at, held = 0, self._held
        while len(held) - at >= 2:
            size, body = held[at + 1] & 127, at + 2
            if size > 125:
                body += 2 if size == 126 else 8
                size = int.from_bytes(held[at + 2 : body], "big")
            if len(held) < body + size:
                break
            self._take(held[at] & 15, held[body : body + size])
            at = body + size
        self._held = held[at:]

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == 9:
            self._transport.write(frame(10, payload))
        now = time.monotonic()
        if not self._seen.begins <= now < self._seen.ends:
            return
        self._seen.pictures[self._number] += opcode == 2
        if not self._timed:
            return
        if opcode == 2:
            header = json.loads(payload[4 : 4 + int.from_bytes(payload[:4], "big")])
            self._awaited[header["pts"]] = header["at"]
            self._seen.ages.append(now * 1e3 - header["at"])
        elif opcode == 1 and (at := self._awaited.pop(json.loads(payload).get("pts"), None)) is not None:
            self._seen.boxed.append(now * 1e3 - at)


class Slow:
    """A viewer that reads nothing, or a byte a second, and comes again when it is let go."""

    def __init__(self, port: int, trickle: bool) -> None:
        self._port = port
        self._trickle = trickle
        self.let_go = -1
        self._enter()

    def _enter(self) -> None:
        self.let_go += 1
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.socket.settimeout(5)
        self.socket.connect(("127.0.0.1", self._port))
        self.socket.sendall(_UPGRADE)
        while b"\r\n\r\n" not in self.socket.recv(4096, socket.MSG_PEEK):
            time.sleep(0.001)
        self.socket.sendall(WATCH)
        self.socket.setblocking(False)

    def turn(self) -> None:
        """One second has passed."""
        poll = select.poll()
        poll.register(self.socket, select.POLLHUP | select.POLLERR)
        gone = bool(poll.poll(0))
        if self._trickle and not gone:
            try:
                gone = self.socket.recv(1) == b""
            except BlockingIOError:
                gone = False
            except ConnectionError:
                gone = True
        if gone:
            self.socket.close()
            with suppress(OSError):
                self._enter()


def crowd(port: int, healthy: int, deaf: int, trickling: int, seconds: float, timed: bool, told: Any) -> None:
    """Look for so long after everybody has come; what the healthy saw goes into the queue."""

    async def look() -> None:
        seen = Seen(float("inf"), float("inf"))
        loop = asyncio.get_running_loop()
        lines = [
            (await loop.create_connection(lambda n=n: Healthy(n, seen, timed), "127.0.0.1", port))[0]  # type: ignore[misc]
            for n in range(healthy)
        ]
        slow = [Slow(port, number < trickling) for number in range(deaf + trickling)]
        told.put("all are there")
        await asyncio.sleep(_SETTLE)
        seen.begins = time.monotonic()
        seen.ends = seen.begins + seconds
        while time.monotonic() < seen.ends:
            for each in slow:
                each.turn()
            await asyncio.sleep(1)
        rates = [count / seconds for count in seen.pictures.values()]
        told.put((sorted(seen.ages), sorted(seen.boxed), rates, sum(each.let_go for each in slow)))
        for line in lines:
            line.abort()

    asyncio.run(look())


class Server:
    """The program under load, seen from outside."""

    def __init__(self, source: str, model: str, viewers: int) -> None:
        command = [sys.executable, "run.py", "-m", model, "--no-window"]
        command += [
            "--set",
            f"cameras={{door: '{source}'}}",
            "--set",
            f"outputs=[web: {{port: 0, viewers: {viewers + 10}}}]",
        ]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)
        self.watched = psutil.Process(self.process.pid)
        assert self.process.stderr is not None
        heard = ""
        while not (found := re.search(r"watch on http://[^:]+:(\d+)/", heard)):
            line = self.process.stderr.readline().decode()
            if not line:
                raise SystemExit(heard)
            heard += line
        self.port = int(found[1])
        self.said = b""
        os.set_blocking(self.process.stderr.fileno(), False)

    def card(self) -> dict[str, Any]:
        """What the program says of its camera, and of its viewers."""
        with suppress(BlockingIOError):
            self.said += (self.process.stderr and self.process.stderr.read()) or b""
        if self.process.poll() is not None:
            raise SystemExit(f"the program has ended: {self.said.decode()}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/cameras", timeout=10) as answer:
                told = json.load(answer)
        except urllib.error.URLError:
            self.process.wait(10)
            return self.card()
        return dict(told["cameras"][0]) | {"all_viewers": told["viewers"]}

    def processor(self) -> float:
        """Seconds of processor time so far."""
        times = self.watched.cpu_times()
        return float(times.user + times.system)


def phase(server: Server, name: str, healthy: int, deaf: int, trickling: int, seconds: float) -> dict[str, float]:
    """One crowd from its coming to its going."""
    context = multiprocessing.get_context("spawn")
    told, measured = context.Queue(), context.Queue()
    stay = seconds + 2 * _SETTLE + (seconds + _BROWSER if shutil.which("chromium") else 0)
    people = context.Process(target=crowd, args=(server.port, healthy - 1, deaf, trickling, stay, False, told))
    people.start()
    told.get(timeout=60)
    probe = context.Process(target=crowd, args=(server.port, 1, 0, 0, seconds, True, measured))
    probe.start()
    measured.get(timeout=60)
    time.sleep(_SETTLE)
    before, began, worked, resident = server.card(), time.monotonic(), server.processor(), 0.0
    while time.monotonic() - began < seconds:
        resident = max(resident, server.watched.memory_info().rss / 1e6)
        time.sleep(0.5)
    after, spent = server.card(), time.monotonic() - began
    worked = server.processor() - worked
    ages, boxed, own, _ = measured.get(timeout=60)
    page = in_page(f"http://127.0.0.1:{server.port}/", seconds, without=False) if shutil.which("chromium") else {}
    _, _, rates, let_go = told.get(timeout=60 + _BROWSER)
    rates += own
    for process in (people, probe):
        process.join(10)
    numbers = {
        "viewers": before["all_viewers"],
        "age p50 ms": ages[len(ages) // 2],
        "age p95 ms": ages[int(len(ages) * 0.95)],
        "with boxes p50 ms": boxed[len(boxed) // 2],
        "with boxes p95 ms": boxed[int(len(boxed) * 0.95)],
        **{f"in a page {name} ms": page[name] for name in ("p50", "p95") if page},
        "pictures/s worst": min(rates),
        "pictures/s median": statistics.median(rates),
        "camera fps": (after["captured"] - before["captured"]) / spent,
        "detected fps": (after["inferred"] - before["inferred"]) / spent,
        "processor %": 100 * worked / spent,
        "resident MB": resident,
        "slow ones let go": let_go,
    }
    print(f"{name:10}", *(f"{key} {value:.1f}" for key, value in numbers.items()), sep="  ", flush=True)
    return numbers


def main() -> None:
    """Measure one viewer, the crowd, one viewer again, and that the crowd has left nothing behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--model", default="auto")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    clip = encode(street(90, width, height), 30, 30, 1_500_000)
    deaf, trickling = options.viewers // 5, options.viewers // 10
    with RtspServer({"live": clip}) as camera:
        server = Server(camera.url("live"), options.model, options.viewers)
        try:
            while server.card()["shown"] + server.card()["inferred"] < 60:
                time.sleep(0.5)
            alone = phase(server, "alone", 1, 0, 0, options.seconds)
            files, threads = server.watched.num_fds(), server.watched.num_threads()
            many = phase(server, "crowd", options.viewers - deaf - trickling, deaf, trickling, options.seconds)
            left = time.monotonic()
            while server.card()["all_viewers"] and time.monotonic() - left < 60:
                time.sleep(0.1)
            print(f"all gone {time.monotonic() - left:.1f} s after the last had left")
            again = phase(server, "alone again", 1, 0, 0, options.seconds)
            now = server.watched
            print(f"files {files} before, {now.num_fds()} after; threads {threads}, {now.num_threads()}")
            print(f"memory held for the crowd {many['resident MB'] - alone['resident MB']:.0f} MB")
            for age in ("age p95 ms", "with boxes p95 ms", "in a page p95 ms"):
                if age not in many:
                    continue
                print(f"{age} of the crowd / alone: {many[age] / min(alone[age], again[age]):.2f}")
        finally:
            server.process.terminate()
            server.process.wait(10)


if __name__ == "__main__":
    main()
