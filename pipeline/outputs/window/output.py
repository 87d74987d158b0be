"""A window on this machine's screen; everything here belongs to the main thread."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from pipeline.draw.overlay import blank, stale
from pipeline.draw.primitives import WHITE, letter_size, letters, printable
from pipeline.errors import OutputError
from pipeline.files.writing import write_whole
from pipeline.frames import Image
from pipeline.outputs.protocols import Output, OutputContext, View
from pipeline.stats.health import CameraHealth, Level, assess

from .display import missing_display
from .settings import Window

_TITLE = "Lookout"
_HELP = (
    ("q, Esc", "quit"),
    ("Space", "pause"),
    ("s", "save a snapshot"),
    ("o", "overlay on or off"),
    ("f", "full screen"),
    ("h", "this help"),
)
_NOTE_S = 2.0
_SOFT = (225, 225, 225)
_GAP_PX = 4


class _Tile(NamedTuple):
    """The looks of one camera now: its newest view, and what must be said over it."""

    view: View | None
    health: CameraHealth | None


class WindowOutput(Output):
    """All cameras in one window; `poll()` draws, reads the keys and says when to quit.

    `say` hears a line for the terminal, such as the name of a saved snapshot.
    """

    name = "window"
    paced = True
    every_picture = True
    main_thread = True

    def __init__(self, settings: Window, context: OutputContext, say: Callable[[str], None] = print) -> None:
        self._settings = settings
        self._stats = context.stats
        self._clock = context.clock
        self._say = say
        self._views: dict[str, View] = {}
        self._drawn: tuple[object, ...] = ()
        self._canvas: Image | None = None
        self._shape: tuple[int, ...] = ()
        self._is_open = self._seen = self._help = False
        self._overlay = True
        self._full = settings.full_screen
        self._paused_at: datetime | None = None
        self._note, self._note_until = "", 0.0

    def open(self) -> None:
        """Open the window; raises OutputError in one line where there is no display."""
        if reason := missing_display():
            raise OutputError(f"cannot open a window: {reason}; use --web for the page in a browser")
        try:
            cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
            if self._full:
                self._set_full_screen()
        except cv2.error as error:
            reason = " ".join(str(error.err or error).split())
            raise OutputError(f"cannot open a window: {reason}; use --web for the page in a browser") from error
        self._is_open = True

    def reopen(self) -> None:
        """Go on in the window that is there."""

    def show(self, view: View) -> bool:
        """Take a camera's newest view for the next `poll()`; False while paused."""
        if self._paused_at is not None or not self._is_open:
            return False
        self._views[view.result.frame.camera] = view
        return True

    def poll(self) -> bool:
        """Draw what is new, act on keys; False when the user wants to quit."""
        if not self._is_open:
            return False
        if self._closed_by_user():
            self.close()
            return False
        tiles = {name: self._tile(name) for name in self._stats.cameras}
        note = self._note if self._clock.monotonic() < self._note_until else ""
        wanted = (*tiles.values(), self._overlay, self._help, note)
        if wanted != self._drawn:
            self._drawn = wanted
            self._canvas = self._compose(tiles)
            self._present(self._canvas, note)
        return self._obey(cv2.waitKey(1))

    def close(self) -> None:
        """Take the window off the screen."""
        if self._is_open:
            self._is_open = False
            if _property(cv2.WND_PROP_AUTOSIZE) >= 0:
                cv2.destroyWindow(_TITLE)
                cv2.waitKey(1)

    def _tile(self, name: str) -> _Tile:
        view = self._views.get(name)
        age = None if view is None else self._clock.monotonic() - view.result.frame.captured
        health = assess(self._stats.cameras[name].figures(), self._clock.now(), age, view is None or view.live)
        if self._paused_at is not None:
            return _Tile(view, CameraHealth(Level.WARN, f"paused at {self._paused_at:%H:%M:%S}"))
        return _Tile(view, health if health.stale else None)

    def _compose(self, tiles: dict[str, _Tile]) -> Image:
        width = self._settings.width
        columns = math.ceil(math.sqrt(len(tiles)))
        rows = math.ceil(len(tiles) / columns)
        wide = (width - _GAP_PX * (columns - 1)) // columns
        tall = wide * 9 // 16
        if len(tiles) == 1:
            return self._picture(*next(iter(tiles.items())), (wide, tall), fit=False)
        canvas = np.full((rows * (tall + _GAP_PX) - _GAP_PX, width, 3), 24, np.uint8)
        for place, (name, tile) in enumerate(tiles.items()):
            top, left = place // columns * (tall + _GAP_PX), place % columns * (wide + _GAP_PX)
            _centre(self._picture(name, tile, (wide, tall), fit=True), canvas[top : top + tall, left : left + wide])
        return canvas

    def _picture(self, name: str, tile: _Tile, cell: tuple[int, int], *, fit: bool) -> Image:
        """Return a camera as it looks now, scaled into the cell (width, height) if asked."""
        if tile.view is None:
            return blank(*cell, tile.health or CameraHealth(Level.IDLE, "connecting"), name)
        # Boxes and title of a picture that is not of now would only mislead.
        image = tile.view.annotated() if self._overlay and tile.health is None else tile.view.image()
        if fit:
            image = _scaled(image, *cell)
        return image if tile.health is None else stale(image, tile.health, name)

    def _present(self, canvas: Image, note: str) -> None:
        if self._help or note:
            canvas = canvas.copy()
            if self._help:
                detector = self._stats.detector()
                _panel(canvas, (*_HELP, ("model", detector)) if detector else _HELP)
            if note:
                _line(canvas, note)
        if self._shape != canvas.shape[:2]:
            self._shape = canvas.shape[:2]
            width = self._settings.width
            cv2.resizeWindow(_TITLE, width, round(width * canvas.shape[0] / canvas.shape[1]))
        cv2.imshow(_TITLE, canvas)

    def _obey(self, key: int) -> bool:
        match chr(key & 0xFF).lower() if key >= 0 else "":
            case "q" | "\x1b":
                self.close()
                return False
            case " ":
                self._paused_at = None if self._paused_at else self._clock.now().astimezone()
            case "s":
                self._snapshot()
            case "o":
                self._overlay = not self._overlay
            case "f":
                self._full = not self._full
                self._set_full_screen()
            case "h" | "?":
                self._help = not self._help
        return True

    def _snapshot(self) -> None:
        if self._canvas is None:
            return
        camera = next(iter(self._stats.cameras)) if len(self._stats.cameras) == 1 else "all"
        path = Path(f"{camera}-{self._clock.now().astimezone():%Y%m%d-%H%M%S-%f}"[:-3] + ".png")
        try:
            write_whole(path, cv2.imencode(".png", self._canvas)[1].tobytes())
            self._tell(f"saved {path}")
        except OutputError as error:
            self._tell(str(error))

    def _tell(self, words: str) -> None:
        self._say(words)
        self._note, self._note_until = words, self._clock.monotonic() + _NOTE_S

    def _set_full_screen(self) -> None:
        cv2.setWindowProperty(
            _TITLE, cv2.WND_PROP_FULLSCREEN, cv2.WINDOW_FULLSCREEN if self._full else cv2.WINDOW_NORMAL
        )

    def _closed_by_user(self) -> bool:
        if not self._gone():
            return False
        # A toolkit may need a moment to know its own window; only what stays gone was closed.
        cv2.waitKey(20)
        return self._gone()

    def _gone(self) -> bool:
        # Some toolkits never know whether a window is visible (-1), but all forget the flags of one that is gone.
        visible = _property(cv2.WND_PROP_VISIBLE)
        self._seen = self._seen or visible > 0
        return (self._seen and visible == 0) or _property(cv2.WND_PROP_AUTOSIZE) < 0


