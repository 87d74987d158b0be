"""An RTSP camera's word about its stream: the answer to DESCRIBE, asked for by hand so that every status is seen."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import socket
import ssl
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import unquote, urlsplit

from pipeline.address.parse import connectable
from pipeline.redaction import one_line

_MAX_RESPONSE_BYTES = 1 << 16
_MAX_NAME_LETTERS = 60
"""What is shown of names that a device gives."""
_HASHES = {"MD5": "md5", "SHA-256": "sha256"}


@dataclass(frozen=True, slots=True)
class RtspDescription:
    """The answer, or what came in its place."""

    protocol: Literal["rtsp", "http", "other", "mute", "none"] = "none"
    """What is spoken at that port; mute where it took the question and said nothing, none where it took none."""
    status: int = 0
    """Such as 200 or 401; 0 where there is none."""
    server: str = ""
    """What the device calls itself."""
    authentication: str = ""
    """Digest or Basic, where the device asks for a login."""
    audio: tuple[str, ...] = ()
    """Codecs of the sound."""
    video: tuple[str, ...] = ()
    """Codecs of the pictures."""
    fps: float = 0.0
    """Declared frames a second; 0 where unknown."""
    parameter_sets: bool = False
    """Whether it holds what a decoder needs before the first picture."""


def describe(address: str, seconds: float) -> RtspDescription:
    """Ask the camera at an rtsp:// or rtsps:// address; each wait ends after `seconds`."""
    parts = urlsplit(connectable(address))
    secure = parts.scheme.lower() == "rtsps"
    try:
        host, port = parts.hostname or "", parts.port or (322 if secure else 554)
        with socket.create_connection((host, port), seconds) as plain:
            plain.settimeout(seconds)
            line: socket.socket = _unchecked().wrap_socket(plain, server_hostname=host) if secure else plain
            user, password = unquote(parts.username or ""), unquote(parts.password or "")
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            where = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}{path}"
            answer = _ask(line, where, 1, "")
            description = _read(answer)
            if description.status == 401 and user and (header := _authorization(answer, where, user, password)):
                again = _read(_ask(line, where, 2, header))
                if again.protocol == "rtsp":
                    return replace(again, authentication=description.authentication)
            return description
    except (OSError, ValueError):
        return RtspDescription()


def _unchecked() -> ssl.SSLContext:
    # Cameras sign their certificates themselves, and FFmpeg takes them as they are.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _ask(line: socket.socket, where: str, number: int, header: str) -> str:
    """Send one DESCRIBE and return its whole answer; what came until the line fell silent, if that is not RTSP."""
    line.sendall(f"DESCRIBE {where} RTSP/1.0\r\nCSeq: {number}\r\nAccept: application/sdp\r\n{header}\r\n".encode())
    response = b""
    try:
        while len(response) < _MAX_RESPONSE_BYTES and (piece := line.recv(4096)):
            response += piece
            head, end, body = response.partition(b"\r\n\r\n")
            length = re.search(rb"(?im)^content-length:\s*(\d{1,9})\b", head)
            if end and len(body) >= (int(length[1]) if length else 0):
                break
            if not response.startswith((b"RTSP", b"HTTP")) and len(response) >= 4:
                break
    except TimeoutError:
        pass
    return response.decode("utf-8", "replace")


def _read(answer: str) -> RtspDescription:
    status = re.match(r"(RTSP|HTTP)/\d\.\d (\d{3})", answer)
    if status is None:
        return RtspDescription("other" if answer else "mute")
    head, _, body = answer.partition("\r\n\r\n")
    server = re.search(r"(?im)^server:\s*(.+?)\s*$", head)
    ask = re.findall(r"(?im)^www-authenticate:\s*(\w+)", head)
    kinds: dict[str, list[str]] = {"audio": [], "video": []}
    media = ""
    for line in body.splitlines():
        if line.startswith("m="):
            media = line[2:].split(" ")[0]
            if media in kinds:
                kinds[media].append("")
        elif (codec := re.match(r"a=rtpmap:\d+ ([^/\s]+)", line)) and media in kinds:
            kinds[media][-1] = one_line(codec[1][:_MAX_NAME_LETTERS])
    pace = re.search(r"(?im)^a=framerate:\s*(\d{1,4}(?:\.\d{1,4})?)\b", body)
    return RtspDescription(
        "rtsp" if status[1] == "RTSP" else "http",
        int(status[2]),
        one_line(server[1][:_MAX_NAME_LETTERS]) if server else "",
        "Digest" if "digest" in map(str.lower, ask) else "Basic" if ask else "",
        tuple(kinds["audio"]),
        tuple(kinds["video"]),
        float(pace[1]) if pace else 0.0,
        re.search(r"(?i)sprop-(parameter-sets|sps)=[^\s;]", body) is not None,
    )


def _authorization(answer: str, where: str, user: str, password: str) -> str:
    """Return the header that answers a 401 with a login; empty if it asks for what is not known here."""
    challenges = re.findall(r"(?im)^www-authenticate:\s*(\w+)\s*(.*)$", answer)
    for scheme, rest in challenges:
        pairs = re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', rest)
        fields = {key.lower(): quoted or bare for key, quoted, bare in pairs}
        name = _HASHES.get(fields.get("algorithm", "MD5").upper())
        if scheme.lower() != "digest" or name is None:
            continue

        def hashed(*parts: str, kind: str = name) -> str:
            return hashlib.new(kind, ":".join(parts).encode(), usedforsecurity=False).hexdigest()

        realm, nonce = fields.get("realm", ""), fields.get("nonce", "")
        login, asked = hashed(user, realm, password), hashed("DESCRIBE", where)
        extra = ""
        if "auth" in [each.strip() for each in fields.get("qop", "").split(",")]:
            own = secrets.token_hex(8)
            response = hashed(login, nonce, "00000001", own, "auth", asked)
            extra = f', qop=auth, nc=00000001, cnonce="{own}"'
        else:
            response = hashed(login, nonce, asked)
        extra += f', opaque="{fields["opaque"]}"' if "opaque" in fields else ""
        extra += f", algorithm={fields['algorithm']}" if "algorithm" in fields else ""
        return (
            f'Authorization: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{where}", '
            f'response="{response}"{extra}\r\n'
        )
    if any(scheme.lower() == "basic" for scheme, _ in challenges):
        return f"Authorization: Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}\r\n"
    return ""
