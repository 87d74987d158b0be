"""One stream to one server, kept up for ever: the only place that starts the publishing process."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pipeline.address.parse import connectable
from pipeline.clock import Clock
from pipeline.concurrency.backoff import Backoff
from pipeline.frames import Packet
from pipeline.media.packet_queue import Backlog
from pipeline.media.timestamps import PacketTimeline
from pipeline.redaction import redacted, remember, scrub

from .child import HEAD

STEP_TIMEOUT_S = 5.0
"""Seconds that a server may take for one step, before it counts as stalled."""

_POLL_INTERVAL_S = 0.25
_MARGIN_S = 2.0
_END_TIMEOUT_S = 0.5
_MAX_QUEUE_BYTES = 8_000_000
_REASONS = {
    "ConnectionRefusedError": "refused",
    "HTTPUnauthorizedError": "unauthorized",
    "HTTPForbiddenError": "unauthorized",
    "HTTPNotFoundError": "not found",
    "TimeoutError": "timed out",
    "BrokenPipeError": "ended",
    "ConnectionResetError": "ended",
    "EOFError": "ended",
}


class Publisher:
    """Sends the packets of one camera; `put` never waits, `run` is the body of its thread."""

    def __init__(
        self,
        address: str,
        clock: Clock,
        tell: Callable[[str], None] = lambda state: None,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        """Take where to, and who hears of its state and of packets that were not sent."""
        remember(address)
        self.name = redacted(address)
        self._address = address
        self._clock = clock
        self.tell = tell
        self._backlog = Backlog(lost, _MAX_QUEUE_BYTES)
        self._stopping = threading.Event()
        self._backoff = Backoff(self.name)
        self._reason = "ended"
        self.live = False
        """Whether the server takes pictures."""
        self.wanted = True
        """Whether pictures are of use, which they are not until the next try."""

    def put(self, packet: Packet) -> None:
        """Queue a packet, at once."""
        self._backlog.put(packet)

    def stop(self) -> None:
        """Say farewell to the server, or give it up where it does not listen."""
        self._stopping.set()
        self._backlog.close()

    def run(self) -> None:
        """Publish, and after each failure again, until the stop."""
        while not self._stopping.is_set():
            first = self._first()
            if first is None:
                self.tell("waiting for a picture")
                continue
            self.tell("connecting")
            try:
                lived = self._publish(first)
            except Exception as error:
                # Most likely no process or pipe could be made; whatever it is, it is tried again.
                lived, self._reason = 0.0, getattr(error, "strerror", None) or type(error).__name__
            if self._stopping.is_set():
                return
            self.wanted = False
            delay = self._backoff.next(lived, refused=self._reason == "unauthorized")
            self.tell(f"offline ({self._reason}), next try in {delay:.1f} s")
            self._clock.wait(self._stopping, delay)
            self._backlog.skip()
            self.wanted = True

    def _first(self) -> Packet | None:
        """Return the next keyframe; what comes before it is of no use."""
        item = self._backlog.get(_POLL_INTERVAL_S)
        return item if isinstance(item, Packet) and item.key else None

    def _publish(self, first: Packet) -> float:
        """Keep one connection from its first packet to its end; return the seconds for which it was live."""
        script = Path(__file__).with_name("child.py")
        # Without -P the folder of the script would be searched first, for modules of any name.
        child = subprocess.Popen(
            [sys.executable, "-P", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        os.set_blocking(child.stdin.fileno(), False)
        os.set_blocking(child.stdout.fileno(), False)
        live_since: float | None = None
        self._reason = "ended"
        order = {"address": connectable(self._address), "codec": first.codec, "patience": STEP_TIMEOUT_S}
        packet: Packet | None = first
        timeline = PacketTimeline()
        try:
            good = self._send(child, json.dumps(order).encode() + b"\n")
            while good and child.poll() is None:
                if packet is not None:
                    if packet.kind != first.kind:
                        self._reason = "new format"
                        break
                    head = HEAD.pack(packet.key, *timeline.place(packet), len(packet.data))
                    good = self._send(child, head + packet.data)
                if self._heard(child) and live_since is None:
                    live_since = self._clock.monotonic()
                    self.live = True
                    self.tell("live")
                if self._backlog.ended:
                    break
                item = self._backlog.get(_POLL_INTERVAL_S)
                packet = item if isinstance(item, Packet) else None
        finally:
            self.live = False
            self._end(child)
        return 0.0 if live_since is None else self._clock.monotonic() - live_since

    def _send(self, child: subprocess.Popen[bytes], data: bytes) -> bool:
        """Write to the child; False where it has ended, or takes nothing for longer than it may."""
        assert child.stdin is not None
        left = memoryview(data)
        limit = self._clock.monotonic() + STEP_TIMEOUT_S + _MARGIN_S
        while left:
            try:
                left = left[os.write(child.stdin.fileno(), left) :]
                continue
            except BlockingIOError:
                pass
            except OSError:
                return False
            if self._clock.monotonic() > limit or self._stopping.is_set():
                self._reason = "timed out"
                return False
            select.select([], [child.stdin], [], _POLL_INTERVAL_S)
        return True

    def _heard(self, child: subprocess.Popen[bytes]) -> bool:
        """Read what the child says; True if that the stream is live."""
        assert child.stdout is not None
        with suppress(BlockingIOError):
            text = (os.read(child.stdout.fileno(), 4096) or b"").decode("utf-8", "replace")
            for line in text.splitlines():
                if line == "live":
                    return True
                if line.startswith("failed "):
                    _, name, _, message = [*line.split(" ", 2), "", ""][:4]
                    self._reason = _REASONS.get(name, scrub(message or name))
        return False

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        """Let the child say farewell, or kill it."""
        assert child.stdin is not None
        assert child.stdout is not None
        with suppress(OSError):
            child.stdin.close()
        try:
            child.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        self._heard(child)
        if child.returncode == -signal.SIGALRM:
            self._reason = "timed out"
        child.stdout.close()
