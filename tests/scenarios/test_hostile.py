"""A hundred hostile requests by raw sockets: the right codes, nothing told, and a server that goes on as before."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import re
import select
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline import redaction
from pipeline.stats.camera import State
from pipeline.web import limits
from tests.support.serving import TOKEN, Serving, Start
from tests.support.wait import HANG_S, until

PASSWORD = "p@:/%#k4n4ry"
CANARY = "k4n4ry"
"""Stands in the camera's password and in the token."""

CLOSED = frozenset({0})
"""The connection ends without an answer."""
Request = tuple[str, bytes, frozenset[int]]


def request(
    target: str = "/api/cameras",
    *lines: str,
    method: str = "GET",
    host: str | None = "localhost",
    token: str | None = TOKEN,
    body: bytes = b"",
    version: str = "HTTP/1.1",
) -> bytes:
    """A request as a hostile client writes it, byte for byte."""
    head = [f"{method} {target} {version}"]
    head += [f"Host: {host}"] if host is not None else []
    head += [f"Authorization: Bearer {token}"] if token is not None else []
    return "\r\n".join([*head, *lines, "Connection: close", "", ""]).encode("latin-1") + body


def upgrade(*lines: str, host: str = "localhost", token: str | None = TOKEN) -> bytes:
    """An opening of the WebSocket."""
    words = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    words += [f"Sec-WebSocket-Key: {base64.b64encode(b'0' * 16).decode()}"]
    return request("/live", *words, *lines, host=host, token=token).replace(b"Connection: close\r\n", b"")


def frame(opcode: int, payload: bytes, fin: bool = True, mask: bool = True, length: int | None = None) -> bytes:
    """A WebSocket frame; `length` lies about the payload's."""
    size = len(payload) if length is None else length
    head = bytes([opcode | (0x80 if fin else 0)])
    if size < 126:
        head += bytes([size | (0x80 if mask else 0)])
    elif size < 65536:
        head += bytes([126 | (0x80 if mask else 0)]) + struct.pack("!H", size)
    else:
        head += bytes([127 | (0x80 if mask else 0)]) + struct.pack("!Q", size)
    return head + (b"\0\0\0\0" if mask else b"") + payload


def form(body: str, *lines: str, length: int | None = None, target: str = "/login") -> bytes:
    """A login form."""
    kind = "Content-Type: application/x-www-form-urlencoded"
    size = f"Content-Length: {len(body) if length is None else length}"
    return request(target, kind, size, *lines, method="POST", token=None, body=body.encode())


def codes(*numbers: int) -> frozenset[int]:
    return frozenset(numbers)