def _property(which: int) -> float:
    """Return a property of the window, -1 if there is no such window."""
    try:
        return float(cv2.getWindowProperty(_TITLE, which))
    except cv2.error:
        return -1.0


def _scaled(image: Image, wide: int, tall: int) -> Image:
    """Return the picture as large as it fits, its aspect kept."""
    factor = min(wide / image.shape[1], tall / image.shape[0])
    size = max(1, int(image.shape[1] * factor)), max(1, int(image.shape[0] * factor))
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=way), np.uint8)


def _centre(image: Image, cell: Image) -> None:
    top, left = (cell.shape[0] - image.shape[0]) // 2, (cell.shape[1] - image.shape[1]) // 2
    cell[:] = 0
    cell[top : top + image.shape[0], left : left + image.shape[1]] = image


def _panel(canvas: Image, rows: tuple[tuple[str, str], ...]) -> None:
    type_ = letters(letter_size(canvas.shape[1], canvas.shape[0]))
    pitch = type_.size * 5 // 2
    keys = max(type_.width(key) for key, _ in rows) + pitch
    wide = keys + max(type_.width(words) for _, words in rows) + 2 * pitch
    tall = len(rows) * pitch + pitch
    left, top = max(0, (canvas.shape[1] - wide) // 2), max(0, (canvas.shape[0] - tall) // 2)
    area = canvas[top : top + tall, left : left + wide]
    cv2.convertScaleAbs(area, area, 0.2)
    for number, (key, words) in enumerate(rows):
        middle = top + pitch + number * pitch
        type_.draw(canvas, key, left + pitch, middle, WHITE)
        room = canvas.shape[1] - left - keys - 2 * pitch
        type_.draw(canvas, type_.fitted(printable(words), room), left + pitch + keys, middle, _SOFT)


def _line(canvas: Image, words: str) -> None:
    type_ = letters(letter_size(canvas.shape[1], canvas.shape[0]))
    tall = type_.size * 5 // 2
    strip = canvas[-tall:]
    cv2.convertScaleAbs(strip, strip, 0.2)
    text = type_.fitted(printable(words), canvas.shape[1] - 2 * type_.size)
    type_.draw(canvas, text, type_.size, canvas.shape[0] - tall // 2, WHITE)
