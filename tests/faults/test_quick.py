"""The faults that every installation will see, in one program of a few seconds; all the others: pytest -m faults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.faults.playing import CASES
from tests.faults.watch import watch

DAILY = ("03-cut", "03-off-for-3-s", "02-password-changed", "04-gaps-of-a-second", "07-an-hour-back")


def test_daily_faults_are_told_and_outlived_beside_a_camera_that_is_well(tmp_path: Path) -> None:
    chosen = [replace(case, lasts=min(case.lasts, 2.0)) for case in CASES if case.name in DAILY]
    report = watch(tmp_path, chosen)
    assert report.cases == {name: [] for name in report.cases}, report.words
    assert len(report.cases) == len(DAILY)
    assert report.healthy == []
    assert report.secrets == []
    assert report.counts == []
    assert report.code == 130
