"""H.264 in RTP packets, and what is said about it in SDP and RTCP."""

from __future__ import annotations

import base64
import struct
import time
from collections.abc import Iterator

from tests.support.clips import Clip

CLOCK = 90000
"""Ticks a second of RTP times for video."""
MOST = 1400
"""Bytes in one packet."""
EPOCH_1900 = 2208988800
"""Seconds from 1900, where NTP begins, to 1970."""


def payloads(units: tuple[bytes, ...]) -> Iterator[tuple[bytes, bool]]:
    """What goes into RTP packets, and whether it is the last of a picture: whole units, or fragments of large ones."""
    for index, unit in enumerate(units):
        final = index == len(units) - 1
        if len(unit) <= MOST:
            yield unit, final
            continue
        pieces = [unit[at : at + MOST] for at in range(1, len(unit), MOST)]
        for place, piece in enumerate(pieces):
            end = place == len(pieces) - 1
            flags = (place == 0) << 7 | end << 6 | unit[0] & 31
            yield bytes((unit[0] & 0xE0 | 28, flags)) + piece, final and end


def sender_report(stamp: int) -> bytes:
    """An RTCP report that ties an RTP time to the wall clock."""
    now = time.time() + EPOCH_1900
    return struct.pack(">BBHIIIIII", 0x80, 200, 6, 7, int(now), int(now % 1 * 2**32), stamp, 1, 1)


def goodbye() -> bytes:
    """An RTCP packet that ends the stream."""
    return struct.pack(">BBHI", 0x81, 203, 1, 7)


def description(clip: Clip, parameter_sets: bool, frame_rate: str | None, media: tuple[str, ...]) -> bytes:
    """The SDP of a clip, with its parameter sets or without; `frame_rate` is declared in place of the true one."""
    sets = ",".join(base64.b64encode(unit).decode() for unit in (clip.sps, clip.pps))
    known = f";profile-level-id={clip.sps[1:4].hex()};sprop-parameter-sets={sets}" if parameter_sets else ""
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=camera", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*"]
    if "video" in media:
        lines += ["m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000", f"a=fmtp:96 packetization-mode=1{known}"]
        lines += [f"a=framerate:{frame_rate or f'{clip.fps:g}'}", "a=control:trackID=0"]
    if "audio" in media:
        lines += ["m=audio 0 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "a=control:trackID=1"]
    return ("\r\n".join(lines) + "\r\n").encode()
