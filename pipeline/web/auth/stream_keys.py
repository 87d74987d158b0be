"""Addresses that need no login, because players and TVs cannot log in: a secret for each camera's stream."""

from __future__ import annotations

import hmac
from base64 import b32encode
from collections.abc import Iterable

from pipeline.redaction import conceal

_KEY_BYTES = 15
_PREFIX = "/hls/"


def stream_path(camera: str) -> str:
    """Return the path of a camera's stream for clients that send the token, or need none."""
    return f"{_PREFIX}{camera}/index.m3u8"


class StreamKeys:
    """Secrets that come from the token, and tell nothing about it: they outlive a restart and end when it changes."""

    def __init__(self, token: str, cameras: Iterable[str]) -> None:
        self._keys = {camera: _key(token, camera) for camera in cameras}
        for key in self._keys.values():
            conceal(key)

    def path(self, camera: str) -> str:
        """Return the path of a camera's stream, which lets its holder watch it and nothing else."""
        return f"{_PREFIX}{self._keys[camera]}/{camera}/index.m3u8"

    def guards(self, path: str) -> bool:
        """Return whether a path claims to hold a secret."""
        return path.startswith(_PREFIX) and path.count("/") == 4

    def unlock(self, path: str) -> str | None:
        """Return the path without its secret; None if that is wrong."""
        _, _, key, camera, file = path.split("/")
        expected = self._keys.get(camera, "")
        good = hmac.compare_digest(key.encode("utf-8", "replace"), expected.encode())
        return f"{_PREFIX}{camera}/{file}" if good and expected else None


def _key(token: str, camera: str) -> str:
    # Letters that a remote control can type: 24 of them, too many to guess.
    digest = hmac.digest(token.encode(), f"stream of {camera}".encode(), "sha256")
    return b32encode(digest[:_KEY_BYTES]).decode().lower()
