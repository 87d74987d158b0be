"""The routes of HLS players: playlists, which may be waited for, and the segments and parts that they name."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.outputs.hls.live_stream import HlsStream
from pipeline.stats.health import CameraHealth
from pipeline.web import limits
from pipeline.web.responses import (
    VIDEO,
    bad_request,
    hls_off,
    no_stream,
    too_many_viewers,
    unknown_camera,
    unknown_part,
    video_parts,
)
from pipeline.web.viewers import ViewerRegistry

_PLAYLIST = "application/vnd.apple.mpegurl"
_MEDIA_FILE = re.compile(r"(?P<head>head-)?(?P<number>\d{1,10})(?:\.(?P<part>\d{1,4}))?\.(?P<kind>mp4|m4s)", re.ASCII)
_COUNT = re.compile(r"\d{1,10}", re.ASCII)


class HlsRoutes:
    """Routes for players; nothing they send names a file or changes anything."""

    def __init__(
        self,
        cameras: Collection[str],
        streams: Mapping[str, HlsStream],
        viewers: ViewerRegistry,
        health: Callable[[str], CameraHealth],
    ) -> None:
        """`health` judges a camera by its name."""
        self._cameras = cameras
        self._streams = streams
        self._viewers = viewers
        self._health = health

    def routes(self) -> list[Route]:
        """Return the routes to put beside the page's."""
        return [Route("/hls/{name}/{file}", self._answer)]

    async def _answer(self, request: Request) -> Response:
        camera, file = request.path_params["name"], request.path_params["file"]
        stream = self._streams.get(camera)
        if stream is None:
            return hls_off() if camera in self._cameras else unknown_camera()
        if not self._viewers.admit_player(camera, request.client.host if request.client else ""):
            return too_many_viewers()
        if file == "index.m3u8":
            return await self._multivariant_playlist(camera, stream)
        if file == "live.m3u8":
            return await self._media_playlist(camera, stream, request)
        media_file = _MEDIA_FILE.fullmatch(file)
        return unknown_part() if media_file is None else await self._media(stream, media_file)

    async def _multivariant_playlist(self, camera: str, stream: HlsStream) -> Response:
        """Return the playlist that a player begins with; an error at once if the camera has nothing to show."""
        if not stream.fresh and (health := self._health(camera)).stale:
            return no_stream(camera, health)
        await stream.wait_until(lambda: stream.fresh, limits.MAX_PLAYLIST_WAIT_S)
        return self._playlist(camera, stream.multivariant_playlist() if stream.fresh else "")

    async def _media_playlist(self, camera: str, stream: HlsStream, request: Request) -> Response:
        """Return the media playlist; an existing player keeps the last playlist across an outage."""
        asked = [request.query_params.get(key) for key in ("_HLS_msn", "_HLS_part")]
        if any(text is not None and _COUNT.fullmatch(text) is None for text in asked):
            return bad_request("_HLS_msn and _HLS_part must be whole numbers.")
        number, part = (None if text is None else int(text) for text in asked)
        if number is None and part is not None:
            return bad_request("_HLS_part needs _HLS_msn.")
        if number is not None and stream.newest and number > stream.newest + limits.MAX_SEGMENTS_AHEAD_COUNT:
            return bad_request("That segment is too far ahead.")
        if number is not None:
            await stream.wait_until(lambda: stream.reached(number, part), _part_wait_s(stream))
        await stream.wait_until(lambda: stream.ready, limits.MAX_PLAYLIST_WAIT_S)
        return self._playlist(camera, stream.media_playlist())

    def _playlist(self, camera: str, text: str) -> Response:
        return Response(text, media_type=_PLAYLIST) if text else no_stream(camera, self._health(camera))

    async def _media(self, stream: HlsStream, file: re.Match[str]) -> Response:
        """Return an init segment, a whole segment or a part of one; the part that comes next is waited for."""
        number = int(file["number"])
        if file["kind"] == "mp4":
            head = stream.init_segment(number) if file["head"] and file["part"] is None else None
            return unknown_part() if head is None else Response(head, media_type=VIDEO)
        if file["head"]:
            return unknown_part()
        if file["part"] is None:
            parts = stream.segment(number)
        else:
            index = int(file["part"])
            # Players ask for the part that comes next before it is there.
            if number <= stream.newest + 1:
                await stream.wait_until(lambda: stream.reached(number, index), _part_wait_s(stream))
            part = stream.part(number, index)
            parts = None if part is None else [part]
        return unknown_part() if parts is None else video_parts(parts)


def _part_wait_s(stream: HlsStream) -> float:
    """Return the seconds that a player may wait for what comes next."""
    return max(limits.MIN_PART_WAIT_S, limits.PART_WAIT_SEGMENT_COUNT * stream.target)
