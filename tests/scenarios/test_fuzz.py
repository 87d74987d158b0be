"""Thousands of spoilt requests, replies, pictures and models: each costs its sender an answer, and nobody else."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from pipeline.doctor.rtsp_describe import describe
from pipeline.frames import Packet
from pipeline.media.nal import codec_name, frame_number_width, joined, unit_type, units
from pipeline.redaction import one_line
from pipeline.web import limits
from pipeline.web.app import page_assets
from pipeline.web.passthrough import Passthrough
from tests.scenarios.test_hostile import form, frame, request, upgrade
from tests.support.clips import encode, street
from tests.support.clock import ManualClock
from tests.support.mutation import mutated, rounds
from tests.support.serving import Serving
from tests.support.wait import HANG_S, until


@pytest.fixture
def errors() -> Iterator[list[str]]:
    """What the server logs of errors in itself."""
    told: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info:
                told.append(self.format(record))

    ear, log = Ear(), logging.getLogger("uvicorn.error")
    level = log.level
    log.addHandler(ear)
    log.setLevel(logging.ERROR)
    yield told
    log.removeHandler(ear)
    log.setLevel(level)


@pytest.fixture
def served(serve: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch) -> Serving:
    monkeypatch.setattr(limits, "WRONG_TOKEN_DELAY_S", 0.0)
    monkeypatch.setattr(limits, "MAX_WRONG_TOKEN_COUNT", 1 << 30)
    monkeypatch.setattr(limits, "MAX_FIRST_PICTURE_WAIT_S", 0.0)
    made = serve("door", "yard")
    made.give()
    return made


def exchange(served: Serving, sent: bytes) -> bytes:
    """What comes back for these bytes, after which nothing more is sent."""
    received = b""
    with socket.create_connection(("127.0.0.1", served.port), HANG_S) as line, contextlib.suppress(OSError):
        line.sendall(sent)
        line.shutdown(socket.SHUT_WR)
        while piece := line.recv(65536):
            received += piece
    return received


def test_spoilt_requests_are_answered_or_ended_and_never_an_error_of_the_server(
    served: Serving, errors: list[str]
) -> None:
    plain = [
        request(),
        request("/", "Accept: text/html", token=None),
        request("/api/cameras/door/snapshot.jpg", "Range: bytes=0-5", "Origin: http://localhost"),
        request("/api/cameras/door/clip.mp4?before=1&after=0"),
        request("/hls/aaaa/door/live.m3u8?_HLS_msn=1&_HLS_part=2", token=None),
        request("/metrics", "X-Forwarded-Prefix: /a/b", f"Cookie: lookout-{served.port}=1.0123456789abcdef.x"),
        request("/api/cameras", "Authorization: Basic eDp5", token=None),
        form("token=nothing&code=x"),
        request("/logout", "Content-Length: 0", method="POST", token=None),
        upgrade("Origin: http://localhost"),
    ]
    for chance in rounds(250):
        sent = mutated(chance.choice(plain), chance, plain)
        answer = exchange(served, sent)
        assert not answer.startswith(b"HTTP/1.1 5") or b" 503 " in answer[:20], (sent, answer, errors)
    assert errors == []
    assert served.bearer("/api/cameras")[0] == 200
    assert until(lambda: not served.at_work())


VALUES = (
    *("door", "", ".", "..", "%", "\0", "a/b", "\u00fc", "\ud7ff", "9" * 400),
    *("-1", "1e999", "NaN", "[]", "door\r\nx: y"),
)


def test_every_described_path_takes_any_value_without_an_error_of_the_server(
    served: Serving, errors: list[str]
) -> None:
    described = json.loads(page_assets()["/openapi.json"][0])["paths"]
    for chance in rounds(150):
        path = chance.choice(sorted(described))
        asked = re.sub(r"\{\w+\}", quote(chance.choice(VALUES), safe=""), path)
        names = ["x", *(each.get("name", "x") for each in described[path].get("get", {}).get("parameters", []))]
        pairs = [f"{chance.choice(names)}={quote(chance.choice(VALUES))}" for _ in range(chance.randrange(4))]
        query, method = "&".join(pairs), chance.choice(("GET", "HEAD", "POST", "PUT", "OPTIONS"))
        answer = exchange(served, request(f"{asked}?{query}", method=method))
        status = int(answer[9:12] or b"0")
        assert status < 500 or status == 503, (asked, query, answer[:200])
    assert errors == []


def test_spoilt_frames_end_the_page_that_sends_them_and_no_other(served: Serving, errors: list[str]) -> None:
    plain = [
        frame(1, b'{"watch": ["door"], "direct": ["yard"]}'),
        frame(1, b'{"seen": "door"}'),
        frame(1, b'{"watch": [null, 7, "door"], "direct": {"a": 1}}'),
        frame(2, b"\0\1\2"),
        frame(9, b"ping"),
        frame(8, b"\x03\xe8"),
        frame(1, b"begun", fin=False) + frame(0, b"ended"),
    ]
    opening = upgrade()
    for chance in rounds(120):
        exchange(served, opening + b"".join(mutated(chance.choice(plain), chance, plain) for _ in range(3)))
    assert errors == []
    assert until(lambda: json.loads(served.bearer("/api/cameras")[2])["viewers"] == 0)


SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=Session\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    "a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0IAH5WoFAFuQA==,aM48gA==\r\na=framerate:25\r\n"
    "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)
REPLIES = [
    f"RTSP/1.0 200 OK\r\nCSeq: 1\r\nServer: Cam\r\nContent-Length: {len(SDP)}\r\n\r\n{SDP}".encode(),
    b'RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Digest realm="cam", nonce="1", qop="auth", '
    b'algorithm=SHA-256, opaque="x"\r\nWWW-Authenticate: Basic realm="cam"\r\n\r\n',
    b"HTTP/1.1 404 Not Found\r\nServer: nginx\r\n\r\n",
]


def test_spoilt_replies_of_a_device_are_understood_or_not_but_never_an_error() -> None:
    done = threading.Event()
    reply, understood = b"", 0
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as device:

        def answer() -> None:
            while not done.is_set():
                with contextlib.suppress(OSError):
                    line, _ = server.accept()
                    with line:
                        line.recv(4096)
                        line.sendall(reply)

        answering = device.submit(answer)
        try:
            for chance in rounds(250):
                reply = mutated(chance.choice(REPLIES), chance, REPLIES)
                found = describe(f"rtsp://u:p@127.0.0.1:{server.getsockname()[1]}/live", HANG_S)
                assert all(one_line(each) == each for each in (found.server, *found.audio, *found.video)), reply
                assert 0.0 <= found.fps < 1e4
                understood += found.status == 200 and found.video == ("H264",)
            assert understood
        finally:
            done.set()
            server.shutdown(socket.SHUT_RDWR)
            answering.result(HANG_S)


def test_spoilt_pictures_pass_through_the_page_without_an_error() -> None:
    clip = encode(street(8, 160, 96), 30, 4)
    pictures = [joined(each) for each in clip.units]
    through = Passthrough(["door"], ManualClock())
    for number, chance in enumerate(rounds(1500)):
        data = mutated(chance.choice(pictures), chance, pictures)
        through.packet(Packet("door", "h264", data, chance.random() < 0.5, number / 30, None, 0.0, 160, 96))
        for unit in units(data):
            assert unit_type(unit) in range(32)
            with contextlib.suppress(ValueError):
                assert frame_number_width(unit) >= 0
        assert re.fullmatch(r"avc1\.[0-9A-F]{6}|", codec_name(data)), data[:40]
