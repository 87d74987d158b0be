"""An RTSP camera in pure Python: H.264 over interleaved TCP or UDP, with Basic or Digest, and faults on request.

Serve a file or the drawn street by hand:  python -m tests.support.servers.rtsp --port 8554 demo
"""

from __future__ import annotations

import argparse
import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import quote

from tests.support.clips import Clip, record
from tests.support.servers.closing import end_serving
from tests.support.servers.session import Session
from tests.support.wait import HANG_S


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
        self.held = False
        """Whether pictures wait, to come in one burst afterwards."""
        self.stamp: Callable[[int], int] = lambda ticks: ticks
        """Given the true RTP time of a picture, the one that is sent with it."""
        self.audio = False
        """Whether sound is sent, described or not."""
        self.media: tuple[str, ...] = ("video",)
        """What the description offers."""
        self.frame_rate: str | None = None
        """What the description says of frames a second, instead of the truth."""
        self.greeting = b""
        """What a caller hears instead of any answer, before the line goes dead."""
        self.delay: dict[str, float] = {}
        """Verbs whose answer takes this many seconds."""
        self.verbs: list[str] = []
        """Every verb that was asked, in order."""
        self.transports: list[str] = []
        """The transport of every player, `tcp` or `udp`, in order."""
        self.sent: dict[int, float] = {}
        """Monotonic seconds when the last byte of each picture was last sent, by its place in the clip."""
        self.began = time.monotonic()
        self._sessions: set[Session] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen; the port stays the same when started again."""
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="rtsp-server")
        self._thread.start()
        if not ready.wait(HANG_S) or self._server is None:
            raise RuntimeError(f"the camera cannot listen on port {self.port}")

    def stop(self) -> None:
        """Cut every connection and close the port, as a camera without power does."""
        loop, thread = self._loop, self._thread
        if loop is not None and thread is not None and thread.is_alive():
            loop.call_soon_threadsafe(self._stop_serving)
            thread.join(HANG_S)
        self._thread = self._server = None

    def cut(self) -> None:
        """Cut every connection, but go on listening."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cut)

    def bye(self) -> None:
        """Tell every player that the stream is over."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._bye)

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
        await end_serving(self._server, self._handlers, self._cut)

    def _stop_serving(self) -> None:
        self._cut()
        self._ended.set()

    def _cut(self) -> None:
        for session in list(self._sessions):
            session.writer.transport.abort()

    def _bye(self) -> None:
        for session in list(self._sessions):
            session.bye()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        session = Session(self, reader, writer)
        self._sessions.add(session)
        try:
            await session.talk()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._handlers.discard(handler)
            self._sessions.discard(session)
            session.close()


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
