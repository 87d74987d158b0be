"""Recordings: the camera's own pictures with boxes beside, playable after a kill, harmless to all else."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import pytest

from pipeline.clock import Clock
from pipeline.draw.primitives import colour
from pipeline.errors import ConfigError, OutputError
from pipeline.files.writing import WrittenFile
from pipeline.frames import AS_CODED, Packet
from pipeline.media.muxer import Remuxer, Segment
from pipeline.outputs.clips.service import Clips
from pipeline.outputs.record import footage as clip_module
from pipeline.outputs.record.footage import RecordedClip, RecordingFile
from pipeline.outputs.record.output import RecordOutput
from pipeline.outputs.record.retention import RecordingStore
from pipeline.outputs.record.settings import Record
from pipeline.outputs.record.sidecar import RecordedBoxes
from pipeline.stats.registry import Stats
from tests.support.clips import Clip, encode, number_in
from tests.support.clock import ManualClock
from tests.support.marked import pictures
from tests.support.outputs import context
from tests.support.scenes import Scene, share
from tests.support.wait import HANG_S, until

START = b"\0\0\0\1"
Start = Callable[[str, Callable[[], None]], None]


@pytest.fixture(scope="module")
def clip() -> Clip:
    """Three seconds of numbered pictures, a keyframe every half second."""
    return encode(pictures(90, 320, 180), 30, 15)


def packets(clip: Clip, count: int, camera: str = "door") -> Iterator[Packet]:
    for number in range(count):
        data = b"".join(START + unit for unit in clip.units[number % len(clip.units)])
        at = 7.0 + number / 30
        key = number % 15 == 0
        yield Packet(camera, "h264", data, key, at, at, time.monotonic(), 320, 180)


def recording(
    start: Start, path: Path, cameras: tuple[str, ...] = ("door",), clock: Clock | None = None, **more: object
) -> RecordOutput:
    settings = Record.model_validate({"path": str(path), "free": 0, **more})
    packets = frozenset(name for name in cameras if name != "drawn")
    output = RecordOutput(settings, context(Stats(list(cameras), clock), start, packet_cameras=packets))
    output.open()
    return output


def written(output: RecordOutput) -> bool:
    """Whether the writer has nothing left to do."""
    return not output._backlog._items and output._busy_since is None


class Awaited(ManualClock):
    """A clock whose waits last until `meanwhile` is done, whatever time it takes."""

    def __init__(self, meanwhile: Callable[[float], object]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self._meanwhile(seconds)
        return event.is_set()


def videos(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.mp4"), key=lambda path: path.stem)


def played(path: Path) -> list[tuple[float, int]]:
    """Times and numbers of all pictures; decoding each is the proof that the file plays."""
    with av.open(f"file:{path}") as container:
        return [
            (float(frame.time or 0), number_in(frame.to_ndarray(format="bgr24"))) for frame in container.decode(video=0)
        ]


def test_packets_become_segments_that_lose_no_picture(crew: Start, clip: Clip, tmp_path: Path) -> None:
    output = recording(crew, tmp_path / "deep" / "{camera}-{time}.mp4", seconds=1)
    assert output.takes_packets
    for packet in packets(clip, 90):
        output.packet(packet)
    output.close()
    folder = tmp_path / "deep"
    assert until(lambda: not [each for each in threading.enumerate() if each.name == "record-write"])
    found = [played(path) for path in videos(folder)]
    assert [number for file in found for _, number in file] == list(range(90))
    assert [time for time, _ in found[1]] == pytest.approx([index / 30 for index in range(30)], abs=0.001)
    assert all(path.name.startswith("door-20") and "Z" in path.stem for path in videos(folder))


def test_segments_can_have_a_size(crew: Start, clip: Clip, tmp_path: Path) -> None:
    output = recording(crew, tmp_path / "{time}.mp4", megabytes=1)
    assert output.takes_packets
    padding = START + b"\x0c" + b"\xff" * 20_000
    for packet in packets(clip, 90):
        big = replace(packet, data=packet.data + padding)
        output.packet(big)
    output.close()
    assert until(lambda: len(videos(tmp_path)) == 2)
    assert until(lambda: sum(len(played(path)) for path in videos(tmp_path)) == 90)


def test_boxes_stand_beside_at_the_time_of_their_picture(crew: Start, clip: Clip, scene: Scene, tmp_path: Path) -> None:
    output = recording(crew, tmp_path / "{camera}-{time}.mp4", seconds=1)
    assert output.takes_packets
    sent = list(packets(clip, 60))
    for packet in sent:
        output.packet(packet)
    for index, packet in enumerate(sent):
        # Detections come late, after the next file has begun.
        output.show(scene.view(scene.result(320, 180, boxes=[(index, 10, index + 20, 60)], pts=packet.pts)))
    output.show(scene.view(scene.result(pts=99.0)))
    output.close()
    assert until(lambda: not [each for each in threading.enumerate() if each.name == "record-write"])
    for video in videos(tmp_path):
        found = RecordedBoxes(video)
        assert len(found) == 30
        for at, number in played(video):
            (person,) = found.at(at)
            assert person.box == (number, 10, number + 20, 60)
            assert person.label == "person"
    first = json.loads(videos(tmp_path)[0].with_suffix(".jsonl").read_text().splitlines()[0])
    assert set(first) == {"t", "camera", "seq", "pts", "captured", "size", "detections"}


def test_boxes_can_be_burnt_in(crew: Start, scene: Scene, tmp_path: Path) -> None:
    output = recording(crew, tmp_path / "{camera}-{time}.mp4", boxes="burnt")
    assert not output.takes_packets
    for _ in range(20):
        output.show(scene.view(scene.result(320, 180)))
        scene.clock.seconds += 0.05
    output.close()
    assert until(lambda: not [each for each in threading.enumerate() if each.name == "record-write"])
    (video,) = videos(tmp_path)
    with av.open(str(video)) as container:
        pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert len(pictures) == 20
    assert share(pictures[-1][60:150, 80:81], colour("person"), 60) > 0.7
    assert list(tmp_path.glob("*.jsonl")) == []


def test_a_drawn_camera_is_encoded_with_its_boxes_beside(crew: Start, tmp_path: Path, clock: object) -> None:
    scene = Scene(clock, "drawn")
    output = recording(crew, tmp_path / "{camera}-{time}.mp4", ("drawn",))
    for _ in range(10):
        output.show(scene.view(scene.result(320, 180)))
        scene.clock.seconds += 0.05
    output.close()
    assert until(lambda: not [each for each in threading.enumerate() if each.name == "record-write"])
    (video,) = videos(tmp_path)
    assert len(played(video)) == len(RecordedBoxes(video)) == 10
    assert scene.drawn == 0


def test_a_camera_that_comes_back_with_another_clock_goes_on_in_the_same_file(
    crew: Start, clip: Clip, tmp_path: Path
) -> None:
    output = recording(crew, tmp_path / "{time}.mp4")
    assert output.takes_packets
    for round_, shift in enumerate((0.0, -5.0, 4000.0)):
        for number, packet in enumerate(packets(clip, 30)):
            stamp = None if packet.pts is None or (round_ == 1 and packet.key) else packet.pts + shift
            output.packet(replace(packet, pts=stamp, dts=stamp, captured=round_ + number / 30))
    output.close()
    assert until(lambda: not [each for each in threading.enumerate() if each.name == "record-write"])
    (video,) = videos(tmp_path)
    times = [at for at, _ in played(video)]
    assert len(times) == 90
    assert times == pytest.approx([index / 30 for index in range(90)], abs=0.08)


def test_a_clip_has_what_came_after_the_camera_was_away(crew: Start, clip: Clip, tmp_path: Path) -> None:
    clock = Awaited(lambda seconds: until(lambda: written(output)))
    output = recording(crew, tmp_path / "{time}.mp4", clock=clock)
    assert output.takes_packets
    now = clock.monotonic()
    # Both times the camera counts from 0, as after every connection.
    for began, count in ((now - 21, 30), (now - 1, 75)):
        for number, packet in enumerate(packets(clip, count)):
            output.packet(replace(packet, captured=began + number / 30))
    clips = Clips({}, clock)
    clips.recordings = output
    path = clips.cut("door", 5, 0, None)
    output.close()
    assert [number for _, number in played(path)][:30] == list(range(30))


def test_what_the_configuration_must_say_is_said(crew: Start) -> None:
    for path, rule in (
        ("{camera}.mp4", "must contain {time} in the file's name, got '{camera}.mp4'"),
        ("{time}.mp4", "must contain {camera} because there are 2 cameras, got '{time}.mp4'"),
        ("{camera}-{time}.avi", "must end in .mp4 or .mkv, got '{camera}-{time}.avi'"),
    ):
        with pytest.raises(ConfigError) as caught:
            recording(crew, Path(path), ("door", "yard"))
        assert str(caught.value) == f"outputs.record.path: {rule}"


def test_a_place_that_cannot_be_written_is_said_at_opening(crew: Start, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as caught:
        recording(crew, tmp_path / "file" / "{camera}-{time}.mp4")
    expected = f"cannot write {tmp_path}/file/door-{{time}}.mp4: part of it is not a folder; choose another place"
    assert str(caught.value) == expected


def test_a_damaged_keyframe_is_not_the_start_of_a_file(crew: Start, clip: Clip, tmp_path: Path) -> None:
    output = recording(crew, tmp_path / "{time}.mp4")
    assert output.takes_packets
    for packet in packets(clip, 60):
        damaged = packet.pts is not None and packet.pts < 7.4
        output.packet(replace(packet, data=b"\0\0\0\1" + b"\xff" * 40) if damaged else packet)
    output.close()
    assert until(lambda: not [each for each in threading.enumerate() if each.name == "record-write"])
    (video,) = videos(tmp_path)
    assert [number for _, number in played(video)] == list(range(15, 60))
    assert output._stats.told()["record"] == {}


def test_only_the_newest_files_are_remembered(
    crew: Start, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.outputs.record import output as record

    monkeypatch.setattr(record, "_MAX_FILE_COUNT", 2)
    output = recording(crew, tmp_path / "{time}.mp4", seconds=1)
    assert output.takes_packets
    for packet in packets(clip, 150):
        output.packet(packet)
    output.close()
    assert until(lambda: not [each for each in threading.enumerate() if each.name == "record-write"])
    assert len(videos(tmp_path)) == 5
    assert [take.path for take in output._tracks["door"].files] == sorted(videos(tmp_path), key=lambda path: path.stem)[
        -2:
    ]


def test_the_pauses_between_tries_grow_and_begin_anew_after_a_success(
    crew: Start, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, real = threading.Event(), Segment.write

    def write(segment: Segment, packet: Packet) -> float:
        if broken.is_set():
            raise OutputError("the disk is full")
        return real(segment, packet)

    monkeypatch.setattr(Segment, "write", write)
    clock = ManualClock()
    output = recording(crew, tmp_path / "{time}.mp4", clock=clock)
    assert output.takes_packets
    coming = packets(clip, 3000)

    def send() -> None:
        for _ in range(15):
            output.packet(replace(next(coming), captured=clock.monotonic()))

    def failure() -> float:
        """Give a group of pictures to a broken disk and return for how many seconds nothing is tried after it."""
        clock.advance(100)
        broken.set()
        send()
        assert until(lambda: output._tracks["door"].retry.pause)
        return output._tracks["door"].retry.pause

    pauses = [failure() for _ in range(3)]
    assert until(lambda: written(output))
    broken.clear()
    clock.advance(100)
    send()
    assert until(lambda: not output._stats.told()["record"])
    assert until(lambda: written(output))
    pauses.append(failure())
    output.close()
    assert pauses == [pytest.approx(pause, rel=0.2) for pause in (0.25, 0.5, 1.0, 0.25)]


def test_what_cannot_be_copied_is_told(crew: Start, tmp_path: Path) -> None:
    output = recording(crew, tmp_path / "{time}.mp4")
    assert output.takes_packets
    output.packet(Packet("door", "vp9", b"x", True, 0.0, 0.0, 0.0, 320, 180))
    assert until(lambda: bool(output._stats.told()["record"]))
    assert output._stats.told()["record"] == {"door": "vp9 cannot be copied; set boxes: burnt"}
    output.close()


def test_the_oldest_recordings_go_and_nothing_else(
    crew: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.outputs.record import retention as store

    old = [tmp_path / f"door-2026-01-0{day}T10-00-00Z.mp4" for day in (1, 2, 3)]
    foreign = [tmp_path / name for name in ("door-2026.mp4", "yard-2026-01-01T10-00-00Z.mp4", "notes.txt")]
    for path in (*old, *foreign, old[0].with_suffix(".jsonl")):
        path.write_bytes(b"x" * 1000)
    made = store.RecordingStore(str(tmp_path / "{camera}-{time}.mp4"), ("door",), 1_000_000)
    made.open()
    free = shutil.disk_usage(tmp_path)

    def usage(folder: Path) -> object:
        there = sum(path.exists() for path in old)
        return free._replace(free=1_000_500 - 1000 * there + 1000)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    made.check([])
    assert [path.exists() for path in old] == [False, False, True]
    assert not old[0].with_suffix(".jsonl").exists()
    assert all(path.exists() for path in foreign)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: free._replace(free=0))
    with pytest.raises(OutputError) as caught:
        made.check([old[2]])
    expected = f"cannot write {tmp_path}/{{camera}}-{{time}}.mp4: less than 1 MB of the disk are free; free some space"
    assert str(caught.value) == expected
    assert old[2].exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("this user may not make a file system of 20 MB")
    yield folder
    subprocess.run(["umount", "-l", folder], check=False, capture_output=True)


def test_a_full_disk_stops_only_the_recording_and_heals(crew: Start, clip: Clip, small_disk: Path) -> None:
    (small_disk / "other").write_bytes(b"x" * 18_000_000)
    output = recording(crew, small_disk / "{time}.mp4", seconds=1)
    assert output.takes_packets
    padding = START + b"\x0c" + b"\xff" * 40_000

    def send(count: int) -> None:
        for packet in packets(clip, count):
            output.packet(replace(packet, data=packet.data + padding))
        assert until(lambda: written(output))

    send(120)
    (state,) = output._stats.told()["record"].values()
    assert state.endswith("the disk is full; free some space or choose another place")
    (small_disk / "other").unlink()
    before = set(videos(small_disk))
    assert until(lambda: send(15) or not output._stats.told()["record"])
    send(30)
    output.close()
    assert until(lambda: not [each for each in threading.enumerate() if each.name == "record-write"])
    healed = [path for path in videos(small_disk) if path not in before]
    assert sum(len(played(path)) for path in healed) > 10


def test_a_disk_that_is_taken_away_is_told(crew: Start, clip: Clip, small_disk: Path) -> None:
    output = recording(crew, small_disk / "{time}.mp4", seconds=1)
    assert output.takes_packets
    for packet in packets(clip, 30):
        output.packet(packet)
    assert until(lambda: bool(videos(small_disk)))
    subprocess.run(["umount", "-l", small_disk], check=True)
    assert until(lambda: bool(output._stats.told()["record"]))
    (state,) = output._stats.told()["record"].values()
    assert state == f"cannot write {small_disk}/{{time}}.mp4: the disk is gone; connect it again"
    for packet in packets(clip, 30):
        output.packet(packet)
    output.close()
    assert list(small_disk.iterdir()) == []


def test_a_clip_holds_the_seconds_around_now_with_their_boxes(
    crew: Start, clip: Clip, scene: Scene, tmp_path: Path
) -> None:
    sent: list[Packet] = []
    coming = packets(clip, 600)

    def give(seconds: float) -> None:
        """Pictures of so many seconds, with boxes; the writer is waited for."""
        for _ in range(round(seconds * 30)):
            clock.advance(1 / 30)
            sent.append(replace(next(coming), captured=clock.monotonic()))
            output.packet(sent[-1])
            number = (len(sent) - 1) % 90
            result = scene.result(320, 180, boxes=[(number, 10, number + 20, 60)], pts=sent[-1].pts)
            output.show(scene.view(result))
            # A file begins at the time when its first picture is written.
            assert until(lambda: written(output))

    clock = Awaited(give)
    output = recording(crew, tmp_path / "{camera}-{time}.mp4", clock=clock, seconds=1)
    assert output.takes_packets
    give(2.7)
    asked = len(sent)
    clips = Clips({}, clock)
    clips.recordings = output
    path = clips.cut("door", 1.51, 0.51, None)
    output.close()
    assert path.parent == tmp_path
    assert path.stem.endswith("-clip")
    shown = played(path)
    numbers = [number for _, number in shown]
    first = asked - 46
    assert numbers == [number % 90 for number in range(first - first % 15, asked + 15)]
    found = RecordedBoxes(path)
    assert [found.at(at)[0].box[0] for at, number in shown[2:40]] == numbers[2:40]


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_clip_reads_only_its_own_part_of_a_recording(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, whole: bool
) -> None:
    path, began, date = tmp_path / f"long{ending}", 500.0, datetime(2026, 3, 1, tzinfo=UTC)
    first, *others = packets(clip, 3600)
    segment = Segment(WrittenFile(path), first)
    for packet in (first, *others):
        segment.write(packet)
    if whole:
        segment.close()
    read: list[object] = []
    real = clip_module._seconds
    monkeypatch.setattr(clip_module, "_seconds", lambda ticks, packet: read.append(packet) or real(ticks, packet))
    store = RecordingStore(str(tmp_path / "{time}.mp4"), ("door",), 0)
    span = began + 100.2, began + 102
    with Remuxer(tmp_path / "clip.mp4") as remuxer:
        RecordedClip("door", [RecordingFile(path, began, date, AS_CODED)], store, *span).write_to(remuxer)
    assert [number for _, number in played(tmp_path / "clip.mp4")] == [each % 90 for each in range(3000, 3061)]
    assert len(read) < 600
    gone = RecordedClip("door", [RecordingFile(path, began, date, AS_CODED)], store, *span)
    remuxer = Remuxer(tmp_path / "gone.mp4")
    monkeypatch.setattr(remuxer, "add", lambda piece: gone.release())
    with pytest.raises(OutputError, match="nobody waits"), remuxer:
        gone.write_to(remuxer)
    if not whole:
        segment.close()


WRITING = f"""
import sys, threading
sys.path[:0] = [{str(Path(__file__).parents[4])!r}]
from pathlib import Path
from tests.unit.outputs.record.test_output import encode, packets, pictures, recording, replace, until, written
from pipeline.concurrency.threads import ThreadGroup
clip = encode(pictures(90, 320, 180), 30, 15)
output = recording(ThreadGroup(lambda: None).start, Path(sys.argv[1]) / ("{{time}}" + sys.argv[2]), seconds=2)
for number, packet in enumerate(packets(clip, 3000)):
    output.packet(replace(packet, captured=1000 + number / 30))
    until(lambda: written(output))
    print(number, flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_a_killed_recording_plays_up_to_its_last_second(tmp_path: Path, ending: str) -> None:
    moments = random.Random(ending)
    for attempt in range(int(os.environ.get("LOOKOUT_KILLS", "1"))):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        process = subprocess.Popen([sys.executable, "-c", WRITING, folder, ending], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(moments.randrange(36, 180)):
            said = process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        last = int((said + process.stdout.read()).split()[-1])
        process.wait()
        process.stdout.close()
        *older, newest = sorted(folder.glob(f"*{ending}"), key=lambda path: path.stem)
        numbers = [number for path in older for _, number in played(path)]
        # A file that has just begun may hold nothing yet.
        with contextlib.suppress(av.error.EOFError):
            numbers += [number for _, number in played(newest)]
        assert numbers == [number % 90 for number in range(len(numbers))]
        assert len(numbers) >= last - 30


def test_a_disk_that_takes_nothing_is_told_and_delays_nobody(
    crew: Start, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.outputs.record import output as record

    monkeypatch.setattr(record, "_DISK_STALL_S", 0.2)
    hung = threading.Event()
    wrote: list[bool] = []
    # A disk that hangs cannot be had in a test; what it does to a caller is to not return.
    monkeypatch.setattr(Segment, "write", lambda *packet: wrote.append(hung.wait(HANG_S)) or 0.0)
    output = recording(crew, tmp_path / "{time}.mp4")
    assert output.takes_packets
    for packet in packets(clip, 90):
        output.packet(packet)
    # All were taken before the disk took one.
    assert not wrote
    assert until(lambda: output.poll() and bool(output._stats.told()["record"]))
    (state,) = output._stats.told()["record"].values()
    assert re.fullmatch(r"the disk has taken nothing for \d+ s", state)
    hung.set()
    assert until(lambda: output.poll() and not output._stats.told()["record"])
    output.close()


class Stepped(ManualClock):
    """A clock whose wall time can be set, and whose waits for a clip end with its word alone."""

    def __init__(self) -> None:
        super().__init__()
        self.step = timedelta(0)
        self.told: list[bool] = []

    def now(self) -> datetime:
        return super().now() + self.step

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if seconds:
            self.told.append(event.wait(HANG_S))
        return event.is_set()


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clip_is_found_whatever_is_done_to_the_wall_clock(
    crew: Start, clip: Clip, tmp_path: Path, hours: int
) -> None:
    clock = Stepped()
    output = recording(crew, tmp_path / "{camera}-{time}.mp4", clock=clock, seconds=2)
    clips = Clips({}, clock)
    clips.recordings = output
    coming = packets(clip, 900)

    def give(count: int) -> None:
        for _ in range(count):
            clock.advance(1 / 30)
            output.packet(replace(next(coming), captured=clock.monotonic()))
            assert until(lambda: written(output))

    give(75)
    clock.advance(0.01)
    clock.step = timedelta(hours=hours)
    with clips.ask("door", 1.51, 0) as asked:
        give(60)
        assert asked.arrival.event.wait(HANG_S)
        path = asked.save()
    output.close()
    assert [number for _, number in played(path)] == list(range(15, 75))


def test_a_clip_waits_for_the_writer_and_no_longer(
    crew: Start, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Stepped()
    slow, real = threading.Event(), Segment.write

    def write(segment: Segment, packet: Packet) -> float:
        if packet.captured > 1001.5:
            slow.wait(HANG_S)
        return real(segment, packet)

    monkeypatch.setattr(Segment, "write", write)
    output = recording(crew, tmp_path / "{time}.mp4", clock=clock)
    clips = Clips({}, clock)
    clips.recordings = output
    for number, packet in enumerate(packets(clip, 90)):
        output.packet(replace(packet, captured=1000 + number / 30))
    clock.advance(2.0)
    with clips.ask("door", 1.99, 0) as asked:
        # The disk is busy, however much time passes.
        clock.advance(5)
        assert not asked.arrival.event.is_set()
        slow.set()
        assert asked.arrival.event.wait(HANG_S)
        path = asked.save()
    assert [number for _, number in played(path)] == list(range(60 + 1))
    # A camera that sends nothing more: all that came is in the clip.
    with clips.ask("door", 6, 0) as asked:
        clock.advance(3)
        assert asked.arrival.event.wait(HANG_S)
        path = asked.save()
    assert [number for _, number in played(path)][-1] == 89
    output.close()
    assert until(lambda: not [each for each in threading.enumerate() if each.name == "record-write"])
    with clips.ask("door", 9, 0) as asked:
        assert asked.arrival.event.is_set()


def test_an_error_of_one_camera_leaves_the_others_recorded(
    crew: Start, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Segment.write

    def write(segment: Segment, packet: Packet) -> float:
        if packet.camera == "yard":
            raise RuntimeError("what nobody thought of")
        return real(segment, packet)

    monkeypatch.setattr(Segment, "write", write)
    output = recording(crew, tmp_path / "{camera}-{time}.mp4", ("door", "yard"), clock=ManualClock())
    for door, yard in zip(packets(clip, 60), packets(clip, 60, "yard"), strict=True):
        output.packet(door)
        output.packet(yard)
    output.close()
    assert until(lambda: not [each for each in threading.enumerate() if each.name == "record-write"])
    assert [number for path in videos(tmp_path) for _, number in played(path)] == list(range(60))
    assert output._stats.told()["record"] == {
        f"{tmp_path}/yard-{{time}}.mp4": (
            f"cannot write {tmp_path}/yard-{{time}}.mp4: unexpected RuntimeError: what nobody thought of"
        )
    }
    assert output._stats.outputs["record"].summary()["lost"] == 60


@pytest.mark.parametrize("name", ["12:30 {camera}-{time}.mp4", "100%d {time}.mkv", "~{camera}-{time}.mp4"])
def test_any_name_is_a_name(
    crew: Start, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    output = recording(crew, Path(name))
    for packet in packets(clip, 30):
        output.packet(packet)
    output.close()
    assert until(lambda: not [each for each in threading.enumerate() if each.name == "record-write"])
    (path,) = (each for each in tmp_path.iterdir() if each.suffix in (".mp4", ".mkv"))
    assert len(played(path)) == 30
