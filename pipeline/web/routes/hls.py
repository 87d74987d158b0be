"""What HLS players ask the page's server for: playlists, which may be waited for, and the pieces that they name."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from pipeline.outputs.hls.live_stream import Broadcast
from pipeline.stats.health import Verdict
from pipeline.web import limits
from pipeline.web.viewers import ViewerRegistry

from .clips import crowded, unknown

_PLAYLIST = "application/vnd.apple.mpegurl"
_VIDEO = "video/mp4"
_PIECE = re.compile(r"(?P<head>head-)?(?P<number>\d{1,10})(?:\.(?P<part>\d{1,4}))?\.(?P<kind>mp4|m4s)", re.ASCII)
_COUNT = re.compile(r"\d{1,10}", re.ASCII)
_CHUNK_BYTES = 64 * 1024


class HlsRoutes:
    """Routes for players; nothing they send names a file or changes anything."""

    def __init__(
        self,
        cameras: Collection[str],
        broadcasts: Mapping[str, Broadcast],
        viewers: ViewerRegistry,
        health: Callable[[str], Verdict],
    ) -> None:
        """`health` judges a camera by its name."""
        self._cameras = cameras
        self._broadcasts = broadcasts
        self._viewers = viewers
        self._health = health

    def routes(self) -> list[Route]:
        """To put beside the page's."""
        return [Route("/hls/{name}/{file}", self._answer)]

    async def _answer(self, request: Request) -> Response:
        name, file = request.path_params["name"], request.path_params["file"]
        broadcast = self._broadcasts.get(name)
        if broadcast is None:
            return _off() if name in self._cameras else unknown()
        if not self._viewers.admit_player(name, request.client.host if request.client else ""):
            return crowded()
        if file == "index.m3u8":
            return await self._index(name, broadcast)
        if file == "live.m3u8":
            return await self._live(name, broadcast, request)
        found = _PIECE.fullmatch(file)
        if found is None:
            return _missing()
        return await self._piece(broadcast, found)

    async def _index(self, name: str, broadcast: Broadcast) -> Response:
        """The address of the stream: who begins to watch is told honestly if there is nothing to see."""
        if not broadcast.fresh and self._health(name).stale:
            return self._silent(name)
        await broadcast.until(lambda: broadcast.fresh, limits.MAX_PLAYLIST_WAIT_S)
        text = broadcast.index() if broadcast.fresh else ""
        return Response(text, media_type=_PLAYLIST) if text else self._silent(name)

    async def _live(self, name: str, broadcast: Broadcast, request: Request) -> Response:
        """What can be had now; who watches already gets the last word of it, so that he goes on when pictures do."""
        asked = [request.query_params.get(key) for key in ("_HLS_msn", "_HLS_part")]
        if any(each is not None and _COUNT.fullmatch(each) is None for each in asked):
            return PlainTextResponse("_HLS_msn and _HLS_part must be whole numbers.\n", 400)
        number, part = (None if each is None else int(each) for each in asked)
        if number is None and part is not None:
            return PlainTextResponse("_HLS_part needs _HLS_msn.\n", 400)
        if number is not None and broadcast.newest and number > broadcast.newest + limits.MAX_SEGMENTS_AHEAD_COUNT:
            return PlainTextResponse("That segment is too far ahead.\n", 400)
        if number is not None:
            await broadcast.until(lambda: broadcast.reached(number, part), _part_wait(broadcast))
        await broadcast.until(lambda: broadcast.ready, limits.MAX_PLAYLIST_WAIT_S)
        text = broadcast.live()
        return Response(text, media_type=_PLAYLIST) if text else self._silent(name)

    async def _piece(self, broadcast: Broadcast, found: re.Match[str]) -> Response:
        number = int(found["number"])
        if found["kind"] == "mp4":
            head = broadcast.head(number) if found["head"] and found["part"] is None else None
            return _missing() if head is None else Response(head, media_type=_VIDEO)
        if found["head"]:
            return _missing()
        if found["part"] is None:
            data = broadcast.segment(number)
        else:
            index = int(found["part"])
            # Players ask for the part that comes next before it is there.
            if number <= broadcast.newest + 1:
                await broadcast.until(lambda: broadcast.reached(number, index), _part_wait(broadcast))
            part = broadcast.part(number, index)
            data = None if part is None else [part]
        if data is None:
            return _missing()
        headers = {"content-length": str(sum(map(len, data)))}
        return StreamingResponse(_chunks(data), headers=headers, media_type=_VIDEO)

    def _silent(self, name: str) -> Response:
        found = self._health(name)
        text = f"gives no pictures now: {found.text}" if found.stale else "has not given enough pictures yet"
        return PlainTextResponse(f"{name} {text}.\n", 503, {"retry-after": "2"})


def _part_wait(broadcast: Broadcast) -> float:
    """Return the seconds that a player may wait for what comes next."""
    return max(limits.MIN_PART_WAIT_S, limits.PART_WAIT_SEGMENT_COUNT * broadcast.target)


async def _chunks(data: Iterable[bytes]) -> AsyncIterator[bytes]:
    """In pieces, so that little waits for a slow player."""
    for each in data:
        for at in range(0, len(each), _CHUNK_BYTES):
            yield each[at : at + _CHUNK_BYTES]


def _off() -> Response:
    return PlainTextResponse("No HLS is made; add `- hls` to the outputs.\n", 404)


def _missing() -> Response:
    return PlainTextResponse("There is no such part of the stream, or not any more.\n", 404)
