"""A camera's password appears nowhere: a canary in the address, and everything that comes out when something fails."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pipeline import redaction
from pipeline.cli.app import main
from pipeline.config.root import Config
from tests.support.clips import Clip, encode, street
from tests.support.models import rows_model, write_ir
from tests.support.servers.rtsp import RtspServer
from tests.support.wait import HANG_S, until

ROOT = Path(__file__).parents[2]
CORE = "k4n4ry"
PASSWORD = f"p@:/%#{CORE}"
"""Its core looks the same however an address spells the rest."""
LOGIN = f"cam:{PASSWORD}"
ENCODED = quote(PASSWORD, safe="")


def leaks(text: str) -> list[str]:
    """The places of a text that tell the password, plain, encoded or in base64."""
    hidden = [encode(word.encode()).decode().rstrip("=") for word in (LOGIN, PASSWORD) for encode in _BASE64]
    return [text[max(0, at.start() - 60) : at.end() + 20] for word in (CORE, *hidden) for at in re.finditer(word, text)]


_BASE64 = (base64.b64encode, base64.urlsafe_b64encode)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return encode(street(15, 320, 180), 15, 15)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_ir(rows_model(), tmp_path_factory.mktemp("model") / "two.xml"))


@pytest.fixture(scope="module")
def closed() -> int:
    """A port at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def camera(clip: Clip) -> Iterator[Callable[..., RtspServer]]:
    """Starts cameras that want the canary."""
    started: list[RtspServer] = []

    def begin(**options: Any) -> RtspServer:
        started.append(RtspServer({"live": clip}, user="cam", password=PASSWORD, **options))
        started[-1].start()
        return started[-1]

    yield begin
    for each in started:
        each.stop()


@pytest.fixture
def garbage() -> Iterator[int]:
    """A port that answers everything with what it was asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def echo() -> None:
            while True:
                try:
                    line, _ = server.accept()
                    with line:
                        line.settimeout(2)
                        line.sendall(b"what is " + line.recv(4096))
                except OSError:
                    if server.fileno() < 0:
                        return

        threading.Thread(target=echo, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_the_detector_of_leaks_finds_every_spelling() -> None:
    spellings = [PASSWORD, ENCODED, ENCODED.lower(), quote(ENCODED, safe=""), json.dumps(PASSWORD), repr(PASSWORD)]
    spellings += [encoder(word.encode()).decode() for encoder in _BASE64 for word in (LOGIN, PASSWORD)]
    assert [each for each in spellings if not leaks(f"x {each} y")] == []
    assert leaks("rtsp://***@host/live") == []


def test_cameras_that_fail_in_every_way_tell_the_password_to_nobody(
    camera: Callable[..., RtspServer], garbage: int, closed: int, model: str, tmp_path: Path
) -> None:
    good, dying, mute, silent, failing = camera(auth="basic"), camera(), camera(), camera(), camera()
    mute.mute, silent.stalled, failing.status = {"DESCRIBE"}, True, {"SETUP": "500 Internal Server Error"}
    secret = "${CANARY}"
    at = "127.0.0.1"
    addresses = {
        "good": f"rtsp://cam:{secret}@{at}:{good.port}/live",
        "raw": f"rtsp://cam:{PASSWORD}@{at}:{good.port}/live",
        "dying": f"rtsp://cam:{secret}@{at}:{dying.port}/live",
        "wrong": f"rtsp://cam:{secret}x@{at}:{good.port}/live",
        "nowhere": f"rtsp://cam:{secret}@{at}:{good.port}/other",
        "mute": f"rtsp://cam:{secret}@{at}:{mute.port}/live",
        "silent": f"rtsp://cam:{secret}@{at}:{silent.port}/live",
        "failing": f"rtsp://cam:{secret}@{at}:{failing.port}/live",
        "garbage": f"rtsp://cam:{secret}@{at}:{garbage}/live",
        "refused": f"rtsp://cam:{secret}@{at}:{closed}/live?token={CORE}",
        "unknown": f"rtsp://cam:{secret}@nosuch.invalid/live",
        "web": f"http://cam:{secret}@{at}:{garbage}/live?password={CORE}",
        "rehearsed": f"fault:disconnect@1:rtsp://cam:{secret}@{at}:{good.port}/live",
    }
    lines = [f"  {name}: {json.dumps(each)}" for name, each in addresses.items()]
    rest = ["capture: {open_timeout: 2, start_timeout: 2, stall_timeout: 1}", f"model: {model}"]
    (tmp_path / "all.yaml").write_text("\n".join(["cameras:", *lines, *rest]))
    arguments = ["all.yaml", "--web", "0", "--events", "events", "--summary", "summary", "-v"]
    environment = os.environ | {"CANARY": ENCODED, "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        run = [sys.executable, str(ROOT / "run.py"), *arguments]
        process = subprocess.Popen(run, cwd=tmp_path, env=environment, stdout=stdout, stderr=stderr)
    served = []
    try:
        page = until(lambda: re.search(r"http://\S+/", err.read_text()) or process.poll() is not None)
        assert isinstance(page, re.Match), err.read_text()

        def live() -> bool:
            return process.poll() is not None or {"good", "dying"} <= told_of(tmp_path / "events", "live")

        assert until(live)
        served += [_fetched(page[0] + each) for each in ("", "page.js", "api/cameras")]
        dying.stop()
        served.append(Path(f"/proc/{process.pid}/cmdline").read_text() if sys.platform == "linux" else "")
        assert until(
            lambda: told_of(tmp_path / "events", "") >= set(addresses) - {"good"} or process.poll() is not None
        )
        served += [_fetched(page[0] + each) for each in ("api/cameras", "api/cameras/wrong/snapshot.jpg", CORE[:3])]
        process.terminate()
        assert process.wait(HANG_S) == 0, err.read_text()
    finally:
        process.kill()
        process.wait()
    events = (tmp_path / "events").read_text()
    said = map(json.loads, events.splitlines())
    reasons = {event["camera"]: event["reason"] for event in said if event.get("reason")}
    assert set(reasons) >= set(addresses) - {"good"}, reasons
    assert reasons["wrong"] == "unauthorized"
    assert '"name":"good","state":"live"' in served[4]
    told = [out.read_text(), err.read_text(), events, (tmp_path / "summary").read_text(), *served]
    assert [leaks(each) for each in told] == [[]] * len(told)


def told_of(events: Path, state: str) -> set[str]:
    """Cameras of which the events tell this state, or any state with a reason where it is empty."""
    lines = events.read_text().splitlines(keepends=True) if events.exists() else []
    said = [json.loads(line) for line in lines if line.endswith("\n")]
    return {each["camera"] for each in said if (each.get("state") == state if state else each.get("reason"))}


def _fetched(url: str) -> str:
    """Head and body of an answer, whatever its status."""
    try:
        with urllib.request.urlopen(url, timeout=HANG_S) as answer:
            return f"{answer.headers}{answer.read().decode('latin-1')}"
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.headers}{error.read().decode('latin-1')}"


LOG_READER = """
import logging, sys
import av.logging
import pipeline
from pipeline.runtime.runtime import Runtime
logging.basicConfig(level=1, stream=sys.stdout, format="%(name)s %(message)s")
av.logging.set_level(av.logging.TRACE)
logging.getLogger("libav").setLevel(1)
config = pipeline.load(None, "cameras.door=" + sys.argv[1], "model=" + sys.argv[2], "outputs=[]")
runtime = Runtime(config, frames=int(sys.argv[3]), duration=float(sys.argv[4]))
try:
    runtime.run()
