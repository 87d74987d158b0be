"""Many viewers at once, bad ones among them: the good ones get every newest picture, and nothing is left behind."""

from __future__ import annotations

import contextlib
import json
import re
import selectors
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from pipeline.capture.decode.pictures import ArrayPicture
from tests.support.serving import TOKEN, Serving, Start
from tests.support.wait import HANG_S, until

HEALTHY, DEAF, TRICKLING = 28, 8, 4
ALL = HEALTHY + DEAF + TRICKLING
_ASKED = f"GET /cameras/door/stream.mjpg HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()


class Reader:
    """Reads what any number of viewers are sent and counts their pictures."""

    def __init__(self, lines: list[socket.socket]) -> None:
        self.pictures = dict.fromkeys(range(len(lines)), 0)
        self.newest: dict[int, bytes] = {}
        self._selector = selectors.DefaultSelector()
        self._held = dict.fromkeys(range(len(lines)), b"")
        for number, line in enumerate(lines):
            self._selector.register(line, selectors.EVENT_READ, number)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._done.is_set():
            for key, _ in self._selector.select(0.05):
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    assert isinstance(key.fileobj, socket.socket)
                    self._take(key.data, key.fileobj.recv(262_144))

    def _take(self, number: int, data: bytes) -> None:
        held = self._held[number] + data
        while found := re.search(rb"content-length: (\d+)\r\n\r\n", held):
            end = found.end() + int(found[1])
            if len(held) < end:
                break
            self.pictures[number] += 1
            self.newest[number] = held[found.end() : end]
            held = held[end:]
        self._held[number] = held

    def close(self) -> None:
        """Read no more."""
        self._done.set()
        self._thread.join()
        self._selector.close()


@pytest.fixture
def served(crew: Start, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    # Nobody is given up while the machine may be what is slow.
    monkeypatch.setattr("pipeline.web.limits.STALL_TIMEOUT_S", HANG_S)
    made = Serving(crew, viewers=ALL)
    yield made
    made.web.close()


def viewer(served: Serving, buffer: int) -> socket.socket:
    line = socket.socket()
    if buffer:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    line.settimeout(HANG_S)
    line.connect(("127.0.0.1", served.port))
    line.sendall(_ASKED)
    line.setblocking(False)
    return line


def viewers(served: Serving) -> int:
    return int(json.loads(served.bearer("/api/cameras")[2])["viewers"])


def waiting(served: Serving) -> list[int]:
    """Bytes that the server holds for each of its connections."""
    server = served.web._server
    assert server is not None
    return [each.transport.get_write_buffer_size() for each in list(server.server_state.connections)]


def test_good_viewers_see_every_newest_picture_and_bad_ones_cost_a_bounded_amount_and_go(served: Serving) -> None:
    noise = np.random.default_rng(2).integers(0, 255, (480, 640, 3), np.uint8)
    give(served, noise)
    largest = len(served.bearer("/api/cameras/door/snapshot.jpg")[2])
    lines = [viewer(served, 0) for _ in range(HEALTHY)]
    bad = [viewer(served, 4096) for _ in range(DEAF + TRICKLING)]
    reader = Reader(lines)
    try:
        assert until(lambda: viewers(served) == ALL)
        most = 0
        for number in range(30):
            before = dict(reader.pictures)
            give(served, np.roll(noise, number, axis=1))
            assert until(lambda before=before: all(reader.pictures[each] > before[each] for each in before))  # type: ignore[misc]
            most = max(most, *waiting(served))
            for line in bad[:TRICKLING]:
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    line.recv(1)
        assert len(set(reader.newest.values())) == 1
        assert most < 2 * largest + 65_536 + 1024
        # Good viewers owe nothing once they have read it all; then the time of those that do has run out.
        assert until(lambda: sum(not held for held in waiting(served)) >= HEALTHY)
        assert viewers(served) == ALL
        served.pass_seconds(HANG_S)
        assert until(lambda: viewers(served) == HEALTHY)
        before = dict(reader.pictures)
        assert give(served, noise.copy())
        assert until(lambda: all(reader.pictures[each] > before[each] for each in before))
    finally:
        reader.close()
        for line in [*lines, *bad]:
            line.close()
    assert until(lambda: viewers(served) == 0)
    assert until(lambda: len(waiting(served)) <= 1)
    assert not give(served, noise.copy())


def give(served: Serving, image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bool:
    """One picture of the camera; True if somebody looks."""
    scene = served.scenes["door"]
    result = scene.result(640, 480, [])
    shown = replace(result, frame=replace(result.frame, picture=ArrayPicture(image)))
    return served.web.show(scene.view(shown))
