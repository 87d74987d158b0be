"""What an address means, and that it can be dialled."""

from __future__ import annotations

import os
import stat
from types import SimpleNamespace
from unittest.mock import ANY

import pytest

from pipeline.address import parse as address

MEANINGS = [
    ("demo", "demo", "", "demo"),
    ("0", "webcam", "", "0"),
    ("/dev/video2", "webcam", "", "/dev/video2"),
    ("street.mp4", "file", "", "street.mp4"),
    ("rtsp://h/x", "network", "rtsp", "rtsp://h/x"),
    ("HTTPS://h/x", "network", "https", "HTTPS://h/x"),
    ("Rtsp://h/x", "network", "rtsp", "Rtsp://h/x"),
    ("Demo", "demo", "", "Demo"),
    ("FAULT:stall:RTSP://h/x", "network", "rtsp", "RTSP://h/x"),
    ("/dev/v4l/by-id/usb-046d_C920-video-index0", "webcam", "", "/dev/v4l/by-id/usb-046d_C920-video-index0"),
    ("/dev/v4l/by-path/pci-0000:00:14.0-usb-0:2:1.0-video-index0", "webcam", "", ANY),
    ("/dev/front-webcam", "webcam", "", "/dev/front-webcam"),
    ("/dev/null", "file", "", "/dev/null"),
    ("/dev/shm/cam.mp4", "file", "", "/dev/shm/cam.mp4"),
    ("\N{SUPERSCRIPT TWO}", "file", "", "\N{SUPERSCRIPT TWO}"),
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
    ("RTSP://U:P@H/X", "rtsp://U:P@H/X"),
    ("Http://u:pa/s@h/x", "http://u:pa%2Fs@h/x"),
    ("rtsp://u:p@h:1/Haustür 2?x=é", "rtsp://u:p@h:1/Haust%C3%BCr%202?x=%C3%A9"),
    ("street.mp4", "street.mp4"),
]


@pytest.mark.parametrize(("text", "dialled"), CONNECTABLE)
def test_letters_that_would_end_the_host_too_early_are_encoded(text: str, dialled: str) -> None:
    assert address.connectable(text) == dialled


@pytest.mark.parametrize(
    ("mode", "major", "kind"),
    [(stat.S_IFCHR, 81, "webcam"), (stat.S_IFCHR, 1, "file"), (stat.S_IFREG, 0, "file"), (stat.S_IFBLK, 81, "file")],
)
def test_a_device_of_v4l2_is_a_webcam_whatever_it_is_called(
    mode: int, major: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = SimpleNamespace(st_mode=mode, st_rdev=os.makedev(major, 3))
    monkeypatch.setattr("pipeline.address.parse.os.stat", lambda path: status)
    assert address.kind("/dev/garage") == kind
    assert address.kind("/srv/cameras/garage") == kind


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("street.mp4", "street.mp4"),
        ("file:///srv/Street%201.mp4", "/srv/Street 1.mp4"),
        ("FILE://localhost/srv/a.mp4", "/srv/a.mp4"),
        ("file://street.mp4", "street.mp4"),
        ("file:///caf%E9.mp4", "/caf\udce9.mp4"),
        ("~/a.mp4", "/home/me/a.mp4"),
        ("~a.mp4", "~a.mp4"),
    ],
)
def test_the_address_of_a_file_means_a_path(text: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert address.local_path(text) == path
