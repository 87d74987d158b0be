"""A run of the real program under observation: started, watched from outside, ended under a deadline."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.faults.oracle import History, Shown, Told
from tests.faults.toll import Toll
from tests.support.models import rows_model, write_ir
from tests.support.wait import HANG_S

ROOT = Path(__file__).parents[2]
CALM: dict[str, Any] = {"infer": {"device": "CPU", "threads": 1, "requests": 1}}
"""What lets several programs share two cores."""
REAL: dict[str, Any] = {"download": False}
"""The section `model` of a program that shall look for people itself."""
PROGRAM = (str(ROOT / "run.py"),)
WITNESS = ("-m", "tests.faults.witness")
REHEARSED = ("-m", "tests.faults.rehearsed")


@lru_cache(maxsize=1)
def _quick() -> Path:
    """A detector that costs nothing, since detection is not what is at fault here."""
    folder = tempfile.mkdtemp(prefix="lookout-quick-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return write_ir(rows_model(), Path(folder) / "quick.xml")


@dataclass(frozen=True)
class Sample:
    """What a process held at one moment."""

    at: float
    """Seconds since 1970."""
    threads: int
    descriptors: int
    memory: int
    """Bytes."""


class Program:
    """One process, with a folder for what it writes."""

    def __init__(
        self,
        folder: Path,
        cameras: Mapping[str, Any],
        *arguments: str,
        command: Sequence[str] = PROGRAM,
        environment: Mapping[str, str] | None = None,
        outputs: Sequence[Mapping[str, Any]] = (),
        prefix: Sequence[str] = (),
        stdout: int | None = None,
        stderr: int | None = None,
        **sections: Any,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.events, self.summary_path = folder / "events.jsonl", folder / "summary.json"
        self.config = folder / "config.yaml"
        self._told = Told(self.events)
        wanted = [{"events": {"path": str(self.events)}}, *outputs]
        self.config.write_text(
            yaml.safe_dump(
                {"model": {"name": str(_quick())}, **CALM, "cameras": dict(cameras), "outputs": wanted, **sections}
            )
        )
        told = [str(self.config), "--summary", str(self.summary_path), *arguments]
        self._out, self._err = folder / "stdout", folder / "stderr"
        self.samples: list[Sample] = []
        self.command_line = ""
        self.began = time.time()
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, *command, *told],
                stdin=subprocess.DEVNULL,
                stdout=out if stdout is None else stdout,
                stderr=err if stderr is None else stderr,
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
            )
        self.toll = Toll(self.process.pid)

    def histories(self) -> dict[str, History]:
        """What every camera has told so far."""
        return self._told.histories()

    def summary(self) -> dict[str, Any]:
        """The numbers of a run that has ended; empty where there are none."""
        return json.loads(self.summary_path.read_text()) if self.summary_path.exists() else {}

    def texts(self) -> dict[str, str]:
        """Everything that the program let out, by where."""
        files = {"stdout": self._out, "stderr": self._err, "events": self.events, "summary": self.summary_path}
        said = {name: path.read_text(errors="replace") for name, path in files.items() if path.exists()}
        return said | {"process list": self.command_line}

    @property
    def errors(self) -> str:
        """What it wrote to standard error."""
        return self._err.read_text(errors="replace")

    def observe(self, stopping: threading.Event, every: float = 0.5) -> None:
        """Sample the process until it ends."""
        try:
            self.command_line = " ".join(psutil.Process(self.process.pid).cmdline())
            while not stopping.wait(every) and self.process.poll() is None:
                self.samples.append(self.held())
        except psutil.Error:
            return

    def held(self) -> Sample:
        """What the process holds now."""
        watched = psutil.Process(self.process.pid)
        return Sample(time.time(), watched.num_threads(), watched.num_fds(), watched.memory_info().rss)

    def sample(self, at: float) -> Sample:
        """The last sample before that time."""
        return [each for each in self.samples if each.at <= at][-1]

    def wait_for(self, *cameras: str, state: str = "live", seconds: float = HANG_S) -> None:
        """Wait until these cameras have been in a state."""

        def so() -> bool:
            histories = self.histories()
            return all(name in histories and histories[name].first(state) is not None for name in cameras)

        self.wait_until(so, seconds)

    def wait_until(self, holds: Callable[[], bool], seconds: float = HANG_S) -> None:
        """Wait until something holds while the program runs."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit and self.process.poll() is None:
            if holds():
                return
            time.sleep(0.05)
        told = {name: history.words for name, history in self.histories().items()}
        self.kill()
        raise AssertionError(f"exit code {self.process.poll()} while waiting: {told}\n{self.errors[-2000:]}")

    def shown(self, camera: str) -> list[Shown]:
        """The pictures of a camera so far."""
        return self.histories().get(camera, History()).shown

    def end(self, number: int = signal.SIGINT) -> tuple[int, float]:
        """Send a signal and wait; the exit code and the seconds it took, less those that the machine denied."""
        begun = time.time()
        self.process.send_signal(number)
        code = self.wait()
        return code, self.took(begun)

    def took(self, begun: float) -> float:
        """Seconds since `begun`, in seconds since 1970, less those that the machine denied the program."""
        ended = time.time()
        return ended - begun - self.toll.denied(begun, ended)

    def wait(self, seconds: float = HANG_S) -> int:
        """The exit code; an AssertionError where the program does not end by itself."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the program did not end within {seconds:g} s\n{self.errors[-2000:]}") from None

    def kill(self) -> None:
        """End it whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(HANG_S)
