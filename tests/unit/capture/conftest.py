"""Fixtures of cameras."""

from __future__ import annotations

from tests.support.cameras import clip, running, server, video

__all__ = ["clip", "running", "server", "video"]
