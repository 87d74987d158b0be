"""Which recordings go when the disk fills up, whatever they are called and whatever the clock said."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import pytest

from pipeline.errors import OutputError
from pipeline.files.writing import WrittenFile
from pipeline.frames import Packet
from pipeline.media.muxer import Segment, holds_pictures
from pipeline.outputs.record.retention import RecordingStore
from tests.support.clips import encode, street, write_file

DAY = datetime(2026, 5, 4, 12, tzinfo=UTC)
Disk = Callable[[int, int], None]


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Sets how large the disk is, and what is free of it while no file of 1000 bytes lies in the folder."""
    real = shutil.disk_usage(tmp_path)

    def be(total: int, free: int) -> None:
        def usage(folder: Path) -> object:
            held = sum(each.stat().st_size for each in tmp_path.rglob("*") if each.suffix in (".mp4", ".mkv"))
            return real._replace(total=total, free=free - held)

        monkeypatch.setattr(shutil, "disk_usage", usage)

    return be


def filled(store: RecordingStore, moment: datetime, camera: str = "door") -> Path:
    """Make a recording of 1000 bytes."""
    file = store.begin(camera, moment)
    file.write(b"x" * 1000)
    file.close()
    return file.path


def test_a_disk_that_is_too_small_is_told_and_costs_nothing(tmp_path: Path, disk: Disk) -> None:
    old = tmp_path / "door-2026-01-01T10-00-00Z.mp4"
    old.write_bytes(b"x" * 1000)
    disk(40_000_000, 30_000_000)
    store = RecordingStore(str(tmp_path / "{camera}-{time}.mp4"), ("door",), 1_000_000_000)
    with pytest.raises(OutputError) as caught:
        store.open()
    assert str(caught.value) == (
        f"cannot write {tmp_path}/{{camera}}-{{time}}.mp4: record.free keeps 1000 MB of the disk free, "
        "but all of it is 40 MB; set record.free lower"
    )
    assert old.exists()


def test_nothing_is_deleted_where_all_of_it_would_not_be_enough(tmp_path: Path, disk: Disk) -> None:
    disk(10_000_000, 1_500_000)
    store = RecordingStore(str(tmp_path / "{camera}-{time}.mp4"), ("door",), 1_000_000)
    store.open()
    old = [filled(store, DAY + timedelta(hours=hour)) for hour in range(3)]
    disk(10_000_000, 900_000)
    with pytest.raises(OutputError) as caught:
        store.check([])
    assert str(caught.value).endswith(
        "less than 1 MB of the disk are free, and its recordings hold 0 MB; free some space, or set record.free lower"
    )
    assert all(each.exists() for each in old)
    disk(10_000_000, 1_001_500)
    store.check([])
    assert [each.exists() for each in old] == [False, False, True]
    store.close()


@pytest.mark.parametrize(
    "template",
    [
        "a[1]-{camera}-{time}.mp4",
        "*?{camera}-{time}.mp4",
        "{x}/{camera}/[{time}]/!{time}.mkv",
        "12:30 {camera}/%d {time}.mp4",
        "{camera}-{time}(+).mp4",
    ],
)
def test_recordings_are_found_whatever_they_are_called(tmp_path: Path, disk: Disk, template: str) -> None:
    disk(10_000_000, 1_500_000)
    store = RecordingStore(str(tmp_path / template), ("door", "yard"), 1_000_000)
    store.open()
    old = [filled(store, DAY + timedelta(hours=hour), camera) for hour in range(2) for camera in ("door", "yard")]
    disk(10_000_000, 1_003_000)
    store.check([])
    assert [each.exists() for each in old] == [False, True, True, True]
    store.close()


