"""What every test may rely on: no thread of ours outlives it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# Before any test loads PyAV, as the package does it: the windows of OpenCV hang otherwise.
import cv2  # noqa: F401
import pytest
from hypothesis import HealthCheck, settings

from pipeline.concurrency.threads import alive
from tests.support import reaper
from tests.support.models import rows_model, write_ir
from tests.support.notices import heard
from tests.support.wait import until

settings.register_profile(
    "quick", max_examples=60, derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck]
)
settings.register_profile("long", parent=settings.get_profile("quick"), max_examples=20_000, derandomize=False)
settings.load_profile(os.environ.get("LOOKOUT_FUZZING", "quick"))

_alive = reaper.guard()
"""While this is open, and no longer, the processes that tests start may live."""


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fail a test that leaves one of our threads running."""
    yield
    until(lambda: not alive())
    assert not alive(), f"threads left: {alive()}"


@pytest.fixture
def notices() -> Iterator[list[str]]:
    """The lines for a person that are logged during the test."""
    with heard() as lines:
        yield lines


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
