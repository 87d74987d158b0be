"""The route of clips: waited for on the event loop, cut one after the other in one thread."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from queue import SimpleQueue
from typing import NamedTuple
from urllib.parse import parse_qsl

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.errors import OutputError
from pipeline.outputs.clips.memory_budget import CROWDED, Budget, Share
from pipeline.outputs.clips.service import Clip, Clips
from pipeline.outputs.record.retention import stamp
from pipeline.stats.registry import Stats
from pipeline.web import limits
from pipeline.web.responses import ClipResponse, no_clip, unknown_camera

_DEFAULT_SPAN_S = {"before": 10.0, "after": 5.0}
_SECONDS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3})?")


class _Job(NamedTuple):
    """A clip to be cut, and the request that waits for it."""

    clip: Clip
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[bytes]


class ClipEndpoint:
    """Answers clip.mp4 of each camera; bounded in number, bytes and time, and free again once a client has gone."""

    def __init__(self, clips: Clips, stats: Stats, start: Callable[[str, Callable[[], None]], None]) -> None:
        self._clips = clips
        self._stats = stats
        self._start = start
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._busy = 0
        self._budget = Budget(limits.MAX_CLIP_MEMORY_BYTES)

    def open(self) -> None:
        """Start the thread that cuts."""
        self._start("web-clips", self._work)

    def close(self) -> None:
        """End it; harmless when called twice."""
        self._jobs.put(None)

    def reach(self, camera: str) -> float:
        """Return the seconds before now that a client may ask for; 0 where no clip can be had."""
        return min(limits.MAX_CLIP_SIDE_S, self._clips.reach(camera))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        camera = scope["path_params"]["name"]
        if camera not in self._stats.cameras:
            await unknown_camera()(scope, receive, send)
            return
        if self._busy >= limits.MAX_CLIP_COUNT:
            text = f"{camera}: no clip: {limits.MAX_CLIP_COUNT} are being made; try again in a few seconds"
            await no_clip(text)(scope, receive, send)
            return
        self._busy += 1
        try:
            with Share(self._budget) as share:
                response = await self._response(camera, share, scope, receive)
                with suppress(TimeoutError):
                    async with asyncio.timeout(limits.CLIP_DOWNLOAD_TIMEOUT_S):
                        await response(scope, receive, send)
        finally:
            self._busy -= 1

    async def _response(self, camera: str, share: Share, scope: Scope, receive: Receive) -> ASGIApp:
        reach = self.reach(camera)
        try:
            before, after = _span(scope["query_string"], reach)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        began = stamp(self._stats.clock.now() - timedelta(seconds=before))
        try:
            with self._clips.ask(camera, before, after, share.take) as clip:
                data = b"" if scope["method"] == "HEAD" else await _unless_gone(self._cut(clip), receive)
        except OutputError as error:
            return no_clip(str(error), 404 if not reach else 400 if before > reach else 503)
        if not share.grow(len(data)):
            return no_clip(f"{camera}: no clip: {CROWDED}")
        return ClipResponse(data, f"{camera}-{began}.mp4")

    async def _cut(self, clip: Clip) -> bytes:
        """Wait until the clip can be cut, and for the thread that does it."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(clip.after)
        arrived = asyncio.Event()

        def hear() -> None:
            # A loop that has ended took the request with it.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(arrived.set)

        clip.arrival.then(hear)
        with suppress(TimeoutError):
            async with asyncio.timeout(clip.patience):
                await arrived.wait()
        job = _Job(clip, loop, loop.create_future())
        self._jobs.put(job)
        return await job.done

    def _work(self) -> None:
        while self._next():
            pass

    def _next(self) -> bool:
        """Cut the next clip; nothing of it is held while there is nothing to do."""
        job = self._jobs.get()
        if job is None:
            return False
        outcome: bytes | Exception
        try:
            outcome = b"" if job.done.cancelled() else job.clip.data()
        except Exception as error:
            outcome = error
        # A loop that has ended took the request with it.
        with suppress(RuntimeError):
            job.loop.call_soon_threadsafe(_settle, job.done, outcome)
        return True


def _settle(done: asyncio.Future[bytes], outcome: bytes | Exception) -> None:
    if done.done():
        return
    if isinstance(outcome, Exception):
        done.set_exception(outcome)
    else:
        done.set_result(outcome)


async def _unless_gone(work: Awaitable[bytes], receive: Receive) -> bytes:
    """Return the result of the work; nothing, and the work is given up, if the client goes before."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else b""
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _span(query: bytes, reach: float) -> tuple[float, float]:
    """Return the seconds before, the usual ones within `reach`, and after; ValueError says what is wrong."""
    try:
        fields = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=4)
    except ValueError:
        fields = [("", "")]
    if len(dict(fields)) < len(fields) or not dict(fields).keys() <= _DEFAULT_SPAN_S.keys():
        raise ValueError("only before and after may be given, once each")
    span = _DEFAULT_SPAN_S | {"before": min(_DEFAULT_SPAN_S["before"], reach)}
    for name, value in fields:
        span[name] = float(value) if _SECONDS.fullmatch(value) else -1.0
        if not 0 <= span[name] <= limits.MAX_CLIP_SIDE_S:
            raise ValueError(f"{name} must be a number of seconds from 0 to {limits.MAX_CLIP_SIDE_S:g}")
    if reach and not sum(span.values()):
        raise ValueError("before and after cannot both be 0")
    return span["before"], span["after"]