def test_the_oldest_go_first_although_the_clock_was_set_back(tmp_path: Path, disk: Disk) -> None:
    disk(10_000_000, 1_500_000)
    template = str(tmp_path / "{camera}-{time}.mp4")
    older = tmp_path / "door-2026-05-04T11-00-00Z.mp4"
    older.write_bytes(b"x" * 1000)
    made = [older]
    # Three runs: the clock is set back in the first, and once more, by years, before the third.
    for moments in (
        [DAY, DAY + timedelta(hours=1), DAY - timedelta(hours=3)],
        [DAY - timedelta(hours=2)],
        [DAY - timedelta(days=3000), DAY],
    ):
        store = RecordingStore(template, ("door",), 1_000_000)
        store.open()
        made += [filled(store, moment) for moment in moments]
        store.close()
    store = RecordingStore(template, ("door",), 1_000_000)
    store.open()
    for count in range(1, len(made)):
        disk(10_000_000, 1_000_000 + 1000 * (len(made) - count))
        store.check([])
        assert [each.exists() for each in made] == [False] * count + [True] * (len(made) - count)
    store.close()


def test_what_a_kill_left_without_a_picture_is_removed_at_the_next_start(tmp_path: Path) -> None:
    template = str(tmp_path / "{camera}-{time}.mp4")
    empty, header, other, whole, foreign = (
        tmp_path / f"{name}.mp4"
        for name in (
            "door-2026-05-04T11-00-00Z",
            "door-2026-05-04T11-10-00Z",
            "door-2026-05-04T11-20-00Z",
            "door-2026-05-04T11-30-00Z",
            "door",
        )
    )
    empty.write_bytes(b"")
    write_file(whole, street(5, 64, 48))
    unit = b"".join(b"\0\0\0\1" + unit for unit in encode(street(1, 64, 48), 30, 1).units[0])
    keyframe = Packet("door", "h264", unit, True, 0.0, 0.0, 0.0, 64, 48)
    segment = Segment(WrittenFile(tmp_path / "begun.mp4"), keyframe)
    segment.write(keyframe)
    shutil.copy(tmp_path / "begun.mp4", header)
    assert header.stat().st_size > 500
    segment.close()
    (tmp_path / "begun.mp4").unlink()
    header.with_suffix(".jsonl").write_text("")
    other.write_bytes(b"of somebody")
    foreign.write_bytes(b"")
    store = RecordingStore(template, ("door",), 0)
    store.open()
    store.close()
    assert {each.name for each in tmp_path.iterdir() if not each.name.startswith(".")} == {
        other.name,
        whole.name,
        foreign.name,
    }


def test_what_is_played_at_the_moment_is_not_deleted(tmp_path: Path, disk: Disk) -> None:
    disk(10_000_000, 1_500_000)
    played = tmp_path / "door-2026-05-04T11-00-00Z.mp4"
    played.write_bytes(b"x" * 1000)
    store = RecordingStore(str(tmp_path / "{camera}-{time}.mp4"), ("door",), 1_000_000, lambda path: path == played)
    store.open()
    mine = filled(store, DAY)
    disk(10_000_000, 1_001_000)
    store.check([])
    assert (played.exists(), mine.exists()) == (True, False)
    store.close()


def test_a_second_run_is_told_and_another_camera_is_let_in(tmp_path: Path) -> None:
    template = str(tmp_path / "{camera}-{time}.mp4")
    first = RecordingStore(template, ("door",), 0)
    first.open()
    with pytest.raises(OutputError) as caught:
        RecordingStore(template, ("yard", "door"), 0).open()
    assert str(caught.value) == (
        f"cannot write {tmp_path}/door-{{time}}.mp4: another output of this run writes it; "
        "end that or choose another place"
    )
    other = RecordingStore(template, ("yard",), 0)
    other.open()
    first.close()
    again = RecordingStore(template, ("door",), 0)
    again.open()
    for each in (again, other):
        each.close()
    assert [each.name for each in tmp_path.iterdir() if each.suffix == ".mp4"] == []


def test_a_disk_without_locks_is_used_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(95, os.strerror(95))

    monkeypatch.setattr(fcntl, "flock", refuse)
    store = RecordingStore(str(tmp_path / "{time}.mp4"), ("door",), 0)
    store.open()
    assert filled(store, DAY).exists()
    store.close()


def test_what_cannot_be_read_at_the_moment_is_not_taken_for_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = write_file(tmp_path / "film.mp4", street(5, 64, 48))
    (tmp_path / "none.mp4").write_bytes(b"")
    assert (holds_pictures(film), holds_pictures(tmp_path / "none.mp4")) == (True, False)

    def refuse(name: str) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(av, "open", refuse)
    assert holds_pictures(film)
