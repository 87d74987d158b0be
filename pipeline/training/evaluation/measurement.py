"""Detections of a whole collection, by a network or by any OpenVINO model of the family."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import TrainingError
from pipeline.training.data.mosaic import to_planes
from pipeline.training.evaluation.evaluation import Labels
from pipeline.training.model.ir_graph import read_model
from pipeline.training.model.network import INPUT_SIZE, DetectorNetwork

Detections = dict[int, NDArray[np.float32]]
Prepared = tuple[int, NDArray[np.uint8]]


def prepared(data: Path, part: str, labels: Labels, width: int, height: int) -> Iterator[Prepared]:
    """Identifier and planes [3,H,W] of every labelled picture, stretched to a size; TrainingError if one is missing."""
    for image in labels.images:
        path = data / part / image["file_name"]
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise TrainingError(f"{path}: not a readable picture")
        yield image["id"], to_planes(np.asarray(cv2.resize(picture, (width, height)), np.uint8))


def measure_network(
    network: DetectorNetwork,
    data: Path,
    part: str,
    labels: Labels,
    detect: Callable[[Tensor, Tensor, int], list[Tensor]],
) -> Detections:
    """Detections of a network in PyTorch, by image id."""
    found: Detections = {}
    with torch.no_grad():
        for identifier, planes in prepared(data, part, labels, INPUT_SIZE, INPUT_SIZE):
            raw = network(torch.from_numpy(planes)[None].float())
            found[identifier] = detect(raw.logits.softmax(-1)[..., 0], raw.offsets, INPUT_SIZE)[0].numpy()
    return found


def person_label(model: ov.Model, path: Path) -> int:
    """The label that means person in a model of the family: the first one that is not background, but for the models
    that find vehicles, people and bicycles, in that order."""
    if "person-vehicle-bike" in path.stem:
        return 1
    decoders = [node for node in model.get_ordered_ops() if node.get_type_name() == "DetectionOutput"]
    return int(bool(decoders) and decoders[0].get_attributes().get("background_label_id", 0) == 0)


def measure_model(
    path: Path, data: Path, part: str, labels: Labels, label: int | None = None, threads: int = 0
) -> tuple[Detections, float]:
    """Detections of an OpenVINO model by image id, and the median milliseconds of one inference, one at a time.

    Any model with one picture as input and rows of seven as output, [1,1,N,7], will do; others raise TrainingError.
    """
    model = read_model(path)
    shape = model.input(0).get_partial_shape()
    if len(model.inputs) != 1 or shape.is_dynamic or len(shape) != 4:
        raise TrainingError(f"{path}: needs one input of a fixed shape [1,3,H,W]")
    if not str(model.output(0).get_partial_shape()).endswith(",7]"):
        raise TrainingError(f"{path}: its output is {model.output(0).get_partial_shape()}, not [1,1,N,7]")
    wanted = person_label(model, path) if label is None else label
    settings = {"PERFORMANCE_HINT": "LATENCY", **({"INFERENCE_NUM_THREADS": threads} if threads else {})}
    request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()
    found: Detections = {}
    times = []
    height, width = shape[2].get_length(), shape[3].get_length()
    for identifier, planes in prepared(data, part, labels, width, height):
        pictures = planes[None].astype(np.float32)
        begin = time.perf_counter()
        rows = next(iter(request.infer([pictures]).values())).reshape(-1, 7)
        times.append(time.perf_counter() - begin)
        ends = np.flatnonzero(rows[:, 0] < 0)
        rows = rows[: ends[0]] if len(ends) else rows
        found[identifier] = rows[rows[:, 1] == wanted][:, 2:].copy()
    return found, float(np.median(times)) * 1000
