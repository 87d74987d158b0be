"""Addresses that need no login, because players and TVs cannot log in: a secret for each camera's stream."""

from __future__ import annotations

import hmac
from base64 import b32encode
from collections.abc import Iterable

from pipeline.redaction import conceal

_BYTES = 15
_FRONT = "/hls/"


def address(camera: str) -> str:
    """Where the stream of a camera is for those who give the token, or need none."""
    return f"{_FRONT}{camera}/index.m3u8"


class StreamKeys:
    """Secrets that come from the token, and tell nothing about it: they outlive a restart and end when it changes."""

    def __init__(self, token: str, cameras: Iterable[str]) -> None:
        self._keys = {camera: _key(token, camera) for camera in cameras}
        for key in self._keys.values():
            conceal(key)

    def address(self, camera: str) -> str:
        """The address of a camera's stream for whoever is to watch it, and nothing else."""
        return f"{_FRONT}{self._keys[camera]}/{camera}/index.m3u8"

    def guarded(self, path: str) -> bool:
        """Whether a path claims to hold a secret."""
        return path.startswith(_FRONT) and path.count("/") == 4

    def opened(self, path: str) -> str | None:
        """The path without its secret; None if that is wrong."""
        _, _, given, camera, file = path.split("/")
        known = self._keys.get(camera, "")
        good = hmac.compare_digest(given.encode("utf-8", "replace"), known.encode())
        return f"{_FRONT}{camera}/{file}" if good and known else None


def _key(token: str, camera: str) -> str:
    # Letters that a remote control can type: 24 of them, which nobody guesses.
    digest = hmac.digest(token.encode(), f"stream of {camera}".encode(), "sha256")
    return b32encode(digest[:_BYTES]).decode().lower()
