"""Recordings, and clips of them or of memory, are shown as the camera's own stream asks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.capture.sources.ffmpeg import FfmpegSource
from pipeline.config.cameras import Capture
from pipeline.frames import Packet, Presentation
from pipeline.outputs.clips.service import Clips
from pipeline.outputs.record.output import RecordOutput
from pipeline.outputs.record.settings import Record
from pipeline.stats.registry import Stats
from tests.support.outputs import context
from tests.support.quarters import ORIENTATIONS, film, orientation_message, seen, with_messages
from tests.support.scenes import HandClock
from tests.support.wait import until

Start = Callable[[str, Callable[[], None]], None]
WIDE = {"wide": Presentation(pixel_aspect=Fraction(2)), "wide and turned": Presentation(90, True, Fraction(2))}
ASKED = {**ORIENTATIONS, **WIDE}


def packets(path: Path, captured: float, settings: Capture | None = None) -> list[Packet]:
    """All packets of a file as a camera's, ten a second up to a time."""
    found: list[Packet] = []
    source = FfmpegSource(str(path), settings or Capture())
    source.tap, source.wanted = found.append, lambda: False
    source.open()
    while source.read() is not None:
        pass
    source.close()
    begun = captured - len(found) / 10
    return [
        Packet("door", each.codec, each.data, each.key, each.pts, each.dts, begun + at / 10, *each.kind[1:])
        for at, each in enumerate(found)
    ]


def expected(asked: Presentation) -> tuple[str, int, int]:
    """Quarters, width and height of each picture."""
    letters = next(each for each, turn in ORIENTATIONS.items() if replace(asked, pixel_aspect=Fraction(1)) == turn)
    return letters, *asked.shown_size(160, 96)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("asked", ASKED)
def test_what_is_copied_into_files_is_shown_as_it_came(crew: Start, tmp_path: Path, asked: str, ending: str) -> None:
    clock = HandClock()
    settings = Record.model_validate({"path": str(tmp_path / f"{{time}}.{ending}"), "free": 0})
    output = RecordOutput(settings, context(Stats(["door"], clock), crew))
    output.open()
    kept = Clips({"door": 10.0}, clock)
    for packet in packets(film(tmp_path / "film.mp4", ASKED[asked]), clock.monotonic()):
        output.packet(packet)
        kept.packet(packet)
    from_memory = kept.cut("door", 1.0, 0.0, tmp_path / f"memory.{ending}")
    output.close()
    assert until(lambda: "record-write" not in [each.name for each in threading.enumerate()])
    of_recordings = Clips({}, clock)
    of_recordings.recordings = output
    from_recording = of_recordings.cut("door", 9.0, 0.0, tmp_path / f"clip.{ending}")
    (recording,) = (path for path in tmp_path.glob(f"*Z.{ending}"))
    for path in (recording, from_memory, from_recording):
        assert seen(path) == [expected(ASKED[asked])] * 6, path.name


def test_a_recording_goes_on_while_a_message_holds_and_begins_anew_where_it_changes(
    crew: Start, tmp_path: Path
) -> None:
    film(tmp_path / "film.ts", count=12)
    source = packets(tmp_path / "film.ts", 100.0)
    words = [orientation_message(degrees=degrees) for degrees in (90, 90, 0, 180)]
    raw = b"".join(packet.data for packet in source)
    message = iter(words)
    per_picture = [next(message) if packet.key else None for packet in source]
    (tmp_path / "film.h264").write_bytes(with_messages(raw, per_picture))
    settings = Record.model_validate({"path": str(tmp_path / "{time}.mp4"), "free": 0})
    output = RecordOutput(settings, context(Stats(["door"]), crew))
    output.open()
    for packet in packets(tmp_path / "film.h264", output._clock.monotonic()):
        output.packet(packet)
    output.close()
    assert until(lambda: "record-write" not in [each.name for each in threading.enumerate()])
    found = ["".join(letters for letters, *_ in seen(path)) for path in tmp_path.glob("*.mp4")]
    assert sorted(found) == ["GWRB" * 6, "RGBW" * 3, "WBGR" * 3]
