"""The short forms that people write, put into long ones before anything is checked."""

from __future__ import annotations

from pipeline.errors import ConfigError

from .nodes import Block, Entry, Node, Problem, Sequence, Text, shown
from .outputs import knows, settings_of


def complete(root: Block, problems: list[Problem]) -> None:
    """Write out the short forms of cameras, detect, model and outputs."""
    _complete_detect(root)
    if isinstance(cameras := _below(root, "cameras"), Block):
        for entry in cameras.entries.values():
            entry.node = _long(entry.node, "source")
            _complete_detect(entry.node)
    if "model" in root.entries:
        root.entries["model"].node = _long(root.entries["model"].node, "name")
    outputs = _below(root, "outputs")
    if not isinstance(outputs, Sequence):
        return
    for number, node in enumerate(outputs.nodes):
        if isinstance(node, Text) and knows(node.text):
            node = Block(node.place, {node.text: Entry(node.place, Block(node.place))})
            outputs.nodes[number] = node
        if isinstance(node, Block):
            for key, entry in node.entries.items():
                _complete_output(key, entry, ("outputs", str(number), key), problems)


def _complete_detect(node: Node) -> None:
    detect = _below(node, "detect") if isinstance(node, Block) else None
    # A number was meant as something else.
    if isinstance(node, Block) and isinstance(detect, Text) and isinstance(detect.resolved(), bool | str):
        node.entries["detect"].node = _long(detect, "enabled")


def _complete_output(key: str, entry: Entry, path: tuple[str, ...], problems: list[Problem]) -> None:
    node = entry.node
    try:
        settings = settings_of(key)
    except ConfigError:
        # The validation says why.
        return
    if not isinstance(node, Text) or settings is None:
        return
    if node.empty:
        entry.node = Block(entry.place)
    elif settings.text_key and not node.good:
        entry.node = _long(node, settings.text_key)
    elif settings.text_key:
        try:
            parts = settings.parts(node.text)
        except ValueError as error:
            problems.append(Problem(node.place, path, f"{error}, got {shown(node, path)}"))
            node.good = False
            return
        entry.node = Block(node.place)
        for part, text in parts.items():
            written = text if node.text == node.written else node.written
            entry.node.set(part, node if text == node.text else Text(node.place, text, written))


def _long(node: Node, key: str) -> Node:
    if not isinstance(node, Text) or node.empty:
        return node
    return Block(node.place, {key: Entry(node.place, node)})


def _below(root: Block, key: str) -> Node | None:
    return root.entries[key].node if key in root.entries else None
