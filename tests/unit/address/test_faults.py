"""The grammar of `fault:`: what it means, and what is said where it is wrong."""

from __future__ import annotations

import math

import pytest

from pipeline.address.faults import KINDS, Fault, parse
from pipeline.config.load import parse as configuration
from pipeline.errors import ConfigError

GOOD = [
    ("demo", (), "demo"),
    ("fault:stall:demo", (Fault("stall"),), "demo"),
    ("fault:stall=10@20/60:rtsp://u:p@h/x", (Fault("stall", 10, 20, 60),), "rtsp://u:p@h/x"),
    ("fault:freeze=1.5:0", (Fault("freeze", 1.5),), "0"),
    ("fault:late@3:a.mp4", (Fault("late", math.inf, 3),), "a.mp4"),
    ("fault:disconnect/30:demo", (Fault("disconnect", 0, 0, 30),), "demo"),
    ("fault:stall=1@2+disconnect@9:demo", (Fault("stall", 1, 2), Fault("disconnect", 0, 9)), "demo"),
]


@pytest.mark.parametrize(("address", "faults", "real"), GOOD)
def test_faults_are_read_from_the_address(address: str, faults: tuple[Fault, ...], real: str) -> None:
    assert parse(address) == (faults, real)


FORM = "must be fault:KIND[=SECONDS][@START][/EVERY]:ADDRESS"
BAD = [
    ("fault:stall", f"{FORM}, such as fault:stall=10@20/60:demo"),
    ("fault:stall:", f"{FORM}, such as fault:stall=10@20/60:demo"),
    ("fault::demo", f"{FORM}, got '...' in the place of a kind"),
    ("fault:stall=x:demo", f"{FORM}, got 'stall...' in the place of a kind"),
    ("fault:stall=-1:demo", f"{FORM}, got 'stall...' in the place of a kind"),
    ("fault:stal=3:demo", "unknown kind of fault 'stal'; did you mean 'stall'?"),
    ("fault:boom:demo", f"unknown kind of fault 'boom'; kinds: {', '.join(KINDS)}"),
    ("fault:stall/60:demo", "a stall that comes every 60 s must last a shorter time, such as stall=10@20/60"),
    ("fault:stall=9/5:demo", "a stall that comes every 5 s must last a shorter time, such as stall=10@20/60"),
    ("fault:stall:fault:late:demo", "must hold fault: once; join several kinds with +, such as"),
]


@pytest.mark.parametrize(("address", "message"), BAD)
def test_what_is_wrong_is_said_with_its_place_in_the_file(address: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configuration(f"cameras:\n  door: '{address}'\n", "street.yaml")
    assert str(caught.value).startswith(f"street.yaml:2:9: cameras.door.source: {message}")
    assert str(caught.value).count("\n") == 0


def test_a_fault_lasts_and_comes_again_as_written() -> None:
    fault = Fault("stall", 10, 20, 60)
    lasting = {at: fault.lasting(at) for at in (0, 19.9, 20, 29.5, 30, 79.9, 80, 85, 90)}
    assert lasting == {0: None, 19.9: None, 20: 0, 29.5: 9.5, 30: None, 79.9: None, 80: 0, 85: 5, 90: None}
    assert [fault.count(at) for at in (0, 20, 79, 80, 141)] == [0, 1, 1, 2, 3]
    assert Fault("freeze").lasting(1e9) == 1e9
    assert Fault("disconnect", 0, 5).lasting(5) is None
    assert Fault("disconnect", 0, 5).count(1e9) == 1
