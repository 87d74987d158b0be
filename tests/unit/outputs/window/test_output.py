from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.draw.primitives import AMBER, RED, colour, letter_size, letters
from pipeline.errors import OutputError
from pipeline.frames import Image
from pipeline.outputs.window.display import display_available, missing_display
from pipeline.outputs.window.output import WindowOutput
from pipeline.outputs.window.settings import Window
from tests.support.outputs import context
from tests.support.scenes import Scene, share
from tests.support.wait import HANG_S, until

ROOT = Path(__file__).parents[4]
needs_screen = pytest.mark.skipif(
    any(shutil.which(each) is None for each in ("Xvfb", "xdotool", "import", "xwininfo")),
    reason="needs Xvfb, xdotool, xwininfo and ImageMagick",
)

SHOWING = f"""
import sys, time
sys.path[:0] = [{str(ROOT)!r}]
from tests.support.scenes import Scene
from pipeline.clock import SystemClock
from pipeline.outputs.window.output import WindowOutput
from pipeline.outputs.window.settings import Window
from tests.support.outputs import context
from pipeline.stats.registry import Stats
names, silent_after = sys.argv[1].split(","), float(sys.argv[2])
clock = SystemClock()
stats = Stats(names, clock)
scenes = [Scene(clock, name, stats) for name in names]
window = WindowOutput(Window(width=640), context(stats), lambda line: print(line, flush=True))
stats.detector = lambda: "lookout-person INT8 (bundled) on CPU"
window.open()
begun = time.monotonic()
ready = False
while window.poll():
    if time.monotonic() - begun < silent_after:
        for scene in scenes:
            window.show(scene.view(scene.result(640, 360)))
    if not ready:
        print("ready", flush=True)
        ready = True
    time.sleep(0.02)
window.close()
print("closed", flush=True)
"""


ASKING = """
import ctypes, sys
class Message(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("sent", ctypes.c_int),
                ("display", ctypes.c_void_p), ("window", ctypes.c_ulong), ("kind", ctypes.c_ulong),
                ("format", ctypes.c_int), ("data", ctypes.c_long * 5), ("rest", ctypes.c_long * 24)]
x = ctypes.CDLL("libX11.so.6")
x.XOpenDisplay.restype = ctypes.c_void_p
x.XInternAtom.restype = ctypes.c_ulong
display = ctypes.c_void_p(x.XOpenDisplay(None))
protocols, delete = (x.XInternAtom(display, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
window = int(sys.argv[1])
message = Message(33, 0, 1, display, window, protocols, 32, (ctypes.c_long * 5)(delete, 0, 0, 0, 0))
x.XSendEvent(display, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(message))
x.XSync(display, 0)
"""


