"""The parts of a two-headed SSD model in OpenVINO form, found by shape and order rather than by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import openvino as ov

from pipeline.errors import TrainingError

CONVOLUTIONS = ("Convolution", "GroupConvolution")


@dataclass(frozen=True, slots=True)
class GraphParts:
    """Nodes of a detector: the two taps, the last convolution (with bias) of each box and class branch, the decoder."""

    model: ov.Model
    taps: tuple[ov.Output, ov.Output]
    boxes: tuple[ov.Output, ov.Output]
    classes: tuple[ov.Output, ov.Output]
    decoder: ov.Node


def read_model(path: Path) -> ov.Model:
    """OpenVINO model at a path; raises TrainingError in one line where there is none."""
    if not path.is_file():
        raise TrainingError(f"{path}: no such model file")
    try:
        return ov.Core().read_model(path)
    except RuntimeError as error:
        raise TrainingError(f"{path}: not a readable OpenVINO model") from error


def dissect(path: Path) -> GraphParts:
    """Take the detector at a path apart; raises TrainingError where it is not of person-detection-0202's make."""
    model = read_model(path)
    decoders = [node for node in model.get_ordered_ops() if node.get_type_name() == "DetectionOutput"]
    if len(decoders) != 1:
        raise TrainingError(f"{path}: has no DetectionOutput, so it is not an SSD detector")
    decoder = decoders[0]
    boxes = [_ancestor(source, "Add") for source in _joined(decoder.input_value(0))]
    classes = [_ancestor(source, "Add") for source in _joined(decoder.input_value(1))]
    shapes = [tuple(output.get_partial_shape()[1].get_length() for output in part) for part in (boxes, classes)]
    if shapes != [(16, 20), (8, 10)]:
        raise TrainingError(f"{path}: its heads give {shapes[0]} and {shapes[1]} channels, not (16, 20) and (8, 10)")
    taps = [_ancestor(output, "GroupConvolution").get_node().input_value(0) for output in boxes]
    return GraphParts(model, (taps[0], taps[1]), (boxes[0], boxes[1]), (classes[0], classes[1]), decoder)


def backbone(parts: GraphParts) -> list[ov.Node]:
    """The convolutions of a detector's backbone, in the order of the graph."""
    inside = _ancestors(parts.taps[1].get_node())
    nodes = parts.model.get_ordered_ops()
    return [node for node in nodes if node.get_type_name() in CONVOLUTIONS and node.get_friendly_name() in inside]


def bottlenecks(parts: GraphParts) -> list[ov.Output]:
    """Return the outputs of the stem and the 17 bottlenecks; raises TrainingError for a model laid out differently."""
    if any(node.get_type_name() == "FakeQuantize" for node in parts.model.get_ordered_ops()):
        raise TrainingError("teacher: is quantised; to teach single blocks it must be a model of floats, FP16 or FP32")
    convolutions = backbone(parts)
    if len(convolutions) != 52:
        raise TrainingError(f"teacher: its backbone has {len(convolutions)} convolutions, not 52")
    outputs = [_following(_following(convolutions[0], "Add"), "Clamp").output(0)]
    for projection in convolutions[3::3]:
        bias = _following(projection, "Add")
        targets = [target.get_node() for target in bias.output(0).get_target_inputs()]
        added = len(targets) == 1 and targets[0].get_type_name() == "Add"
        outputs.append(targets[0].output(0) if added else bias.output(0))
    return outputs


def _following(node: ov.Node, kind: str) -> ov.Node:
    following = next(iter(node.output(0).get_target_inputs())).get_node()
    if following.get_type_name() != kind:
        raise TrainingError(f"teacher: {node.get_friendly_name()} goes to {following.get_type_name()}, not to {kind}")
    return following


def _ancestors(node: ov.Node) -> set[str]:
    seen: set[str] = set()
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if current.get_friendly_name() in seen:
            continue
        seen.add(current.get_friendly_name())
        waiting += [current.input_value(k).get_node() for k in range(current.get_input_size())]
    return seen


def _ancestor(output: ov.Output, kind: str) -> ov.Output:
    node = output.get_node()
    while node.get_type_name() != kind:
        if not node.get_input_size():
            raise TrainingError(f"model: found no {kind} before {output.get_node().get_friendly_name()}")
        node = node.input_value(0).get_node()
    found: ov.Output = node.output(0)
    return found


def _joined(output: ov.Output) -> list[ov.Output]:
    join = _ancestor(output, "Concat").get_node()
    return [join.input_value(index) for index in range(join.get_input_size())]
