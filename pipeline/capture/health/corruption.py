"""Doubt about pictures of a stream that must not be believed, because data was lost or damaged on the way.

FFmpeg marks only the picture in which it meets an error, and none where whole packets are missing: all
pictures that build on them look good to it. So doubt lasts until the next keyframe that came whole.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import av
import av.logging

from .frame_gaps import FrameGapDetector

Complaints = Sequence[tuple[int, str, str]]
"""Level, part and text of everything that FFmpeg said."""

_LOST = re.compile(r"RTP: missed \d+ packets|RTP: PT=\w+: bad cseq")


@contextmanager
def listen() -> Iterator[Complaints]:
    """Collect what FFmpeg says on this thread, meanwhile; it has no other way to tell of lost packets."""
    if av.logging.get_level() is None:
        av.logging.set_level(av.logging.WARNING)
        av.logging.set_skip_repeated(False)
        logging.getLogger("libav").setLevel(logging.CRITICAL + 1)
    with av.logging.Capture(local=True) as heard:
        yield heard


class CorruptionTracker:
    """Doubt about one connection."""

    def __init__(self, decoder: av.VideoCodecContext | None = None) -> None:
        """Take the decoder, from which the codec and its parameter sets are known."""
        extradata = bytes(decoder.extradata or b"") if decoder is not None else b""
        prefixed = extradata[:1] == b"\1"
        is_h264 = decoder is not None and decoder.name == "h264" and not prefixed
        self._frame_gaps = FrameGapDetector(extradata) if is_h264 else None
        self.lasting = False
        """Whether pictures are in doubt now."""
        self._touched = False
        self._suspects: deque[int | None] = deque(maxlen=16)

    def packet(self, packet: av.Packet[Any], heard: Complaints) -> None:
        """Note that a packet was read, and what was heard meanwhile."""
        lost = packet.is_corrupt or any(_LOST.search(text) for _, _, text in heard)
        # What is missing may belong to this packet or to the next one.
        if lost or self._touched:
            self._suspects.append(packet.pts)
        gap = self._frame_gaps is not None and packet.size > 0 and self._frame_gaps.gap(bytes(packet))
        self.lasting = self.lasting or lost or gap
        self._touched = lost

    def refused(self) -> None:
        """Note that the decoder can make nothing of a packet."""
        self.lasting = True

    def judge(self, frame: av.VideoFrame) -> bool:
        """Tell whether a decoded picture is in doubt."""
        if frame.is_corrupt:
            self.lasting = True
            return True
        return self._judged(frame.key_frame, frame.pts)

    def judge_packet(self, packet: av.Packet[Any]) -> bool:
        """Tell whether a picture that is not decoded is in doubt, as far as that shows."""
        return self._judged(packet.is_keyframe, packet.pts)

    def _judged(self, key: bool, pts: int | None) -> bool:
        if self.lasting and key and pts not in self._suspects:
            self.lasting = False
        return self.lasting
