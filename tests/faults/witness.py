"""The real program, whose events also tell the number that stands in each picture."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

from pipeline.cli import main
from pipeline.frames import Result
from pipeline.outputs.events import jsonl as events
from tests.support.clips import number_in

_told = events.frame_event


def _numbered(result: Result, captured_at: datetime, total: float) -> dict[str, Any]:
    return _told(result, captured_at, total) | {"number": number_in(result.frame.picture.bgr())}


events.frame_event = _numbered

if __name__ == "__main__":
    sys.exit(main())
