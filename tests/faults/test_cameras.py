"""Every fault of a camera, in the real program, beside cameras that are well."""

from __future__ import annotations

import pytest

from tests.faults import island, playing, start
from tests.faults.conftest import Reports
from tests.faults.oracle import STOPPED
from tests.faults.watch import Report

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

ENOUGH = 512 << 20
"""Bytes that suffice for thirty small cameras."""
GROWTH = 64 << 20
"""Bytes that a program with thirty cameras may take more after all of them failed once: their new decoders."""


def judged(report: Report, name: str) -> None:
    assert report.cases[name] == [], report.words[name]


@pytest.mark.watches("start")
@pytest.mark.parametrize("name", [case.name for case in start.CASES])
def test_a_fault_from_the_start_is_told_and_outlived(reports: Reports, name: str) -> None:
    judged(reports("start"), name)


@pytest.mark.parametrize(
    ("name", "program"),
    [
        pytest.param(case.name, program, id=case.name, marks=pytest.mark.watches(program))
        for number, case in enumerate(playing.CASES)
        for program in [f"playing-{1 + number % 2}"]
    ],
)
def test_a_fault_in_mid_stream_is_told_and_outlived(reports: Reports, name: str, program: str) -> None:
    judged(reports(program), name)


@pytest.mark.watches("island")
@pytest.mark.parametrize("name", [case.name for case in island.CASES])
def test_a_dead_network_is_told_and_outlived(reports: Reports, name: str) -> None:
    judged(reports("island"), name)


@pytest.mark.watches("unplugged")
def test_an_unplugged_webcam_is_told_and_found_again(reports: Reports) -> None:
    judged(reports("unplugged"), "11-unplugged")


@pytest.mark.watches("mute")
def test_a_silent_webcam_is_told_and_found_again(reports: Reports) -> None:
    judged(reports("mute"), "11-mute")


PROGRAMS = [
    pytest.param(name, marks=pytest.mark.watches(name))
    for name in ("start", "playing-1", "playing-2", "island", "unplugged", "mute")
]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_healthy_camera_is_unharmed(reports: Reports, name: str) -> None:
    assert reports(name).healthy == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_output_holds_a_password_and_none_a_traceback(reports: Reports, name: str) -> None:
    assert reports(name).secrets == []
    assert "Traceback" not in reports(name).errors


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_frame_is_accounted_for(reports: Reports, name: str) -> None:
    assert reports(name).counts == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_outlives_all_and_ends_in_time(reports: Reports, name: str) -> None:
    assert reports(name).code == 130
    assert reports(name).stop < STOPPED


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_fault_makes_the_program_take_the_memory_of_the_machine(reports: Reports, name: str) -> None:
    assert reports(name).peak < ENOUGH


@pytest.mark.parametrize("name", [each for each in PROGRAMS if each.values != ("start",)])
def test_threads_descriptors_and_memory_are_as_before(reports: Reports, name: str) -> None:
    before, after = reports(name).before, reports(name).after
    assert after.threads <= before.threads
    assert after.descriptors <= before.descriptors
    assert after.memory <= before.memory + GROWTH
