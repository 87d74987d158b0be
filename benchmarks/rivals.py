"""How others read a camera: the loops that tutorials show, opened again when they end."""

from __future__ import annotations

import threading
import time

import av
import cv2

from pipeline.concurrency.threads import ThreadGroup


class Rival:
    """A reader in a thread of its own that notes when its last picture came."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.last = 0.0
        self.over = False
        self.stopping = threading.Event()
        self._crew = ThreadGroup(lambda: None)
        self._crew.start(type(self).__name__, self._run)

    def live(self) -> bool:
        """Whether a picture has come."""
        return self.last > 0

    def ended(self) -> bool:
        """Whether it has noticed that no more pictures come."""
        return self.over

    def stop(self) -> list[str]:
        """End it; it may hang until its connection is cut."""
        self.stopping.set()
        return self._crew.join(2)

    def _run(self) -> None:
        while not self.stopping.is_set():
            self._play()
            self.over = True
            self.stopping.wait(1)

    def _play(self) -> None:
        raise NotImplementedError

    def _noted(self) -> None:
        self.last = time.monotonic()


class Opencv(Rival):
    """cv2.VideoCapture with its defaults, until read() says False."""

    def _play(self) -> None:
        capture = cv2.VideoCapture(self.url)
        while capture.isOpened() and not self.stopping.is_set():
            good, _ = capture.read()
            if not good:
                break
            self._noted()
        capture.release()


class Pyav(Rival):
    """av.open with its defaults, as ffplay reads, until decode() ends."""

    def _play(self) -> None:
        try:
            with av.open(self.url) as container:
                for _ in container.decode(video=0):
                    if self.stopping.is_set():
                        break
                    self._noted()
        except (av.FFmpegError, OSError):
            return
