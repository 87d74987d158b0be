"""The answers of the routes: what cannot be had and why, and video sent in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from urllib.parse import quote

from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from pipeline.redaction import scrub
from pipeline.stats.health import CameraHealth

VIDEO = "video/mp4"
_CHUNK_BYTES = 64 * 1024


def unknown_camera() -> Response:
    """Answer a request for a camera that does not exist."""
    return PlainTextResponse("There is no such camera.\n", 404)


def too_many_viewers() -> Response:
    """Answer one viewer too many."""
    return PlainTextResponse("Too many viewers; try again later.\n", 503, {"retry-after": "5"})


def bad_request(problem: str) -> Response:
    """Answer a player whose request makes no sense."""
    return PlainTextResponse(f"{problem}\n", 400)


def hls_off() -> Response:
    """Answer a player where no output makes HLS."""
    return PlainTextResponse("No HLS is made; add `- hls` to the outputs.\n", 404)


def unknown_part() -> Response:
    """Answer a request for a part of an HLS stream that is not there."""
    return PlainTextResponse("There is no such part of the stream, or not any more.\n", 404)


def no_stream(camera: str, health: CameraHealth) -> Response:
    """Answer a player of a camera that has nothing to show now."""
    text = f"gives no pictures now: {health.text}" if health.stale else "has not given enough pictures yet"
    return PlainTextResponse(f"{camera} {text}.\n", 503, {"retry-after": "2"})


def no_clip(problem: str, code: int = 503) -> Response:
    """Answer a request for a clip that cannot be made."""
    # Only what may go well later is worth another try.
    return JSONResponse({"error": scrub(problem)}, code, {"retry-after": "5"} if code == 503 else None)


def video_parts(parts: list[bytes]) -> Response:
    """Answer with parts of an HLS stream, a little at a time so that little waits for a slow player."""
    headers = {"content-length": str(sum(map(len, parts)))}
    return StreamingResponse(_stream(parts), headers=headers, media_type=VIDEO)


class ClipResponse:
    """A clip to download, sent a little at a time so that little waits for a slow client."""

    def __init__(self, data: bytes, file_name: str) -> None:
        self._data = data
        plain = file_name.encode("ascii", "replace").decode().replace("?", "_")
        names = f'filename="{plain}"' + ("" if plain == file_name else f"; filename*=UTF-8''{quote(file_name)}")
        self._headers = {"content-type": VIDEO, "content-disposition": f"attachment; {names}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = {} if scope["method"] == "HEAD" else {"content-length": str(len(self._data))}
        headers = [(name.encode(), value.encode()) for name, value in (self._headers | size).items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for chunk in _chunks(self._data):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _stream(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        for chunk in _chunks(part):
            yield chunk


def _chunks(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), _CHUNK_BYTES):
        yield data[at : at + _CHUNK_BYTES]
