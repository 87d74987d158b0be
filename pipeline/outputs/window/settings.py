"""The keys of the window."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.config.outputs import OutputSettings


class Window(OutputSettings):
    """A window on this machine's screen."""

    kind = "window"
    short_form = "window"
    automatic = True

    width: Annotated[int, Field(ge=160, le=16384)] = 1280
    """Width in pixels of the window when it opens."""
    full_screen: bool = False
    """Whether it starts over the whole screen."""
