"""A test camera behind a proxy, and the ways to spoil either of them."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.faults.oracle import Verdict
from tests.support.clips import Clip, encode, parameter_set, street, write_file
from tests.support.servers.proxy import Proxy
from tests.support.servers.rtsp import RtspServer

FPS = 3
PICTURES = 120
USER, SECRET = "cam", "c@n:a/r#y%20"

Units = tuple[bytes, ...]


def clip(fps: int = FPS, width: int = 320, height: int = 240) -> Clip:
    """The street at a size that many programs can watch at once, a keyframe a second."""
    return _encoded(fps, width, height)


@lru_cache(maxsize=8)
def _encoded(fps: int, width: int, height: int) -> Clip:
    return encode(street(PICTURES, width, height), fps, fps)


def draw() -> None:
    """Make beforehand what faults send; a camera that had to encode it first would be silent meanwhile."""
    clip()
    clip(FPS, 240, 320)


class Rig:
    """One camera of ours with its proxy, and the address that a program is given."""

    def __init__(self, name: str, fps: int = FPS, through: bool = False) -> None:
        self.name = name
        self.fps = fps
        self.server = RtspServer({"live": clip(fps)}, user=USER, password=SECRET)
        self.server.start()
        self.proxy = Proxy(self.server.port)
        self.proxy.start()
        port = self.proxy.port if through else self.server.port
        self.address = f"rtsp://{USER}:{quote(SECRET, safe='')}@127.0.0.1:{port}/live"

    @property
    def began(self) -> float:
        """When the camera's picture 0 was due, in seconds since 1970."""
        return time.time() - time.monotonic() + self.server.began

    def stop(self) -> None:
        self.proxy.stop()
        self.server.stop()


class RemoteRig(Rig):
    """A camera that is a process of its own, for signals to stop or kill."""

    def __init__(self, name: str, fps: int = FPS, through: bool = False) -> None:
        super().__init__(name, fps, through)
        self._folder = tempfile.TemporaryDirectory()
        self._file = write_file(Path(self._folder.name) / "street.mp4", street(PICTURES, 320, 240), fps)
        self.server.stop()
        self.process: subprocess.Popen[bytes] | None = None
        self.turn_on()

    def turn_on(self) -> None:
        """Start the process and wait until it listens."""
        self.turn_off()
        told = ["--port", str(self.server.port), "--auth", "digest", f"{USER}:{SECRET}"]
        told += ["--frames", str(PICTURES), "--keyframe-every", str(self.fps), str(self._file)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.servers.rtsp", *told],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).parents[2],
        )
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def turn_off(self) -> None:
        """Kill the process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate(timeout=5)

    def stop(self) -> None:
        self.turn_off()
        self._folder.cleanup()
        super().stop()


Healing = Callable[[], None]
Fault = Callable[[Rig], Healing]


@dataclass(frozen=True)
class Case:
    """One fault, and what is right for it."""

    name: str
    begin: Fault
    verdict: Verdict
    lasts: float = 7.0
    """Seconds until the fault is healed."""
    through: bool = False
    """Whether the program connects through the proxy."""
    after: float = 0.0
    """Seconds that all is well before."""
    capture: dict[str, Any] = field(default_factory=dict)
    """Settings of this camera's capture."""
    tries: int | None = None
    """Most times that the program may have asked for the stream."""
    rig: type[Rig] = Rig
    address: str = ""
    """What the program is given in place of the rig's address."""

    @property
    def ends(self) -> float:
        """Seconds from the beginning to where all must have been told."""
        back = 0.0 if self.verdict.back is None else self.verdict.back + 1.5
        return self.after + self.lasts + back


def put(path: str, value: object) -> Fault:
    """Something of the camera or of the proxy is otherwise for a while, such as `server.stalled`."""

    def begin(rig: Rig) -> Healing:
        *owners, name = path.split(".")
        owner: object = rig
        for each in owners:
            owner = getattr(owner, each)
        before = getattr(owner, name)
        setattr(owner, name, value)
        return lambda: setattr(owner, name, before)

    return begin


