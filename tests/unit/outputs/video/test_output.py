from __future__ import annotations

import contextlib
import itertools
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.capture.decode.pictures import ArrayPicture
from pipeline.draw.primitives import colour
from pipeline.errors import ConfigError, OutputError
from pipeline.media.timestamps import PictureTimeline
from pipeline.outputs.video.output import VideoOutput
from pipeline.outputs.video.settings import Video
from pipeline.stats.registry import Stats
from tests.support.outputs import context
from tests.support.scenes import HandClock, Scene, share

ROOT = Path(__file__).parents[4]


def opened(
    path: Path, *cameras: str, overlay: bool = True, bitrate: int = 0, scene: Scene | None = None
) -> VideoOutput:
    settings = Video(path=str(path), overlay=overlay, bitrate=bitrate)
    stats = Stats(list(cameras or ("door",))) if scene is None else scene.stats
    output = VideoOutput(settings, context(stats))
    output.open()
    return output


def decoded(path: Path) -> tuple[list[float], list[np.ndarray], list[float]]:
    """Times, pictures and times of the keyframes; decoding every frame is the proof that the file plays."""
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.video[0]))
    times = [float(frame.time or 0.0) for frame in frames]
    keys = [float(frame.time or 0.0) for frame in frames if frame.key_frame]
    return times, [frame.to_ndarray(format="bgr24") for frame in frames], keys


