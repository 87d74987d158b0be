"""Values that replace what a file says: options of the command line, and `key.path=value`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from pydantic import SecretStr

from pipeline.redaction import MASK, conceal

from .nodes import Block, Entry, Node, Place, Problem, Sequence, Text, brief, text_of
from .outputs import registered
from .section import Section
from .validation import SECTIONS

_NOT_FINITE = {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}
"""How YAML writes the numbers that are none."""


@dataclass(frozen=True, slots=True)
class Override:
    """A value for one dotted key, in the place of the file's."""

    option: str
    """What messages name as its place, such as `--threshold 3`."""
    path: tuple[str, ...]
    """Keys from the top; an output is addressed by its number or by its kind, as in outputs.web.port."""
    value: Any
    """Text that means what it means in YAML, a list, dict or node of such; {} adds a block where there is none,
    None takes away what is there."""
    everywhere: bool = False
    """Whether cameras that set the same key themselves give way too."""


def apply(root: Block, override: Override, problems: list[Problem]) -> None:
    """Put the override into the nodes of a file whose short forms are written out."""
    place = Place(override.option)
    if override.value is None:
        _remove(root, override.path, place)
        return
    node = override.value
    if not isinstance(node, Node):
        node = node_of(node, place, override.path, problems)
    wrong = _assign(root, override.path, node)
    if wrong:
        problems.append(Problem(place, override.path, wrong))
    cameras = root.entries["cameras"].node if "cameras" in root.entries else None
    if override.everywhere and override.path[0] in SECTIONS and isinstance(cameras, Block):
        for camera in cameras.entries.values():
            section = camera.node.entries.get(override.path[0]) if isinstance(camera.node, Block) else None
            if section and isinstance(section.node, Block):
                section.node.entries.pop(override.path[1], None)


def node_of(value: Any, place: Place, key: tuple[str, ...], problems: list[Problem], *, python: bool = False) -> Node:
    """Return a value as if it had been written in a file; a text of `python` is text, and never a number or nothing."""
    if isinstance(value, Section):
        value = value.model_dump(exclude_unset=True)
    if isinstance(value, Mapping):
        entries = {
            str(name): Entry(place, node_of(each, place, (*key, str(name)), problems, python=python))
            for name, each in value.items()
        }
        return Block(place, entries)
    if isinstance(value, list | tuple):
        nodes = [node_of(each, place, (*key, str(i)), problems, python=python) for i, each in enumerate(value)]
        return Sequence(place, nodes)
    if isinstance(value, str | PurePath):
        return text_of(str(value), place, key, problems, plain=not python)
    if isinstance(value, SecretStr):
        conceal(value.get_secret_value())
        return Text(place, value.get_secret_value(), MASK, plain=False)
    if value is None:
        return Text(place, "", "")
    written = str(value).lower() if isinstance(value, bool) else str(value)
    return Text(place, _NOT_FINITE.get(written, written), written)


def _assign(root: Block, path: tuple[str, ...], node: Node) -> str:
    """Put a node at a path, making blocks on the way; what is wrong with the path, or nothing."""
    here: Node = root
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(here, Sequence):
            if path[0] == "outputs" and depth == 1 and not part.isdigit():
                here = _output(here, part, node.place)
            elif not part.isascii() or not part.isdigit() or int(part) >= len(here.nodes):
                return f"no such entry; the list has {len(here.nodes)}, counted from 0"
            else:
                if last:
                    here.nodes[int(part)] = node
                here = here.nodes[int(part)]
                continue
        if not isinstance(here, Block):
            return f"{'.'.join(map(brief, path[:depth]))} has no keys"
        missing = part not in here.entries or _empty(here.entries[part].node)
        if last and (missing or not isinstance(node, Block) or node.entries):
            here.entries[part] = Entry(node.place, node)
        elif missing:
            blank = Sequence(node.place) if part == "outputs" else Block(node.place)
            here.entries[part] = Entry(node.place, blank)
        here = here.entries[part].node
    return ""


def _output(outputs: Sequence, kind: str, place: Place) -> Block:
    """Return the first output of a kind, added if there is none."""
    for node in outputs.nodes:
        if isinstance(node, Block) and kind in node.entries:
            return node
    made = Block(place, {kind: Entry(place, Block(place))})
    outputs.nodes.append(made)
    return made


def _remove(root: Block, path: tuple[str, ...], place: Place) -> None:
    """Take away a key of the top, or the outputs of a kind, also from the automatic ones."""
    if len(path) == 1:
        root.entries.pop(path[0], None)
        return
    kind = path[1]
    entry = root.entries.get("outputs")
    if entry is None or _empty(entry.node):
        automatic = [settings.kind for settings in registered() if settings.automatic]
        blocks: list[Node] = [Block(place, {each: Entry(place, Block(place))}) for each in automatic]
        entry = root.entries["outputs"] = Entry(place, Sequence(place, blocks))
    if isinstance(entry.node, Sequence):
        entry.node.nodes = [each for each in entry.node.nodes if not (isinstance(each, Block) and kind in each.entries)]


def _empty(node: Node) -> bool:
    return isinstance(node, Text) and node.empty