def from_a_keyframe(change: Callable[[int, Units], Units]) -> Fault:
    """Pictures are changed from one keyframe to another, so that none lacks what it builds on."""

    def begin(rig: Rig) -> Healing:
        wanted, changing = True, False

        def changed(number: int, units: Units) -> Units:
            nonlocal changing
            if number % FPS == 0:
                changing = wanted
            return change(number, units) if changing else units

        def heal() -> None:
            nonlocal wanted
            wanted = False

        rig.server.change = changed
        return heal

    return begin


def at_once(act: Callable[[Rig], None]) -> Fault:
    """Something happens, and nothing has to be healed."""

    def begin(rig: Rig) -> Healing:
        act(rig)
        return lambda: None

    return begin


def both(*faults: Fault) -> Fault:
    """Several at once; healed in the order they began."""

    def begin(rig: Rig) -> Healing:
        healings = [fault(rig) for fault in faults]

        def heal() -> None:
            for healing in healings:
                healing()

        return heal

    return begin


def off(rig: Rig) -> Healing:
    """Without power: all connections are cut and the port is closed."""
    rig.server.stop()
    return rig.server.start


def deaf(rig: Rig) -> Healing:
    """A port whose queue is full, so that nobody's first packet is answered."""
    rig.server.stop()
    listener = socket.create_server(("127.0.0.1", rig.server.port), backlog=0)
    callers = [socket.socket() for _ in range(4)]
    for caller in callers:
        caller.setblocking(False)
        caller.connect_ex(listener.getsockname())

    def heal() -> None:
        for each in (*callers, listener):
            each.close()
        rig.server.start()

    return heal


def killed(rig: Rig) -> Healing:
    """The camera's process dies, and is started again."""
    assert isinstance(rig, RemoteRig)
    rig.turn_off()
    return rig.turn_on


def suspended(rig: Rig) -> Healing:
    """The camera's process stands still, while the system answers for it."""
    assert isinstance(rig, RemoteRig)
    assert rig.process is not None
    number = rig.process.pid
    os.kill(number, signal.SIGSTOP)
    return lambda: os.kill(number, signal.SIGCONT)


def random_slices(number: int, units: Units) -> Units:
    """Slices whose content is noise."""
    noise = random.Random(number)
    return tuple(unit if unit[0] & 31 not in (1, 5) else unit[:1] + noise.randbytes(len(unit) - 1) for unit in units)


def without_keyframes(number: int, units: Units) -> Units:
    """Only pictures that refer to earlier ones."""
    return () if any(unit[0] & 31 == 5 for unit in units) else units


def with_gaps(number: int, units: Units) -> Units:
    """Nothing in every third second, as over a poor wireless network."""
    return () if number // FPS % 3 == 2 else units


def first_only(number: int, units: Units) -> Units:
    """The same keyframe again and again."""
    return clip().units[0]


def every_tenth_second(number: int, units: Units) -> Units:
    """One keyframe in ten seconds."""
    return units if number % (10 * FPS) == 0 else ()


def upright(number: int, units: Units) -> Units:
    """The same street upright."""
    return clip(FPS, 240, 320).units[number]


def huge(rig: Rig) -> Healing:
    """Pictures of 8192x16384 in the parameter sets."""
    sps = parameter_set(8192, 16384)
    units = tuple(tuple(sps if unit[0] & 31 == 7 else unit for unit in picture) for picture in clip().units)
    return put("server.clips", {"live": replace(clip(), units=units, sps=sps)})(rig)


def narrow(rig: Rig) -> Healing:
    """Half the room that the pictures need."""
    pictures = clip().units
    needed = sum(len(unit) for units in pictures for unit in units) * FPS / len(pictures)
    return put("proxy.to_client.rate", needed / 2)(rig)


def some_lost(sequence: int) -> bool:
    """One packet in eight."""
    return sequence % 8 == 3
