from __future__ import annotations

import json
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import redaction
from pipeline.errors import OutputError, OutputGoneError
from pipeline.frames import Timing
from pipeline.outputs.events.jsonl import EventsOutput
from pipeline.outputs.events.settings import Events
from pipeline.stats.camera import State
from pipeline.stats.registry import Stats
from tests.support.outputs import context
from tests.support.scenes import HandClock, Scene
from tests.support.wait import HANG_S


def opened(scene: Scene, path: Path | str, empty: bool = True) -> EventsOutput:
    output = EventsOutput(Events(path=str(path), empty=empty), context(scene.stats))
    output.open()
    return output


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_frame_is_one_exact_line(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "events.jsonl"
    output = opened(scene, path)
    timing = Timing(0.002, 0.001, 0.0005, 0.02, 0.0)
    result = replace(scene.result(640, 360, [(1.5, 2.25, 30, 40)], pts=1.25), timing=timing)
    assert output.show(scene.view(result))
    output.close()
    assert path.read_text().splitlines()[-1] == (
        '{"camera":"door","seq":0,"pts":1.25,"captured":"2026-05-04T12:30:15.210Z","size":[640,360],'
        '"timings_ms":{"decode":2.0,"wait":1.0,"prepare":0.5,"infer":20.0,"parse":0.0,"total":40.0},'
        '"detections":[{"label":"person","score":0.9,"box":[1.5,2.25,30.0,40.0]}]}'
    )


def test_every_change_of_state_is_a_line_in_order_however_quickly_they_follow(scene: Scene, tmp_path: Path) -> None:
    output = opened(scene, tmp_path / "e.jsonl")
    scene.camera.changed(State.OFFLINE, "refused", 0.5)
    scene.clock.seconds += 1
    scene.camera.changed(State.OFFLINE, "refused", 1.0)
    scene.camera.changed(State.LIVE)
    assert output.poll()
    output.show(scene.view())
    scene.camera.changed(State.ENDED)
    output.close()
    output.close()
    written = lines(tmp_path / "e.jsonl")
    assert [(each.get("state"), each.get("reason"), each.get("at")) for each in written] == [
        ("connecting", "", "2026-05-04T12:30:15.250Z"),
        ("live", "", "2026-05-04T12:30:15.250Z"),
        ("offline", "refused", "2026-05-04T12:30:15.250Z"),
        ("live", "", "2026-05-04T12:30:16.250Z"),
        (None, None, None),
        ("ended", "", "2026-05-04T12:30:16.250Z"),
    ]
    assert "last_good" not in written[0]
    assert "next_try" not in written[1]
    assert written[2]["next_try"] == "2026-05-04T12:30:15.750Z"


def test_a_loss_says_when_the_last_good_picture_came(scene: Scene, tmp_path: Path) -> None:
    output = opened(scene, tmp_path / "e.jsonl")
    scene.camera.captured()
    scene.clock.seconds += 3
    scene.camera.captured(good=False)
    scene.camera.changed(State.STALLED, "timed out", 0.5)
    output.close()
    assert lines(tmp_path / "e.jsonl")[-1] == {
        "camera": "door",
        "state": "stalled",
        "reason": "timed out",
        "at": "2026-05-04T12:30:18.250Z",
        "last_good": "2026-05-04T12:30:15.250Z",
        "next_try": "2026-05-04T12:30:18.750Z",
    }


def test_frames_without_detections_can_be_left_out(scene: Scene, tmp_path: Path) -> None:
    output = opened(scene, tmp_path / "e.jsonl", empty=False)
    assert not output.show(scene.view(scene.result(boxes=[])))
    assert output.show(scene.view())
    output.close()
    assert [each["seq"] for each in lines(tmp_path / "e.jsonl") if "seq" in each] == [1]


def test_each_camera_has_its_file_where_the_path_says_so(clock: HandClock, tmp_path: Path) -> None:
    stats = Stats(["door", "yard"], clock)
    door, yard = Scene(clock, "door", stats), Scene(clock, "yard", stats)
    own, shared = opened(door, tmp_path / "{camera}.jsonl"), opened(door, tmp_path / "all.jsonl")
    for output in (own, shared):
        output.show(door.view())
        output.show(yard.view())
        output.close()
    assert {each["camera"] for each in lines(tmp_path / "door.jsonl")} == {"door"}
    assert {each["camera"] for each in lines(tmp_path / "yard.jsonl")} == {"yard"}
    assert [each["camera"] for each in lines(tmp_path / "all.jsonl") if "seq" in each] == ["door", "yard"]


def test_a_dash_writes_to_standard_output(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    output = opened(scene, "-")
    output.show(scene.view())
    output.close()
    assert [json.loads(line)["camera"] for line in capsys.readouterr().out.splitlines()] == ["door"] * 3


def test_a_reader_of_standard_output_that_has_gone_is_gone_for_good(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    output = opened(scene, "-")
    with os.fdopen(writing, "w", closefd=False) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(OutputGoneError, match=r"^cannot write standard output: its reader has gone$"):
            output.show(scene.view())
        scene.clock.seconds += 1000
        assert not output.show(scene.view())
        output.close()
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)
    os.close(writing)


def test_a_full_disk_is_told_once_and_every_line_is_counted(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    output = opened(scene, "/dev/full")
    for _ in range(5):
        assert not output.show(scene.view())
    said = "cannot write /dev/full: the disk is full; free some space or choose another place"
    assert scene.stats.told() == {"events": {"/dev/full": said}}
    assert scene.stats.outputs["events"].summary()["lost"] == 5
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING] == [
        f"events: {said}; trying again"
    ]
    scene.clock.seconds += 1
    output.show(scene.view())
    assert len([each for each in caplog.records if each.levelno >= logging.WARNING]) == 1
    # Changes of state were kept for a time when there is room, which never came.
    output.close()
    assert scene.stats.losses() == [f"events: {5 + 1 + 2} pictures or lines were lost: {said}"]


def test_a_place_that_cannot_be_written_is_said_at_opening(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as caught:
        opened(scene, tmp_path / "file" / "e.jsonl")
    expected = f"cannot write {tmp_path}/file/e.jsonl: part of it is not a folder; choose another place"
    assert str(caught.value) == expected
    with pytest.raises(OutputError, match="it is a folder; name a file"):
        opened(scene, tmp_path)


def test_a_line_torn_by_an_earlier_kill_does_not_spoil_the_next(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text('{"camera":"do')
    output = opened(scene, path)
    output.show(scene.view())
    output.close()
    torn, *whole = path.read_text().splitlines()
    assert torn == '{"camera":"do'
    assert [json.loads(line)["camera"] for line in whole] == ["door"] * 3


def test_a_password_in_a_reason_is_masked(scene: Scene, tmp_path: Path) -> None:
    redaction.remember("rtsp://root:s3cr3t-canary@cam/1")
    output = opened(scene, tmp_path / "e.jsonl")
    scene.camera.changed(State.OFFLINE, "cannot open rtsp://root:s3cr3t-canary@cam/1")
    output.close()
    assert "canary" not in (tmp_path / "e.jsonl").read_text()


KILLED = """
import os, sys, threading
sys.path[:0] = sys.argv[2:]
from tests.support.scenes import HandClock, Scene
from pipeline.outputs.events.jsonl import EventsOutput
from pipeline.outputs.events.settings import Events
from tests.support.outputs import context
scene = Scene(HandClock())
output = EventsOutput(Events(path=sys.argv[1]), context(scene.stats))
output.open()
for _ in range(100):
    output.show(scene.view())
print("written", flush=True)
threading.Event().wait()
"""


def test_a_kill_loses_no_line_that_was_written(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    root = Path(__file__).parents[4]
    command = [sys.executable, "-c", KILLED, str(path), str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
    assert [each["seq"] for each in lines(path) if "seq" in each] == list(range(100))


@contextmanager
def limited(size: int) -> Iterator[None]:
    """Meanwhile no file of this process grows beyond so many bytes: a disk that is full, for anybody."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_lines_go_on_where_there_is_room_again_and_none_is_torn(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    output = opened(scene, path)
    with limited(300):
        assert not output.show(scene.view())
        scene.camera.changed(State.OFFLINE, "refused")
        (state,) = scene.stats.told()["events"].values()
        assert "the file has reached the size limit" in state
    scene.clock.seconds += 1
    assert output.show(scene.view())
    assert scene.stats.told()["events"] == {}
    output.close()
    parsed, torn = [], 0
    for line in path.read_text().splitlines():
        try:
            parsed.append(json.loads(line))
        except ValueError:
            torn += 1
    assert torn <= 1
    # A change of state waits for room, a frame does not.
    assert [each.get("state", each.get("seq")) for each in parsed] == ["connecting", "live", "offline", 1]


@pytest.mark.parametrize("away", ["renamed", "deleted", "its folder deleted", "emptied"])
def test_a_file_that_is_rotated_or_deleted_is_made_anew(scene: Scene, tmp_path: Path, away: str) -> None:
    path = tmp_path / "logs" / "e.jsonl"
    output = opened(scene, path)
    output.show(scene.view())
    if away == "renamed":
        path.rename(path.with_suffix(".1"))
    elif away == "deleted":
        path.unlink()
    elif away == "emptied":
        os.truncate(path, 0)
    else:
        shutil.rmtree(path.parent)
    assert output.show(scene.view())
    output.close()
    assert [each["seq"] for each in lines(path) if "seq" in each] == [1]
    if away == "renamed":
        assert [each["seq"] for each in lines(path.with_suffix(".1")) if "seq" in each] == [0]
    assert scene.stats.losses() == []


def test_a_pipe_that_nobody_reads_stops_nothing_and_goes_on_with_its_reader(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    output = opened(scene, path)
    assert not output.show(scene.view())
    assert scene.stats.told()["events"] == {str(path): f"cannot write {path}: nobody reads it"}
    for _ in range(2):
        scene.clock.seconds += 20
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        assert output.show(scene.view())
        assert scene.stats.told()["events"] == {}
        whole = os.read(reading, 65536).decode()
        assert whole.endswith("\n")
        assert [json.loads(line)["camera"] for line in whole.splitlines()]
        os.close(reading)
        assert not output.show(scene.view())
        assert "its reader has gone" in next(iter(scene.stats.told()["events"].values()))
    output.close()
    assert path.is_fifo()


def test_a_slow_reader_of_a_pipe_gets_whole_lines_and_delays_no_camera(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    output = opened(scene, path)
    shown = 0
    while output.show(scene.view()):
        shown += 1
    assert shown > 10
    assert scene.stats.told()["events"] == {str(path): f"cannot write {path}: its reader takes nothing"}
    got = os.read(reading, 1_000_000)
    scene.clock.seconds += 20
    assert output.show(scene.view())
    got += os.read(reading, 1_000_000)
    os.close(reading)
    output.close()
    seqs = [each["seq"] for each in map(json.loads, got.decode().splitlines()) if "seq" in each]
    assert seqs == [*range(shown), shown + 1]
    assert scene.stats.outputs["events"].summary()["lost"] == 1


def test_a_file_waits_for_the_reader_of_a_pipe_until_the_run_is_to_end(clock: HandClock, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    scene = Scene(clock, live=False)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    stopping = threading.Event()
    files = context(scene.stats, file_cameras=frozenset(["door"]), stopping=stopping)
    output = EventsOutput(Events(path=str(path)), files)
    output.open()
    done = threading.Event()

    def write() -> None:
        for _ in range(400):
            output.show(scene.view())
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    got = b""
    while not (done.is_set() and b'"seq":399,' in got and got.endswith(b"\n")):
        with suppress(BlockingIOError):
            got += os.read(reading, 4096)
    thread.join(HANG_S)
    assert [each["seq"] for each in map(json.loads, got.splitlines()) if "seq" in each] == list(range(400))
    assert scene.stats.losses() == []
    stopping.set()
    while output.show(scene.view()):
        pass
    output.close()
    os.close(reading)


def test_a_second_run_is_told_who_writes_the_file(scene: Scene, tmp_path: Path) -> None:
    first = opened(scene, tmp_path / "e.jsonl")
    with pytest.raises(OutputError) as caught:
        opened(scene, tmp_path / "e.jsonl")
    assert str(caught.value) == (
        f"cannot write {tmp_path}/e.jsonl: another output of this run writes it; end that or choose another place"
    )
    first.close()
    opened(scene, tmp_path / "e.jsonl").close()


@pytest.mark.parametrize("name", ["12:30 door.jsonl", "100%d.jsonl", "~door.jsonl", "-door.jsonl", "a[1]*?.jsonl"])
def test_any_name_is_a_name(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (name, f"file:{name}"):
        output = opened(scene, path)
        assert output.show(scene.view())
        output.close()
    assert [each.name for each in tmp_path.iterdir()] == [name]
