"""The stage between detector and outputs."""

from __future__ import annotations

from dataclasses import replace

import pytest

import pipeline
from pipeline.analyze import analysis
from pipeline.analyze.analysis import Analysis, Analyzer
from pipeline.config.cameras import Camera
from pipeline.config.root import Config
from pipeline.frames import Result
from tests.support.scenes import HandClock, Scene


class Halving:
    """Leaves out every other detection, and notes what it was given."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.given: list[tuple[str, int]] = []

    def analyze(self, result: Result) -> Result:
        self.given.append((result.frame.camera, result.frame.seq))
        return replace(result, detections=result.detections[::2])


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> dict[str, Halving]:
    """Two halving analyzers one after the other, but none for the camera `yard`."""
    made: dict[str, Halving] = {}

    def build(place: int, name: str) -> Analyzer | None:
        if name == "yard":
            return None
        made[f"{name} {place}"] = Halving(name)
        return made[f"{name} {place}"]

    builders = [lambda name, camera: build(1, name), lambda name, camera: build(2, name)]
    monkeypatch.setattr(analysis, "BUILDERS", builders)
    return made


def test_a_camera_has_analyzers_of_its_own_and_results_pass_through_all(built: dict[str, Halving]) -> None:
    cameras = dict.fromkeys(("door", "yard", "gate"), Camera(source="demo"))
    stage = Analysis(cameras)
    results = {
        name: Scene(HandClock(), name).result(boxes=[(0, 0, 9, 9 + each) for each in range(8)]) for name in cameras
    }
    assert [len(stage.analyze(results[name]).detections) for name in cameras] == [2, 8, 2]
    assert [len(result.detections) for result in results.values()] == [8, 8, 8]
    assert {key: each.given for key, each in built.items()} == {
        f"{name} {place}": [(name, 0)] for name in ("door", "gate") for place in (1, 2)
    }


def test_without_analyzers_a_result_is_passed_on_as_it_is() -> None:
    result = Scene(HandClock()).result()
    assert Analysis({"door": Camera(source="demo")}).analyze(result) is result


def test_every_output_of_a_run_gets_the_results_that_were_analyzed(built: dict[str, Halving]) -> None:
    undetected = {"source": "demo", "detect": {"enabled": False}, "capture": {"pace": "fast"}}
    config = Config.model_validate({"cameras": {"door": undetected}, "outputs": []})
    with pipeline.open(config) as results:
        seen = [result.frame.seq for result, _ in zip(results, range(5), strict=False)]
    given = [seq for _, seq in built["door 1"].given]
    assert given[: len(seen)] == seen
    assert built["door 1"].given == built["door 2"].given