@pytest.fixture(scope="module")
def screen() -> Iterator[str]:
    """A virtual screen of its own; the name of its display."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "800x600x24", "-nolisten", "tcp", "-noreset"]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as server:
        os.close(writing)
        with os.fdopen(reading) as numbers:
            display = f":{numbers.readline().strip()}"
        yield display
        server.terminate()


class Shown:
    """A window in a process of its own, and hands and eyes for it."""

    def __init__(self, display: str, folder: Path, cameras: str, silent_after: float) -> None:
        self.environment = os.environ | {"DISPLAY": display, "QT_LOGGING_RULES": "*=false"}
        self.environment.pop("WAYLAND_DISPLAY", None)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SHOWING, cameras, str(silent_after)],
            env=self.environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.said: queue.Queue[str] = queue.Queue()
        self._ears = threading.Thread(target=self._hear)
        self._ears.start()
        assert self.hears() == "ready"

    def _hear(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.put(line.strip())

    def hears(self) -> str:
        return self.said.get(timeout=HANG_S)

    def look(self) -> Image:
        command = ["import", "-window", "root", "png:-"]
        done = subprocess.run(command, env=self.environment, capture_output=True, check=True)
        return np.asarray(cv2.imdecode(np.frombuffer(done.stdout, np.uint8), cv2.IMREAD_COLOR), np.uint8)

    def sees(self, true: Callable[[Image], bool]) -> bool:
        if until(lambda: true(self.look())):
            return True
        windows = subprocess.run(["xwininfo", "-root", "-tree"], env=self.environment, capture_output=True, text=True)
        pytest.fail(f"not seen; exit code {self.process.poll()}, said {list(self.said.queue)}\n{windows.stdout}")

    def press(self, key: str) -> None:
        command = ["xdotool", "key", "--window", self._number(), key]
        subprocess.run(command, env=self.environment, timeout=HANG_S, check=True)

    def ask_to_close(self) -> None:
        """What a window manager sends when a user clicks on the cross."""
        command = [sys.executable, "-c", ASKING, self._number()]
        subprocess.run(command, env=self.environment, timeout=HANG_S, check=True)

    def _number(self) -> str:
        search = ["xdotool", "search", "--sync", "--onlyvisible", "--name", "^Lookout$"]
        found = subprocess.run(search, env=self.environment, capture_output=True, text=True, timeout=HANG_S, check=True)
        return found.stdout.split()[0]

    def end(self) -> None:
        if self.process.stdout is None or self.process.stdout.closed:
            return
        self.process.kill()
        self.process.wait()
        self._ears.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def show(screen: str, tmp_path: Path) -> Iterator[Callable[..., Shown]]:
    shown: list[Shown] = []

    def start(cameras: str = "door", silent_after: float = 60.0) -> Shown:
        # On a bare Xvfb the toolkit leaves a new window black now and then, even one that OpenCV alone has opened.
        for _ in range(4):
            shown.append(Shown(screen, tmp_path, cameras, silent_after))
            if until(lambda: bool(shown[-1].look().any()), 10):
                break
            shown[-1].end()
        return shown[-1]

    yield start
    for each in shown:
        each.end()


def half_boxed(image: Image) -> bool:
    """As `boxed`, where a line of one pixel was halved with the picture."""
    return share(image, colour("person"), 110) > 0.002


def says(image: Image, words: str) -> bool:
    """Whether words of the window's help stand in a picture of 640 x 360 pixels."""
    type_ = letters(letter_size(640, 360))
    drawn = np.zeros((type_.size * 2, type_.width(words), 3), np.uint8)
    type_.draw(drawn, words, 0, type_.size, (225, 225, 225))
    return float(cv2.matchTemplate(image, drawn, cv2.TM_CCOEFF_NORMED).max()) > 0.8


def boxed(image: Image) -> bool:
    return share(image, colour("person"), 12) > 0.002


@needs_screen
def test_the_window_shows_the_boxes_and_its_keys_work(show: Callable[..., Shown], tmp_path: Path) -> None:
    window = show()
    assert window.sees(boxed)
    window.press("o")
    assert window.sees(lambda image: not boxed(image))
    window.press("o")
    assert window.sees(boxed)
    window.press("space")
    assert window.sees(lambda image: share(image[:60], AMBER, 6) > 0.1)
    window.press("space")
    assert window.sees(lambda image: share(image[:60], AMBER, 6) == 0)
    window.press("s")
    said = window.hears()
    assert said.startswith("saved door-")
    saved = cv2.imread(str(tmp_path / said.removeprefix("saved ")))
    assert saved is not None
    assert saved.shape == (360, 640, 3)
    assert boxed(np.asarray(saved, np.uint8))
    before = window.look()
    window.press("h")
    assert window.sees(lambda image: share(image[140:240, 250:390], before[200, 320].tolist(), 12) < 0.5)
    assert window.sees(lambda image: says(image, "lookout-person INT8 (bundled) on CPU"))
    window.press("q")
    assert window.hears() == "closed"
    assert window.process.wait(HANG_S) == 0


@needs_screen
def test_closing_the_window_ends_it(show: Callable[..., Shown]) -> None:
    window = show()
    assert window.sees(boxed)
    window.ask_to_close()
    assert window.hears() == "closed"
    assert window.process.wait(HANG_S) == 0


