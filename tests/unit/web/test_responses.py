"""The answers of the routes, byte by byte."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pipeline.web.responses import ClipResponse


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("door-1.mp4", 'attachment; filename="door-1.mp4"'),
        ("Haustür-1.mp4", "attachment; filename=\"Haust_r-1.mp4\"; filename*=UTF-8''Haust%C3%BCr-1.mp4"),
        ("東-1.mp4", "attachment; filename=\"_-1.mp4\"; filename*=UTF-8''%E6%9D%B1-1.mp4"),
    ],
)
def test_a_clip_is_saved_under_the_name_of_its_camera(name: str, disposition: str) -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(ClipResponse(b"x", name)({"method": "GET"}, None, send))  # type: ignore[arg-type]
    headers = dict(sent[0]["headers"])
    assert headers[b"content-disposition"].decode() == disposition
