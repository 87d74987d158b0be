"""A code that lets one browser in without the token: good once, and for some minutes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading

from pipeline.clock import Clock
from pipeline.redaction import conceal
from pipeline.web import limits

_CODE_BYTES = 10


class LoginCode:
    """At most one code at a time; safe from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._digest = b""
        self._ends = float("-inf")

    def renew(self) -> str:
        """Return a new code of letters and digits; the one before it is no good any more."""
        letters = base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode().lower()
        code = "-".join(letters[at : at + 4] for at in range(0, len(letters), 4))
        conceal(code)
        with self._lock:
            self._digest = _digest(code)
            self._ends = self._clock.monotonic() + limits.LOGIN_CODE_MINUTES * 60
        return code

    def accepts(self, given: str) -> bool:
        """Return whether this is the code; a second time it is not."""
        with self._lock:
            # Digests have one length, so that the time tells nothing about the code.
            good = hmac.compare_digest(_digest(given), self._digest or _digest(secrets.token_hex()))
            good = good and self._clock.monotonic() < self._ends
            if good:
                self._digest = b""
            return good


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.strip().lower().encode("utf-8", "replace")).digest()
