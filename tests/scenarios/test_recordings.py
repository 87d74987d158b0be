"""Recordings and streams of a whole run: a real camera, a real detector, and what is left of both afterwards."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import av
import cv2
import numpy as np
import pytest

import pipeline
import pipeline.runtime.runtime
from pipeline.config.root import Config
from pipeline.draw.primitives import colour
from pipeline.errors import OutputError
from pipeline.frames import Image
from pipeline.outputs.record.sidecar import RecordedBoxes, lines
from tests.scenarios.test_secrets import PASSWORD, leaks
from tests.support.clips import Clip, encode, number_in, street, write_file
from tests.support.models import rows_model, write_ir
from tests.support.servers.rtsp import RtspServer
from tests.support.servers.sink import RtspSink
from tests.support.wait import HANG_S, until

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a small model that finds the same two things in every picture."""
    return str(write_ir(rows_model(), tmp_path_factory.mktemp("model") / "two.xml"))


@pytest.fixture(scope="module")
def clip() -> Clip:
    """Three seconds of the street, a keyframe every half second."""
    return encode(street(90, 320, 180), 30, 15)


@pytest.fixture
def server(clip: Clip) -> Iterator[RtspServer]:
    with RtspServer({"live": clip}) as running:
        yield running


def pictures(path: Path) -> list[Image]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in container.decode(video=0)]


def numbers(path: Path) -> list[tuple[float, int]]:
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        return [(float(frame.time or 0), number_in(frame.to_ndarray(format="bgr24"))) for frame in frames]


def test_a_camera_is_recorded_streamed_and_clipped_at_once(server: RtspServer, model: str, tmp_path: Path) -> None:
    path = str(tmp_path / "{camera}-{time}.mp4")
    with RtspSink() as sink:
        config = Config.model_validate(
            {
                "cameras": {"door": server.url("live")},
                "model": {"name": model},
                "outputs": [
                    {"record": {"path": path, "seconds": 2, "free": 0}},
                    {"stream": {"address": sink.address, "boxes": "no"}},
                ],
            }
        )
        with pipeline.open(config) as results:
            found = {}
            for result in results:
                found[result.frame.pts] = result
                if len(sink.pictures) > 30 and len(found) > 60:
                    break
            cut = results.clip("door", 1, 0.5)
            with pytest.raises(OutputError):
                results.clip("yard", 1, 0.5)
            told = results.summary()["outputs"]
    assert told["stream"]["states"] == {f"rtsp://127.0.0.1:{sink.port}/door": "live"}
    assert "states" not in told["record"]
    files = [each for each in sorted(tmp_path.glob("*.mp4"), key=lambda each: each.stem) if each != cut]
    assert len(files) >= 2
    shown = [number for file in files for _, number in numbers(file)]
    assert shown == [(shown[0] + index) % 90 for index in range(len(shown))]
    beside = [event for file in files for event in lines(file)]
    assert len(beside) >= len(found) - 2
    for event in beside:
        if (known := found.get(event["pts"])) is not None:
            assert event["seq"] == known.frame.seq
            boxes = [[round(each, 2) for each in one.box] for one in known.detections]
            assert [one["box"] for one in event["detections"]] == boxes
    assert len(numbers(cut)) > 30
    assert len(RecordedBoxes(cut)) > 15


def test_clips_and_snapshots_of_a_camera_that_nobody_records(server: RtspServer, model: str, tmp_path: Path) -> None:
    config = Config.model_validate(
        {"cameras": {"door": server.url("live")}, "model": {"name": model}, "outputs": [], "detect": {"threshold": 0.1}}
    )
    shown: list[int] = []
    with pipeline.open(config) as results:
        with pytest.raises(OutputError, match="door: no snapshot: no picture came yet"):
            results.snapshot("door", tmp_path / "none.jpg")
        for result in results:
            shown.append(number_in(result.frame.picture.bgr()))
            if len(shown) > 50:
                break
        cut = results.clip("door", 1, 0.5, tmp_path / "new" / "clip.mp4")
        still = results.snapshot("door", str(tmp_path / "door.png"))
        with pytest.raises(OutputError, match=r"door: no snapshot: its file must end in .jpg or .jpeg or .png, got"):
            results.snapshot("door", tmp_path / "door.gif")
    (cut_numbers,) = [[number for _, number in numbers(cut)]]
    assert cut_numbers == [(cut_numbers[0] + index) % 90 for index in range(len(cut_numbers))]
    assert shown[-1] in cut_numbers
    before = cut_numbers.index(shown[-1])
    assert 25 <= before <= 30 + 15 + 6
    assert 12 <= len(cut_numbers) - before <= 15 + 8
    image = cv2.imread(str(still))
    assert image is not None
    assert image.shape == (180, 320, 3)
    # The title covers the number; the boxes are those of the model.
    found = next(iter(result.detections))
    left, top, _, bottom = map(round, found.box)
    edge = np.abs(image[top + 30 : bottom - 10, left : left + 2].astype(int) - colour(found.label))
    assert (edge.max(axis=2) < 90).mean() > 0.8
    assert not list(tmp_path.glob("none*"))


