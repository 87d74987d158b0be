"""The certificate that the page is served with, checked before the first connection."""

from __future__ import annotations

import ssl
from pathlib import Path

from pipeline.errors import ConfigError


def server_context(certificate: str, key: str | None) -> ssl.SSLContext:
    """Return the TLS context of the server; raise ConfigError in one line that says which file is wrong and why."""
    for name, path in (("certificate", certificate), ("key", key)):
        if path is not None:
            _readable(f"outputs.web.{name}", path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a password OpenSSL would ask for one in the terminal.
        tls.load_cert_chain(Path(certificate).expanduser(), key and Path(key).expanduser(), password=lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"outputs.web.key: {key or certificate} is not the key of {certificate}") from error
        wrong = "certificate" if key is None or _is_broken(certificate) else "key"
        path = certificate if wrong == "certificate" else key
        raise ConfigError(
            f"outputs.web.{wrong}: {path} holds no {wrong} in PEM form that can be read without a password"
        ) from error
    return tls


def _readable(setting: str, path: str) -> None:
    try:
        with Path(path).expanduser().open("rb"):
            pass
    except OSError as error:
        raise ConfigError(f"{setting}: {path} cannot be read: {error.strerror}") from error


def _is_broken(certificate: str) -> bool:
    """Return whether the file holds no certificate."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(Path(certificate).expanduser())
    except ssl.SSLError:
        return True
    return False
