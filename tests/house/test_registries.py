"""Kinds of outputs are known by what they declare, not by their names or classes; read from the source text."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pipeline.config.root import Output

PACKAGE = Path(__file__).parents[2] / "pipeline"
KINDS = set(Output.model_fields)
PROTOCOLS = {"OnDemandOutput", "PacketOutput", "ResultListener", "SoundOutput"}
"""What an output can take besides results, which `isinstance` may ask for."""
MODULES = sorted(
    path for each in PACKAGE.rglob("*.py") if (path := each.relative_to(PACKAGE)).parts[0] not in ("capture", "media")
)
"""All but those of the lower rows that speak of containers by the same words."""
ASKERS = ("address/", "doctor/", "cli/", "config/sources.py")
"""Who may ask what kind an address is, beside the sources: all others are told what a source can do."""
CONFIG = [path for path in MODULES if path.parts[0] == "config"]


def breaches(source: str) -> list[str]:
    """Where a module asks for the class or the name of an output."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            names = {getattr(each, "id", getattr(each, "attr", "")) for each in ast.walk(node.args[1])}
            found += [f"isinstance {name}" for name in names if name.endswith("Output") and name not in PROTOCOLS]
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            asked = any(isinstance(each, ast.Attribute) and each.attr in ("name", "kind") for each in sides)
            constants = [each for side in sides for each in ast.walk(side) if isinstance(each, ast.Constant)]
            words = {each.value for each in constants if isinstance(each.value, str)}
            found += [f"compares {word}" for word in sorted(words & KINDS)] if asked else []
    return found


def listed(source: str) -> list[str]:
    """The kinds that a module writes out."""
    nodes = ast.walk(ast.parse(source))
    return sorted({node.value for node in nodes if isinstance(node, ast.Constant) and node.value in KINDS})


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_module_asks_what_an_output_is(path: Path) -> None:
    assert breaches((PACKAGE / path).read_text()) == []


def asks_for_kind(source: str) -> bool:
    """Return whether a module takes the function that tells kinds of addresses apart."""
    nodes = list(ast.walk(ast.parse(source)))
    taken = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "pipeline.address.parse"]
    asked = [node.value for node in nodes if isinstance(node, ast.Attribute) and node.attr == "kind"]
    words = {node.id for node in asked if isinstance(node, ast.Name)}
    return "kind" in {each.name for node in taken for each in node.names} or bool(words & {"address", "addresses"})


@pytest.mark.parametrize("path", [path for path in MODULES if not path.as_posix().startswith(ASKERS)], ids=str)
def test_what_an_address_is_is_asked_by_those_who_open_it_alone(path: Path) -> None:
    assert not asks_for_kind((PACKAGE / path).read_text())


@pytest.mark.parametrize("path", CONFIG, ids=str)
def test_the_configuration_lists_no_kinds(path: Path) -> None:
    assert listed((PACKAGE / path).read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "isinstance(output, WindowOutput)",
        "isinstance(each.output, (WebOutput, PacketOutput))",
        "worker.output.name == 'web'",
        "any(each.output.name in ('web', 'none') for each in outputs)",
        "settings.kind != 'hls'",
    ],
)
def test_a_planted_breach_is_found(source: str) -> None:
    assert len(breaches(source)) == 1


def test_a_planted_list_is_found() -> None:
    assert listed("SHORT = ('video', 'window', 'other')") == ["video", "window"]


def test_a_planted_question_is_found() -> None:
    assert asks_for_kind("from pipeline.address.parse import inner, kind")
    assert asks_for_kind("from pipeline.address import parse as addresses\nlive = addresses.kind(source) == 'demo'")
    assert not asks_for_kind("from pipeline.address.parse import inner\nkind = settings.kind")
