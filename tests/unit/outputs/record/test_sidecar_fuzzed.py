"""Whatever stands beside a recording, it plays: with boxes where those are some, and a line about the others."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.outputs.record.sidecar import RecordedBoxes
from pipeline.runtime.replay import _arrays
from tests.support.notices import heard

NUMBERS = st.floats() | st.integers() | st.sampled_from([10**400, -(10**40), 1e308, True, None, "7"])
BOXES = st.fixed_dictionaries(
    {}, optional={"label": st.text(max_size=5) | st.none(), "score": NUMBERS, "box": st.lists(NUMBERS, max_size=5)}
)
EVENTS = st.fixed_dictionaries(
    {}, optional={"t": NUMBERS, "detections": st.lists(BOXES | NUMBERS, max_size=3) | st.none() | NUMBERS | st.text()}
)
LINES = (
    EVENTS.map(json.dumps) | st.text(max_size=40) | st.sampled_from(["[" * 100_000, '{"t":' * 50_000, "9" * 6000, ""])
)


def boxes(text: str) -> tuple[RecordedBoxes, list[str]]:
    """What is read beside a recording, and what is said about it."""
    with tempfile.TemporaryDirectory() as folder, heard() as said:
        video = Path(folder, "a.mp4")
        video.with_suffix(".jsonl").write_text(text, encoding="utf-8", errors="surrogatepass")
        return RecordedBoxes(video), said


@given(st.lists(LINES, max_size=6))
def test_any_lines_play(lines: list[str]) -> None:
    found, said = boxes("\n".join(lines))
    assert len(said) <= 1
    for seconds in (0.0, -1.0, 1e9, *found._times):
        detections = found.at(seconds)
        arrays = _arrays(detections)
        assert len(arrays) == len(detections)
        assert all(math.isfinite(value) for each in detections for value in (*each.box, each.score))


GOOD = {"label": "person", "score": 0.5, "box": [1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("line", "count", "said"),
    [
        (json.dumps({"t": 0, "detections": [GOOD]}), 1, 0),
        ('{"t": 0, "detections": null}', 0, 0),
        (json.dumps({"t": 0, "detections": [None, 5, GOOD, GOOD | {"box": [1, 2, 3, 1e400]}]}), 1, 0),
        ('{"t": %s, "detections": []}' % ("9" * 400), 0, 1),
        ('{"t": %s, "detections": []}' % ("9" * 9000), 0, 1),
        ('{"t": NaN, "detections": []}', 0, 1),
        ("[" * 100_000, 0, 1),
    ],
)
def test_a_hostile_line_costs_itself_and_is_told(line: str, count: int, said: int) -> None:
    found, lines = boxes(line)
    assert (len(found.at(0.0)), len(lines)) == (count, said)


def test_what_is_left_out_is_counted() -> None:
    events: list[Any] = ['{"t": 1}', "5", "{", '{"t": null}']
    found, said = boxes("\n".join(events))
    assert len(found) == 1
    assert [each.partition("jsonl: ")[2] for each in said] == ["3 lines left out that say nothing about a picture"]
