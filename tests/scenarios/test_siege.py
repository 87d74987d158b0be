"""One address that opens all the connections it can get, and a holder of the token who still gets every answer."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from websockets.sync.client import connect

from pipeline.clock import SystemClock
from pipeline.outputs.hls.live_stream import HlsStream
from tests.support.serving import TOKEN, Serving
from tests.support.wait import HANG_S, until

SOCKETS, REQUESTS = 200, 49
SENT = {
    "silent": b"",
    "slow": b"GET /api/cameras HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    "upgrading": b"GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    "guessing": b"GET /hls/aaaaaaaaaaaaaaaaaaaaaaaa/door/index.m3u8 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "holding back": b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200\r\n\r\ntoken=",
}


class Siege:
    """Connections from one address, opened again as soon as they are ended."""

    def __init__(self, port: int, sent: bytes) -> None:
        self._port, self._sent = port, sent
        self._done = threading.Event()
        self.opened = 0
        self._lines: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._done.is_set():
            with contextlib.suppress(OSError):
                self._lines.append(socket.create_connection(("127.0.0.1", self._port), HANG_S))
                self._lines[-1].sendall(self._sent)
                self.opened += 1
            if len(self._lines) > SOCKETS:
                self._lines.pop(0).close()

    def close(self) -> None:
        self._done.set()
        self._thread.join()
        for line in self._lines:
            line.close()


@pytest.fixture
def besiege() -> Iterator[Callable[[int, str], Siege]]:
    with contextlib.ExitStack() as stack:

        def start(port: int, kind: str) -> Siege:
            made = Siege(port, SENT[kind])
            stack.callback(made.close)
            return made

        yield start


@pytest.mark.parametrize("kind", SENT)
def test_a_holder_of_the_token_gets_every_answer_whatever_one_address_holds_open(
    kind: str, serve: Callable[..., Serving], besiege: Callable[[int, str], Siege]
) -> None:
    served = serve(hls_streams={"door": HlsStream(SystemClock())})
    served.give()
    hls = str(json.loads(served.bearer("/api/cameras")[2])["cameras"][0]["hls"])
    siege = besiege(served.port, kind)
    assert until(lambda: siege.opened > SOCKETS)
    answers = [served.bearer("/api/cameras/door/snapshot.jpg")[0] for _ in range(REQUESTS)]
    assert answers == [200] * REQUESTS
    # The stream has no picture yet, and says so; what counts is that the holder of its address is heard.
    assert served.ask(hls.replace("index", "nothing"))[0] == 404
    address = f"ws://127.0.0.1:{served.port}/live"
    with connect(address, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as page:
        opened = siege.opened
        assert until(lambda: siege.opened > opened + 50)
        assert "door" in str(page.recv(HANG_S))
        page.send("{}")
        assert until(lambda: served.bearer("/api/cameras")[2].count(b'"viewers":2'))
