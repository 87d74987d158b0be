"""The whole run: every frame accounted for, every failure ends it in time with its own error, nothing left behind."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import pipeline
from pipeline.config import Config
from pipeline.errors import OutputError, SourceError, StageStuckError
from pipeline.render.output import View
from pipeline.runtime import Runtime

ROOT = Path(__file__).parents[1]


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


def config(cameras: dict[str, Any], *outputs: dict[str, Any], **sections: Any) -> Config:
    return Config.model_validate(
        {"cameras": cameras, "outputs": list(outputs), "model": {"download": False}, **sections}
    )


def camera(source: object, **capture: Any) -> dict[str, Any]:
    return {"source": str(source), "capture": capture}


class Recorder:
    """An output of the test's own: slow, failing or stuck as told."""

    name = "recorder"

    def __init__(self, delay: float = 0.0, fails_at: int = -1, stuck: float = 0.0) -> None:
        self.delay, self.fails_at, self.stuck = delay, fails_at, stuck
        self.seen: list[tuple[str, int]] = []
        self.closed = 0

    def open(self) -> None: ...

    def show(self, view: View) -> bool:
        if len(self.seen) == self.fails_at:
            raise OutputError("recorder: disk full")
        time.sleep(self.delay)
        frame = view.result.frame
        self.seen.append((frame.camera, frame.seq))
        time.sleep(self.stuck)
        return True

    def poll(self) -> bool:
        return True

    def close(self) -> None:
        self.closed += 1


def run_with(runtime: Runtime, output: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run with an output that is not in the configuration."""
    monkeypatch.setattr("pipeline.outputs.open_output", lambda *settings: output)
    runtime.run()


def test_files_lose_no_frame_however_slow_the_output(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(config({"a": camera(clip), "b": camera(clip)}, {"events": {"path": "-"}}))
    recorder = Recorder(delay=0.005)
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
    runtime = Runtime(config({"demo": camera("demo")}, {"events": {"path": "-"}}), duration=3.0)
    recorder = Recorder(delay=0.2)
    run_with(runtime, recorder, monkeypatch)
    counted = runtime.summary()["cameras"]["demo"]
    assert counted["captured"] == counted["inferred"] + sum(counted["dropped"].values())
    assert counted["inferred"] > 3 * len(recorder.seen)
    sequence = [seq for _, seq in recorder.seen]
    assert sequence == sorted(set(sequence))
    assert runtime.summary()["outputs"]["recorder"]["skipped"] > 0


def test_a_failing_output_ends_the_run_with_its_own_error(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(config({"a": camera(clip, loop=True)}, {"events": {"path": "-"}}))
    begun = time.monotonic()
    with pytest.raises(OutputError, match="disk full"):
        run_with(runtime, Recorder(fails_at=10), monkeypatch)
    assert time.monotonic() - begun < 12
    counted = runtime.summary()["cameras"]["a"]
    assert counted["captured"] == counted["inferred"] + sum(counted["dropped"].values())


def test_an_output_that_will_not_end_is_named(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(config({"a": camera(clip)}, {"events": {"path": "-"}}, stop_timeout=0.5), duration=2.5)
    with pytest.raises(StageStuckError, match=r"still running 0.5 s after the end: render-recorder"):
        run_with(runtime, Recorder(stuck=4.0), monkeypatch)


def test_a_damaged_file_ends_the_run_with_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(os.urandom(5000))
    with pytest.raises(SourceError) as failed:
        Runtime(config({"a": camera(broken)})).run()
    assert "broken.mp4" in str(failed.value)
    assert "\n" not in str(failed.value)


def test_a_dead_camera_does_not_stop_the_others() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    runtime = Runtime(
        config({"dead": camera(f"rtsp://127.0.0.1:{port}/x"), "demo": camera("demo")}), frames=0, duration=4.0
    )
    runtime.run()
    cameras = runtime.summary()["cameras"]
    assert cameras["demo"]["inferred"] > 10
    assert cameras["dead"]["captured"] == 0
    assert cameras["dead"]["state"] in ("offline", "retrying")


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


def test_iterating_in_python_raises_what_a_stage_raised(tmp_path: Path) -> None:
    with pytest.raises(SourceError), pipeline.open(config({"a": camera(tmp_path / "none.mp4")})) as results:
        list(results)


def test_a_window_in_python_iteration_is_refused_in_one_line() -> None:
    with pytest.raises(OutputError, match="a window needs the main thread"):
        pipeline.open(config({"demo": camera("demo")}, {"window": {}}))


def test_the_port_of_the_automatic_page_may_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.outputs.display_available", lambda: False)
    lines: list[str] = []
    settings = Config.model_validate({"cameras": {"demo": {"source": "demo"}}, "model": {"download": False}})
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8080))
            taken.listen()
        except OSError:
            pass
        runtime = Runtime(settings, frames=2, notice=lines.append, duration=10)
        runtime.run()
    address = next(line for line in lines if "http://" in line)
    assert ":8080" not in address


COMMAND = [sys.executable, str(ROOT / "run.py"), "--set", "model.download=false", "--no-window", "--no-web"]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def wait_for_lines(path: Path, count: int) -> None:
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        if path.exists() and path.read_text().count("\n") >= count:
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} has not got {count} lines")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_the_program_in_time_with_playable_files(tmp_path: Path, number: int, code: int) -> None:
    video, events = tmp_path / "boxed.mp4", tmp_path / "events.jsonl"
    process = start("-o", str(video), "--events", str(events))
    wait_for_lines(events, 40)
    process.send_signal(number)
    sent = time.monotonic()
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - sent < 6
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 20


def test_a_second_ctrl_c_ends_the_program_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        events = tmp_path / "events.jsonl"
        process = start("-i", f"rtsp://127.0.0.1:{mute.getsockname()[1]}/mute", "-i", "demo", "--events", str(events))
        wait_for_lines(events, 5)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        process.communicate(timeout=20)
        assert time.monotonic() - sent < 2
        assert process.returncode == 130


def test_ctrl_c_ends_in_time_while_a_camera_never_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        events = tmp_path / "events.jsonl"
        process = start("-i", f"rtsp://127.0.0.1:{mute.getsockname()[1]}/mute", "-i", "demo", "--events", str(events))
        wait_for_lines(events, 5)
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        _, errors = process.communicate(timeout=20)
        assert time.monotonic() - sent < 6
        assert process.returncode == 130, errors


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_ends_the_program_with_its_exit_code() -> None:
    process = start("--events", "/dev/full")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 5, errors
    assert "Traceback" not in errors


def test_a_camera_that_never_answers_alone_ends_with_the_code_of_a_source() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    process = start("-i", f"rtsp://me:hunter2@127.0.0.1:{port}/live", "--duration", "3")
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 3, errors
    assert "hunter2" not in output + errors


def test_without_any_model_at_hand_the_strict_name_ends_with_one_line(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "LOOKOUT_MODELS"}
    environment["XDG_CACHE_HOME"] = str(tmp_path)
    done = subprocess.run(
        [*COMMAND, "-m", "person-detection-0202"], capture_output=True, text=True, cwd=ROOT, env=environment, timeout=60
    )
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1, done.stderr
    assert "person-detection-0202" in done.stderr


def test_run_from_another_folder_works(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    done = subprocess.run([*COMMAND, "--frames", "1"], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr
