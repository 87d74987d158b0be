"""How a camera asks for a login and checks it: Basic or Digest."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from typing import Literal

REALM = "camera"


class Login:
    """What one connection must show."""

    def __init__(self, user: str, password: str, kind: Literal["basic", "digest"]) -> None:
        self._user, self._password, self._kind = user, password, kind
        self._nonce = secrets.token_hex(16)

    @property
    def challenge(self) -> str:
        """The value of WWW-Authenticate."""
        return f'Basic realm="{REALM}"' if self._kind == "basic" else f'Digest realm="{REALM}", nonce="{self._nonce}"'

    def opens(self, verb: str, given: str) -> bool:
        """Whether the value of Authorization is right for a request with this verb."""
        if self._kind == "basic":
            return given == "Basic " + base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
        parts = dict(re.findall(r'(\w+)="([^"]*)"', given))
        known = _md5(f"{self._user}:{REALM}:{self._password}")
        right = _md5(f"{known}:{self._nonce}:{_md5(verb + ':' + parts.get('uri', ''))}")
        return given.startswith("Digest ") and parts.get("response") == right and parts.get("username") == self._user


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
