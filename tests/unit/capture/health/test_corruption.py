"""Pictures that were damaged on the way: none is given out as good, and good ones come again with a keyframe."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections import deque
from collections.abc import Iterator

import pytest

from pipeline.capture.source import Sample
from pipeline.capture.sources.ffmpeg import FfmpegSource
from pipeline.config.cameras import Capture
from pipeline.errors import SourceError
from tests.support.cameras import PATIENT, picture_of, shorten
from tests.support.clips import Clip, encode, street
from tests.support.servers.rtsp import RtspServer


@pytest.fixture(scope="module")
def rich() -> Clip:
    """Half a second in pictures of many packets each."""
    return encode(street(15), 30, 5, bitrate=4_000_000)


def played(source: FfmpegSource) -> Iterator[Sample]:
    while True:
        sample = source.read()
        assert sample is not None
        yield sample


def print_of(sample: Sample) -> str:
    return hashlib.md5(picture_of(sample).bgr().tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("transport", "fault"), [("tcp", "lost"), ("udp", "lost"), ("tcp", "spoilt"), ("tcp", "left out")]
)
def test_no_picture_that_differs_from_what_was_sent_is_given_out_as_good(
    rich: Clip, transport: str, fault: str
) -> None:
    dice = random.Random(7)

    def spoil(place: int, units: tuple[bytes, ...]) -> tuple[bytes, ...]:
        if place % 5 != 3:
            return units
        if fault == "left out":
            return ()
        data = units[-1]
        middle = len(data) // 2
        return (*units[:-1], data[:middle] + dice.randbytes(middle))

    with RtspServer({"live": rich}) as server:
        source = FfmpegSource(server.url("live"), Capture.model_validate({"transport": transport, **PATIENT}))
        source.open()
        clean = list(itertools.islice(played(source), 15))
        assert not any(sample.damaged for sample in clean)
        truth = {print_of(sample) for sample in clean}
        assert len(truth) == 15
        if fault == "lost":
            server.lost = lambda sequence: dice.random() < 0.01
        else:
            server.change = spoil
        found = list(itertools.islice(played(source), 45))
        server.lost, server.change = lambda sequence: False, lambda place, units: units
        source.close()
    assert [sample for sample in found if not sample.damaged and print_of(sample) not in truth] == []
    damaged = sum(sample.damaged for sample in found)
    assert 5 < damaged < len(found)
    assert source.corrupt >= damaged


def test_a_stream_that_stays_damaged_is_a_stall(rich: Clip) -> None:
    with RtspServer({"live": rich}) as server:
        limits = Capture.model_validate(PATIENT)
        source = FfmpegSource(server.url("live"), limits)
        source.open()
        assert source.read() is not None
        server.change = lambda place, units: units if place % 5 else ()
        server.lost = lambda sequence: sequence % 40 == 0
        assert any(sample.damaged for sample in played(source))
        shorten(limits, stall_timeout=0.8)
        with pytest.raises(SourceError) as caught:
            deque(played(source), maxlen=0)
        source.close()
    assert caught.value.reason == "timed out"
    assert "no undamaged picture for 0.8 s" in str(caught.value)