@pytest.mark.parametrize(("encoder", "ending"), [("libx264", ".mp4"), ("libx265", ".mkv"), ("mjpeg", ".mkv")])
def test_a_file_of_any_kind_is_copied_picture_by_picture(model: str, tmp_path: Path, encoder: str, ending: str) -> None:
    options = {
        "bf": "0" if encoder == "mjpeg" else "2",
        "g": "10",
        "x265-params": "keyint=10:bframes=2:log-level=none",
        "strict": "unofficial",
    }
    source = write_file(tmp_path / "street.mkv", street(45), 30, encoder=encoder, **options)
    path = str(tmp_path / "out" / f"{{time}}{ending}")
    config = Config.model_validate(
        {
            "cameras": {"file": str(source)},
            "model": {"name": model},
            "outputs": [{"record": {"path": path, "seconds": 1, "free": 0}}],
        }
    )
    pipeline.run(config)
    files = sorted((tmp_path / "out").glob(f"*{ending}"), key=lambda each: each.stem)
    assert [number for file in files for _, number in numbers(file)] == list(range(45))
    assert sum(len(RecordedBoxes(file)) for file in files) == 45


def test_a_recording_plays_with_the_boxes_that_were_found(tmp_path: Path) -> None:
    video = write_file(tmp_path / "door.mp4", street(20), 30, bf="0")
    with open(tmp_path / "door.jsonl", "w") as file:
        for number in range(20):
            box = [10 * number, 20, 10 * number + 50, 200]
            one = {"label": "cat", "score": 0.75, "box": box}
            file.write(json.dumps({"t": number / 30, "detections": [one] if number % 2 else []}) + "\n")
        file.write('{"t": 0.7, "detec')
    command = [sys.executable, str(ROOT / "run.py"), "play", str(video), "-o", "boxed.mp4"]
    more = ["--set", "outputs.events.path=found.jsonl"]
    ended = subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "door: boxes of 20 pictures" in ended.stderr
    text = (tmp_path / "found.jsonl").read_text()
    events = [event for event in map(json.loads, text.splitlines()) if "detections" in event]
    assert [[one["box"] for one in event["detections"]] for event in events] == [
        [[10 * number, 20, 10 * number + 50, 200]] if number % 2 else [] for number in range(20)
    ]
    assert {one["label"] for event in events for one in event["detections"]} == {"cat"}
    boxed = pictures(tmp_path / "boxed.mp4")
    assert len(boxed) == 20
    edge = np.abs(boxed[11][60:160, 110:112].astype(int) - colour("cat")).max(axis=2)
    assert (edge < 70).mean() > 0.5


STATUS_EACH_SECOND = """
import sys
from pipeline.cli import status_line
from pipeline.cli.app import main

status_line._LOG_EVERY_COUNT = 1
sys.exit(main(sys.argv[1:]))
"""


def test_the_passwords_of_streams_are_told_to_nobody(server: RtspServer, model: str, tmp_path: Path) -> None:
    with RtspSink(user="me", password="other") as sink:
        login = quote(f"me:{PASSWORD}", safe=":")
        addresses = [f"rtsp://{login}@127.0.0.1:{port}/door" for port in (sink.port, 9)]
        addresses += [
            f"rtmp://{login}@127.0.0.1:9/door?key={quote(PASSWORD, safe='')}",
            f"rtsp://{login}@nosuch.invalid/door",
        ]
        lines = [f"cameras: {{door: '{server.url('live')}'}}", f"model: {model}", "outputs:"]
        lines += [f"  - stream: {{address: '{each}', boxes: no}}" for each in addresses]
        (tmp_path / "c.yaml").write_text("\n".join(lines))
        command = [sys.executable, "-c", STATUS_EACH_SECOND, "c.yaml", "-v", "--summary", "s.json"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        printed = tmp_path / "printed.txt"
        with printed.open("w") as file:
            running = subprocess.Popen(command, cwd=tmp_path, stdout=file, stderr=file, env=environment)
        try:
            assert until(lambda: len(set(re.findall(r"(\w+://\S+): offline", printed.read_text()))) == 4)
        finally:
            running.terminate()
            code = running.wait(HANG_S)
    assert code == 0, printed.read_text()
    summary = (tmp_path / "s.json").read_text()
    states = json.loads(summary)["outputs"]["stream"]["states"]
    assert len(states) == 4
    assert f"rtsp://***@127.0.0.1:{sink.port}/door: offline (unauthorized), next try in" in printed.read_text()
    assert leaks(printed.read_text() + summary) == []


def test_a_recording_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "run.py"), "play", "none.mp4"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert (ended.returncode, ended.stderr) == (3, "none.mp4: no such file\n")


def test_a_clip_of_what_is_neither_recorded_nor_kept_is_refused_with_advice() -> None:
    advice = "add an output such as record: out/{camera}-{time}.mp4"
    camera = {"source": "rtsp://camera.example/live", "capture": {"keep": 7}}
    config = Config.model_validate({"cameras": {"demo": "demo", "door": camera}, "outputs": []})
    results = pipeline.open(config)
    for name, before, path, problem in (
        ("demo", 1, None, f"demo: no clip: nothing of it is kept; {advice}"),
        ("door", 8, None, f"door: no clip: only 7 s are kept; {advice}"),
        ("door", 1, None, "door: no clip: it is not recorded: name a file for its clip"),
        ("door", 1, "clip.avi", "door: no clip: its file must end in .mp4 or .mkv, got clip.avi"),
        ("door", -1, None, "door: a clip has at most 3600 s before and 3600 s after"),
        ("yard", 1, None, "no camera is called yard; there is demo, door"),
    ):
        with pytest.raises(OutputError) as caught:
            results.clip(name, before, 0, path)
        assert str(caught.value) == problem
    assert not Path("clip.avi").exists()
