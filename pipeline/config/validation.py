"""From nodes to a Config: defaults from the top, checks, and every problem in plain words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from .cameras import Camera
from .file_claims import FileClaims
from .nodes import Block, Node, Place, Problem, Sequence, Text, brief, shown
from .outputs import OutputEntry, kinds, output_model
from .root import Config, Output

RULES = {
    "missing": "missing",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be below {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of a sensible size",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_unicode": "must be text in UTF-8",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "literal_error": "must be {expected}",
    "too_short": "must name at least one camera",
    "too_long": "must have at most {max_length} entries",
    "tuple_type": "must be a list",
    "dict_type": "must be a block of keys",
    "model_type": "must be a block of keys",
    "model_attributes_type": "must be a block of keys",
    "invalid_key": "must have keys that are words in UTF-8",
    "value_error": "{error}",
}
"""What is said for each kind of error that pydantic finds."""

PATTERNS = {
    "cameras": "must be 1 to 64 letters, digits, _ or -",
    "fourcc": "must be four letters",
    "aspect": "must be auto or WIDTH:HEIGHT, such as 16:9",
    "address": "must be an rtsp://, rtsps://, rtmp:// or rtmps:// address",
    "device": "must be a device such as CPU, GPU.1 or AUTO:GPU,CPU",
}
"""What is said where the text of a key does not match its pattern."""


def rule_of(sort: str, context: Mapping[str, Any]) -> str:
    """Return what is said for a kind of error; only outputs of other distributions have kinds without words of ours."""
    if sort in RULES:
        return RULES[sort].format_map(context)
    message = " ".join(str(context["msg"]).split())
    return f"{message[:1].lower()}{message[1:]}"


SECTIONS = tuple(key for key in Camera.model_fields if key in Config.model_fields)
"""The sections that a camera takes from the top."""

_MISFIT = object()


def build(root: Block, problems: list[Problem], file: str | None = None) -> Config | None:
    """Return the configuration that the nodes mean; None, with problems added, where they mean none.

    `file` is the one that it was read from, if any.
    """
    try:
        config = Config.model_validate(_value(root, Config))
        config._file = file
        conflicts = FileClaims(config).conflicts
        told = {problem.place for problem in problems}
        for key, rule in conflicts:
            at, node, _ = _followed(root, [*key])
            place = at if node is None else node.place
            if place not in told:
                problems.append(Problem(place, key, rule))
        return None if conflicts else config
    except ValidationError as failure:
        errors = failure.errors(include_url=False, include_input=False)
    reported = {(problem.place, problem.rule) for problem in problems}
    # What a camera takes from the top fails there first, and once more under the camera.
    for error in sorted(errors, key=lambda each: len(each["loc"])):
        context = {"msg": error["msg"], **error.get("ctx", {})}
        if error["loc"]:
            problem = _problem(root, error["type"], error["loc"], context)
        else:
            # Of a key that is no text in UTF-8, not even the name can be told.
            problem = Problem(root.place, (), rule_of(error["type"], context))
        if problem is not None and (problem.place, problem.rule) not in reported:
            reported.add((problem.place, problem.rule))
            problems.append(problem)
    return None


def _value(node: Node, kind: Any) -> Any:
    """Return the plain value that pydantic is to check where `kind` is expected."""
    kind = _inner(kind)
    section = isinstance(kind, type) and issubclass(kind, BaseModel)
    if isinstance(node, Block):
        if section:
            kinds = {key: each.annotation for key, each in kind.model_fields.items()}
        else:
            kinds = dict.fromkeys(node.entries, get_args(kind)[1] if get_origin(kind) is dict else str)
        return {key: _value(entry.node, kinds.get(key, str)) for key, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return [_value(each, (get_args(kind) or (str,))[0]) for each in node.nodes]
    value = node.resolved()
    if value is None:
        return {} if section else None
    if get_origin(kind) in (Union, UnionType, Literal):
        return value
    if kind in (int, float, bool):
        fits = isinstance(value, int | float) and isinstance(value, bool) == (kind is bool)
        return value if fits else _MISFIT
    return node.text


def _stands(node: Node, path: list[str]) -> bool:
    """Return whether the file has a node at a path."""
    for part in path:
        if not isinstance(node, Block) or part not in node.entries:
            return isinstance(node, Sequence)
        node = node.entries[part].node
    return True


def _followed(root: Block, path: list[str]) -> tuple[Place, Node | None, int]:
    """Follow a path as far as the file has it; return the place and the node there, and how many parts were found."""
    at: Place = root.place
    node: Node | None = root
    for depth, part in enumerate(path):
        if isinstance(node, Block) and part in node.entries:
            at, node = node.entries[part].place, node.entries[part].node
        elif isinstance(node, Sequence) and part.isdigit():
            node = node.nodes[int(part)]
            at = node.place
        else:
            return at, node, depth
    return at, node, len(path)


def _problem(root: Block, sort: str, loc: tuple[int | str, ...], context: dict[str, Any]) -> Problem | None:
    """Return a pydantic error in our words, at the place of what it is about; None if that was reported already."""
    of_key = loc[-1] == "[key]"
    path = [str(part) for part in loc[: -1 if of_key else None]]
    if path[0] == "cameras" and path[2:] and path[2] in SECTIONS and not _stands(root, path):
        path = path[2:]
    at, node, depth = _followed(root, path)
    key = tuple(path) if sort == "missing" else tuple(path[:depth])
    if sort == "extra_forbidden":
        return Problem(at, key, f"unknown key; {_nearest(key[-1], _known(key[:-1]))}")
    if of_key:
        # What looks like an address may hold a password.
        better = re.sub(r"[ .]+", "-", key[-1].strip()) if re.fullmatch(r"[\w .-]{1,64}", key[-1]) else key[-1]
        hint = f"; write {better}" if better != key[-1] else ""
        return Problem(at, key, f"{PATTERNS['cameras']}, got '{brief(key[-1])}'{hint}")
    if sort == "missing":
        return None if isinstance(node, Text) and not node.good else Problem(at, key, RULES[sort])
    assert node is not None
    if isinstance(node, Text) and not node.good:
        return None
    if sort == "model_type" and key[:-1] == ("outputs",):
        *first, last = kinds()
        sort, context = "literal_error", {"expected": f"{', '.join(first)} or {last}"}
    if sort == "string_pattern_mismatch":
        rule = PATTERNS.get(key[-1], "must match {pattern}").format_map(context)
    else:
        rule = rule_of(sort, context)
    if depth < len(path):
        rule = "must be text, a number, true or false"
    if sort == "literal_error":
        rule = rule.replace("'", "")
    if sort in ("value_error", "too_short", "too_long"):
        return Problem(node.place, key, rule)
    if sort == "dict_type" and key == ("cameras",):
        rule = "must be a block of 'name: address' lines"
    return Problem(node.place, key, f"{rule}, got {shown(node, key)}{_hint(node, sort, rule)}")


def _hint(node: Node, sort: str, rule: str) -> str:
    if not isinstance(node, Text) or node.written != node.text:
        return ""
    if sort == "literal_error":
        near = difflib.get_close_matches(node.text[:64], re.split(r", | or ", rule.removeprefix("must be ")), n=1)
        return f"; did you mean '{near[0]}'?" if near else ""
    if sort == "tuple_type":
        return f"; write [{brief(node.text)}]"
    if sort in ("int_type", "float_type", "bool_type") and not node.plain:
        unquoted = Text(node.place, node.text, node.text)
        return "" if isinstance(unquoted.resolved(), str | None) else "; leave out the quotes"
    if sort in ("int_type", "float_type"):
        if re.fullmatch(r"[-+]?0[0-9]+", node.text):
            return "; leave out the leading zeros"
        if re.fullmatch(r"[-+]?[0-9]+,[0-9]+", node.text):
            return f"; write {node.text.replace(',', '.')}"
    return ""


def _known(path: tuple[str, ...]) -> list[str]:
    """Return the keys that may stand in the block at a path."""
    kind: Any = Config
    for part in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = _inner(kind.model_fields[part].annotation)
        else:
            kind = _inner(get_args(kind)[1 if get_origin(kind) is dict else 0])
    return list(kinds() if issubclass(kind, OutputEntry) else kind.model_fields)


def _inner(kind: Any) -> Any:
    """Return the type itself, without its bounds and without `| None`; of an output the one with all known kinds."""
    while get_origin(kind) is Annotated or (type(None) in get_args(kind) and len(get_args(kind)) == 2):
        kind = next(each for each in get_args(kind) if each is not type(None))
    return output_model() if kind is Output else kind


def _nearest(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key[:64].lower(), known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(known)}"
