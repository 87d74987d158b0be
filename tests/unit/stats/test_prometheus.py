"""What Prometheus fetches, read back with its own parser and held against the statistics."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.stats.camera import State
from pipeline.stats.histogram import Histogram, boundary
from pipeline.stats.prometheus import _LIMITS, _STEPS, Exposition
from pipeline.stats.registry import Stats
from pipeline.version import __version__
from tests.support.scenes import HandClock
from tests.support.serving import Serving


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_numbers_are_those_of_the_statistics() -> None:
    clock = HandClock()
    stats = Stats(["door", "yard"], clock)
    door, yard = stats.cameras.values()
    for _ in range(5):
        door.captured()
    for seconds in (0.02, 0.04, 3.0):
        door.inferred(2, clock.monotonic() - seconds)
        door.shown(clock.monotonic() - seconds)
    door.dropped("stale")
    door.opened("h264", again=True)
    door.changed(State.LIVE)
    yard.changed(State.OFFLINE, "refused")
    stats.spent("infer", 0.03)
    stats.outputs["web"].shown()
    found = samples(Exposition(stats, lambda name: 3 if name != "yard" else 0).text().decode())

    def of(name: str, **labels: str) -> float:
        return found[(name, tuple(sorted(labels.items())))]

    assert of("lookout_info", version=__version__) == 1
    assert of("lookout_camera_frames_captured_total", camera="door") == 5
    assert of("lookout_camera_frames_inferred_total", camera="door") == 3
    assert of("lookout_camera_frames_shown_total", camera="door") == 3
    assert of("lookout_camera_frames_dropped_total", camera="door", reason="stale") == 1
    assert of("lookout_camera_frames_in_flight", camera="door") == 1
    assert of("lookout_camera_reconnects_total", camera="door") == 1
    assert of("lookout_camera_people", camera="door") == 2
    assert of("lookout_camera_age_seconds", camera="door") == pytest.approx(0.02)
    assert ("lookout_camera_age_seconds", (("camera", "yard"),)) not in found
    assert of("lookout_camera_viewers", camera="yard") == 0
    assert of("lookout_viewers") == 3
    assert of("lookout_output_frames_shown_total", output="web") == 1
    for name, true in (("door", "live"), ("yard", "offline")):
        states = {state.value: of("lookout_camera_state", camera=name, state=state.value) for state in State}
        assert [state for state, value in states.items() if value] == [true]
    assert of("lookout_age_seconds_count", camera="door") == 3
    assert of("lookout_age_seconds_sum", camera="door") == pytest.approx(3.06)
    assert of("lookout_age_seconds_bucket", camera="door", le=str(_LIMITS[4])) == 1
    assert of("lookout_age_seconds_bucket", camera="door", le=str(_LIMITS[5])) == 2
    assert of("lookout_age_seconds_bucket", camera="door", le="+Inf") == 3
    assert of("lookout_stage_seconds_count", stage="infer") == 1


def test_no_duration_stands_on_the_wrong_side_of_a_limit() -> None:
    chance = random.Random(3)
    times = [10 ** chance.uniform(-4, 1.5) for _ in range(20_000)]
    times += [limit * factor for limit in _LIMITS for factor in (0.9999, 1.0001)]
    histogram = Histogram()
    for each in times:
        histogram.add(each)
    assert histogram.up_to(_LIMITS) == [sum(each <= limit for each in times) for limit in _LIMITS]
    assert histogram.sum == pytest.approx(sum(times))


def test_the_limits_are_within_one_percent_of_round_ones() -> None:
    assert list(_LIMITS) == pytest.approx(_STEPS, rel=0.0101)
    assert sorted(set(_LIMITS)) == list(_LIMITS)
    assert boundary(0.25) == pytest.approx(0.25, rel=0.0101)


def test_the_names_are_as_prometheus_wants_them() -> None:
    stats = Stats(["door"], HandClock())
    stats.outputs["web"].skipped()
    stats.spent("parse", 0.1)
    text = Exposition(stats, lambda name: 0).text().decode()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert re.fullmatch(r"(lookout|process)(_[a-z]+)*", family.name)
        assert family.documentation
        assert (family.type == "counter") == any(sample.name.endswith("_total") for sample in family.samples) or (
            not family.samples
        )


def test_the_process_tells_its_memory_threads_and_descriptors() -> None:
    found = {name: value for (name, _), value in samples(Exposition(Stats([]), lambda name: 0).text().decode()).items()}
    if "process_threads" not in found:
        pytest.skip("needs /proc")
    assert found["process_resident_memory_bytes"] > 10e6
    assert found["process_threads"] >= threading.active_count()
    assert found["process_open_fds"] >= 3
    assert found["process_max_fds"] > found["process_open_fds"]
    assert found["process_cpu_seconds_total"] > 0


def test_names_of_cameras_and_reasons_cannot_break_the_text() -> None:
    stats = Stats(["door"], HandClock())
    stats.cameras["door"].dropped('a"b\\c\nd')
    found = samples(Exposition(stats, lambda name: 0).text().decode())
    assert found[("lookout_camera_frames_dropped_total", (("camera", "door"), ("reason", 'a"b\\c\nd')))] == 1


def test_it_may_be_fetched_while_everything_counts() -> None:
    stats = Stats(["door"])
    exposition = Exposition(stats, lambda name: 0)
    done = threading.Event()

    def count() -> None:
        number = 0
        while not done.is_set():
            number += 1
            stats.spent(f"stage-{number % 50}", number * 1e-4)
            stats.outputs[f"output-{number % 50}"].shown()
            stats.cameras["door"].dropped(f"reason-{number % 50}")
            stats.cameras["door"].shown(0.0)

    counter = threading.Thread(target=count)
    counter.start()
    try:
        for _ in range(8):
            found = samples(exposition.text().decode())
            key = (("camera", "door"),)
            assert (
                found[("lookout_age_seconds_count", key)]
                == found[("lookout_age_seconds_bucket", (("camera", "door"), ("le", "+Inf")))]
            )
    finally:
        done.set()
        counter.join()


def test_they_are_served_with_the_token_in_the_text_form(crew: Callable[[str, Callable[[], None]], None]) -> None:
    served = Serving(crew)
    try:
        served.give()
        status, headers, body = served.bearer("/metrics")
        assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert samples(body.decode())[("lookout_camera_frames_captured_total", (("camera", "door"),))] == 1
    finally:
        served.web.close()
