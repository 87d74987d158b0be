"""Device strings are checked against the devices that are really there."""

from __future__ import annotations

import openvino
import pytest

from pipeline.errors import DeviceError
from pipeline.infer.backends.openvino.devices import devices, physical, plain, resolve, successors


def test_the_devices_of_this_machine_have_names() -> None:
    found = dict(devices())
    assert list(found) == openvino.Core().available_devices
    assert all(name and name == name.strip() for name in found.values())


@pytest.mark.parametrize(
    ("wanted", "available", "resolved"),
    [
        ("CPU", ["CPU"], "CPU"),
        ("cpu", ["CPU"], "CPU"),
        ("AUTO", ["CPU"], "CPU"),
        ("AUTO", ["CPU", "GPU"], "AUTO"),
        ("auto", ["CPU", "GPU"], "AUTO"),
        ("AUTO:GPU,CPU", ["CPU", "GPU"], "AUTO:GPU,CPU"),
        ("AUTO:CPU", ["CPU", "GPU"], "CPU"),
        ("AUTO:-GPU", ["CPU", "GPU"], "CPU"),
        ("AUTO:-GPU", ["CPU", "GPU.0", "GPU.1"], "CPU"),
        ("AUTO:-GPU.1", ["CPU", "GPU.0", "GPU.1"], "AUTO:-GPU.1"),
        ("GPU", ["CPU", "GPU.0", "GPU.1"], "GPU"),
        ("GPU.0", ["CPU", "GPU"], "GPU"),
        ("GPU.0", ["CPU", "GPU.0", "GPU.1"], "GPU.0"),
        ("CPU.0", ["CPU"], "CPU"),
        ("GPU.1", ["CPU", "GPU.0", "GPU.1"], "GPU.1"),
        ("HETERO:GPU,CPU", ["CPU", "GPU"], "HETERO:GPU,CPU"),
        ("MULTI:GPU(2),CPU(4)", ["CPU", "GPU"], "MULTI:GPU(2),CPU(4)"),
    ],
)
def test_a_device_that_is_there_is_taken(wanted: str, available: list[str], resolved: str) -> None:
    assert resolve(wanted, available) == resolved


@pytest.mark.parametrize(
    ("wanted", "available", "order"),
    [
        ("CPU", ["CPU"], ["CPU"]),
        ("cpu", ["CPU", "GPU"], ["CPU"]),
        ("AUTO", ["CPU"], ["AUTO", "CPU"]),
        ("AUTO", ["CPU", "GPU.0", "GPU.1", "NPU"], ["AUTO", "GPU.0", "GPU.1", "NPU", "CPU"]),
        ("AUTO:-NPU", ["CPU", "GPU", "NPU"], ["AUTO:-NPU", "GPU", "CPU"]),
        ("GPU", ["CPU", "GPU.0", "GPU.1"], ["GPU", "GPU.0", "GPU.1", "CPU"]),
        ("GPU.1", ["CPU", "GPU.0", "GPU.1"], ["GPU.1", "CPU"]),
        ("MULTI:GPU(2),CPU(4)", ["CPU", "GPU"], ["MULTI:GPU(2),CPU(4)", "GPU", "CPU"]),
        ("NPU", ["NPU"], ["NPU"]),
    ],
)
def test_the_cpu_comes_last_when_devices_fail(wanted: str, available: list[str], order: list[str]) -> None:
    assert successors(wanted, available) == order


@pytest.mark.parametrize(
    ("wanted", "available", "message"),
    [
        ("GPU", ["CPU"], "device GPU: not found; use AUTO or the devices found: CPU"),
        ("gpu", ["CPU"], "device gpu: not found; use AUTO or the devices found: CPU"),
        ("NPU", ["CPU", "GPU"], "device NPU: not found; use AUTO or the devices found: CPU, GPU"),
        ("GPU.1", ["CPU", "GPU"], "device GPU.1: not found; use AUTO or the devices found: CPU, GPU"),
        ("CPU.1", ["CPU"], "device CPU.1: not found; use AUTO or the devices found: CPU"),
        ("AUTOO", ["CPU"], "device AUTOO: not found (did you mean AUTO?); use AUTO or the devices found: CPU"),
        ("AUTO:GPU,CPU", ["CPU"], "device AUTO:GPU,CPU: GPU not found; use AUTO or the devices found: CPU"),
        ("AUTO:-GPU", ["CPU"], "device AUTO:-GPU: GPU not found; use AUTO or the devices found: CPU"),
        ("HETERO:NPU,CPU", ["CPU"], "device HETERO:NPU,CPU: NPU not found; use AUTO or the devices found: CPU"),
        ("MULTI:CPU,GPU(2)", ["CPU"], "device MULTI:CPU,GPU(2): GPU not found; use AUTO or the devices found: CPU"),
        ("AUTO:-CPU", ["CPU"], "device AUTO:-CPU: leaves no device to use; devices found: CPU"),
        ("MULTI", ["CPU", "GPU"], "device MULTI: needs a list, such as MULTI:CPU,GPU; devices found: CPU, GPU"),
        ("CPU", [], "device CPU: not found; use AUTO or the devices found: none"),
    ],
)
def test_a_device_that_is_not_there_is_named_with_those_that_are(
    wanted: str, available: list[str], message: str
) -> None:
    with pytest.raises(DeviceError) as caught:
        resolve(wanted, available)
    assert str(caught.value) == message
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("device", "found"),
    [
        ("CPU", ["CPU"]),
        ("AUTO", ["CPU", "GPU.0", "GPU.1"]),
        ("AUTO:-GPU.0", ["CPU", "GPU.1"]),
        ("AUTO:-GPU", ["CPU"]),
        ("MULTI:GPU.1(2),CPU(1)", ["GPU.1", "CPU"]),
    ],
)
def test_the_real_devices_behind_a_device_string_are_known(device: str, found: list[str]) -> None:
    assert physical(device, ["CPU", "GPU.0", "GPU.1"]) == found


def test_a_foreign_message_loses_the_places_in_foreign_sources() -> None:
    error = RuntimeError(
        "Exception from src/inference/src/cpp/core.cpp:84:\nCheck 'file_exists(path)' failed at src/core/x.cpp:887:\n"
        "Empty weights data in bin file!\n\n"
    )
    assert plain(error) == "Empty weights data in bin file!"
    assert plain(RuntimeError("")) == "RuntimeError"
