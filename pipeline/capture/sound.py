"""The compressed sound of a stream, made alike for everybody who copies it: never decoded."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

import av

from pipeline.frames import Sound

_ADTS_BYTES, _ADTS_CHECKED_BYTES = 7, 9


class SoundReader:
    """Turns the packets of one audio stream into sounds, with an empty camera."""

    def __init__(self, stream: av.AudioStream) -> None:
        self._stream = stream
        self._codec = stream.codec_context.name if stream.codec_context is not None else ""
        self._bare = bool(stream.codec_context is not None and stream.codec_context.extradata)
        described = stream.codec_context.extradata if stream.codec_context is not None else None
        self._kind = f"{self._codec} {stream.rate} {stream.channels} {(described or b'').hex()}"
        self._sample: bytes | None = None

    def take(self, packet: av.Packet[Any], captured: float) -> Sound | None:
        """Return the sound of a packet; None at the end of the stream."""
        data = bytes(packet)
        if not data or packet.pts is None or packet.time_base is None:
            return None
        seconds = float(packet.pts * packet.time_base)
        if self._sample is None:
            self._sample = self._described(packet)
        if self._codec == "aac" and not self._bare and data[0] == 0xFF and data[1] & 0xF0 == 0xF0:
            # What stands in front of each packet in a transport stream stands once in front of a file.
            data = data[_ADTS_BYTES if data[1] & 1 else _ADTS_CHECKED_BYTES :]
        return Sound("", self._codec, data, seconds, captured, self._kind, self._sample)

    def _described(self, packet: av.Packet[Any]) -> bytes:
        """Return a file of one packet, of which others make streams of this kind; empty where none holds it."""
        file = io.BytesIO()
        with suppress(av.FFmpegError, ValueError), av.open(file, "w", format="matroska") as container:
            stream = container.add_stream_from_template(self._stream, opaque=True)
            copy = av.Packet(bytes(packet))
            copy.time_base, copy.pts, copy.dts, copy.stream = packet.time_base, 0, 0, stream
            container.mux_one(copy)
            container.close()
            return file.getvalue()
        return b""
