"""What every test may rely on: no thread of ours outlives it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import reaper
from tests.support.models import rows_model, write_ir
from tests.support.wait import until

_alive = reaper.guard()
"""While this is open, and no longer, the processes that tests start may live."""

OURS = ("capture-", "infer-", "render-", "status", "signals", "web")


def _left() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith(OURS)]


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fail a test that leaves one of our threads running."""
    yield
    until(lambda: not _left())
    left = _left()
    assert not left, f"threads left: {left}"


@pytest.fixture(scope="session")
def official_models() -> Path:
    """The folder with the official models, laid out NAME/PRECISION/NAME.xml."""
    folder = os.environ.get("LOOKOUT_MODELS")
    if not folder:
        pytest.skip("LOOKOUT_MODELS names no folder with official models")
    return Path(folder)


@pytest.fixture(scope="session")
def real_clips() -> Path:
    """The folder with clips of real people."""
    folder = os.environ.get("LOOKOUT_CLIPS")
    if not folder:
        pytest.skip("LOOKOUT_CLIPS names no folder with clips of real people")
    return Path(folder)


@pytest.fixture(scope="session")
def quick_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that costs nothing and finds the same person in every picture: for tests of anything else."""
    return write_ir(rows_model(), tmp_path_factory.mktemp("model") / "quick.xml")