def hostile() -> Iterator[Request]:
    # Ways out of the folder, and names of what is not served.
    for number, path in enumerate(
        (
            *(
                "/../output.py",
                "/../../clock.py",
                "/..%2foutput.py",
                "/%2e%2e/output.py",
                "/%252e%252e/output.py",
                "/....//output.py",
            ),
            *(
                "/..\\output.py",
                "/..%5coutput.py",
                "/%c0%ae%c0%ae/output.py",
                "/page.js/../../output.py",
                "/./page.js/",
                "//etc/passwd",
            ),
            *("/etc/passwd", "/file:///etc/passwd", "/%2fetc%2fpasswd", "/page.js%00.html", "/index.html/..", "/.env"),
            *(
                "/api/cameras/..%2f..%2f..%2fetc%2fpasswd/snapshot.jpg",
                "/cameras/../api/cameras",
                "/api/cameras/%00/snapshot.jpg",
                "/cameras/door/snapshot.jpg",
            ),
            *("/api/cameras/door%2f..%2fyard", "/api/cameras/rtsp:%2f%2fevil.example%2flive", "/api/cameras/demo"),
            *("/api/cameras/" + "a" * 4000 + "/snapshot.jpg", "/proc/self/environ", "/.git/config", "/config.yaml"),
            *("/api/config", "/api/sources", "/admin", "/server-status", "/login/../api/cameras", "/debug/pprof"),
        )
    ):
        yield f"path {number}", request(path), codes(404)
    # A client may not name a source or a setting: it changes nothing.
    for query in ("source=rtsp://evil.example/", "file=/etc/passwd", f"token={TOKEN}", "a" * 3000, "%00%ff"):
        yield f"query {query[:12]}", request(f"/healthz?{query}", token=None), codes(200)
        yield f"query without token {query[:12]}", request(f"/api/cameras?{query}", token=None), codes(401)
    # Clips: a client may name a camera and two numbers, and nothing else.
    clip = "/api/cameras/door/clip.mp4"
    for query in (
        *("before=-1", "before=61", "before=1e9", "before=nan", "before=inf", "before=0x1", "before=%00", "before=+1"),
        *("before=%D9%A1", "after=1;rm%20-rf", "after=" + "9" * 3000, "before=1&before=2", "after", "&&&&&&&&&"),
        *(
            "path=/etc/passwd",
            "source=rtsp://evil.example/",
            "camera=yard",
            f"token={TOKEN}",
            "before=0&after=0",
            "%ff",
        ),
    ):
        yield f"clip {query[:16]}", request(f"{clip}?{query}"), codes(400)
    for path in ("..%2f..%2fetc%2fpasswd", "%2e%2e", "nobody", "%00", "door%0d%0aSet-Cookie:a=b", "a" * 4000, "door/"):
        yield f"clip of {path[:12]}", request(f"/api/cameras/{path}/clip.mp4?after=0"), codes(404)
    yield "clip at another address", request("/cameras/door/clip.mp4?after=0"), codes(404)
    yield "clip in another folder", request("/api/cameras/door/clip.mp4/../../../../etc/passwd"), codes(404)
    yield "clip without token", request(f"{clip}?after=0", token=None), codes(401)
    yield "clip with the token in its address", request(f"{clip}?token={TOKEN}", token=None), codes(401)
    yield "clip with a wrong token", request(f"{clip}?after=0", token="x" * 24), codes(401)
    yield "clip for another site", request(clip, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"), codes(403)
    yield "clip with a foreign origin", request(clip, "Origin: http://evil.example"), codes(403)
    yield "clip of a foreign host", request(clip, host="evil.example"), codes(421)
    yield "clip with a range", request(f"{clip}?before=1&after=0", "Range: bytes=0-999999999999"), codes(503)
    yield "clip with a body", request(f"{clip}?before=1&after=0", "Content-Length: 9", body=b"a" * 9), codes(503)
    for method in ("POST", "PUT", "DELETE"):
        yield f"{method} a clip", request(clip, method=method), codes(405)
    # Host.
    for host in ("evil.example", "localhost.evil.example", "localhost@evil.example", "127.0.0.1.evil.example", "[::2]"):
        yield f"host {host}", request(host=host), codes(421)
    for host in (
        "",
        "localhost:80:80",
        "localhost:\u00b2",
        "http://localhost",
        "localhost, evil.example",
        "2130706433",
    ):
        yield f"host {host!r}", request(host=host), codes(421)
    yield "no host", request(host=None), codes(400)
    yield "two hosts", request("/", "Host: evil.example"), codes(400)
    yield "HTTP/1.0 without host", request(host=None, version="HTTP/1.0"), codes(421)
    yield "absolute target", request("http://evil.example/api/cameras"), codes(404)
    # Origin.
    for origin in (
        "http://evil.example",
        "null",
        "https://localhost.evil.example",
        "http://localhost:1",
        "file://",
        "*",
    ):
        yield f"origin {origin}", request("/api/cameras", f"Origin: {origin}"), codes(403)
        yield f"socket origin {origin}", upgrade(f"Origin: {origin}"), codes(403)
    yield "two origins", request("/", "Origin: http://localhost", "Origin: http://evil.example"), codes(403)
    yield "socket of a foreign host", upgrade(host="evil.example"), codes(403)
    yield "image of another site", request("/", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"), codes(403)
    yield "login from another site", form(f"token={TOKEN}", "Origin: http://evil.example"), codes(403)
    yield "preflight", request("/", "Access-Control-Request-Method: PUT", method="OPTIONS"), codes(405)
    # Methods and versions.
    for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "GETT", "get"):
        yield f"method {method}", request(method=method), codes(405)
    yield "two replies in one line", request("/%0d%0aSet-Cookie:%20a=b"), codes(404)
    yield "header injection", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\rSet-Cookie: b\r\n\r\n", codes(400)
    yield "nul in a header", request("/", "X: a\0b"), codes(400)
    yield "line folding", b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n", codes(400)
    yield "no version", b"GET /\r\n\r\n", codes(400)
    yield "HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", codes(400, 421)
    yield "TLS to a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), codes(400)
    yield "noise", os.urandom(2000).replace(b"\n", b"") + b"\r\n\r\n", codes(400)
    # Sizes.
    yield "long target", request("/" + "a" * 40_000), codes(400, 414)
    yield "long header", request("/", "X: " + "a" * 40_000), codes(400, 431)
    yield "many headers", request("/", *(f"X-{n}: {n}" for n in range(5000))), codes(400, 431)
    yield "endless header", b"GET / HTTP/1.1\r\nX: " + b"a" * 1_000_000, codes(400)
    yield "body of a read", request("/healthz", "Content-Length: 500000", body=b"a" * 500_000), codes(200)
    yield "body that never comes", request("/healthz", "Content-Length: 99999999999"), codes(200)
    yield "long form", form("token=" + "a" * 100_000), codes(413)
    yield (
        "long form, chunked",
        (
            form("", "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
            + b"2000\r\n"
            + b"a" * 0x2000
            + b"\r\n"
        ),
        codes(413),
    )
    yield "both lengths", form("token=x", "Transfer-Encoding: chunked"), codes(400, 408)
    yield "two lengths", form("token=x", "Content-Length: 3"), codes(400)
    yield "negative length", form("token=x", length=-1), codes(400)
    yield (
        "wrong chunk",
        (form("", "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"") + b"zz\r\n"),
        codes(400, 0),
    )
    yield "half a form", form("token=", length=50), codes(408)
    # Tokens.
    for wrong in ("", " ", TOKEN[:-1], TOKEN.upper(), f"{TOKEN}x", "\u00ff" * 20, "a" * 8000, "' OR 1=1 --", "null"):
        yield f"bearer {wrong[:12]!r}", request(token=wrong), codes(401)
        yield f"form {wrong[:12]!r}", form(f"token={wrong if len(wrong) < 4000 else 'a' * 4000}"), codes(401)
    yield (
        "basic",
        request("/", f"Authorization: Basic {base64.b64encode(TOKEN.encode()).decode()}", token=None),
        codes(401),
    )
    yield "two authorizations", request("/", "Authorization: Bearer x"), codes(401)
    for wrong in ("x", "aaaa-aaaa-aaaa-aaaa", TOKEN, "%00", "%ff%fe", "a" * 3000, "{}", "..%2f", "' OR 1=1 --"):
        yield f"code {wrong[:12]!r}", form(f"code={wrong}"), codes(401)
    yield "code beside the token", form(f"code=x&token={TOKEN}"), codes(401)
    yield "two codes", form("code=x&code=y"), codes(401)
    yield "code in the address", request("/login?code=aaaa-aaaa-aaaa-aaaa", token=None), codes(200)
    yield "code from another site", form("code=aaaa", "Origin: http://evil.example"), codes(403)
    yield "code of a foreign host", form("code=aaaa").replace(b"Host: localhost", b"Host: evil.example"), codes(421)
    yield "code to log out", form("code=aaaa", "Origin: null", target="/logout"), codes(403)
    yield "log out by a link", request("/logout"), codes(405)
    yield "log out from another site", form("", "Sec-Fetch-Site: cross-site", target="/logout"), codes(403)
    yield "two tokens", form(f"token=x&token={TOKEN}"), codes(401)
    yield "many fields", form("&".join(f"a{n}=b" for n in range(500))), codes(401)
    yield "token in JSON", form(json.dumps({"token": TOKEN})), codes(401)
    yield "token for another path", form(f"token={TOKEN}", target="/api/cameras"), codes(405)
    yield "many cookies", request("/", "Cookie: " + "; ".join(f"a{n}=b" for n in range(900)), token=None), codes(401)
    # WebSockets.
    yield "socket without token", upgrade(token=None), codes(403)
    yield (
        "socket with a token in the query",
        upgrade(token=None).replace(b"/live", f"/live?token={TOKEN}".encode()),
        codes(403),
    )
    yield "socket at another path", upgrade().replace(b"/live", b"/dead"), codes(403)
    yield "socket without key", upgrade().replace(b"Sec-WebSocket-Key", b"X-Key"), codes(400)
    yield "socket of version 8", upgrade().replace(b"Version: 13", b"Version: 8"), codes(400, 426)
    yield "long header of a socket", upgrade("X: " + "a" * 30_000), codes(0, 400, 403, 431)
    # Smuggling and pipelining.
    yield "pipelined", request("/healthz").replace(b"Connection: close\r\n", b"") * 50 + request("/"), codes(200)
    yield "pipelined behind a refusal", request(host="evil.example") + request("/api/cameras"), codes(421)
    yield "nothing at all", b"", CLOSED
    yield "half a line", b"GET /api/cam", CLOSED


HOSTILE = list(hostile())
ENDING = {
    "unmasked frame": frame(1, b"{}", mask=False),
    "frame of a gigabyte": frame(1, b"", length=1 << 30),
    "frame of 2^63": frame(1, b"", length=(1 << 63) - 1),
    "reserved opcode": frame(5, b"x"),
    "fragmented ping": frame(9, b"x", fin=False),
    "fragments without end": frame(1, b"a", fin=False) + frame(0, b"a" * 100, fin=False) * 2000,
    "text that is no text": frame(1, b"\xff\xfe"),
    "words that are no JSON": frame(1, b"watch everything"),
    "deep words": frame(1, b"[" * 30_000),
    "empty words": frame(1, b""),
    "bytes": frame(2, b"x" * 1000),
    "flood of pings": frame(9, b"x" * 120) * 20_000,
    "flood of words": frame(1, b'{"watch": ["door"]}') * 100_000,
    "flood of bytes": frame(10, b"x" * 120) * 20_000,
}
"""What a page may not say: it is let go."""
STAYING = {
    "names that mean nothing": frame(1, b'{"watch": {"a": 1}, "seen": [1]}'),
    "paths for names": frame(1, b'{"watch": ["../../etc/passwd", "rtsp://evil.example"]}'),
    "settings": frame(1, b'{"cameras": {"evil": "rtsp://evil.example"}, "source": "/etc/passwd", "watch": [7, null]}'),
}
"""What a page may say in vain."""


@pytest.fixture
def served(crew: Start, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    """A camera whose password stands in everything that its stages could say."""
    monkeypatch.setattr(limits, "WRONG_TOKEN_DELAY_S", 0.02)
    monkeypatch.setattr(limits, "MAX_WRONG_TOKEN_COUNT", 10_000)
    monkeypatch.setattr(limits, "FORM_TIMEOUT_S", 0.5)
    monkeypatch.setattr(limits, "REQUEST_TIMEOUT_S", 0.7)
    redaction.remember(f"rtsp://cam:{PASSWORD}@camera.example/live")
    made = Serving(crew, ("door", "yard"), viewers=48)
    made.scenes["door"].camera.opened(f"h264 of rtsp://cam:{PASSWORD}@camera.example/live", again=False)
    made.scenes["yard"].camera.changed(State.OFFLINE, f"cam:{PASSWORD} was refused", 4.0)
    made.give()
    yield made
    made.web.close()


def status(answer: bytes) -> int:
    """The code of the first answer; 0 if there is none."""
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    return int(found[1]) if found else 0


def test_there_are_more_than_a_hundred() -> None:
    assert len({sent for _, sent, _ in HOSTILE}) == len(HOSTILE) > 100


def test_hostile_requests_get_their_codes_and_learn_nothing(served: Serving, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    redaction.guard_logs()
    threads = threading.active_count()
    with ThreadPoolExecutor(8) as enemies:
        # None is left open, answered or not.
        answers = list(enemies.map(lambda each: served.raw(each[1]), HOSTILE))
    wrong = {
        name: status(answer)
        for (name, _, expected), answer in zip(HOSTILE, answers, strict=True)
        if status(answer) not in expected
    }
    assert wrong == {}
    for (name, sent, _), answer in zip(HOSTILE, answers, strict=True):
        for secret in (CANARY, "root:", "Traceback", "site-packages", str(os.getcwd()), "uvicorn"):
            assert secret.encode() not in answer, (name, secret)
        assert b"Set-Cookie: a=b" not in answer, name
        assert b"access-control-allow" not in answer.lower(), name
        if b"evil.example" in sent:
            assert b"evil.example" not in answer, name
        if status(answer) in (401, 403, 404, 405, 413, 421) and b"Upgrade:" not in sent:
            assert b"content-security-policy: default-src 'none'" in answer, name
    assert CANARY not in caplog.text
    assert until(lambda: json.loads(served.bearer("/api/cameras")[2])["viewers"] == 0)
    cameras = json.loads(served.bearer("/api/cameras")[2])["cameras"]
    assert [camera["name"] for camera in cameras] == ["door", "yard"]
    assert "***" in cameras[0]["source"]
    assert CANARY not in json.dumps(cameras)
    assert until(lambda: connections(served) <= 1)
    assert threading.active_count() <= threads


def connections(served: Serving) -> int:
    server = served.web._server
    assert server is not None
    return len(server.server_state.connections)


def test_a_page_that_breaks_the_rules_is_let_go_and_learns_nothing(
    served: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    redaction.guard_logs()
    with ThreadPoolExecutor(8) as enemies:
        told = dict(zip(ENDING, enemies.map(lambda words: served.raw(upgrade(), words), ENDING.values()), strict=True))
        told |= dict(zip(STAYING, enemies.map(lambda words: heard(served, words), STAYING.values()), strict=True))
    assert {name for name, answer in told.items() if status(answer) != 101} == set()
    for name, answer in told.items():
        for secret in (CANARY, "root:", "Traceback", "evil"):
            assert secret.encode() not in answer, (name, secret)
    assert CANARY not in caplog.text
    assert until(lambda: viewers(served) == 0)
    assert until(lambda: connections(served) <= 1)


def heard(served: Serving, words: bytes) -> bytes:
    """What a page is told that says these words and is not let go: the numbers of each second."""
    told = b""
    with socket.create_connection(("127.0.0.1", served.port), HANG_S) as line:
        line.sendall(upgrade())
        while told.count(b'"clock"') < 3:
            said = line.recv(65536)
            assert said, "it was let go"
            if b'"clock"' not in told:
                line.sendall(words)
            told += said
    return told


def test_slow_and_half_open_connections_are_closed_while_others_are_served(served: Serving) -> None:
    with contextlib.ExitStack() as held:
        lines = [held.enter_context(socket.create_connection(("127.0.0.1", served.port), HANG_S)) for _ in range(60)]
        for number, line in enumerate(lines):
            line.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n"[: number % 30])
        assert served.ask("/healthz")[0] == 200
        left = set(lines)

        def all_gone() -> bool:
            for line in list(left):
                with contextlib.suppress(ConnectionError):
                    line.sendall(b"X")
                line.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    try:
                        gone = not line.recv(4096)
                    except ConnectionError:
                        gone = True
                    if gone:
                        left.discard(line)
                line.setblocking(True)
            return not left

        assert until(all_gone)
        assert served.ask("/healthz")[0] == 200
    assert until(lambda: connections(served) <= 1)


def test_a_flood_of_sockets_leaves_room_for_pictures(served: Serving) -> None:
    flood: list[socket.socket] = []
    try:
        for _ in range(120):
            line = socket.create_connection(("127.0.0.1", served.port), HANG_S)
            line.sendall(upgrade())
            flood.append(line)
        assert until(lambda: viewers(served) == 48)
        for line in flood:
            with contextlib.suppress(ConnectionError):
                line.sendall(frame(1, b'{"watch": ["door"]}'))
        assert until(served.give)
        assert all(served.give() for _ in range(20))
        assert served.bearer("/api/cameras/door/snapshot.jpg")[0] == 200
    finally:
        for line in flood:
            line.close()
    assert until(lambda: viewers(served) == 0)


def test_a_flood_of_clips_leaves_room_for_pictures_and_nothing_behind(served: Serving) -> None:
    asked = request("/api/cameras/door/clip.mp4?before=1&after=60").replace(b"Connection: close\r\n", b"")
    threads = threading.active_count()
    with contextlib.ExitStack() as flood:
        lines = []
        for _ in range(60):
            lines.append(flood.enter_context(socket.create_connection(("127.0.0.1", served.port), HANG_S)))
            lines[-1].sendall(asked)
            # An answer shows that the server has read what came before: newcomers beyond a share are closed unread.
            assert served.bearer("/api/cameras")[0] == 200
        assert until(lambda: len(select.select(lines, [], [], 0.1)[0]) == 52)
        assert all(b" 503 " in line.recv(4096) for line in select.select(lines, [], [], 0)[0])
        assert len(served.clips._buffers["door"]._wanted) == 8
        assert served.bearer("/api/cameras/door/snapshot.jpg")[0] == 200
        assert threading.active_count() <= threads
    assert until(lambda: not served.clips._buffers["door"]._wanted)
    assert until(lambda: connections(served) <= 1)
    assert served.bearer("/api/cameras/door/clip.mp4?before=1&after=0")[0] == 503


def viewers(served: Serving) -> int:
    return int(json.loads(served.bearer("/api/cameras")[2])["viewers"])
