"""The faults that `make mutants` plants are programs of their own, and each is tried by the tests that it concerns."""

from __future__ import annotations

import pytest

from tests import mutants

SOURCE = '''
def paused(last: float, now: float = 1, *, limit: int = 3) -> bool:
    """Whether the pause is over 2 seconds."""
    assert last < now
    if not limit:
        raise ValueError(f"limit {limit + 1}")
    count(now)
    return now - last > limit and True
'''


@pytest.fixture
def planted() -> list[mutants.Mutant]:
    return mutants.Finder("pipeline/pause.py", SOURCE).found


def test_faults_are_planted_in_what_runs_and_not_in_what_is_said(planted: list[mutants.Mutant]) -> None:
    assert {(each.line, each.before, each.after) for each in planted} == {
        (2, "1", "2"),
        (2, "3", "4"),
        (5, "not limit", "(limit)"),
        (6, 'raise ValueError(f"limit {limit + 1}")', "pass"),
        (7, "count(now)", "pass"),
        (8, "return now - last > limit and True", "return None"),
        (8, "now - last > limit and True", "(now - last > limit or True)"),
        (8, "now - last > limit", "(now - last >= limit)"),
        (8, "now - last", "(now + last)"),
        (8, "True", "False"),
    }


def test_a_fault_changes_its_own_place_alone(planted: list[mutants.Mutant]) -> None:
    (sign,) = [each for each in planted if each.before == "now - last"]
    assert sign.applied(SOURCE) == SOURCE.replace("now - last", "(now + last)")
    assert str(sign) == "pipeline/pause.py:8: now - last  ->  (now + last)"


@pytest.mark.parametrize("path", ["pipeline/media/nal.py", "pipeline/capture/health/stall.py", "pipeline/web/app.py"])
def test_every_fault_of_a_module_is_still_a_program(path: str) -> None:
    source = (mutants.ROOT / path).read_text()
    found = mutants.mutants(path)
    assert len(found) > 10
    for each in found:
        assert each.applied(source) != source
        compile(each.applied(source), path, "exec")


@pytest.mark.parametrize(
    ("path", "tests"),
    [
        ("pipeline/media/nal.py", {"media/test_nal.py"}),
        ("pipeline/capture/sources/ffmpeg.py", {"capture/sources/test_ffmpeg_files.py"}),
        ("pipeline/web/app.py", {"web/test_output.py"}),
    ],
)
def test_a_fault_is_tried_by_the_tests_of_its_module(path: str, tests: set[str]) -> None:
    assert {f"tests/unit/{each}" for each in tests} <= set(mutants.tests_of(path))


def test_the_same_seed_draws_the_same_faults() -> None:
    first, same, other = (mutants.drawn(["pipeline/media"], 20, seed) for seed in (1, 1, 2))
    assert first == same != other
    assert len(first) == 20
    assert {each.path.split("/")[1] for each in first} == {"media"}


def test_what_was_noticed_is_counted_by_module(planted: list[mutants.Mutant]) -> None:
    told = mutants.table([(each, place > 0) for place, each in enumerate(planted)])
    assert f"{len(planted) - 1:7} {1:9}  pipeline/pause.py" in told
    assert told.endswith(f"Survivors:\n{planted[0]}")
