"""A process of its own that publishes one stream, because a server that reads no more blocks FFmpeg for ever.

It is started with its parent's standard input, which carries a line of JSON {address, codec, patience} and then
packets: key u8, pts i64, dts i64, length u32, in network order, and the data; times in ticks of 1/90000 s.
On standard output it says `live` after the first packet went out, and `failed NAME TEXT` before it ends because
of an error. A step that takes longer than `patience` seconds ends it with SIGALRM, and the end of its input with
a farewell to the server.
Nothing of ours is imported, so that it starts quickly and stays small.
"""

from __future__ import annotations

import io
import json
import signal
import struct
import sys
from fractions import Fraction
from typing import Any, BinaryIO

import av

HEAD = struct.Struct("!?qqI")

_TICKS_PER_S = 90_000
_LIMITS = {"max_pixels": str(8192 * 8192)}
_FORMATS = {"rtsp": "rtsp", "rtmp": "flv"}


def main() -> int:
    """Publish until the input ends; the exit code."""
    source = sys.stdin.buffer
    order = json.loads(source.readline())
    patience = float(order["patience"])
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _publish(source, order["address"], order["codec"], patience)
    except (av.FFmpegError, OSError, ValueError) as error:
        text = " ".join(str(getattr(error, "strerror", None) or error).split())
        _say(f"failed {type(error).__name__} {text}")
        return 1
    return 0


def _publish(source: BinaryIO, address: str, codec: str, patience: float) -> None:
    kind = address.partition("://")[0].rstrip("s")
    options = {"rtsp_transport": "tcp"} if kind == "rtsp" else {}
    container = av.open(address, "w", format=_FORMATS[kind], options=options)
    stream: Any = None
    while (head := source.read(HEAD.size)) and len(head) == HEAD.size:
        key, pts, dts, length = HEAD.unpack(head)
        data = source.read(length)
        fresh = stream is None
        signal.setitimer(signal.ITIMER_REAL, patience)
        if stream is None:
            with av.open(io.BytesIO(data), "r", format=codec, options=_LIMITS) as sample:
                stream = container.add_stream_from_template(sample.streams.video[0], opaque=True)
            stream.time_base = Fraction(1, _TICKS_PER_S)
        packet = av.Packet(data)
        packet.time_base = Fraction(1, _TICKS_PER_S)
        packet.pts, packet.dts = pts, dts
        packet.is_keyframe = key
        packet.stream = stream
        container.mux_one(packet)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if fresh:
            _say("live")
    signal.setitimer(signal.ITIMER_REAL, patience)
    container.close()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
