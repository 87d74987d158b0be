"""The accelerators that OpenVINO finds here, and the choice of the one asked for."""

from __future__ import annotations

import difflib
import re

import openvino

from pipeline.errors import DeviceError

VIRTUAL = ("AUTO", "HETERO", "MULTI")
_COUNT = re.compile(r"\(\d+\)$")
_POSITION = re.compile(r"(Exception from|Check '.*?' failed at) \S+:\d+:\s*|FrontEnd API failed with \w+:", re.DOTALL)


def devices(core: openvino.Core | None = None) -> list[tuple[str, str]]:
    """Return the name and full name of every device found, such as ("CPU", "AMD EPYC 9B14")."""
    core = core or openvino.Core()
    return [(name, _full_name(core, name)) for name in core.available_devices]


def resolve(wanted: str, available: list[str]) -> str:
    """Return the device string to compile for; DeviceError, with the devices found, if any part of it is not there.

    AUTO with one device left to choose is that device itself: AUTO would only hide what really runs.
    """
    head, colon, tail = wanted.upper().partition(":")
    if head not in VIRTUAL:
        _require(wanted, wanted.upper(), available)
        only = wanted.upper().removesuffix(".0")
        return only if only in available else wanted.upper()
    members = [_COUNT.sub("", each.strip()) for each in tail.split(",")] if colon else []
    for each in members:
        _require(wanted, each.removeprefix("-") if head == "AUTO" else each, available)
    if head != "AUTO" and not members:
        example = f"{head}:{','.join(available)}"
        raise DeviceError(f"device {wanted}: needs a list, such as {example}; devices found: {_listed(available)}")
    left = physical(wanted.upper(), available)
    if not left:
        raise DeviceError(f"device {wanted}: leaves no device to use; devices found: {_listed(available)}")
    return left[0] if head == "AUTO" and len(left) == 1 else wanted.upper()


def successors(wanted: str, available: list[str]) -> list[str]:
    """Return the devices to use one after the other as each fails: the one asked for, its members, the CPU last.

    `wanted` is such a device string as `resolve` takes, `available` are the devices found.
    """
    members = [each for each in physical(wanted.upper(), available) if each != "CPU"]
    rest = [
        each for each in available if any(each in (one, f"{one}.0") or each.startswith(f"{one}.") for one in members)
    ]
    return list(dict.fromkeys([wanted.upper(), *rest, *(["CPU"] if "CPU" in available else [])]))


def physical(device: str, available: list[str]) -> list[str]:
    """Return the real devices that a device string in capitals may run on."""
    head, colon, tail = device.partition(":")
    if head not in VIRTUAL:
        return [device]
    members = [_COUNT.sub("", each.strip()) for each in tail.split(",")] if colon else []
    named = [each for each in members if not each.startswith("-")]
    without = {each.removeprefix("-") for each in members if each.startswith("-")}
    return named or [each for each in available if not {each, each.partition(".")[0]} & without]


def plain(error: Exception) -> str:
    """Return OpenVINO's message in one line, without the places in its own sources."""
    return " ".join(_POSITION.sub("", str(error)).split()).strip(" ;") or type(error).__name__


def _require(wanted: str, name: str, available: list[str]) -> None:
    families = {each.partition(".")[0] for each in available}
    if name in available or name in families or name.removesuffix(".0") in available:
        return
    part = "" if name == wanted.upper() else f" {name}"
    near = difflib.get_close_matches(name, sorted({*families, *VIRTUAL}), n=1, cutoff=0.7) if "." not in name else []
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise DeviceError(f"device {wanted}:{part} not found{hint}; use AUTO or the devices found: {_listed(available)}")


def _listed(available: list[str]) -> str:
    return ", ".join(available) or "none"


def _full_name(core: openvino.Core, name: str) -> str:
    try:
        return str(core.get_property(name, "FULL_DEVICE_NAME")).strip()
    except RuntimeError:
        return name
