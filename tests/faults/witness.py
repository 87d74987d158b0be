"""The real program, whose events also tell the number that stands in each picture."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

from pipeline.cli import main
from pipeline.frames import Result
from pipeline.outputs.events import jsonl
from pipeline.outputs.events.schema import frame_event
from tests.support.clips import number_in


def _numbered(result: Result, captured_at: datetime, total: float) -> dict[str, Any]:
    return frame_event(result, captured_at, total) | {"number": number_in(result.frame.picture.bgr())}


setattr(jsonl, "frame_event", _numbered)  # noqa: B010

if __name__ == "__main__":
    sys.exit(main())
