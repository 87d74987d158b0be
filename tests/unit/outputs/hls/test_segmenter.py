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
from pipeline.outputs.hls.live_stream import Broadcast
from tests.support import marked
from tests.support.airing import HEIGHT, START, WIDTH, decoded, numbers, parts, stretches, value
from tests.support.clips import Clip, encode, stamped
from tests.support.scenes import HandClock


@pytest.fixture(scope="module")
def clip() -> Clip:
    """Four seconds of numbered pictures, a keyframe each second."""
    return encode(marked.pictures(120, WIDTH, HEIGHT), 30, 30)


@pytest.fixture
def broadcast(clock: HandClock) -> Broadcast:
    return Broadcast(clock)


class Camera:
    """Gives compressed pictures on a clock that is driven by hand."""

    def __init__(self, clock: HandClock, broadcast: Broadcast, clip: Clip) -> None:
        self.clock, self.broadcast, self.clip = clock, broadcast, clip
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
            self.broadcast.put(Packet("door", "h264", data, key, self.at, self.at, now, WIDTH, HEIGHT))
            self.number += 1
            self.at += interval
            self.clock.seconds += interval


@pytest.fixture
def camera(clock: HandClock, broadcast: Broadcast, clip: Clip) -> Camera:
    return Camera(clock, broadcast, clip)


def whole(broadcast: Broadcast) -> bytes:
    """All that the playlist lists, as one file."""
    text = broadcast.live()
    head = broadcast.head(int(value(text, "MAP").split('"head-')[1].split(".")[0]))
    assert head is not None
    return head + b"".join(b"".join(broadcast.segment(int(name[:-4])) or []) for _, name in stretches(text))


def test_segments_of_a_second_and_parts_of_a_quarter_hold_every_picture_once(
    camera: Camera, broadcast: Broadcast
) -> None:
    assert broadcast.live() == broadcast.index() == ""
    broadcast.ask("tv")
    camera.give(91)
    text = broadcast.live()
    assert value(text, "TARGETDURATION") == "1"
    assert [length for length, _ in stretches(text)] == pytest.approx([1.0, 1.0, 1.0], abs=1e-4)
    target = float(value(text, "PART-INF").removeprefix("PART-TARGET="))
    assert all(length <= target for length, _, _ in parts(text))
    assert [key for _, _, key in parts(text)] == [True, False, False, False, False] * 3
    control = value(text, "SERVER-CONTROL")
    assert control == f"CAN-BLOCK-RELOAD=YES,HOLD-BACK=3,PART-HOLD-BACK={3 * target:.5f}"
    pictures = decoded(io.BytesIO(whole(broadcast)))
    assert numbers(pictures) == list(range(90))
    assert np.diff([at for at, _ in pictures]) == pytest.approx([1 / 30] * 89, abs=1e-4)
    parted = [broadcast.part(*map(int, name[:-4].split("."))) for _, name, _ in parts(text)]
    assert b"".join(each or b"" for each in parted) == whole(broadcast)[len(broadcast.head(_head(text)) or b"") :]


def _head(text: str) -> int:
    return int(value(text, "MAP").split('"head-')[1].split(".")[0])


def test_the_index_names_codec_and_size(camera: Camera, broadcast: Broadcast) -> None:
    camera.give(91)
    stream = value(broadcast.index(), "STREAM-INF")
    assert f'CODECS="avc1.{camera.clip.sps[1:4].hex().upper()}",RESOLUTION={WIDTH}x{HEIGHT}' in stream
    rate = 8 * len(whole(broadcast)) / 3
    mean = int(stream.split("AVERAGE-BANDWIDTH=")[1].split(",")[0])
    assert rate * 0.9 < mean < rate * 1.1
    assert broadcast.index().splitlines()[-1] == "live.m3u8"


