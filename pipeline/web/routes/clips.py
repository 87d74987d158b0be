"""Clips for those who ask by HTTP: waited for on the event loop, cut one after the other in one thread."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from queue import SimpleQueue
from typing import NamedTuple
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.errors import OutputError
from pipeline.outputs.clips.memory_budget import CROWDED, Budget, Share
from pipeline.outputs.clips.service import Clip, Clips
from pipeline.outputs.record.retention import stamp
from pipeline.redaction import scrub
from pipeline.stats.registry import Stats
from pipeline.web import limits

_USUAL = {"before": 10.0, "after": 5.0}
_NUMBER = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3})?")
_CHUNK_BYTES = 65_536


class _Order(NamedTuple):
    """A clip to be cut, and who waits for it."""

    clip: Clip
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[bytes]


class ClipEndpoint:
    """What answers a camera's clip.mp4; bounded in number, bytes and time, and free again once a client has gone."""

    def __init__(self, clips: Clips, stats: Stats, start: Callable[[str, Callable[[], None]], None]) -> None:
        self._clips = clips
        self._stats = stats
        self._start = start
        self._queue: SimpleQueue[_Order | None] = SimpleQueue()
        self._busy = 0
        self._budget = Budget(limits.MAX_CLIP_MEMORY_BYTES)

    def open(self) -> None:
        """Start the thread that cuts."""
        self._start("web-clips", self._work)

    def close(self) -> None:
        """End it; harmless when called twice."""
        self._queue.put(None)

    def reach(self, camera: str) -> float:
        """Seconds before now that a client may ask for; 0 where no clip can be had."""
        return min(limits.MAX_CLIP_SIDE_S, self._clips.reach(camera))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        camera = scope["path_params"]["name"]
        if camera not in self._stats.cameras:
            await unknown()(scope, receive, send)
            return
        if self._busy >= limits.MAX_CLIP_COUNT:
            text = f"{camera}: no clip: {limits.MAX_CLIP_COUNT} are being made; try again in a few seconds"
            await _failed(text)(scope, receive, send)
            return
        self._busy += 1
        try:
            with Share(self._budget) as share:
                answer = await self._answer(camera, share, scope, receive)
                with suppress(TimeoutError):
                    async with asyncio.timeout(limits.CLIP_DOWNLOAD_TIMEOUT_S):
                        await answer(scope, receive, send)
        finally:
            self._busy -= 1

    async def _answer(self, camera: str, share: Share, scope: Scope, receive: Receive) -> ASGIApp:
        reach = self.reach(camera)
        try:
            before, after = _span(scope["query_string"], reach)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        began = stamp(self._stats.clock.now() - timedelta(seconds=before))
        try:
            with self._clips.ask(camera, before, after, share.take) as clip:
                film = b"" if scope["method"] == "HEAD" else await _unless_gone(self._made(clip), receive)
        except OutputError as error:
            return _failed(str(error), 404 if not reach else 400 if before > reach else 503)
        if not share.grow(len(film)):
            return _failed(f"{camera}: no clip: {CROWDED}")
        return _Film(film, f"{camera}-{began}.mp4")

    async def _made(self, clip: Clip) -> bytes:
        await asyncio.sleep(clip.wait)
        loop = asyncio.get_running_loop()
        order = _Order(clip, loop, loop.create_future())
        self._queue.put(order)
        return await order.done

    def _work(self) -> None:
        while self._next():
            pass

    def _next(self) -> bool:
        """Cut what is ordered next; nothing of it is held while there is nothing to do."""
        order = self._queue.get()
        if order is None:
            return False
        film: bytes | Exception
        try:
            film = b"" if order.done.cancelled() else order.clip.data()
        except Exception as error:
            film = error
        # Where the loop has ended nobody waits any more.
        with suppress(RuntimeError):
            order.loop.call_soon_threadsafe(_settle, order.done, film)
        return True


def crowded() -> Response:
    """The answer for one viewer too many."""
    return PlainTextResponse("Too many viewers; try again later.\n", 503, {"retry-after": "5"})


def unknown() -> Response:
    """The answer for a camera that does not exist."""
    return PlainTextResponse("There is no such camera.\n", 404)


def _settle(done: asyncio.Future[bytes], film: bytes | Exception) -> None:
    if done.done():
        return
    if isinstance(film, Exception):
        done.set_exception(film)
    else:
        done.set_result(film)


async def _unless_gone(work: Awaitable[bytes], receive: Receive) -> bytes:
    """What the work gives; nothing, and the work is given up, if the client goes before."""
    making, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait((making, leaving), return_when=asyncio.FIRST_COMPLETED)
        return making.result() if making.done() else b""
    finally:
        making.cancel()
        leaving.cancel()
        await asyncio.gather(making, leaving, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Film:
    """The answer with a clip, piece by piece so that little of it waits for a slow client."""

    def __init__(self, film: bytes, name: str) -> None:
        self._film = film
        self._head = {"content-type": "video/mp4", "content-disposition": f'attachment; filename="{name}"'}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = self._head if scope["method"] == "HEAD" else self._head | {"content-length": str(len(self._film))}
        lines = [(name.encode(), value.encode()) for name, value in head.items()]
        await send({"type": "http.response.start", "status": 200, "headers": lines})
        for at in range(0, len(self._film), _CHUNK_BYTES):
            await send({"type": "http.response.body", "body": self._film[at : at + _CHUNK_BYTES], "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _failed(problem: str, code: int = 503) -> Response:
    # Only what may go well later is worth another try.
    return JSONResponse({"error": scrub(problem)}, code, {"retry-after": "5"} if code == 503 else None)


def _span(query: bytes, reach: float) -> tuple[float, float]:
    """Seconds before, the usual ones within `reach`, and after that are asked for; ValueError says what is wrong."""
    try:
        said = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=4)
    except ValueError:
        said = [("", "")]
    if len(dict(said)) < len(said) or not dict(said).keys() <= _USUAL.keys():
        raise ValueError("only before and after may be given, once each")
    span = _USUAL | {"before": min(_USUAL["before"], reach)}
    for name, value in said:
        span[name] = float(value) if _NUMBER.fullmatch(value) else -1.0
        if not 0 <= span[name] <= limits.MAX_CLIP_SIDE_S:
            raise ValueError(f"{name} must be a number of seconds from 0 to {limits.MAX_CLIP_SIDE_S:g}")
    if reach and not sum(span.values()):
        raise ValueError("before and after cannot both be 0")
    return span["before"], span["after"]
