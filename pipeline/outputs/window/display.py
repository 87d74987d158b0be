"""Is there a screen? Asked before any window, because without one the window toolkit ends the whole process."""

from __future__ import annotations

import ctypes
import os
import re
import socket
import sys
from pathlib import Path

import cv2

_CONNECT_TIMEOUT_S = 1.0
_DISPLAY = re.compile(r"^(?:unix)?(?P<host>[^:/]*):(?P<number>\d+)(?:\.\d+)?$")


def display_available() -> bool:
    """Return whether a window can be opened on this machine now."""
    return not missing_display()


def missing_display() -> str:
    """Why no window can be opened; empty if one can."""
    if not window_toolkit():
        return "this OpenCV is built without windows; install opencv-python instead of opencv-python-headless"
    if sys.platform != "linux":
        return ""
    if window_toolkit().startswith("GTK") and os.environ.get("WAYLAND_DISPLAY"):
        return ""
    if os.environ.get("QT_QPA_PLATFORM", "xcb").partition(":")[0] != "xcb":
        return "QT_QPA_PLATFORM names another platform than xcb, the one OpenCV has; unset it"
    display = os.environ.get("DISPLAY", "")
    if not display:
        return "there is no display (DISPLAY is not set)"
    if not _answers(display):
        return f"the display {display} does not answer"
    if _spoilt():
        return "PyAV was imported before OpenCV, whose windows hang then; import cv2 before av"
    return ""


def window_toolkit() -> str:
    """Return what OpenCV opens windows with, such as QT5, GTK3 or COCOA; empty if it has none."""
    line = next((each for each in cv2.getBuildInformation().splitlines() if each.strip().startswith("GUI:")), "")
    name = line.partition(":")[2].strip()
    return "" if name == "NONE" else name or "unknown"


def _spoilt() -> bool:
    """Tell whether this process has the libxcb-shm of PyAV, which speaks to another libxcb than OpenCV's Qt does."""
    try:
        mapped = Path("/proc/self/maps").read_text()
    except OSError:
        return False
    return re.search(r"/av\.libs/libxcb-shm", mapped) is not None


def _answers(display: str) -> bool:
    match = _DISPLAY.match(display)
    if match is None:
        return False
    if not _reachable(match["host"], int(match["number"])):
        return False
    # Reachable may still mean refused: only the X library itself knows all ways to be let in.
    try:
        library = ctypes.CDLL("libX11.so.6")
    except OSError:
        return True
    library.XOpenDisplay.restype = ctypes.c_void_p
    library.XCloseDisplay.argtypes = [ctypes.c_void_p]
    opened = library.XOpenDisplay(display.encode())
    if opened:
        library.XCloseDisplay(opened)
    return bool(opened)


def _reachable(host: str, number: int) -> bool:
    if host:
        try:
            socket.create_connection((host, 6000 + number), _CONNECT_TIMEOUT_S).close()
        except OSError:
            return False
        return True
    path = f"/tmp/.X11-unix/X{number}"
    for where in (f"\0{path}", path):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_CONNECT_TIMEOUT_S)
            try:
                probe.connect(where)
            except OSError:
                continue
            return True
    return False
