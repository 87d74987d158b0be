"""Times and rates are right and take constant memory."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.stats.histogram import Histogram, Rate
from pipeline.stats.registry import Stats
from tests.support.clock import ManualClock


def test_percentiles_are_true_to_two_percent() -> None:
    rng = np.random.default_rng(1)
    times = rng.lognormal(-4, 0.7, 20_000)
    histogram = Histogram()
    for each in times:
        histogram.add(float(each))
    spread = histogram.spread()
    for share, value in ((50, spread.p50), (95, spread.p95), (99, spread.p99)):
        assert value == pytest.approx(np.percentile(times, share) * 1e3, rel=0.02)
    assert spread.max == pytest.approx(times.max() * 1e3)
    assert spread.mean == pytest.approx(times.mean() * 1e3)
    assert spread.count == 20_000
    assert len(histogram._buckets) < 500


def test_an_empty_histogram_is_all_zeros() -> None:
    assert set(Histogram().spread().as_dict().values()) == {0}


def test_a_steady_rate_is_exact_and_fades_after_a_pause() -> None:
    rate = Rate()
    for tick in range(200):
        rate.tick(tick / 25)
    assert rate.value(199 / 25) == pytest.approx(25)
    assert rate.value(199 / 25 + 2) < 25
    assert rate.value(199 / 25 + 10) == 0


def test_a_slow_rate_is_seen_too() -> None:
    rate = Rate()
    for tick in range(10):
        rate.tick(tick * 1.0)
    assert rate.value(9.5) == pytest.approx(1.0, rel=0.1)


def test_a_burst_after_a_pause_never_makes_an_absurd_rate() -> None:
    rate = Rate()
    for tick in range(100):
        rate.tick(tick / 25)
    back = 100 / 25 + 7
    shown = []
    for late in range(50):
        # A camera that is back first sends what it kept since its keyframe, all at once.
        rate.tick(back + (late - 10) / 25 if late > 10 else back + late * 0.0002)
        shown.append(rate.value(back + max(0, late - 10) / 25))
    assert max(shown) <= 36
    assert shown[-1] == pytest.approx(25 + 10 / 1.56, rel=0.1)


def test_the_rate_of_a_camera_that_is_back_is_sane_from_its_first_pictures_on() -> None:
    clock = ManualClock()
    camera = Stats(["door"], clock).cameras["door"]
    shown = []
    for pause in (*[0.04] * 100, 7.0, 0.0005, 0.0005, *[0.04] * 60):
        clock.advance(pause)
        camera.captured()
        camera.inferred(0, clock.monotonic())
        camera.shown(clock.monotonic())
        figures = camera.figures()
        shown.append((figures.fps_in, figures.fps))
    assert all(0 <= rate <= 28 for rates in shown for rate in rates)
    assert shown[99] == pytest.approx((25, 25))
    assert shown[-1] == pytest.approx((25, 25), rel=0.1)
