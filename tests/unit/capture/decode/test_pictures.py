"""The times of files: sorted where only the decoding order is known, and never the same twice."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.capture.decode.pictures import Timeline, refusal
from pipeline.capture.sources.ffmpeg import FfmpegSource
from pipeline.config.cameras import Capture
from pipeline.errors import SourceError
from tests.support.clips import street, write_file


def test_times_that_do_not_increase_are_moved_by_one_picture() -> None:
    timeline = Timeline(10.0)
    assert [timeline.picture(each) for each in (0.0, 0.0, 0.1, 0.05, 5.0)] == pytest.approx([0, 0.1, 0.2, 0.3, 5.0])


def test_a_picture_without_a_time_follows_the_one_before_it() -> None:
    timeline = Timeline(10.0)
    assert [timeline.picture(each) for each in (None, None, 0.5, None)] == pytest.approx([0, 0.1, 0.5, 0.6])


def test_times_in_decoding_order_are_sorted() -> None:
    timeline = Timeline(10.0, decoding_order=True)
    for packet in (0.1, 0.2, 0.3):
        timeline.packet(packet)
    seen = []
    for packet, said in ((0.4, 0.4), (0.5, 0.3), (0.6, 0.6), (0.7, 0.2)):
        timeline.packet(packet)
        seen.append(timeline.picture(said))
    assert seen == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_a_packet_without_a_picture_leaves_no_time_behind() -> None:
    timeline = Timeline(10.0, decoding_order=True)
    for packet in (0.1, 0.2):
        timeline.packet(packet)
    timeline.refused()
    timeline.packet(0.3)
    assert [timeline.picture(9.0), timeline.picture(9.0)] == pytest.approx([0.1, 0.3])


@pytest.mark.parametrize("ending", ["avi", "mp4", "mkv"])
def test_the_pictures_of_a_file_with_b_frames_come_at_an_even_pace(tmp_path: Path, ending: str) -> None:
    path = write_file(tmp_path / f"street.{ending}", street(60), 30, preset="veryfast", bf="2", g="20")
    source = FfmpegSource(str(path), Capture())
    source.open()
    times = []
    while (sample := source.read()) is not None:
        times.append(sample.pts)
    source.close()
    assert len(times) == 60
    assert np.diff(np.array(times, float)) == pytest.approx(1 / 30, abs=2e-3)


@pytest.mark.parametrize(
    ("name", "size", "good"),
    [
        ("yuv420p", (64, 48), True),
        ("yuv444p12le", (64, 48), True),
        ("bayer_rggb8", (64, 48), True),
        ("bayer_rggb8", (1, 1), False),
        ("gray32le", (64, 48), False),
        ("rgbaf32be", (64, 48), False),
        ("yaf32le", (64, 48), False),
    ],
)
def test_pixel_formats_are_tried_before_they_are_used(name: str, size: tuple[int, int], good: bool) -> None:
    said = refusal(av.VideoFrame(*size, name))
    assert said == ("" if good else f"pictures in the pixel format {name} cannot be shown")


def test_a_file_in_a_format_that_cannot_be_shown_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "film.nut"
    with av.open(str(path), "w") as made:
        stream = made.add_stream("rawvideo", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr4"
        frame = av.VideoFrame(64, 48, "bgr4")
        frame.pts = 0
        made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    source = FfmpegSource(str(path), Capture())
    source.open()
    with pytest.raises(SourceError, match="pixel format bgr4 cannot be shown"):
        source.read()
    source.close()