@needs_screen
def test_several_cameras_share_the_window_and_escape_quits(show: Callable[..., Shown]) -> None:
    window = show("door,yard,gate")
    assert window.sees(
        lambda image: all(half_boxed(image[y : y + 178, x : x + 318]) for x, y in ((0, 0), (322, 0), (0, 182)))
    )
    assert share(window.look()[184:350, 324:630], (24, 24, 24), 2) == 1
    window.press("Escape")
    assert window.hears() == "closed"


@needs_screen
def test_an_old_picture_is_dimmed_under_red_though_none_comes(show: Callable[..., Shown]) -> None:
    window = show(silent_after=0.5)
    assert window.sees(lambda image: share(image[:30, :640], RED, 6) > 0.5)
    image = window.look()
    assert not boxed(image)
    assert share(image[60:100, 20:120], (35, 35, 35), 3) > 0.95


@needs_screen
def test_a_screen_that_answers_is_found_and_a_dead_one_is_not(screen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.setenv("DISPLAY", screen)
    assert display_available()
    monkeypatch.setenv("DISPLAY", f"{screen}.0")
    assert display_available()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no DISPLAY")
@pytest.mark.parametrize(
    ("display", "expected"),
    [
        ("", "there is no display (DISPLAY is not set)"),
        (":4711", "the display :4711 does not answer"),
        ("127.0.0.1:4711", "the display 127.0.0.1:4711 does not answer"),
        ("nonsense", "the display nonsense does not answer"),
    ],
)
def test_without_a_screen_the_window_says_so_in_one_line_and_the_process_lives(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, display: str, expected: str
) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.setenv("DISPLAY", display)
    assert missing_display() == expected
    assert not display_available()
    window = WindowOutput(Window(), context(scene.stats))
    with pytest.raises(OutputError) as caught:
        window.open()
    assert str(caught.value) == f"cannot open a window: {expected}; use --web for the page in a browser"
    assert not window.show(scene.view())
    assert not window.poll()
    window.close()


def test_an_opencv_without_windows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:                           NONE\n")
    assert missing_display().startswith("this OpenCV is built without windows; install opencv-python")


def test_a_platform_that_opencv_lacks_is_never_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setenv("DISPLAY", ":0")
    if cv2.currentUIFramework().startswith("QT"):
        assert missing_display().startswith("QT_QPA_PLATFORM names another platform")


EMBEDDED = """
import sys
import pipeline

section = {"source": "demo", "detect": {"enabled": False}}
pipeline.run(pipeline.Config.model_validate({"cameras": {"demo": section}, "outputs": [{"window": {"width": 640}}]}))
print("closed")
"""


def embedded(screen: str, folder: Path, program: str) -> subprocess.Popen[str]:
    """Start a program that opens a window by itself."""
    environment = os.environ | {"DISPLAY": screen, "QT_LOGGING_RULES": "*=false", "PYTHONPATH": str(ROOT)}
    environment.pop("WAYLAND_DISPLAY", None)
    command = [sys.executable, "-c", program]
    return subprocess.Popen(command, env=environment, cwd=folder, stdout=-1, stderr=subprocess.STDOUT, text=True)


@needs_screen
def test_a_python_program_may_open_the_window_without_loading_opencv_first(screen: str, tmp_path: Path) -> None:
    with embedded(screen, tmp_path, EMBEDDED) as program:
        try:
            search = ["xdotool", "search", "--onlyvisible", "--name", "^Lookout$"]
            environment = os.environ | {"DISPLAY": screen}

            def there() -> str:
                assert program.poll() is None
                return subprocess.run(search, env=environment, capture_output=True, text=True, check=False).stdout

            number = until(there).split()[0]
            subprocess.run(["xdotool", "key", "--window", number, "q"], env=environment, check=True)
            assert program.communicate(timeout=HANG_S)[0] == "closed\n"
        finally:
            program.kill()


@needs_screen
def test_a_program_that_loads_pyav_before_opencv_is_told_so_instead_of_hanging(screen: str, tmp_path: Path) -> None:
    with embedded(screen, tmp_path, f"import av\n{EMBEDDED}") as program:
        try:
            printed = program.communicate(timeout=HANG_S)[0]
        finally:
            program.kill()
    assert "cannot open a window: PyAV was imported before OpenCV" in printed