def test_untouched_pictures_stay_as_they_were_and_are_cut_at_the_camera_s_keyframes(
    camera: Camera, broadcast: Broadcast
) -> None:
    camera.give(3 * 15 * 4, every=15)
    text = broadcast.live()
    # Two keyframes a second: every other one begins a segment.
    assert [length for length, _ in stretches(text)] == pytest.approx([1.0] * len(stretches(text)), abs=1e-4)
    file = whole(broadcast)
    units = [unit for unit in camera.clip.units[7] if unit[0] & 31 not in (7, 8, 9)]
    assert b"".join(len(unit).to_bytes(4, "big") + unit for unit in units) in file


def test_pictures_that_are_decoded_in_another_order_are_shown_in_theirs(broadcast: Broadcast, clock: HandClock) -> None:
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
        broadcast.put(Packet("door", "h264", data, packet.is_keyframe, pts, dts, clock.monotonic(), WIDTH, HEIGHT))
        clock.seconds += 1 / 30
    pictures = decoded(io.BytesIO(whole(broadcast)))
    assert numbers(pictures) == list(range(90))
    assert np.diff([at for at, _ in pictures]) == pytest.approx([1 / 30] * 89, abs=1e-3)


def test_a_camera_with_keyframes_each_four_seconds_gets_segments_of_four(camera: Camera, broadcast: Broadcast) -> None:
    camera.give(3 * 120 + 1, every=120)
    text = broadcast.live()
    assert value(text, "TARGETDURATION") == "4"
    assert [length for length, _ in stretches(text)] == pytest.approx([4.0] * 3, abs=1e-4)
    # Later a longer distance may not break the promise: the segment ends without a keyframe.
    camera.give(300, every=100_000)
    text = broadcast.live()
    assert value(text, "TARGETDURATION") == "4"
    assert max(round(length) for length, _ in stretches(text)) == 4
    assert "INDEPENDENT-SEGMENTS" not in text


def test_pictures_that_come_slowly_and_unevenly_keep_the_promised_lengths(camera: Camera, broadcast: Broadcast) -> None:
    intervals = itertools.cycle([0.05, 0.12, 0.03, 0.31, 0.08, 0.7, 0.04])
    every = 8
    for number, interval in zip(range(240), intervals, strict=False):
        if number == 40:
            broadcast.live()
        # Later come pauses longer than what was promised.
        camera.give(1, 2.4 if number > 40 and number % 20 == 0 else interval, every)
    text = broadcast.live()
    target = int(value(text, "TARGETDURATION"))
    assert all(round(length) <= target for length, _ in stretches(text))
    times = [at for at, _ in decoded(io.BytesIO(whole(broadcast)))]
    assert all(step > 0 for step in np.diff(times))


def test_another_size_begins_with_another_head_after_a_break(clock: HandClock, broadcast: Broadcast) -> None:
    broadcast.ask("tv")
    encoder = Encoder("door")
    for number in range(62):
        shape = (180, 320, 3) if number < 35 else (360, 640, 3)
        picture = stamped(np.full(shape, 90, np.uint8), number)
        broadcast.put(encoder.encode(picture, clock.monotonic(), clock.monotonic()))
        broadcast.live()
        clock.seconds += 0.1
    text = broadcast.live()
    assert text.count("#EXT-X-DISCONTINUITY\n") == 2
    assert text.count("#EXT-X-MAP") == 2
    after = text[text.rindex("#EXT-X-DISCONTINUITY\n") :]
    head = broadcast.head(_head(after))
    assert head is not None
    data = head + b"".join(b"".join(broadcast.segment(int(name[:-4])) or []) for _, name in stretches(after))
    pictures = decoded(io.BytesIO(data))
    assert pictures[0][1].shape == (360, 640, 3)
    assert numbers(pictures)[0] == 35
    assert "RESOLUTION=640x360" in broadcast.index()


