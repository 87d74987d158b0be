"""A page's server with hand-made results, and a client that sends exactly the bytes it is given."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.clock import Clock, SystemClock
from pipeline.outputs.clips.service import Clips
from pipeline.outputs.hls.live_stream import HlsStream
from pipeline.stats.registry import Stats
from pipeline.web.output import WebOutput
from pipeline.web.settings import Web
from tests.support.outputs import context
from tests.support.scenes import Scene
from tests.support.wait import HANG_S

TOKEN = "t0ken-k4n4ry-of-the-page"
Start = Callable[[str, Callable[[], None]], None]
Answer = tuple[int, dict[str, str], bytes]


class Serving:
    """A served page; `token` is wanted unless it is None."""

    def __init__(
        self,
        start: Start,
        cameras: tuple[str, ...] = ("door",),
        undetected: tuple[str, ...] = (),
        hls_streams: Mapping[str, HlsStream] | None = None,
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        self.stats = Stats(list(cameras), clock or SystemClock(), undetected=undetected)
        self.scenes = {name: Scene(self.stats.clock, name, self.stats) for name in cameras}
        self.clips = Clips(dict.fromkeys(cameras, 3.0), self.stats.clock)
        made = Web.model_validate({"port": 0, "token": TOKEN} | settings)
        self.web = WebOutput(made, context(self.stats, start, clips=self.clips, hls_streams=hls_streams or {}))
        self.web.open()
        self.port = int(self.web.address.rsplit(":", 1)[1].strip("/"))
        self.trust: ssl.SSLContext | None = None

    def give(self, camera: str = "door", **kind: Any) -> bool:
        """Show one result; True if somebody looks."""
        scene = self.scenes[camera]
        result = scene.result(**kind)
        shown = self.web.show(scene.view(result))
        scene.camera.captured()
        scene.camera.inferred(len(result.detections), result.frame.captured)
        if shown:
            scene.camera.shown(result.frame.captured)
        return shown

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        """One request through an ordinary client."""
        if self.trust is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG_S)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=HANG_S, context=self.trust)
        try:
            connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def bearer(self, path: str, **headers: str) -> Answer:
        """One request with the token."""
        return self.ask(path, "GET", None, authorization=f"Bearer {TOKEN}", **headers)

    def log_in(self, token: str = TOKEN, **headers: str) -> Answer:
        """Send the form of the login page."""
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return self.ask("/login", "POST", f"token={token}".encode(), **kind, **headers)

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass on the server's event loop alone."""
        loop = self.web._loop
        assert loop is not None
        time = loop.time
        loop.call_soon_threadsafe(setattr, loop, "time", lambda: time() + seconds)

    def at_work(self) -> int:
        """Requests that have no answer yet."""
        server = self.web._server
        assert server is not None
        return len(server.server_state.tasks)

    def raw(self, sent: bytes, then: bytes = b"") -> bytes:
        """Send bytes and return all that comes until the server ends the connection; TimeoutError where it does not.

        `then` is sent after the head of the first answer.
        """
        received, deadline = b"", time.monotonic() + HANG_S
        with (
            socket.create_connection(("127.0.0.1", self.port), HANG_S) as connection,
            contextlib.suppress(ConnectionError),
        ):
            with contextlib.suppress(ConnectionError):
                connection.sendall(sent)
            while True:
                if then and b"\r\n\r\n" in received:
                    connection.sendall(then)
                    then = b""
                connection.settimeout(max(0.01, deadline - time.monotonic()))
                if not (chunk := connection.recv(65536)):
                    break
                received += chunk
        return received


def certificate(folder: Path) -> tuple[Path, Path]:
    """A new certificate for 127.0.0.1, signed by itself, and its key."""
    chain, key = folder / "chain.pem", folder / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*make, "-keyout", str(key), "-out", str(chain)], check=True, capture_output=True)
    return chain, key
