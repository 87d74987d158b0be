"""Cameras that are only watched: nothing is decoded, nothing looked for, and everybody says so."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from websockets.sync.client import connect

import pipeline
from pipeline.capture.sources.ffmpeg import FfmpegSource
from pipeline.config.root import Config
from pipeline.errors import ModelError
from pipeline.frames import Image
from pipeline.infer.backends.openvino.detector import load as real
from pipeline.runtime.runtime import Runtime
from tests.support.clips import Clip, encode, number_in, street, write_file
from tests.support.models import rows_model, write_ir
from tests.support.notices import heard
from tests.support.servers.rtsp import RtspServer
from tests.support.servers.sink import RtspSink
from tests.support.wait import HANG_S, until

MISSING = {"name": "/nowhere/model.xml"}
"""A model that would end the run if it were loaded."""


@pytest.fixture(scope="module")
def clip() -> Clip:
    """Four seconds of the street with a keyframe every other second, as many cameras have it."""
    return encode(street(120, 320, 180), 30, 60)


@pytest.fixture
def server(clip: Clip) -> Iterator[RtspServer]:
    with RtspServer({"live": clip}) as running:
        yield running


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When each packet was given to a decoder, the first pictures of connections left out."""
    times: list[float] = []
    decode = FfmpegSource._decode

    def noted(source: FfmpegSource, packet: Any) -> None:
        times.append(time.monotonic())
        decode(source, packet)

    monkeypatch.setattr(FfmpegSource, "_decode", noted)
    return times