except Exception:
    logging.exception("it ended")
"""


@pytest.mark.parametrize("auth", ["basic", "digest"])
def test_the_most_talkative_logs_do_not_tell_it(camera: Callable[..., RtspServer], model: str, auth: str) -> None:
    server = camera(auth=auth)
    run = [sys.executable, "-c", LOG_READER, server.url("live"), model, "3", str(HANG_S)]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=2 * HANG_S, check=False)
    assert "Authorization: " in done.stdout, done.stdout + done.stderr
    assert "pipeline.capture.worker door: live" in done.stdout
    assert leaks(done.stdout + done.stderr) == []
    assert re.search(r'response="[0-9a-f]', done.stdout) is None


DOCTOR = [
    ("{good}/live", 0, "h264"),
    ("{good}/other", 3, "has no stream at /other"),
    ("{wrong}/live", 3, "refuses this user or password"),
    ("{closed}/live", 3, "nobody answers at port"),
    ("{garbage}/live", 3, "does not speak RTSP"),
]


@pytest.mark.parametrize("form", ["plain", "--json"])
def test_the_doctor_does_not_tell_it(
    camera: Callable[..., RtspServer],
    garbage: int,
    closed: int,
    form: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    good = camera()
    places = {"good": good.port, "wrong": good.port, "closed": closed, "garbage": garbage}
    prefixes = {name: f"rtsp://cam:{ENCODED}{'x' * (name == 'wrong')}@127.0.0.1:{at}" for name, at in places.items()}
    for pattern, code, said in DOCTOR:
        arguments = ["doctor", pattern.format(**prefixes), "--seconds", "1", *([form] if form != "plain" else []), "-v"]
        assert main(arguments) == code
        printed = capfd.readouterr()
        assert leaks(printed.out + printed.err) == []
        assert said in printed.out
        if code == 0:
            assert f"rtsp://cam:${{CAMERA_PASSWORD}}@127.0.0.1:{good.port}/live" in printed.out


URL = f"rtsp://cam:{PASSWORD}@host/live"
MISTAKES = [
    ["doctor", URL.replace("rtsp://", "rtsp:/"), "-v"],
    ["doctor", f"rtsp://cam:{ENCODED}@host:port/live"],
    ["doctor", f"fault:stal=3:{URL}"],
    ["doctor", f"fault:{URL}"],
    ["-i", f"fault:stall=3@4{URL}"],
    ["-i", URL.replace("rtsp://", "rtsp:/")],
    ["-i", f"cam:{PASSWORD}@host/live", "-v"],
    ["-i", f"rtsp://cam:{PASSWORD}", "-v"],
    ["-i", URL, "--set", f"capture.transport={URL}"],
    ["-i", URL, "--web", f"{URL}:x"],
    ["-i", URL, "-t", URL],
    ["-i", URL, "-d", URL, "-v"],
    ["-i", URL, "-m", URL, "-v"],
    ["-i", URL, "-o", URL, "-v"],
    ["-i", URL, "--summary", f"/nowhere/{URL}", "-v"],
    ["--set", f"cameras.door={URL} x: y"],
    ["--set", f"{URL}=3"],
    ["--set", f"cameras={URL}"],
    ["models", "fetch", URL, "-v"],
]
TEXTS = [
    f"cameras: {{door: {{source: '{URL}', password: {CORE}}}}}",
    f"cameras: {{'{URL}': door}}",
    f"cameras: ['{URL}']",
    f'cameras:\n  door: "{URL}\n',
    f"cameras:\n  door: {URL} : x\n",
    f"cameras: {{door: '{URL}'}}\ncapture: {{transport: '{URL}'}}",
    f"cameras: {{door: '{URL}'}}\noutputs: [{{web: '{URL}'}}]",
    "cameras: {door: 'rtsp://cam:${CANARY}@host/live'}\ncapture: {open_timeout: '${CANARY}'}",
    "cameras: {door: '${CANARY_PASSWORD}'}",
    "cameras: {door: 'rtsp://cam:${CANARY@host/live'}",
]


@pytest.mark.parametrize("arguments", MISTAKES, ids=[str(number) for number in range(len(MISTAKES))])
def test_a_mistake_in_the_options_does_not_tell_it(
    arguments: list[str], model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    more = [] if {"doctor", "models", "--set", "-m"} & set(arguments) else ["--set", f"model={model}"]
    more += [] if {"doctor", "models"} & set(arguments[:1]) else ["--no-window", "--duration", "1"]
    more += ["--no-web"] if "--no-window" in more and "--web" not in arguments else []
    assert main([*arguments, *more]) in (2, 3, 4, 5)
    printed = capfd.readouterr()
    assert printed.out + printed.err
    assert leaks(printed.out + printed.err) == []


@pytest.mark.parametrize("arguments", [["check", URL], [URL, "--no-window", "--no-web", "--duration", "1"]])
def test_an_address_in_the_place_of_a_configuration_does_not_tell_it(
    arguments: list[str], model: str, capfd: pytest.CaptureFixture[str]
) -> None:
    more = [] if arguments[0] == "check" else ["--set", f"model={model}"]
    assert main([*arguments, *more]) == (3 if more else 0)
    printed = capfd.readouterr()
    assert ("rtsp://***@host/live" if not more else "host: not found") in printed.out + printed.err
    assert leaks(printed.out + printed.err) == []


@pytest.mark.parametrize("text", TEXTS, ids=[str(number) for number in range(len(TEXTS))])
def test_a_mistake_in_the_configuration_does_not_tell_it(
    text: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CANARY", ENCODED)
    monkeypatch.setenv("CANARY_PASSWORD", PASSWORD)
    Path("street.yaml").write_text(text)
    assert main(["street.yaml", "-v", "--no-window", "--no-web", "--duration", "1", "--set", f"model={model}"]) in (
        2,
        3,
    )
    printed = capfd.readouterr()
    assert printed.err
    assert leaks(printed.out + printed.err) == []


def test_a_printed_configuration_and_its_errors_do_not_tell_it() -> None:
    config = Config.model_validate({"cameras": {"door": URL}})
    assert config.cameras["door"].source == URL
    assert "rtsp://***@host/live" in repr(config)
    assert leaks(f"{config!r} {config} {config.cameras}") == []
    with pytest.raises(ValueError, match="2 validation errors") as caught:
        Config.model_validate({"cameras": {"door": {"source": [URL], "capture": {"source": URL}}}})
    assert leaks(f"{caught.value!r} {caught.value}") == []


def test_what_nobody_catches_is_printed_without_it(capsys: pytest.CaptureFixture[str]) -> None:
    redaction.remember(URL)
    with redaction.guarded_tracebacks():
        hook = sys.excepthook
        try:
            raise OSError(5, "Input/output error", URL)
        except OSError as error:
            hook(type(error), error, error.__traceback__)
        thread = threading.Thread(target=lambda: int(PASSWORD))
        thread.start()
        thread.join()
    printed = capsys.readouterr().err
    assert printed.count("Traceback") == 2
    assert "Input/output error" in printed
    assert "ValueError" in printed
    assert leaks(printed) == []


def test_a_log_record_is_clean_before_any_handler_sees_it(caplog: pytest.LogCaptureFixture) -> None:
    redaction.remember(URL)
    redaction.guard_logs()
    redaction.guard_logs()
    stranger = logging.getLogger("somebody.else")
    try:
        raise ValueError(URL)
    except ValueError:
        stranger.exception("cannot open %s, %d times", URL, 3)
    stranger.warning("%s", base64.b64encode(LOGIN.encode()).decode())
    assert leaks(caplog.text) == []
    assert re.search(r"cannot open rtsp:/+\*+@host/live, 3 times\n", caplog.text)
    assert "Traceback" in caplog.text