def record(output: VideoOutput, scene: Scene, count: int, fps: float = 20, width: int = 320, height: int = 180) -> None:
    for _ in range(count):
        output.show(scene.view(scene.result(width, height)))
        scene.clock.seconds += 1 / fps


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_file_holds_every_picture_with_its_overlay_at_its_time(scene: Scene, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "deep" / f"{{camera}}{suffix}"
    output = opened(path)
    record(output, scene, 50)
    output.close()
    output.close()
    file = tmp_path / "deep" / f"door{suffix}"
    times, pictures, keys = decoded(file)
    assert times == pytest.approx([index / 20 for index in range(50)], abs=0.0015)
    assert keys == pytest.approx([0.0, 1.0, 2.0], abs=0.0015)
    edge = pictures[-1][60:150, 80:81]
    assert share(edge, colour("person"), 60) > 0.7
    with av.open(str(file)) as container:
        assert float(container.duration or 0) / av.time_base == pytest.approx(2.5, abs=0.06)


def test_the_overlay_can_be_left_out(scene: Scene, tmp_path: Path) -> None:
    output = opened(tmp_path / "plain.mp4", overlay=False)
    record(output, scene, 3)
    output.close()
    assert share(decoded(tmp_path / "plain.mp4")[1][-1], (70, 70, 70), 6) == 1
    assert scene.drawn == 0


def test_times_of_a_camera_are_those_of_capture_and_of_a_file_its_own(clock: HandClock, tmp_path: Path) -> None:
    for live, expected in ((True, [0.0, 0.5, 0.75]), (False, [0.0, 0.04, 0.08])):
        scene = Scene(clock, live=live)
        output = opened(tmp_path / f"{live}.mp4")
        for pause, pts in ((0.5, 7.0), (0.25, 7.04), (0.1, 7.08)):
            output.show(scene.view(scene.result(pts=pts)))
            clock.seconds += pause
        output.close()
        assert decoded(tmp_path / f"{live}.mp4")[0] == pytest.approx(expected, abs=0.001)


def test_times_never_stand_still_or_go_back() -> None:
    timeline = PictureTimeline()
    given = [5.0, 5.04, 5.08, 5.08, 5.081, 0.0, 0.04, 0.04, 9.0]
    ticks = [timeline.ticks(each) for each in given]
    assert ticks[0] == 0
    assert all(after > before for before, after in itertools.pairwise(ticks))
    assert ticks[6] - ticks[5] == 3600
    assert ticks[-1] - ticks[6] > 8.9 * 90_000


def test_odd_sizes_lose_their_last_row_and_column(scene: Scene, tmp_path: Path) -> None:
    output = opened(tmp_path / "odd.mp4")
    record(output, scene, 3, width=321, height=181)
    output.close()
    assert decoded(tmp_path / "odd.mp4")[1][0].shape == (180, 320, 3)


def test_a_change_of_size_starts_a_new_file(scene: Scene, tmp_path: Path) -> None:
    output = opened(tmp_path / "v.mp4")
    record(output, scene, 4)
    record(output, scene, 5, width=640, height=360)
    record(output, scene, 6)
    output.close()
    names = ["v.mp4", "v.2.mp4", "v.3.mp4"]
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(names)
    found = [decoded(tmp_path / name) for name in names]
    assert [len(times) for times, _, _ in found] == [4, 5, 6]
    assert [pictures[0].shape[1] for _, pictures, _ in found] == [320, 640, 320]


def test_each_camera_has_its_own_file(clock: HandClock, tmp_path: Path) -> None:
    door, yard = Scene(clock, "door"), Scene(clock, "yard")
    output = opened(tmp_path / "{camera}.mkv", "door", "yard")
    record(output, door, 2)
    record(output, yard, 3)
    output.close()
    assert [len(decoded(tmp_path / f"{name}.mkv")[0]) for name in ("door", "yard")] == [2, 3]


def test_one_file_for_several_cameras_is_a_mistake_in_the_configuration() -> None:
    with pytest.raises(ConfigError) as caught:
        VideoOutput(Video(path="out.mp4"), context(Stats(["door", "yard"])))
    expected = "outputs.video.path: must contain {camera} because there are 2 cameras, got 'out.mp4'"
    assert str(caught.value) == expected


def test_an_unknown_kind_of_file_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        VideoOutput(Video(path="out.avi"), context(Stats(["door"])))
    assert str(caught.value) == "outputs.video.path: must end in .mp4 or .mkv, got 'out.avi'"


def test_a_place_that_cannot_be_written_is_said_at_opening(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as caught:
        opened(tmp_path / "file" / "v.mp4")
    assert str(caught.value) == f"cannot write {tmp_path}/file/v.mp4: part of it is not a folder; choose another place"


def test_a_bit_rate_can_be_asked_for(scene: Scene, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (180, 320, 3), np.uint8)
    sizes = []
    for bitrate in (200_000, 2_000_000):
        output = opened(tmp_path / f"{bitrate}.mp4", bitrate=bitrate, overlay=False)
        for shift in range(40):
            result = scene.result(320, 180)
            frame = replace(result.frame, picture=ArrayPicture(np.roll(noise, shift, 1)))
            output.show(scene.view(replace(result, frame=frame)))
            scene.clock.seconds += 0.05
        output.close()
        sizes.append((tmp_path / f"{bitrate}.mp4").stat().st_size)
    assert sizes[1] > 2 * sizes[0]


RECORDING = f"""
import os, resource, sys
sys.path[:0] = [{str(ROOT)!r}]
from tests.support.scenes import HandClock, Scene
from pipeline.errors import OutputError
from pipeline.outputs.video.output import VideoOutput
from pipeline.outputs.video.settings import Video
from pipeline.stats.registry import Stats
from tests.support.outputs import context
path, limit = sys.argv[1], int(sys.argv[2])
scene = Scene(HandClock())
output = VideoOutput(Video(path=path), context(scene.stats))
output.open()
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
def show(count):
    for index in range(count):
        output.show(scene.view(scene.result(320, 180, shade=40 + index % 150)))
        scene.clock.seconds += 0.05
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    while not scene.stats.told().get("video"):
        show(1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    show(20 * 20)
    said = next(iter(scene.stats.told()["video"].values()))
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    scene.clock.seconds += 20
    show(40)
    output.close()
    numbers = scene.stats.outputs["video"].summary()
    print(numbers["shown"], numbers["lost"], said, sep="\\n")
    sys.exit()
show(95)
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
def test_a_killed_recording_plays_up_to_its_last_second(tmp_path: Path, name: str) -> None:
    ended = subprocess.run([sys.executable, "-c", RECORDING, tmp_path / name, "0"], check=False)
    assert ended.returncode == -signal.SIGKILL
    times, _, _ = decoded(tmp_path / name)
    assert 94 / 20 - 1 <= times[-1] <= 94 / 20
    assert len(times) == round(times[-1] * 20) + 1


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
def test_a_film_goes_on_in_a_new_file_after_a_full_disk(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    ended = subprocess.run(
        [sys.executable, "-c", RECORDING, str(path), "30000"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    _, lost, said = ended.stdout.splitlines()
    assert said.endswith("the file has reached the size limit; choose another place")
    assert int(lost) > 0
    files = sorted(tmp_path.iterdir(), key=lambda each: (len(each.name), each.name))
    assert [each.name for each in files] == [name, f"v.2{path.suffix}"]
    with av.open(str(path)) as container:
        packets = sum(bool(packet.size) for packet in container.demux(video=0))
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        played = 0
        with contextlib.suppress(av.error.InvalidDataError):
            for _ in frames:
                played += 1
    assert packets - 1 <= played <= packets
    assert played > 50
    assert len(decoded(files[1])[0]) == 40
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("away", ["renamed", "deleted", "its folder deleted"])
def test_a_film_that_is_taken_away_goes_on_in_a_new_file(scene: Scene, tmp_path: Path, away: str) -> None:
    path = tmp_path / "films" / "v.mp4"
    output = opened(path, scene=scene)
    record(output, scene, 25)
    if away == "renamed":
        path.rename(path.with_name("kept.mp4"))
    elif away == "deleted":
        path.unlink()
    else:
        shutil.rmtree(path.parent)
    record(output, scene, 40)
    output.close()
    assert scene.stats.told()["video"] == {}
    assert len(decoded(path)[0]) >= 40
    if away == "renamed":
        assert len(decoded(path.with_name("kept.mp4"))[0]) >= 25


def test_an_encoder_that_fails_stops_neither_the_output_nor_another_camera(
    clock: HandClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stats = Stats(["door", "yard"], clock)
    door, yard = Scene(clock, "door", stats), Scene(clock, "yard", stats)
    output = VideoOutput(Video(path=str(tmp_path / "{camera}.mp4")), context(stats))
    output.open()
    record(output, door, 2)
    # A picture of one pixel is none that H.264 has a size for.
    assert not output.show(door.view(door.result(1, 1)))
    record(output, yard, 3)
    clock.seconds += 10
    record(output, door, 4)
    output.close()
    assert len(decoded(tmp_path / "yard.mp4")[0]) == 3
    assert [len(decoded(tmp_path / name)[0]) for name in ("door.mp4", "door.2.mp4")] == [2, 4]
    assert stats.outputs["video"].summary()["lost"] == 1


def test_a_number_that_is_taken_is_left_out(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "v.2.mp4").write_bytes(b"of somebody")
    output = opened(tmp_path / "v.mp4")
    record(output, scene, 2)
    record(output, scene, 3, width=640, height=360)
    output.close()
    assert (tmp_path / "v.2.mp4").read_bytes() == b"of somebody"
    assert [len(decoded(tmp_path / name)[0]) for name in ("v.mp4", "v.3.mp4")] == [2, 3]


def test_a_run_without_pictures_leaves_no_file_and_costs_none(tmp_path: Path) -> None:
    (tmp_path / "old.mp4").write_bytes(b"older film")
    for name in ("new.mp4", "old.mp4"):
        opened(tmp_path / name).close()
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("old.mp4", b"older film")]


def test_a_second_run_is_told_who_writes_the_film_and_harms_nothing(scene: Scene, tmp_path: Path) -> None:
    first = opened(tmp_path / "v.mp4")
    record(first, scene, 30)
    (tmp_path / "link.mp4").symlink_to("v.mp4")
    for name in ("v.mp4", "link.mp4"):
        with pytest.raises(OutputError, match="another output of this run writes it"):
            opened(tmp_path / name)
    record(first, scene, 10)
    first.close()
    assert len(decoded(tmp_path / "v.mp4")[0]) == 40


@pytest.mark.parametrize("name", ["12:30 door.mp4", "100%d.mkv", "~door.mp4", "-door.mp4", "a[1]*?.mp4", "\xe4.mp4"])
def test_any_name_is_a_name(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (name, f"file:{name}"):
        output = VideoOutput(Video(path=path), context(scene.stats))
        output.open()
        record(output, scene, 3)
        output.close()
        assert [each.name for each in tmp_path.iterdir()] == [name]
        assert len(decoded(tmp_path / name)[0]) == 3
