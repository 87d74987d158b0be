"""The decoder of a camera whose pictures are wanted only at times: it sleeps meanwhile, and need not wait to wake."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import av

_MAX_KEPT_BYTES = 16_000_000
_MAX_KEPT_COUNT = 600
_CATCH_UP_COUNT = 8
_JUMP_S = 1.0


class OnDemandDecoder:
    """One connection's decoder, and what it needs to begin at any picture: the packets since the newest keyframe."""

    def __init__(self, decoder: av.VideoCodecContext | None = None) -> None:
        self.begun = False
        """Whether a keyframe has come."""
        self._decoder = decoder
        self._awake = False
        self._past: list[av.Packet[Any]] = []
        self._fed = 0
        """How far the decoder has been given them; 0 while it sleeps."""
        self._bytes = 0
        self._whole = False
        self._newest: float | None = None

    def decodes(self, packet: av.Packet[Any], *, wanted: bool) -> bool:
        """Tell whether the next packet is to be decoded; the decoder has then had everything before it.

        A decoder that wakes is given a few of the earlier packets each time, for nobody else shall wait meanwhile.
        """
        overtaken = packet.is_keyframe and not self._awake
        if self._fed and (overtaken or not wanted):
            self._sleep()
        if packet.is_keyframe:
            self._past, self._bytes, self._whole, self.begun = [], 0, True, True
        if wanted and self._whole and not self._awake:
            for each in self._past[self._fed : self._fed + _CATCH_UP_COUNT]:
                # What is damaged shows in the pictures that come next.
                with suppress(av.FFmpegError, ValueError):
                    each.decode()
            self._fed += _CATCH_UP_COUNT
            self._awake = self._fed >= len(self._past)
        if self._whole:
            self._keep(packet)
        return self._awake

    def alone(self, keyframe: av.Packet[Any]) -> list[Any]:
        """Return the picture of a keyframe, without waiting for later ones; raises as decoding does."""
        assert self._decoder is not None
        try:
            return [*keyframe.decode(), *self._decoder.decode(None)]
        finally:
            self._sleep()

    def seconds(self, packet: av.Packet[Any], *, live: bool) -> float | None:
        """Return the time of an undecoded packet; None for a picture that is shown before one that came earlier."""
        ticks = packet.pts if live or packet.dts is None else packet.dts
        if ticks is None or packet.time_base is None:
            return None
        seconds = float(ticks * packet.time_base)
        if self._newest is not None and self._newest - _JUMP_S < seconds <= self._newest:
            return None
        self._newest = seconds
        return seconds

    def _sleep(self) -> None:
        self._awake, self._fed = False, 0
        if self._decoder is not None:
            self._decoder.flush_buffers()

    def _keep(self, packet: av.Packet[Any]) -> None:
        self._past.append(packet)
        self._bytes += packet.size
        if self._bytes > _MAX_KEPT_BYTES or len(self._past) > _MAX_KEPT_COUNT:
            # Too much to catch up with: who wants pictures waits for the next keyframe.
            self._past, self._bytes, self._whole = [], 0, False