class Run:
    """A run of a configuration with a page, in a thread of its own."""

    def __init__(self, cameras: dict[str, Any], *outputs: dict[str, Any], **sections: Any) -> None:
        settings = {"cameras": cameras, "outputs": [{"web": {"port": 0}}, *outputs], "model": MISSING, **sections}
        self._hearing = heard()
        self.runtime = Runtime(Config.model_validate(settings))
        self.thread = threading.Thread(target=self.runtime.run)

    def __enter__(self) -> Run:
        self.start()
        assert until(lambda: self.runtime.started)
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start without waiting for the model."""
        self.notices = self._hearing.__enter__()
        self.thread.start()

    def stop(self) -> None:
        """End the run."""
        self.runtime.stop()
        self.thread.join(HANG_S)
        self._hearing.__exit__(None, None, None)

    @property
    def address(self) -> str:
        return next(line for line in self.notices if line.startswith("watch on")).split()[-1]

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.address + path, timeout=HANG_S) as answer:
            return bytes(answer.read())

    def card(self, name: str) -> dict[str, Any]:
        return dict(json.loads(self.get(f"api/cameras/{name}")))

    def live(self, name: str) -> bool:
        return self.runtime.stats.cameras[name].figures().passed > 5


def idle(run: Run, decoded: list[float]) -> bool:
    """Whether ten pictures in a row pass without any being decoded, sooner or later."""

    def passed() -> int:
        return run.runtime.stats.cameras["door"].figures().passed

    def pass_by() -> bool:
        count, begun = len(decoded), passed()
        return bool(until(lambda: passed() >= begun + 10)) and len(decoded) == count

    return until(pass_by)


def opened(jpeg: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def between_keyframes(run: Run) -> list[Image]:
    """Take a snapshot long after a keyframe; none counts where the next keyframe came before the answer."""

    def passed() -> int:
        return run.runtime.stats.cameras["door"].figures().passed

    assert until(lambda: 20 < passed() % 60 < 30)
    begun = passed()
    image = opened(run.get("api/cameras/door/snapshot.jpg"))
    return [image] if passed() // 60 == begun // 60 else []


def test_a_camera_that_is_only_watched_is_never_decoded_nor_a_model_loaded(
    server: RtspServer, decoded: list[float], tmp_path: Path
) -> None:
    record = {"record": {"path": str(tmp_path / "{time}.mp4"), "free": 0}}
    events = tmp_path / "events.jsonl"
    with RtspSink() as sink:
        stream = {"stream": {"address": sink.address, "boxes": "no"}}
        outputs = ({"events": {"path": str(events)}}, record, stream)
        patience = {"read_timeout": HANG_S, "stall_timeout": HANG_S}
        camera = {"source": server.url("live"), "detect": {"enabled": False}, "capture": patience}
        with Run({"door": camera}, *outputs) as run:
            begun = time.monotonic()
            assert until(lambda: run.live("door"))
            with connect(f"{run.address.replace('http', 'ws')}live", compression=None, close_timeout=0.2) as page:
                page.send(json.dumps({"direct": ["door"]}))
                messages = [page.recv(HANG_S) for _ in range(40)]
            assert until(lambda: len(sink.pictures) > 20)
            card, metrics = run.card("door"), run.get("metrics").decode()
            since_live = time.monotonic() - begun
            ready = run.get("readyz")
        summary = run.runtime.summary()
    assert decoded == []
    assert sum(isinstance(each, bytes) for each in messages) > 30
    assert all("pts" not in json.loads(each) for each in messages if isinstance(each, str))
    assert (card["detected"], card["people"], card["state"], card["level"]) == (False, None, "live", "good")
    assert (card["width"], card["height"], card["inferred"], card["in_flight"]) == (320, 180, 0, 0)
    assert card["passed"] == card["captured"] > 30
    assert 0 < card["fps_in"] < 60
    assert 0 <= card["age_ms"] <= 1000 * since_live
    assert 'lookout_camera_detected{camera="door"} 0.0' in metrics
    assert "lookout_camera_people{" not in metrics
    assert ready == b"ready\n"
    door = summary["cameras"]["door"]
    assert (summary["model"], door["detected"], door["people"], door["inferred"]) == (None, False, None, 0)
    assert door["captured"] == door["passed"]
    (file,) = tmp_path.glob("*.mp4")
    assert not file.with_suffix(".jsonl").exists()
    with av.open(str(file)) as container:
        numbers = [number_in(each.to_ndarray(format="bgr24")) for each in container.decode(video=0)]
    assert numbers == [(numbers[0] + place) % 120 for place in range(len(numbers))]
    assert len(numbers) > 30
    assert {json.loads(line)["state"] for line in events.read_text().splitlines()} == {"connecting", "live"}


def test_pictures_are_decoded_while_somebody_needs_them_and_no_longer(server: RtspServer, decoded: list[float]) -> None:
    camera = {"source": server.url("live"), "detect": {"enabled": False}, "overlay": {"enabled": False}}
    with Run({"door": camera}) as run:
        shot = until(lambda: between_keyframes(run))
        assert 20 <= number_in(shot[0]) % 60 < 60
        assert run.card("door")["viewers"] == 0
        assert idle(run, decoded)
        count = len(decoded)
        with urllib.request.urlopen(run.address + "cameras/door/stream.mjpg", timeout=HANG_S) as stream:
            assert until(lambda: len(decoded) > count + 10)
            assert b"image/jpeg" in stream.read(2000)
        assert until(lambda: run.card("door")["viewers"] == 0)
        assert idle(run, decoded)
        count = len(decoded)
        assert run.runtime.stats.stages()["decode"].count < count + 2
        card = run.card("door")
        assert (card["level"], card["stale"], card["people"]) == ("good", False, None)


def test_detected_and_watched_cameras_share_a_run(server: RtspServer, decoded: list[float], tmp_path: Path) -> None:
    model = {"name": str(write_ir(rows_model(), tmp_path / "two.xml"))}
    cameras = {
        "door": {"source": server.url("live")},
        "yard": {"source": server.url("live"), "detect": {"enabled": False}},
    }
    with Run(cameras, {"events": {"path": str(tmp_path / "events.jsonl")}}, model=model) as run:
        assert until(lambda: run.runtime.stats.cameras["door"].figures().inferred > 20)
        assert until(lambda: run.live("yard"))
        door, yard = run.card("door"), run.card("yard")
        yard_shot = opened(run.get("api/cameras/yard/snapshot.jpg"))
    assert (door["detected"], door["people"], door["passed"]) == (True, 1, 0)
    assert (yard["detected"], yard["people"], yard["inferred"]) == (False, None, 0)
    assert yard_shot.shape == (180, 320, 3)
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert {line["camera"] for line in lines if "detections" in line} == {"door"}
    for counted in run.runtime.summary()["cameras"].values():
        total = counted["inferred"] + counted["passed"] + sum(counted["dropped"].values()) + counted["in_flight"]
        assert counted["captured"] == total


def test_a_watched_camera_does_not_wait_for_the_model_of_others(
    server: RtspServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = threading.Event()
    monkeypatch.setattr(
        "pipeline.infer.backends.openvino.detector.load",
        lambda *args, **more: there.wait(HANG_S) and real(*args, **more),
    )
    model = {"name": str(write_ir(rows_model(), tmp_path / "two.xml"))}
    camera = {"source": server.url("live"), "detect": {"enabled": False}, "overlay": {"enabled": False}}
    run = Run({"door": {"source": server.url("live")}, "yard": camera}, model=model)
    run.start()
    try:
        assert until(lambda: run.live("yard"))
        assert opened(run.get("api/cameras/yard/snapshot.jpg")).shape == (180, 320, 3)
        assert not run.runtime.started
        there.set()
        assert until(lambda: run.runtime.stats.cameras["door"].figures().inferred > 0)
    finally:
        there.set()
        run.stop()
    assert not run.thread.is_alive()


def test_a_model_is_loaded_as_soon_as_one_camera_is_detected() -> None:
    cameras = {"a": {"source": "demo", "detect": {"enabled": False}}, "b": {"source": "demo"}}
    with pytest.raises(ModelError):
        pipeline.run(Config.model_validate({"cameras": cameras, "outputs": [], "model": MISSING}))


def test_an_output_that_always_needs_pictures_has_them_decoded(tmp_path: Path, decoded: list[float]) -> None:
    source = write_file(tmp_path / "street.mp4", street(45), 30, bf="2", g="15")
    camera = {"source": str(source), "detect": {"enabled": False}, "overlay": {"enabled": False}}
    outputs = [{"video": {"path": str(tmp_path / "out.mp4")}}]
    summary = pipeline.run(Config.model_validate({"cameras": {"a": camera}, "outputs": outputs, "model": MISSING}))
    assert len(decoded) >= 45
    with av.open(str(tmp_path / "out.mp4")) as container:
        numbers = [number_in(each.to_ndarray(format="bgr24")) for each in container.decode(video=0)]
    assert numbers == list(range(45))
    counted = summary["cameras"]["a"]  # type: ignore[index]
    assert (counted["captured"], counted["passed"], counted["shown"], counted["in_flight"]) == (45, 45, 45, 0)


def test_a_file_that_is_only_recorded_is_copied_whole_without_decoding(tmp_path: Path, decoded: list[float]) -> None:
    source = write_file(tmp_path / "street.mp4", street(45), 30, bf="2", g="15")
    camera = {"source": str(source), "detect": {"enabled": False}}
    outputs = [{"record": {"path": str(tmp_path / "{time}.mkv"), "free": 0}}]
    begun = time.monotonic()
    pipeline.run(Config.model_validate({"cameras": {"a": camera}, "outputs": outputs, "model": MISSING}))
    assert time.monotonic() - begun > 1.4
    assert decoded == []
    (file,) = tmp_path.glob("*.mkv")
    with av.open(str(file)) as container:
        numbers = [number_in(each.to_ndarray(format="bgr24")) for each in container.decode(video=0)]
    assert numbers == list(range(45))


def test_iterating_gives_every_picture_and_says_that_nothing_was_looked_for(tmp_path: Path) -> None:
    source = write_file(tmp_path / "street.mp4", street(20), 30)
    camera = {"source": str(source), "detect": {"enabled": False}}
    with pipeline.open(Config.model_validate({"cameras": {"a": camera}, "model": MISSING})) as results:
        found = [(number_in(each.frame.picture.bgr()), each.detected, len(each.detections)) for each in results]
        still = cv2.imread(str(results.snapshot("a", tmp_path / "last.png")))
    assert still is not None
    assert still.shape == (360, 640, 3)
    assert found == [(number, False, 0) for number in range(20)]


def test_iterating_over_a_file_goes_as_fast_as_it_can(tmp_path: Path) -> None:
    source = write_file(tmp_path / "street.mp4", street(90), 30)
    camera = {"source": str(source), "detect": {"enabled": False}}
    with pipeline.open(Config.model_validate({"cameras": {"a": camera}, "model": MISSING})) as results:
        times = [(each.frame.captured, each.frame.pts or 0.0) for each in results]
        cut = results.clip("a", 10, 30, tmp_path / "clip.mp4")
    assert len(times) == 90
    assert times[-1][0] - times[0][0] < 0.9 * (times[-1][1] - times[0][1])
    assert cut.stat().st_size > 1000


def test_a_count_of_frames_ends_a_run_without_detection() -> None:
    camera = {"source": "demo", "detect": {"enabled": False}}
    runtime = Runtime(Config.model_validate({"cameras": {"a": camera}, "outputs": [], "model": MISSING}), frames=5)
    runtime.run()
    assert runtime.summary()["cameras"]["a"]["passed"] >= 5


def test_a_lost_camera_is_noticed_and_comes_back_without_being_decoded(
    server: RtspServer, decoded: list[float]
) -> None:
    capture = {"read_timeout": 0.6, "stall_timeout": 0.6}
    with Run({"door": {"source": server.url("live"), "detect": {"enabled": False}, "capture": capture}}) as run:
        assert until(lambda: run.live("door"))
        server.stalled = True
        assert until(lambda: run.card("door")["state"] in ("stalled", "retrying"))
        assert until(lambda: run.card("door")["level"] == "bad")
        server.stalled = False
        assert until(lambda: run.card("door")["level"] == "good")
        assert run.card("door")["reconnects"] >= 1
    assert decoded == []


def test_a_stream_with_boxes_is_decoded_while_its_server_takes_it(server: RtspServer, decoded: list[float]) -> None:
    with RtspSink() as sink:
        stream = {"stream": {"address": sink.address}}
        with Run({"door": {"source": server.url("live"), "detect": {"enabled": False}}}, stream) as run:
            assert until(lambda: len(sink.pictures) > 5)
            sink.stop()
            assert until(lambda: "offline" in str(run.runtime.stats.told()["stream"]))
            assert until(lambda: time.monotonic() - decoded[-1] > 0.15)
            assert run.card("door")["state"] == "live"
