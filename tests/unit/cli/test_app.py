"""The command line as its users meet it: what it prints, what it ends with, and that it ends."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.cli import COMMANDS
from pipeline.cli.app import main
from pipeline.cli.options import overrides
from pipeline.config.cameras import Camera
from pipeline.config.load import load
from pipeline.config.root import Config, Output
from pipeline.config.sources import camera_names
from pipeline.outputs.events.settings import Events
from pipeline.outputs.video.settings import Video
from pipeline.outputs.window.settings import Window
from pipeline.web.settings import Web
from tests.support.models import rows_model, write_ir
from tests.support.wait import HANG_S, until

ROOT = Path(__file__).parents[3]
Start = Callable[..., "subprocess.Popen[str]"]
WITH_TOKEN = "outputs=[web: {port: 0, token: '${LOOKOUT_TOKEN}'}]"
TOKEN = {"LOOKOUT_TOKEN": "0123456789abcdef0123456789abcdef"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a small model that finds the same two things in every picture."""
    return str(write_ir(rows_model(), tmp_path_factory.mktemp("model") / "two.xml"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a video of 20 grey pictures; of a file, unlike of a camera, no output misses a picture."""
    path = str(tmp_path_factory.mktemp("clip") / "street.mp4")
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height = 160, 120
        for shade in range(20):
            picture = np.full((120, 160, 3), shade * 12, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `run.py` with these arguments in a folder of its own; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, str(ROOT / "run.py"), *arguments],
                cwd=tmp_path,
                env=os.environ | {"COLUMNS": "120", "DISPLAY": "", "WAYLAND_DISPLAY": ""} | environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def told(file: Path, text: str, process: subprocess.Popen[str]) -> None:
    """Wait until the process has written a text to a file."""
    until(lambda: process.poll() is not None or (file.exists() and text in file.read_text()))
    assert file.exists(), process.communicate()
    assert text in file.read_text()


def frames(text: str) -> list[dict[str, object]]:
    """The lines of an events file that are about frames."""
    return [event for event in map(json.loads, text.splitlines()) if "detections" in event]


MISTAKES = [
    (["chek", "a.yaml"], "chek: no such command or file; did you mean check?"),
    (["chekc"], "chekc: no such command or file; did you mean check?"),
    (["strete"], "strete: no such command or file; did you mean street.yaml?"),
    (["zzz"], f"zzz: no such command or file; commands: {', '.join(COMMANDS)}"),
    (["run", "stret.yaml"], "stret.yaml: no such file; did you mean street.yaml?"),
    (["check", "stret.yml"], "stret.yml: no such file; did you mean street.yaml?"),
    (["check", "folder.yaml"], "folder.yaml: is a folder, not a configuration file"),
    (["-t", "3"], "--threshold 3: detect.threshold: must be below 1, got 3"),
    (["-t", "high"], "--threshold high: detect.threshold: must be a number, got 'high'"),
    (["--web", "80:x"], "--web 80:x: outputs.0.web: must be PORT or HOST:PORT, got '80:x'"),
    (["-d", "GPU 1"], "--device GPU 1: infer.device: must be a device such as CPU, GPU.1 or AUTO:GPU,CPU, got 'GPU 1'"),
    (["-i", ""], "-i : cameras.camera.source: must be text, got nothing"),
    (
        ["--set", "capture.transport=tpc"],
        "--set capture.transport=tpc: capture.transport: must be tcp or udp, got 'tpc'; did you mean 'tcp'?",
    ),
    (["check", "street.yaml", "--set", "x"], "--set x: must be key.path=value"),
    (
        ["check", "bad.yaml"],
        "bad.yaml:2:3: detect.treshold: unknown key; did you mean 'threshold'?\n"
        "bad.yaml:3:15: stop_timeout: must be above 0, got 0",
    ),
    (["check"], "lookout: Missing argument 'CONFIG'."),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=lambda each: " ".join(each)[:40])
def test_a_mistake_is_told_in_a_line_and_ends_with_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("street.yaml").write_text("cameras: {a: demo}\n")
    Path("bad.yaml").write_text("detect:\n  treshold: 1\nstop_timeout: 0\n")
    Path("folder.yaml").mkdir()
    assert main(arguments) == 2
    assert capsys.readouterr() == ("", f"{message}\n")


def test_an_unknown_option_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--treshold", "1"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("lookout: No such option: --treshold")
    assert "--threshold" in printed.err
    assert printed.err.count("\n") == 1


def test_check_says_what_a_configuration_means(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "street.yaml"
    file.write_text("cameras: {a: demo, b: 0}\nmodel: person-detection-0200\noutputs: [web, events: x]")
    assert main(["check", str(file)]) == 0
    expected = f"{file}: good: 2 cameras, model person-detection-0200, device AUTO, web, events\n"
    assert capsys.readouterr() == (expected, "")
    file.write_text("cameras: {a: demo}")
    assert main(["check", str(file)]) == 0
    assert capsys.readouterr() == (f"{file}: good: 1 camera, model auto, device AUTO, automatic output\n", "")


def test_schema_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert set(json.loads(capsys.readouterr().out)["properties"]) == set(Config.model_fields)


def test_version_devices_and_models_print_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out.startswith("lookout ")
    assert main(["devices"]) == 0
    assert "CPU  " in capsys.readouterr().out
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    assert "person-detection-0202  512x512  FP16-INT8 FP16 FP32  person\n" in listed
    assert main(["models", "list"]) == 0
    assert capsys.readouterr().out == listed


def test_models_verify_ends_with_4_where_a_file_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOOKOUT_MODELS", str(tmp_path))
    folder = tmp_path / "person-detection-0202" / "FP16"
    folder.mkdir(parents=True)
    (folder / "person-detection-0202.xml").write_text("<net/>")
    assert main(["models", "verify"]) == 4
    printed = capsys.readouterr()
    assert f"person-detection-0202  FP16  {folder}  " in printed.out
    assert printed.err == ""


def test_an_unknown_model_ends_with_4(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "fetch", "person-detection-0203"]) == 4
    printed = capsys.readouterr()
    assert printed.err.startswith("model person-detection-0203: unknown; did you mean person-detection-0")
    assert printed.err.count("\n") == 1


def test_every_option_is_explained(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["--help"]) == 0
    commands = capsys.readouterr().out
    assert [each for each in COMMANDS if each not in commands] == []
    assert main(["run", "--help"]) == 0
    shown = capsys.readouterr().out
    options = (
        "-i -m -d -t -o --window --no-window --web --no-web --events --loop --duration --frames --summary --set -v"
    )
    assert [each for each in options.split() if each not in shown] == []


NAMES = [
    (["demo"], ["demo"]),
    (["0", "/dev/video2"], ["camera0", "video2"]),
    (["rtsp://me:pw@door.local:554/1?x=2", "rtsp://192.168.1.9/1"], ["door-local", "192-168-1-9"]),
    (["a/street.mp4", "b/street.mp4", "street.avi"], ["street", "street-2", "street-3"]),
    (["a b+c.mp4", "rtsp://[::1]:554/x", "http://"], ["a-b-c", "1", "camera"]),
    (["x" * 300 + ".mp4"], ["x" * 60]),
]


@pytest.mark.parametrize(("sources", "names"), NAMES)
def test_a_source_is_named_after_its_address(sources: list[str], names: list[str]) -> None:
    assert camera_names(sources) == names
    assert list(load(None, tuple(overrides(sources=sources))).cameras) == names


FILE = """
cameras: {a: {source: demo, detect: {threshold: 0.2, labels: [x]}, capture: {loop: false}}, b: demo}
outputs: [window: {width: 640}, web: {port: 1}]
"""
OUTPUTS: list[tuple[dict[str, object], tuple[Output, ...] | None]] = [
    ({}, (Output(window=Window(width=640)), Output(web=Web(port=1)))),
    ({"window": True}, (Output(window=Window(width=640)), Output(web=Web(port=1)))),
    ({"window": False}, (Output(web=Web(port=1)),)),
    ({"no_web": True}, (Output(window=Window(width=640)),)),
    ({"no_web": True, "window": False}, ()),
    ({"web": "localhost:2"}, (Output(window=Window(width=640)), Output(web=Web(host="localhost", port=2)))),
    (
        {"no_web": True, "window": False, "video": "a.mp4", "events": "-"},
        (Output(video=Video(path="a.mp4")), Output(events=Events(path="-"))),
    ),
]
AUTOMATIC: list[tuple[dict[str, object], tuple[Output, ...] | None]] = [
    ({}, None),
    ({"window": False}, (Output(web=Web()),)),
    ({"no_web": True}, (Output(window=Window()),)),
    ({"no_web": True, "window": False}, ()),
    ({"video": "a.mp4"}, (Output(video=Video(path="a.mp4")),)),
    ({"video": "a.mp4", "window": True}, (Output(video=Video(path="a.mp4")), Output(window=Window()))),
    ({"web": "80"}, (Output(web=Web(port=80)),)),
]


@pytest.mark.parametrize(("options", "outputs"), OUTPUTS)
def test_options_add_replace_and_remove_the_outputs_of_a_file(
    options: dict[str, object], outputs: tuple[Output, ...], tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text(FILE)
    assert load(tmp_path / "a.yaml", tuple(overrides(**options))).outputs == outputs  # type: ignore[arg-type]


@pytest.mark.parametrize(("options", "outputs"), AUTOMATIC)
def test_naming_an_output_leaves_the_automatic_one_out(
    options: dict[str, object], outputs: tuple[Output, ...] | None
) -> None:
    assert load(None, tuple(overrides(**options))).outputs == outputs  # type: ignore[arg-type]


def test_options_win_over_what_cameras_set_themselves_and_leave_the_rest(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(FILE)
    config = load(tmp_path / "a.yaml", tuple(overrides(threshold="0.9", loop=True, model="m", device="CPU")))
    assert [camera.detect.threshold for camera in config.cameras.values()] == [0.9, 0.9]
    assert [camera.capture.loop for camera in config.cameras.values()] == [True, True]
    assert config.cameras["a"].detect.labels == ("x",)
    assert (config.model.name, config.infer.device) == ("m", "CPU")
    config = load(tmp_path / "a.yaml", tuple(overrides(sources=["demo", "0"])))
    assert config.cameras == {"demo": Camera(source="demo"), "camera0": Camera(source="0")}


def test_a_run_to_its_limit_leaves_video_events_and_numbers(
    start: Start, model: str, clip: str, tmp_path: Path
) -> None:
    process = start(
        "-i", clip, "-m", model, "-o", "{camera}.mp4", "--events", "e.jsonl", "--frames", "12", "--summary", "s.json"
    )
    out, err = process.communicate(timeout=HANG_S)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert "capture to output, street" in out
    summary = json.loads((tmp_path / "s.json").read_text())
    street = summary["cameras"]["street"]
    assert street["shown"] == 12
    assert street["captured"] == street["inferred"] + sum(street["dropped"].values()) + street["in_flight"]
    assert {"captured", "inferred", "shown", "dropped", "fps", "people", "latency_ms"} <= set(street)
    assert {"cameras", "stages", "model", "device", "seconds", "peak_memory_mb"} <= set(summary)
    assert set(street["latency_ms"]) == {"count", "mean", "p50", "p95", "p99", "max"}
    assert len(frames((tmp_path / "e.jsonl").read_text())) == 12
    assert (tmp_path / "street.mp4").stat().st_size > 1000
    assert not list(tmp_path.glob(".*"))


def test_events_alone_go_to_standard_output(start: Start, model: str, clip: str) -> None:
    process = start("-i", clip, "-m", model, "--events", "-")
    out, err = process.communicate(timeout=HANG_S)
    assert process.returncode == 0, err
    assert [each["seq"] for each in frames(out)] == list(range(20))
    assert "captured" in err


def test_the_demo_runs_without_a_camera_a_file_or_a_display(start: Start, model: str) -> None:
    process = start("-m", model, "--set", WITH_TOKEN, "--frames", "5", **TOKEN)
    out, err = process.communicate(timeout=HANG_S)
    assert process.returncode == 0, err
    assert "watch on http://127.0.0.1:" in err
    assert "login" not in err, "a log is told no address that logs anybody in"
    assert out.splitlines()[1].startswith("demo ")


def test_a_terminal_is_told_an_address_that_logs_one_browser_in(model: str, tmp_path: Path) -> None:
    given = ("-m", model, "--set", WITH_TOKEN, "--summary", "s.json", "-v")
    master, slave = pty.openpty()
    with open(master, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "run.py"), *given],
            cwd=tmp_path,
            env=os.environ | {"COLUMNS": "40", "DISPLAY": "", "WAYLAND_DISPLAY": ""} | TOKEN,
            stdout=subprocess.PIPE,
            stderr=slave,
        )
        os.close(slave)
        try:
            told = b""
            while not (found := re.search(rb"minutes: http://([^/]+)/login#([a-z2-7-]{19})\r\n", told)):
                told += terminal.read(4096)
            host, code = found[1].decode(), found[2].decode()
            connection = http.client.HTTPConnection(host, timeout=HANG_S)
            connection.request("POST", "/login", f"code={code}")
            assert connection.getresponse().getheader("set-cookie", "").startswith("lookout-")
            connection.close()
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(OSError):
                while more := terminal.read(4096):
                    told += more
            out = process.communicate(timeout=HANG_S)[0]
        finally:
            process.kill()
            process.communicate()
    assert told.count(code.encode()) == 1
    assert code not in out.decode() + (tmp_path / "s.json").read_text()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0)])
def test_a_signal_ends_the_run_in_order(number: int, code: int, start: Start, model: str, tmp_path: Path) -> None:
    process = start("-m", model, "--events", "e.jsonl", "--summary", "s.json")
    told(tmp_path / "e.jsonl", "detections", process)
    process.send_signal(number)
    out, err = process.communicate(timeout=HANG_S)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert "captured" in out
    assert json.loads((tmp_path / "s.json").read_text())["cameras"]["demo"]["shown"] > 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_the_process_at_once_however_busy_the_main_thread_is(
    number: int, code: int, tmp_path: Path
) -> None:
    program = f"""
import hashlib
from pipeline.concurrency.signals import Interrupt
with Interrupt(lambda: open({str(tmp_path / "asked")!r}, "w").write("x")):
    open({str(tmp_path / "ready")!r}, "w").write("x")
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
"""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, text=True)
    try:
        told(tmp_path / "ready", "x", process)
        process.send_signal(number)
        told(tmp_path / "asked", "x", process)
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(HANG_S) == code
    finally:
        process.kill()
        process.wait()


def test_a_camera_that_never_answers_ends_with_3_and_its_password_stays_secret(
    start: Start, model: str, tmp_path: Path
) -> None:
    process = start(
        "-i",
        "rtsp://admin:hunter2@127.0.0.1:9/x",
        "-m",
        model,
        "--events",
        "e.jsonl",
        "--duration",
        "1",
        "-v",
        "--summary",
        "s.json",
    )
    out, err = process.communicate(timeout=HANG_S)
    assert process.returncode == 3, err
    assert err.splitlines()[-1].startswith("no camera gave a picture: 127-0-0-1: ")
    everything = out + err + "".join(each.read_text() for each in tmp_path.iterdir() if each.is_file())
    assert "hunter2" not in everything
    assert "admin" not in everything


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("street.mpg4", "street.mpg4: no such file"),
        ("fault:stall@9:street.mpg4", "street.mpg4: no such file"),
        ("rtsp://me:hunter2/street.mp4", None),
        (".", ".: this is a folder; name one video file in it"),
        ("empty.mp4", "empty.mp4: the file is empty"),
    ],
)
def test_a_mistyped_file_is_told_before_anything_is_begun(
    source: str,
    message: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.mp4").touch()
    code = main(["-i", "demo", "-i", source, "-m", "nosuch.xml", "-o", "{camera}.avi.mp4"])
    # Only the model is missing where the address may be of use.
    assert code == (4 if message is None else 3)
    assert message is None or capsys.readouterr() == ("", f"{message}\n")
    assert message is None or [each.name for each in tmp_path.iterdir()] == ["empty.mp4"]


def test_a_password_from_the_environment_stays_secret_in_every_error(start: Start, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "cameras:\n  a: rtsp://me:${PASSWORD}@127.0.0.1:9/x\ncapture: {transport: '${PASSWORD}'}\n"
    )
    process = start("a.yaml", "-v", PASSWORD="hunter2")
    out, err = process.communicate(timeout=HANG_S)
    assert process.returncode == 2
    assert "a.yaml:3:22: capture.transport: must be tcp or udp, got '${PASSWORD}'" in err
    assert "hunter2" not in out + err


def test_a_summary_that_cannot_be_written_is_told_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--summary", str(tmp_path / "no" / "s.json")]) == 5
    expected = f"summary {tmp_path}/no/s.json: cannot be written: No such file or directory\n"
    assert capsys.readouterr() == ("", expected)


def test_without_the_libraries_of_opencv_it_says_what_to_install(start: Start, tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    process = start(PYTHONPATH=str(tmp_path))
    out, err = process.communicate(timeout=HANG_S)
    assert (process.returncode, out) == (1, "")
    assert err == (
        "OpenCV cannot be loaded (libGL.so.1: cannot open shared object file); "
        "on Debian and Ubuntu: apt-get install libgl1 libglib2.0-0\n"
    )


def test_a_bug_is_told_in_a_line_and_with_its_place_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise KeyError("rtsp://me:hunter2@h")

    monkeypatch.setattr("pipeline.infer.backends.openvino.devices.devices", broken)
    assert main(["devices"]) == 1
    assert capsys.readouterr().err == "lookout: unexpected KeyError: 'rtsp://***@h'; -v shows where\n"
    assert main(["devices", "-v"]) == 1
    printed = capsys.readouterr().err
    assert "in broken" in printed
    assert "hunter2" not in printed


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} {ROOT / 'run.py'} schema; echo $? >&2"
    done = subprocess.run(
        ["sh", "-c", f"({command}) | head -c 1"], cwd=tmp_path, capture_output=True, text=True, timeout=HANG_S
    )
    assert (done.stdout, done.stderr) == ("{", "0\n")


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "version"], cwd=ROOT, capture_output=True, text=True, timeout=HANG_S
    )
    assert done.stdout.startswith("lookout ")


def test_a_camera_with_any_letters_has_files_of_its_name(
    model: str, clip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(f"cameras: {{Haustür: {clip}, 東門: {clip}}}\n", encoding="utf-8")
    record = "record: {path: 'r/{camera}-{time}.mp4', boxes: burnt}"
    outputs = f"outputs=[video: '{{camera}}.mp4', events: '{{camera}}.jsonl', {record}]"
    assert main(["a.yaml", "-m", model, "--set", outputs]) == 0
    assert {each.name for each in tmp_path.iterdir()} == {
        *("a.yaml", "r"),
        *(f"{name}.{kind}" for name in ("Haustür", "東門") for kind in ("mp4", "jsonl")),
    }
    assert {each.name.partition("-")[0] for each in Path("r").glob("[!.]*")} == {"Haustür", "東門"}


def test_a_file_whose_name_is_no_text_is_watched(
    model: str, clip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    odd = os.fsencode(tmp_path) + b"/caf\xe9.mp4"
    with open(odd, "wb") as file:
        file.write(Path(clip).read_bytes())
    assert main([os.fsdecode(odd), "-m", model, "--events", "e.jsonl", "--frames", "3"]) == 0
    assert len(frames(Path("e.jsonl").read_text())) == 3
