"""The pipeline in Python: whatever is given to open, and however the loop over the results ends."""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline import CameraChange, ConfigError, Result
from pipeline.concurrency.threads import alive
from pipeline.errors import ModelError, SourceError
from tests.support.clips import street, write_file
from tests.support.wait import HANG_S, until

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of six pictures."""
    return write_file(tmp_path_factory.mktemp("clip") / "Street 1.mp4", street(6, 64, 64), 25)


@pytest.fixture
def plain(quick_model: Path) -> tuple[str, ...]:
    """Overrides for a model that costs nothing, and a file that is read at once."""
    return f"model.name={quick_model}", "capture.pace=fast", "stop_timeout=60"


def settings(source: Any, model: Path, **keys: Any) -> dict[str, Any]:
    """A configuration as a mapping."""
    return {"cameras": {"a": source}, "model": model, "capture": {"pace": "fast"}, "stop_timeout": 60, **keys}


@pytest.fixture
def nobody() -> str:
    """The address of a camera that refuses every connection."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"rtsp://127.0.0.1:{taken.getsockname()[1]}/live"


def test_a_loop_without_a_block_ends_by_itself_and_leaves_no_thread(clip: Path, plain: tuple[str, ...]) -> None:
    assert [result.frame.seq for result in pipeline.open(clip, *plain)] == [*range(6)]
    assert until(lambda: not alive())


def test_a_loop_without_a_block_may_be_left_early(clip: Path, plain: tuple[str, ...]) -> None:
    for result in pipeline.open("demo", *plain):
        assert result.frame.camera == "demo"
        break
    assert until(lambda: not alive())


@pytest.mark.parametrize(
    ("given", "camera"),
    [
        (lambda clip: clip, "Street-1"),
        (lambda clip: str(clip), "Street-1"),
        (lambda clip: clip.as_uri(), "Street-1"),
        (lambda clip: {"cameras": {"door": str(clip)}}, "door"),
        (lambda clip: {"cameras": {"door": {"source": clip}}}, "door"),
        (lambda clip: "demo", "demo"),
        (lambda clip: None, "demo"),
        (lambda clip: {}, "demo"),
    ],
)
def test_open_takes_an_address_a_path_a_mapping_or_nothing(
    given: Any, camera: str, clip: Path, plain: tuple[str, ...]
) -> None:
    with pipeline.open(given(clip), *plain) as results:
        first = results.next()
    assert first is not None
    assert (first.frame.camera, first.frame.seq) == (camera, 0)


def test_open_takes_a_configuration_file_by_its_path(clip: Path, plain: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"cameras: {{yard: '{clip}'}}\n")
    assert {result.frame.camera for result in pipeline.open(tmp_path / "a.yaml", *plain)} == {"yard"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cameras": {"a": []}}, "configuration: cameras.a: must be a block of keys, got a list"),
        ({"cameras": {"a": "demo"}, "capture": {"fps": "3"}}, "configuration: capture.fps: must be a number, got '3'"),
        ({"cameras": {"a": "${NO_SUCH}"}}, "configuration: cameras.a: environment variable NO_SUCH is not set"),
        ({"outputs": ["nothing"]}, "configuration: outputs.0: must be "),
        (3, "configuration: must be a file, an address, a mapping or a Config, got 3"),
        ("stret.yaml", "stret.yaml: no such file"),
    ],
)
def test_what_open_cannot_use_is_told_in_a_line(given: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        pipeline.open(given)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_the_only_camera_may_be_offline_and_the_loop_still_goes_round(nobody: str, quick_model: Path) -> None:
    results = pipeline.open(settings(nobody, quick_model))
    assert results.next(timeout=0) is None
    assert not results.over
    told = []
    for event in results.events():
        assert isinstance(event, CameraChange)
        told.append((event.camera, event.state, event.reason))
        if event.state == "offline":
            assert event.next_try is not None
            results.stop()
    assert told[:2] == [("a", "connecting", ""), ("a", "offline", "refused")]
    assert results.over
    assert until(lambda: not alive())


def test_events_are_results_and_changes_and_end_with_the_last(clip: Path, quick_model: Path) -> None:
    events = [*pipeline.open(settings(clip, quick_model)).events()]
    assert [each.frame.seq for each in events if isinstance(each, Result)] == [*range(6)]
    changes = [each.state for each in events if isinstance(each, CameraChange)]
    assert (changes[0], changes[-1]) == ("connecting", "ended")


def test_events_end_when_nothing_happens_for_long(nobody: str, quick_model: Path) -> None:
    with pipeline.open(settings(nobody, quick_model, capture={"open_timeout": 60})) as results:
        assert len([*itertools.islice(results.events(), 1)]) == 1
        assert all(isinstance(each, CameraChange) for each in results.events(timeout=0.01))


def test_any_thread_may_stop_the_loop(nobody: str, quick_model: Path) -> None:
    results = pipeline.open(settings(nobody, quick_model))
    found: list[Result] = []
    loop = threading.Thread(target=lambda: found.extend(results))
    loop.start()
    results.stop()
    loop.join(HANG_S)
    assert (loop.is_alive(), found) == (False, [])
    assert results.next() is None


INTERRUPTED = """
import signal, sys, threading, pipeline
# Programs that a shell has started in the background are born deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
results = pipeline.open({"cameras": {"a": sys.argv[1]}, "model": sys.argv[2]})
signal.signal(signal.SIGTERM, lambda number, frame: results.stop())
for event in results.events():
    print(event.state, flush=True)
print("over")
"""


@pytest.mark.parametrize(("number", "last"), [(signal.SIGTERM, "over\n"), (signal.SIGINT, "KeyboardInterrupt\n")])
def test_a_signal_may_stop_the_loop(number: int, last: str, nobody: str, quick_model: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED, nobody, str(quick_model)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "connecting\n"
            process.send_signal(number)
            told = process.communicate(timeout=HANG_S)[0]
        finally:
            process.kill()
    assert told.endswith(last)


def test_an_error_of_a_stage_is_raised_with_and_without_a_block(tmp_path: Path, clip: Path) -> None:
    for source, model, kind in ((tmp_path / "no.mp4", "auto", SourceError), (clip, tmp_path / "no.xml", ModelError)):
        with pytest.raises(kind):
            list(pipeline.open({"cameras": {"a": source}, "model": str(model)}))
        with pytest.raises(kind), pipeline.open({"cameras": {"a": source}, "model": str(model)}) as results:
            list(results)


def test_results_may_be_awaited(clip: Path, nobody: str, plain: tuple[str, ...], quick_model: Path) -> None:
    async def all_of_them() -> list[int]:
        return [result.frame.seq async for result in pipeline.open(clip, *plain)]

    async def first() -> int:
        async with pipeline.open(clip, *plain) as results:
            async for result in results:
                return result.frame.seq
        return -1

    async def nothing_for_a_while() -> bool:
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                await asyncio.sleep(0.01)
                beats += 1

        async with pipeline.open(settings(nobody, quick_model)) as results:
            beating = asyncio.create_task(beat())
            awaited = asyncio.ensure_future(anext(aiter(results)))
            assert await asyncio.wait({awaited}, timeout=0.3) == (set(), {awaited})
            awaited.cancel()
            beating.cancel()
        return beats > 1

    assert asyncio.run(all_of_them()) == [*range(6)]
    assert asyncio.run(first()) == 0
    assert asyncio.run(nothing_for_a_while())
    assert until(lambda: not alive())
