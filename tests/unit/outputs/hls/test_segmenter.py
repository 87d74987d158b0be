"""How a camera's pictures are cut for HLS players: lengths that hold, breaks that are told, memory that is bounded."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.frames import Packet
from pipeline.media.encoder import Encoder
from pipeline.outputs.hls.live_stream import HlsStream
from tests.support import marked
from tests.support.airing import HEIGHT, START, WIDTH, decoded, numbers, parts, segments, value
from tests.support.clips import Clip, encode, stamped
from tests.support.scenes import HandClock


@pytest.fixture(scope="module")
def clip() -> Clip:
    """Four seconds of numbered pictures, a keyframe each second."""
    return encode(marked.pictures(120, WIDTH, HEIGHT), 30, 30)


@pytest.fixture
def stream(clock: HandClock) -> HlsStream:
    return HlsStream(clock)


class Camera:
    """Gives compressed pictures on a clock that is driven by hand."""

    def __init__(self, clock: HandClock, stream: HlsStream, clip: Clip) -> None:
        self.clock, self.stream, self.clip = clock, stream, clip
        self.number = 0
        self.at = 0.0

    def give(self, count: int, interval: float = 1 / 30, every: int = 30) -> None:
        """So many pictures, a keyframe each `every` of them."""
        for _ in range(count):
            # Each keyframe of the clip begins a second of it.
            place = self.number % every + self.number // every % 4 * 30 if every <= 30 else self.number % 120
            data = b"".join(START + unit for unit in self.clip.units[place])
            now = self.clock.monotonic()
            key = self.number % every == 0
            self.stream.put(Packet("door", "h264", data, key, self.at, self.at, now, WIDTH, HEIGHT))
            self.number += 1
            self.at += interval
            self.clock.seconds += interval


@pytest.fixture
def camera(clock: HandClock, stream: HlsStream, clip: Clip) -> Camera:
    return Camera(clock, stream, clip)


def whole(stream: HlsStream) -> bytes:
    """All that the playlist lists, as one file."""
    text = stream.media_playlist()
    head = stream.init_segment(int(value(text, "MAP").split('"head-')[1].split(".")[0]))
    assert head is not None
    return head + b"".join(b"".join(stream.segment(int(name[:-4])) or []) for _, name in segments(text))


def test_segments_of_a_second_and_parts_of_a_quarter_hold_every_picture_once(camera: Camera, stream: HlsStream) -> None:
    assert stream.media_playlist() == stream.multivariant_playlist() == ""
    stream.admit("tv")
    camera.give(91)
    text = stream.media_playlist()
    assert value(text, "TARGETDURATION") == "1"
    assert [length for length, _ in segments(text)] == pytest.approx([1.0, 1.0, 1.0], abs=1e-4)
    target = float(value(text, "PART-INF").removeprefix("PART-TARGET="))
    assert all(length <= target for length, _, _ in parts(text))
    assert [key for _, _, key in parts(text)] == [True, False, False, False, False] * 3
    control = value(text, "SERVER-CONTROL")
    assert control == f"CAN-BLOCK-RELOAD=YES,HOLD-BACK=3,PART-HOLD-BACK={3 * target:.5f}"
    pictures = decoded(io.BytesIO(whole(stream)))
    assert numbers(pictures) == list(range(90))
    assert np.diff([at for at, _ in pictures]) == pytest.approx([1 / 30] * 89, abs=1e-4)
    parted = [stream.part(*map(int, name[:-4].split("."))) for _, name, _ in parts(text)]
    assert b"".join(each or b"" for each in parted) == whole(stream)[len(stream.init_segment(_head(text)) or b"") :]


def _head(text: str) -> int:
    return int(value(text, "MAP").split('"head-')[1].split(".")[0])


def test_the_index_names_codec_and_size(camera: Camera, stream: HlsStream) -> None:
    camera.give(91)
    attributes = value(stream.multivariant_playlist(), "STREAM-INF")
    assert f'CODECS="avc1.{camera.clip.sps[1:4].hex().upper()}",RESOLUTION={WIDTH}x{HEIGHT}' in attributes
    rate = 8 * len(whole(stream)) / 3
    mean = int(attributes.split("AVERAGE-BANDWIDTH=")[1].split(",")[0])
    assert rate * 0.9 < mean < rate * 1.1
    assert stream.multivariant_playlist().splitlines()[-1] == "live.m3u8"


def test_untouched_pictures_stay_as_they_were_and_are_cut_at_the_camera_s_keyframes(
    camera: Camera, stream: HlsStream
) -> None:
    camera.give(3 * 15 * 4, every=15)
    text = stream.media_playlist()
    # Two keyframes a second: every other one begins a segment.
    assert [length for length, _ in segments(text)] == pytest.approx([1.0] * len(segments(text)), abs=1e-4)
    file = whole(stream)
    units = [unit for unit in camera.clip.units[7] if unit[0] & 31 not in (7, 8, 9)]
    assert b"".join(len(unit).to_bytes(4, "big") + unit for unit in units) in file


def test_pictures_that_are_decoded_in_another_order_are_shown_in_theirs(stream: HlsStream, clock: HandClock) -> None:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 30), Fraction(30)
    encoder.options = {"preset": "ultrafast", "bf": "2", "g": "30", "sc_threshold": "0", "b-adapt": "0"}
    frames = [av.VideoFrame.from_ndarray(picture, format="bgr24") for picture in marked.pictures(120, WIDTH, HEIGHT)]
    for number, frame in enumerate(frames):
        frame.pts = number
    for packet in [*(each for frame in frames for each in encoder.encode(frame)), *encoder.encode(None)]:
        pts, dts = (packet.pts or 0) / 30, (packet.dts or 0) / 30
        data = bytes(packet)
        stream.put(Packet("door", "h264", data, packet.is_keyframe, pts, dts, clock.monotonic(), WIDTH, HEIGHT))
        clock.seconds += 1 / 30
    pictures = decoded(io.BytesIO(whole(stream)))
    assert numbers(pictures) == list(range(90))
    assert np.diff([at for at, _ in pictures]) == pytest.approx([1 / 30] * 89, abs=1e-3)


def test_a_camera_with_keyframes_each_four_seconds_gets_segments_of_four(camera: Camera, stream: HlsStream) -> None:
    camera.give(3 * 120 + 1, every=120)
    text = stream.media_playlist()
    assert value(text, "TARGETDURATION") == "4"
    assert [length for length, _ in segments(text)] == pytest.approx([4.0] * 3, abs=1e-4)
    # Later a longer distance may not break the promise: the segment ends without a keyframe.
    camera.give(300, every=100_000)
    text = stream.media_playlist()
    assert value(text, "TARGETDURATION") == "4"
    assert max(round(length) for length, _ in segments(text)) == 4
    assert "INDEPENDENT-SEGMENTS" not in text


def test_pictures_that_come_slowly_and_unevenly_keep_the_promised_lengths(camera: Camera, stream: HlsStream) -> None:
    intervals = itertools.cycle([0.05, 0.12, 0.03, 0.31, 0.08, 0.7, 0.04])
    every = 8
    for number, interval in zip(range(240), intervals, strict=False):
        if number == 40:
            stream.media_playlist()
        # Later come pauses longer than what was promised.
        camera.give(1, 2.4 if number > 40 and number % 20 == 0 else interval, every)
    text = stream.media_playlist()
    target = int(value(text, "TARGETDURATION"))
    assert all(round(length) <= target for length, _ in segments(text))
    times = [at for at, _ in decoded(io.BytesIO(whole(stream)))]
    assert all(step > 0 for step in np.diff(times))


def test_another_size_begins_with_another_head_after_a_break(clock: HandClock, stream: HlsStream) -> None:
    stream.admit("tv")
    encoder = Encoder("door")
    for number in range(62):
        shape = (180, 320, 3) if number < 35 else (360, 640, 3)
        picture = stamped(np.full(shape, 90, np.uint8), number)
        stream.put(encoder.encode(picture, clock.monotonic(), clock.monotonic()))
        stream.media_playlist()
        clock.seconds += 0.1
    text = stream.media_playlist()
    assert text.count("#EXT-X-DISCONTINUITY\n") == 2
    assert text.count("#EXT-X-MAP") == 2
    after = text[text.rindex("#EXT-X-DISCONTINUITY\n") :]
    head = stream.init_segment(_head(after))
    assert head is not None
    data = head + b"".join(b"".join(stream.segment(int(name[:-4])) or []) for _, name in segments(after))
    pictures = decoded(io.BytesIO(data))
    assert pictures[0][1].shape == (360, 640, 3)
    assert numbers(pictures)[0] == 35
    assert "RESOLUTION=640x360" in stream.multivariant_playlist()


def test_after_a_pause_the_stream_goes_on_with_a_break_and_no_number_comes_twice(
    camera: Camera, stream: HlsStream, clock: HandClock
) -> None:
    camera.give(100)
    before = stream.media_playlist()
    assert stream.fresh
    clock.seconds += 20
    assert not stream.fresh
    assert stream.media_playlist() == before
    camera.at, camera.number = 0.0, 120
    camera.give(61)
    text = stream.media_playlist()
    assert text.count("#EXT-X-DISCONTINUITY\n") == 2
    assert text.count("#EXT-X-MAP") == 1
    listed = [int(name[:-4]) for _, name in segments(text)]
    assert listed == list(range(listed[0], listed[0] + len(listed)))
    assert int(value(before, "MEDIA-SEQUENCE")) == listed[0]
    times = [at for at, _ in decoded(io.BytesIO(whole(stream)))]
    assert all(0 < step < 1.5 for step in np.diff(times))


def test_numbers_grow_over_a_restart(clip: Clip, clock: HandClock) -> None:
    first = HlsStream(clock)
    Camera(clock, first, clip).give(200)
    clock.seconds += 4
    second = HlsStream(clock)
    Camera(clock, second, clip).give(100)
    for tag in ("MEDIA-SEQUENCE", "DISCONTINUITY-SEQUENCE"):
        assert int(value(first.media_playlist(), tag)) < int(value(second.media_playlist(), tag))
    assert first.newest < second.newest
    # hls.js keeps lists as long as this number.
    assert int(value(second.media_playlist(), "DISCONTINUITY-SEQUENCE")) < 100_000


def sizes(stream: HlsStream) -> tuple[int, int]:
    """Bytes and segments that are kept."""
    segmenter = stream._segmenter
    kept = [*segmenter.expired, *segmenter.segments]
    return sum(each.size for each in kept), len(kept)


def test_only_the_newest_seconds_are_kept(camera: Camera, stream: HlsStream, clip: Clip) -> None:
    def used(seconds: int) -> Iterator[tuple[int, int]]:
        for _ in range(seconds):
            camera.give(30)
            stream.media_playlist()
            yield sizes(stream)

    stream.admit("tv")
    assert max(count for _, count in used(60)) <= 10
    assert sizes(stream)[0] < 10 * sum(len(unit) for units in clip.units for unit in units) / 3
    assert len(stream._segmenter.init_segments) == 1
    stream.discard(keep=True)
    assert sizes(stream)[1] == 4
    stream.discard(keep=False)
    assert sizes(stream) == (0, 0)
    assert not stream._segmenter.init_segments


def test_large_pictures_are_kept_for_a_shorter_time(
    camera: Camera, stream: HlsStream, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = sum(len(unit) for units in clip.units for unit in units) // 4
    monkeypatch.setattr("pipeline.outputs.hls.segmenter._MAX_STREAM_BYTES", 4 * second)
    for _ in range(20):
        camera.give(30)
        stream.media_playlist()
    assert sizes(stream)[1] <= 6


def test_a_keyframe_that_cannot_be_read_is_left_out_until_the_next(camera: Camera, stream: HlsStream) -> None:
    camera.give(95)
    before = stream.newest
    damaged = Packet("door", "h264", START + b"\x67\xff" + START + b"\x65\xff", True, 3.2, 3.2, 0, 0, 0)
    stream.put(damaged)
    camera.number = 120
    camera.give(61)
    assert stream.newest > before
    assert numbers(decoded(io.BytesIO(whole(stream))))[-1] == 29 + 30


def test_who_asks_is_counted_until_he_has_been_gone_for_a_while(stream: HlsStream, clock: HandClock) -> None:
    assert stream.players == 0
    assert stream.admit("tv")
    assert stream.admit("phone")
    assert not stream.admit("third", full=True)
    assert stream.admit("tv", full=True)
    assert stream.players == 2
    clock.seconds += 13
    assert stream.players == 0
    assert stream.admit("third")
    assert stream.players == 1
