"""Times and rates are right and take constant memory."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.meters import Histogram, Rate


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
