"""The keys of the page and its server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, SecretStr, field_validator, model_validator

from pipeline.config.outputs import OutputSettings

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TOKEN = "put what `lookout token` prints into the environment, and set outputs.web.token to ${LOOKOUT_TOKEN}"
_PORT = re.compile(r"(?:(?P<host>.+):)?(?P<port>[^:]*)")

_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+")


def normal_path(text: str) -> str:
    """Return a path as it stands before what it holds: /lookout; empty for the root. ValueError: it is none."""
    path = text.strip("/")
    if path and not all(_SEGMENT.fullmatch(each) and each not in (".", "..") for each in path.split("/")):
        raise ValueError("must be a path such as /lookout: letters, digits and . _ ~ - between slashes")
    return f"/{path}" if path else ""


class Web(OutputSettings):
    """A page with all cameras."""

    kind = "web"
    text_key = "port"
    text_pattern = r"^(.+:)?([0-9]+|.*\$\{.+\}.*)$"
    short_form = "web: 8080"
    automatic = True

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address to listen on; only this machine can connect to 127.0.0.1, any other address needs a token."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port to listen on; 0 takes any free one."""
    quality: Annotated[int, Field(ge=1, le=100)] = 80
    """JPEG quality."""
    viewers: Annotated[int, Field(ge=1, le=10000)] = 32
    """Most viewers at once."""
    token: SecretStr | None = None
    """What viewers must know, such as ${LOOKOUT_TOKEN}; `lookout token` makes one."""
    names: tuple[str, ...] = ()
    """Further names that clients reach this machine by, such as [lookout.example.org]; they need a token too."""
    path: str = "/"
    """Path under which a reverse proxy serves the page, such as /lookout; not needed where the proxy takes it off."""
    certificate: str | None = None
    """File with the certificate chain (PEM) to serve https with."""
    key: str | None = None
    """File with the certificate's private key (PEM); not needed where the certificate's file holds it."""

    @classmethod
    def parts(cls, text: str) -> dict[str, str]:
        """Split PORT or HOST:PORT; raises ValueError."""
        match = _PORT.fullmatch(text)
        if match is None or not match["port"].isascii() or not match["port"].isdigit():
            raise ValueError("must be PORT or HOST:PORT")
        parts = {key: part for key, part in match.groupdict().items() if part is not None}
        return {key: part.removeprefix("[").removesuffix("]") for key, part in parts.items()}

    def alternative(self) -> Web:
        """Return the same on any free port."""
        return self.model_copy(update={"port": 0})

    @property
    def local(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in LOOPBACK

    @property
    def files_read(self) -> Mapping[str, str]:
        """The names of the files that it needs by their keys."""
        given = {"certificate": self.certificate, "key": self.key}
        return {key: path for key, path in given.items() if path is not None}

    @field_validator("token")
    @classmethod
    def _hard_to_guess(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and re.fullmatch(r"[!-~]{16,256}", token.get_secret_value()) is None:
            raise ValueError(f"must be 16 to 256 letters and signs without spaces; {_TOKEN}")
        return token

    @field_validator("path")
    @classmethod
    def _plain(cls, path: str) -> str:
        return normal_path(path) or "/"

    @field_validator("names")
    @classmethod
    def _hosts(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            host = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://|^//", "", name)
            host = re.split(r"[/?#]", host.rpartition("@")[2], maxsplit=1)[0]
            plain = re.sub(r":\d*$", "", host) if host.count(":") == 1 or host.startswith("[") else host
            plain = plain.strip().removeprefix("[").removesuffix("]")
            if plain != name or not plain or re.search(r"\s", plain):
                hint = f"; write {plain}" if plain and not re.search(r"\s", plain) else ""
                raise ValueError(
                    f"must be names of machines alone, without scheme, port or path, got '{name[:60]}'{hint}"
                )
        return names

    @model_validator(mode="after")
    def _closed(self) -> Web:
        if self.token is None and not self.local:
            raise ValueError(f"needs a token because host is not {', '.join(LOOPBACK[:-1])} or ::1; {_TOKEN}")
        if self.token is None and self.names:
            raise ValueError(f"needs a token because it has names; {_TOKEN}")
        if self.key is not None and self.certificate is None:
            raise ValueError("needs a certificate because it has a key")
        return self