def test_after_a_pause_the_stream_goes_on_with_a_break_and_no_number_comes_twice(
    camera: Camera, broadcast: Broadcast, clock: HandClock
) -> None:
    camera.give(100)
    before = broadcast.live()
    assert broadcast.fresh
    clock.seconds += 20
    assert not broadcast.fresh
    assert broadcast.live() == before
    camera.at, camera.number = 0.0, 120
    camera.give(61)
    text = broadcast.live()
    assert text.count("#EXT-X-DISCONTINUITY\n") == 2
    assert text.count("#EXT-X-MAP") == 1
    listed = [int(name[:-4]) for _, name in stretches(text)]
    assert listed == list(range(listed[0], listed[0] + len(listed)))
    assert int(value(before, "MEDIA-SEQUENCE")) == listed[0]
    times = [at for at, _ in decoded(io.BytesIO(whole(broadcast)))]
    assert all(0 < step < 1.5 for step in np.diff(times))


def test_numbers_grow_over_a_restart(clip: Clip, clock: HandClock) -> None:
    first = Broadcast(clock)
    Camera(clock, first, clip).give(200)
    clock.seconds += 4
    second = Broadcast(clock)
    Camera(clock, second, clip).give(100)
    for tag in ("MEDIA-SEQUENCE", "DISCONTINUITY-SEQUENCE"):
        assert int(value(first.live(), tag)) < int(value(second.live(), tag))
    assert first.newest < second.newest
    # hls.js keeps lists as long as this number.
    assert int(value(second.live(), "DISCONTINUITY-SEQUENCE")) < 100_000


def sizes(broadcast: Broadcast) -> tuple[int, int]:
    """Bytes and segments that are kept."""
    cutter = broadcast._cutter
    kept = [*cutter.former, *cutter.stretches]
    return sum(each.size for each in kept), len(kept)


def test_only_the_newest_seconds_are_kept(camera: Camera, broadcast: Broadcast, clip: Clip) -> None:
    def used(seconds: int) -> Iterator[tuple[int, int]]:
        for _ in range(seconds):
            camera.give(30)
            broadcast.live()
            yield sizes(broadcast)

    broadcast.ask("tv")
    assert max(count for _, count in used(60)) <= 10
    assert sizes(broadcast)[0] < 10 * sum(len(unit) for units in clip.units for unit in units) / 3
    assert len(broadcast._cutter.heads) == 1
    broadcast.rest(keep=True)
    assert sizes(broadcast)[1] == 4
    broadcast.rest(keep=False)
    assert sizes(broadcast) == (0, 0)
    assert not broadcast._cutter.heads


def test_large_pictures_are_kept_for_a_shorter_time(
    camera: Camera, broadcast: Broadcast, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = sum(len(unit) for units in clip.units for unit in units) // 4
    monkeypatch.setattr("pipeline.outputs.hls.segmenter._MAX_STREAM_BYTES", 4 * second)
    for _ in range(20):
        camera.give(30)
        broadcast.live()
    assert sizes(broadcast)[1] <= 6


def test_a_keyframe_that_cannot_be_read_is_left_out_until_the_next(camera: Camera, broadcast: Broadcast) -> None:
    camera.give(95)
    before = broadcast.newest
    damaged = Packet("door", "h264", START + b"\x67\xff" + START + b"\x65\xff", True, 3.2, 3.2, 0, 0, 0)
    broadcast.put(damaged)
    camera.number = 120
    camera.give(61)
    assert broadcast.newest > before
    assert numbers(decoded(io.BytesIO(whole(broadcast))))[-1] == 29 + 30


def test_who_asks_is_counted_until_he_has_been_gone_for_a_while(broadcast: Broadcast, clock: HandClock) -> None:
    assert broadcast.players == 0
    assert broadcast.ask("tv")
    assert broadcast.ask("phone")
    assert not broadcast.ask("third", full=True)
    assert broadcast.ask("tv", full=True)
    assert broadcast.players == 2
    clock.seconds += 13
    assert broadcast.players == 0
    assert broadcast.ask("third")
    assert broadcast.players == 1
