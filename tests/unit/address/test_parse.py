"""What an address means, and that it can be dialled."""

from __future__ import annotations

import pytest

from pipeline.address import parse as address

MEANINGS = [
    ("demo", "demo", "", "demo"),
    ("0", "webcam", "", "0"),
    ("/dev/video2", "webcam", "", "/dev/video2"),
    ("street.mp4", "file", "", "street.mp4"),
    ("rtsp://h/x", "network", "rtsp", "rtsp://h/x"),
    ("HTTPS://h/x", "network", "https", "HTTPS://h/x"),
    ("toy://x", "plugin", "toy", "toy://x"),
    ("file://street.mp4", "file", "file", "file://street.mp4"),
    ("fault:stall=3@4:toy://x", "plugin", "toy", "toy://x"),
    ("fault:stall=3@4:demo", "demo", "", "demo"),
    ("fault:stall:0", "webcam", "", "0"),
    ("fault:stall=3@4/9+freeze:rtsp://u:p@h/x", "network", "rtsp", "rtsp://u:p@h/x"),
]


@pytest.mark.parametrize(("text", "kind", "scheme", "inner"), MEANINGS)
def test_the_inner_address_decides(text: str, kind: str, scheme: str, inner: str) -> None:
    assert (address.kind(text), address.scheme(text), address.inner(text)) == (kind, scheme, inner)


CONNECTABLE = [
    ("rtsp://u:pa/s?s#w@h/x", "rtsp://u:pa%2Fs%3Fs%23w@h/x"),
    ("rtsp://u:p%40/w@h/x", "rtsp://u:p%40%2Fw@h/x"),
    ("rtsp://u:p@ss@h/x", "rtsp://u:p@ss@h/x"),
    ("rtsp://h:554/x?mail=a@b", "rtsp://h:554/x?mail=a@b"),
    ("rtsp://h/x@y", "rtsp://h/x@y"),
    ("rtsp://u:p@h/x", "rtsp://u:p@h/x"),
]


@pytest.mark.parametrize(("text", "dialled"), CONNECTABLE)
def test_letters_that_would_end_the_host_too_early_are_encoded(text: str, dialled: str) -> None:
    assert address.connectable(text) == dialled
