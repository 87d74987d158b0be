"""The keys of HLS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from pipeline.config.outputs import OutputSettings


class Hls(OutputSettings):
    """A live stream of each camera for TVs and phones, which the page's server hands out."""

    kind = "hls"
    summary = "A live stream of each camera for TVs and phones; web serves it."
    makes_hls_streams = True

    boxes: Literal["burnt", "no"] = "burnt"
    """burnt: encoded with the overlay; no: the camera's own H.264, untouched."""
    bitrate: Annotated[int, Field(ge=0, le=200_000_000)] = 0
    """Bits a second of encoded pictures; 0 keeps a constant quality instead."""

    @classmethod
    def check_among(cls, kinds: Sequence[str]) -> None:
        """Raise ValueError where it stands twice, or without the page whose server hands it out."""
        if kinds.count("hls") > 1:
            raise ValueError("must have hls once only: all cameras are in it")
        if "web" not in kinds:
            raise ValueError("must have web beside hls, because the page's server hands it out; add `- web`")
