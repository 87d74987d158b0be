"""Many lost connections cost no thread, no descriptor and no memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.faults.broken import LEAK
from tests.faults.oracle import History, slope
from tests.faults.program import Program, Sample
from tests.faults.rig import SECRET, USER
from tests.support.clips import Clip, encode, street
from tests.support.servers.rtsp import RtspServer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

LOSSES = 60
"""How often a camera is lost."""
FPS = 20


@dataclass
class Counted:
    """A program and how often it lost its camera."""

    reconnects: int
    samples: list[Sample]
    """Several of each connection, of which the least is a moment between two."""
    lost: list[int]
    """How often the camera had been lost at each sample."""

    @property
    def settled(self) -> list[Sample]:
        """The samples of the later two thirds, when everything has been loaded once."""
        return self.samples[len(self.samples) // 3 :]

    @property
    def growth(self) -> float:
        """Bytes that each reconnect costs."""
        settled = self.settled
        lost = self.lost[-len(settled) :]
        return slope([(count, float(sample.memory)) for count, sample in zip(lost, settled, strict=True)])


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Counted]]:
    folder = tmp_path_factory.mktemp("reconnects")
    clip = encode(street(20, 320, 240), FPS, 1)
    with ThreadPoolExecutor(2) as pool:
        running = {kind: pool.submit(_lose, folder / kind, clip, kind) for kind in ("eager", "leak")}
        yield lambda kind: running[kind].result()


def _lose(folder: Path, clip: Clip, kind: str) -> Counted:
    server = RtspServer({"live": clip}, user=USER, password=SECRET)
    server.start()
    program = Program(folder, {"door": server.url("live")}, command=("-m", "tests.faults.broken", kind))
    lost: list[int] = []

    def back(times: int) -> bool:
        """Whether the camera has come back so often; takes a sample each time it is asked."""
        history = program.histories().get("door", History())
        program.samples.append(program.held())
        lost.append(times)
        return sum(change.state == "live" for change in history.changes) > times

    try:
        program.wait_for("door")
        for times in range(LOSSES):
            program.wait_until(partial(back, times))
            server.cut()
        program.wait_until(partial(back, LOSSES))
        assert program.end()[0] == 130, program.errors
    finally:
        program.kill()
        server.stop()
    return Counted(program.summary()["cameras"]["door"]["reconnects"], program.samples, lost)


def test_a_camera_lost_again_and_again_costs_nothing(counted: Callable[[str], Counted]) -> None:
    found = counted("eager")
    assert found.reconnects >= LOSSES
    half = len(found.settled) // 2
    early, late = found.settled[:half], found.settled[half:]
    # Between the halves lie a third of the losses, each of which would cost one of what leaks.
    leaked = LOSSES / 3 / 4
    assert min(each.threads for each in late) - min(each.threads for each in early) < leaked
    assert min(each.descriptors for each in late) - min(each.descriptors for each in early) < leaked
    assert found.growth < LEAK / 4


def test_a_planted_leak_is_found(counted: Callable[[str], Counted]) -> None:
    assert counted("leak").growth > LEAK / 2
