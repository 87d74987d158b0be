"""The whole run: every frame accounted for, every failure ends it in time with its own error, nothing left behind."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import pipeline
from pipeline.config.root import Config
from pipeline.errors import OutputError, SourceError, StageStuckError
from pipeline.infer.backends.openvino.detector import OpenvinoDetector, load
from pipeline.outputs.dispatch import OutputWorker
from pipeline.outputs.protocols import Output, View
from pipeline.runtime.runtime import Runtime
from tests.support.wait import HANG_S, until

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of H.264 whose grey tells the frame's number."""
    path = tmp_path_factory.mktemp("clips") / "grey.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 30, options={"preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(60):
            frame = av.VideoFrame.from_ndarray(np.full((240, 320, 3), number * 4, np.uint8), format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module", autouse=True)
def quick(quick_model: Path) -> None:
    """Has every run here use a detector that costs nothing."""
    MODEL.update(name=str(quick_model))


MODEL: dict[str, Any] = {"download": False}


def config(cameras: dict[str, Any], *outputs: dict[str, Any], **sections: Any) -> Config:
    return Config.model_validate({"cameras": cameras, "outputs": list(outputs), "model": MODEL, **sections})


def camera(source: object, **capture: Any) -> dict[str, Any]:
    return {"source": str(source), "capture": capture}


class Recorder(Output):
    """An output of the test's own: slow, failing or stuck as told."""

    name = "recorder"

    def __init__(self, wait: Callable[[], object] = lambda: None, fails_at: int = -1) -> None:
        self.wait, self.fails_at = wait, fails_at
        self.seen: list[tuple[str, int]] = []
        self.closed = 0

    def show(self, view: View) -> bool:
        if len(self.seen) == self.fails_at:
            raise OutputError("recorder: disk full")
        frame = view.result.frame
        self.seen.append((frame.camera, frame.seq))
        self.wait()
        return True

    def close(self) -> None:
        self.closed += 1


def run_with(runtime: Runtime, output: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run with an output that is not in the configuration."""
    monkeypatch.setattr("pipeline.runtime.outputs.open_output", lambda *settings: output)
    runtime.run()


def test_files_lose_no_frame_however_slow_the_output(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(config({"a": camera(clip), "b": camera(clip)}, {"events": {"path": "-"}}))
    recorder = Recorder(lambda: time.sleep(0.005))
    run_with(runtime, recorder, monkeypatch)
    for name in "ab":
        assert [seq for each, seq in recorder.seen if each == name] == list(range(60))
        counted = runtime.summary()["cameras"][name]
        assert (counted["captured"], counted["inferred"], counted["shown"]) == (60, 60, 60)
        assert counted["dropped"] == {}
        assert counted["in_flight"] == 0
    assert recorder.closed >= 1


def test_a_slow_output_costs_a_live_camera_frames_but_not_the_count_nor_the_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = Runtime(config({"demo": camera("demo")}, {"events": {"path": "-"}}))
    figures = runtime.stats.cameras["demo"].figures

    def wait() -> None:
        """Take four times as long as the detector for a picture, whatever that takes."""
        if len(recorder.seen) >= 8:
            runtime.stop()
            return
        before = figures().inferred
        assert until(lambda: figures().inferred >= before + 4), "the detector waits for the output"

    recorder = Recorder(wait)
    run_with(runtime, recorder, monkeypatch)
    counted = runtime.summary()["cameras"]["demo"]
    assert counted["captured"] == counted["inferred"] + sum(counted["dropped"].values())
    assert counted["inferred"] >= 4 * 7
    sequence = [seq for _, seq in recorder.seen]
    assert sequence == sorted(set(sequence))
    assert runtime.summary()["outputs"]["recorder"]["skipped"] > 0


def test_a_failing_output_ends_nothing_and_its_loss_is_told_at_the_end(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Runtime(config({"a": camera(clip)}, {"events": {"path": "-"}}, stop_timeout=HANG_S))
    with pytest.raises(OutputError, match=r"^recorder: \d+ pictures or lines were lost: recorder: disk full$"):
        run_with(runtime, Recorder(fails_at=10), monkeypatch)
    counted = runtime.summary()["cameras"]["a"]
    assert counted["captured"] == counted["inferred"] + sum(counted["dropped"].values())
    assert counted["captured"] > 10


def test_an_output_that_will_not_end_is_named(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(config({"a": camera(clip)}, {"events": {"path": "-"}}, stop_timeout=0.5))
    over = threading.Event()

    def stuck() -> None:
        runtime.stop()
        over.wait()

    try:
        with pytest.raises(StageStuckError, match=r"still running 0.5 s after the end: output-recorder"):
            run_with(runtime, Recorder(stuck), monkeypatch)
    finally:
        over.set()


def test_a_damaged_file_ends_the_run_with_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(os.urandom(5000))
    with pytest.raises(SourceError) as failed:
        Runtime(config({"a": camera(broken)})).run()
    assert "broken.mp4" in str(failed.value)
    assert "\n" not in str(failed.value)


def test_a_file_without_a_picture_costs_the_others_nothing_and_is_told(
    clip: Path, tmp_path: Path, notices: list[str]
) -> None:
    broken, empty = tmp_path / "broken.mp4", tmp_path / "empty.h264"
    broken.write_bytes(os.urandom(5000))
    empty.write_bytes(b"\0\0\0\1\x67" + bytes(2000))
    video = {"video": {"path": str(tmp_path / "{camera}.out.mp4")}}
    runtime = Runtime(config({"good": camera(clip), "broken": camera(broken), "empty": camera(empty)}, video))
    runtime.run()
    counted = runtime.summary()["cameras"]
    assert counted["good"]["inferred"] == counted["good"]["captured"] > 0
    assert len([line for line in notices if str(broken) in line]) == 1
    assert len([line for line in notices if str(empty) in line]) == 1
    assert [path.name for path in tmp_path.glob("*.out.mp4")] == ["good.out.mp4"]


def test_a_dead_camera_does_not_stop_the_others() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    runtime = Runtime(config({"dead": camera(f"rtsp://127.0.0.1:{port}/x"), "demo": camera("demo")}))
    dead, demo = (runtime.stats.cameras[name].figures for name in ("dead", "demo"))
    run = threading.Thread(target=runtime.run)
    run.start()
    try:
        assert until(lambda: dead().state.value in ("offline", "retrying"))
        before = demo().inferred
        assert until(lambda: demo().inferred > before + 10)
        assert dead().state.value in ("offline", "retrying", "connecting")
    finally:
        runtime.stop()
        run.join(HANG_S)
    assert not run.is_alive()
    assert runtime.summary()["cameras"]["dead"]["captured"] == 0


def test_frames_ends_the_run_after_that_many_results_of_each_camera() -> None:
    runtime = Runtime(config({"a": camera("demo"), "b": camera("demo")}), frames=5)
    runtime.run()
    for counted in runtime.summary()["cameras"].values():
        assert counted["inferred"] >= 5
        assert counted["captured"] == counted["inferred"] + sum(counted["dropped"].values())


def test_iterating_in_python_ends_cleanly_when_the_caller_breaks_off_or_fails(clip: Path) -> None:
    with pipeline.open(config({"a": camera(clip)})) as results:
        assert [result.frame.seq for result in itertools.islice(results, 3)] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError), pipeline.open(config({"a": camera(clip)})) as results:
        next(iter(results)).frame.seq // 0


def test_boxes_are_back_on_the_next_device_when_one_fails_in_the_midst(
    monkeypatch: pytest.MonkeyPatch, notices: list[str]
) -> None:
    loaded: list[OpenvinoDetector] = []
    starts = itertools.count()
    lost = threading.Event()

    class Lost:
        """A request of a real detector whose device is lost after some pictures."""

        def __init__(self, request: Any) -> None:
            self.request = request

        def __getattr__(self, name: str) -> Any:
            return getattr(self.request, name)

        def start_async(self) -> None:
            if next(starts) > 3:
                lost.set()
            self.request.start_async()

        def wait_for(self, milliseconds: int) -> bool:
            if lost.is_set():
                raise RuntimeError("device lost")
            return bool(self.request.wait_for(milliseconds))

    def failing(*arguments: Any) -> OpenvinoDetector:
        detector = load(*arguments)
        loaded.append(detector)
        if len(loaded) == 1:
            make = detector.request
            monkeypatch.setattr(detector, "request", lambda: Lost(make()))
        return detector

    monkeypatch.setattr("pipeline.infer.backends.openvino.detector.load", failing)
    seen = []
    with pipeline.open(config({"a": camera("demo")})) as results:
        for result in results:
            seen.append(result.detected)
            if seen[-2:] == [False, True]:
                break
        people = results.summary()["cameras"]["a"]
    assert seen[0]
    assert len(loaded) == 2
    assert people["passed"] >= 1
    assert any("device lost; pictures of cameras go on without detection meanwhile" in line for line in notices)


def test_every_picture_is_shown_though_the_detector_is_slow_and_only_its_answers_are_events(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    screen: list[Any] = []

    class Screen(Recorder):
        every_picture = True

        def show(self, view: View) -> bool:
            screen.append(view.result)
            return True

    class Slow:
        """A request that takes a fifth of a second, for which no device can be had everywhere."""

        def __init__(self, request: Any) -> None:
            self.request = request

        def __getattr__(self, name: str) -> Any:
            return getattr(self.request, name)

        def wait_for(self, milliseconds: int) -> bool:
            time.sleep(0.2)
            while not self.request.wait_for(10_000):
                pass
            return True

    make = OpenvinoDetector.request
    monkeypatch.setattr(OpenvinoDetector, "request", lambda self: Slow(make(self)))
    events = tmp_path / "events.jsonl"
    settings = config({"a": {"source": "demo", "detect": {"show": "live"}}}, {"events": {"path": str(events)}})
    runtime = Runtime(settings)
    worker = OutputWorker(Screen(), runtime.stats)
    runtime.start(settings.outputs, worker)
    reading = threading.Thread(target=worker.run)
    reading.start()
    until(lambda: runtime.stats.cameras["a"].figures().carried > 20)
    runtime.stop()
    runtime.finish()
    reading.join(HANG_S)
    counted = runtime.summary()["cameras"]["a"]
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    answered = [line["seq"] for line in lines if "detections" in line]
    seqs = [result.frame.seq for result in screen]
    assert seqs == sorted(set(seqs))
    assert len(seqs) > 2 * len(answered)
    assert all(result.carried_s is not None for result in screen if result.detected)
    assert not any("carried_ms" in line for line in lines)
    assert len(answered) == counted["inferred"]
    seen = counted["inferred"] + counted["carried"] + counted["passed"]
    assert counted["captured"] == seen + sum(counted["dropped"].values()) + counted["in_flight"]


def test_iterating_in_python_raises_what_a_stage_raised(tmp_path: Path) -> None:
    with pytest.raises(SourceError), pipeline.open(config({"a": camera(tmp_path / "none.mp4")})) as results:
        list(results)


def test_a_window_in_python_iteration_is_refused_in_one_line() -> None:
    with pytest.raises(OutputError, match="a window needs the main thread"):
        pipeline.open(config({"demo": camera("demo")}, {"window": {}}))


def test_the_port_of_the_automatic_page_may_be_taken(monkeypatch: pytest.MonkeyPatch, notices: list[str]) -> None:
    monkeypatch.setattr("pipeline.runtime.outputs.display_available", lambda: False)
    settings = Config.model_validate({"cameras": {"demo": {"source": "demo"}}, "model": MODEL})
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8080))
            taken.listen()
        except OSError:
            pass
        runtime = Runtime(settings, frames=2)
        runtime.run()
    address = next(line for line in notices if "http://" in line)
    assert ":8080" not in address


COMMAND = [sys.executable, str(ROOT / "run.py"), "--set", "model.download=false", "--no-window", "--no-web"]


def start(*arguments: str) -> subprocess.Popen[str]:
    """The program, to which no limit of time but that of the end matters."""
    command = [*COMMAND, "-m", MODEL["name"], "--set", f"stop_timeout={HANG_S:g}", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[str]) -> None:
    there = until(lambda: process.poll() is not None or (path.exists() and path.read_text().count("\n") >= count))
    assert there, f"{path} has not got {count} lines"
    assert process.poll() is None, process.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_the_program_in_time_with_playable_files(
    tmp_path: Path, clip: Path, number: int, code: int
) -> None:
    video, events = tmp_path / "boxed.mp4", tmp_path / "events.jsonl"
    # Of a file, unlike of a camera, no output misses a picture.
    process = start("-i", str(clip), "--loop", "-o", str(video), "--events", str(events))
    wait_for_lines(events, 60, process)
    process.send_signal(number)
    sent = time.monotonic()
    _, errors = process.communicate(timeout=2 * HANG_S)
    assert time.monotonic() - sent < HANG_S
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 20


def test_a_second_ctrl_c_ends_the_program_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        events = tmp_path / "events.jsonl"
        process = start(*silent(mute), "-i", "demo", "--events", str(events))
        wait_for_lines(events, 5, process)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        process.communicate(timeout=2 * HANG_S)
        assert time.monotonic() - sent < HANG_S
        assert process.returncode == 130


def test_ctrl_c_ends_in_time_while_a_camera_never_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        events = tmp_path / "events.jsonl"
        process = start(*silent(mute), "-i", "demo", "--events", str(events))
        wait_for_lines(events, 5, process)
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        _, errors = process.communicate(timeout=2 * HANG_S)
        assert time.monotonic() - sent < HANG_S
        assert process.returncode == 130, errors


def silent(mute: socket.socket) -> tuple[str, ...]:
    """Options for a camera that takes the connection and is waited for."""
    patience = f"capture.open_timeout={2 * HANG_S:g}"
    return "--set", patience, "-i", f"rtsp://127.0.0.1:{mute.getsockname()[1]}/mute"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_ends_the_program_with_its_exit_code() -> None:
    process = start("--events", "/dev/full", "--frames", "20")
    _, errors = process.communicate(timeout=HANG_S)
    assert process.returncode == 5, errors
    assert "Traceback" not in errors
    *_, last = errors.splitlines()
    assert re.fullmatch(r"events: \d+ pictures or lines were lost: cannot write /dev/full: the disk is full; .*", last)


def test_a_camera_that_never_answers_alone_ends_with_the_code_of_a_source() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    process = start("-i", f"rtsp://me:hunter2@127.0.0.1:{port}/live", "--duration", "1")
    output, errors = process.communicate(timeout=HANG_S)
    assert process.returncode == 3, errors
    assert "hunter2" not in output + errors


def test_without_any_model_at_hand_the_strict_name_ends_with_one_line(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "LOOKOUT_MODELS"}
    environment["XDG_CACHE_HOME"] = str(tmp_path)
    done = subprocess.run(
        [*COMMAND, "-m", "person-detection-0202"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=HANG_S,
    )
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1, done.stderr
    assert "person-detection-0202" in done.stderr


def test_run_from_another_folder_works(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    done = subprocess.run([*COMMAND, "--frames", "1"], capture_output=True, text=True, cwd=tmp_path, timeout=HANG_S)
    assert done.returncode == 0, done.stderr
