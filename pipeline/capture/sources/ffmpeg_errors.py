"""The meaning of FFmpeg's errors to the owner of a camera: a reason in one word, and what to do."""

from __future__ import annotations

import errno

from pipeline.redaction import scrub

_ENCODED = "in a password write @ : / ? # % as %40 %3A %2F %3F %23 %25"
REFUSED = f"user or password are wrong or missing; try them in the camera's own page, and {_ENCODED}"
"""What is said of a login that a device refuses."""
_DECLINED = ("unsupported", "the device declined; try capture.transport: tcp, or udp")
_NO_VIDEO = ("unreadable", "this is no video, or it is cut off before its first picture")
_CUT = ("ended", "the connection was cut")
_KIND = ("unsupported", "this kind of stream cannot be read")

_BY_NAME = {
    "HTTPUnauthorizedError": ("unauthorized", REFUSED),
    "HTTPForbiddenError": ("unauthorized", "this user may not see the stream"),
    "HTTPNotFoundError": ("not found", "there is no such stream; check the path in the address"),
    "HTTPBadRequestError": _DECLINED,
    "HTTPTooManyRequestsError": ("busy", "the device has too many viewers"),
    "HTTPOtherClientError": _DECLINED,
    "HTTPServerError": ("unreadable", "the device reports an error of its own"),
    "ProtocolNotFoundError": _KIND,
    "DemuxerNotFoundError": _KIND,
    "DecoderNotFoundError": ("unsupported", "its codec cannot be decoded; set the camera to H.264"),
    "ExitError": ("timed out", "no answer in time"),
    "EOFError": ("ended", "the connection was closed"),
    "InvalidDataError": _NO_VIDEO,
}
_BY_NUMBER = {
    errno.ECONNREFUSED: ("refused", "nobody answers at that port; is the device on, and the port right?"),
    errno.ETIMEDOUT: ("timed out", "no answer in time"),
    errno.EHOSTUNREACH: ("unreachable", "there is no way to that machine; check the network"),
    errno.ENETUNREACH: ("unreachable", "there is no way to that network; is the cable in?"),
    errno.ENOENT: ("not found", "no such file"),
    errno.EACCES: ("unauthorized", "this user may not read it"),
    errno.EPERM: ("unauthorized", "this user may not read it"),
    errno.ECONNRESET: _CUT,
    errno.EPIPE: _CUT,
    errno.EPROTONOSUPPORT: _DECLINED,
    errno.EINVAL: ("unreadable", f"it cannot be understood; {_ENCODED}"),
}


def explain(error: Exception, *, playing: bool, local: bool = False) -> tuple[str, str]:
    """Return the reason and the words for an error of FFmpeg.

    `playing` says that pictures had come before it, `local` that it is about a file, which has no password.
    """
    name, number = type(error).__name__, getattr(error, "errno", None) or 0
    if playing and (name == "InvalidDataError" or number == errno.EIO):
        return "ended", "the stream broke off"
    if local and number == errno.EINVAL:
        return _NO_VIDEO
    known = _BY_NAME.get(name) or _BY_NUMBER.get(number)
    return known or ("unreadable", scrub(str(getattr(error, "strerror", None) or name)))
