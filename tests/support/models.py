"""Detectors made by the tests: they cost next to nothing and their answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino
from openvino import opset13 as ops

PEOPLE = ((0, 0, 0.9, 0.1, 0.2, 0.5, 0.8), (0, 0, 0.4, 0.5, 0.5, 0.9, 0.9), (-1, 0, 0, 0, 0, 0, 0))
"""Rows of a detector's output: a person at score .9, one at .4, and the end mark."""


def rows_model(
    input_shapes: tuple[tuple[int, ...], ...] = ((1, 3, 24, 32),),
    output_shapes: tuple[tuple[int, ...], ...] = ((1, 1, 3, 7),),
) -> openvino.Model:
    """Build a model with these inputs and outputs, -1 standing for a free size; it answers PEOPLE where they fit."""
    inputs = [ops.parameter(list(shape), np.float32, name=f"in{index}") for index, shape in enumerate(input_shapes)]
    nothing = ops.constant(np.float32(0))
    for each in inputs:
        axes = list(range(len(each.get_output_partial_shape(0))))
        nothing = ops.add(nothing, ops.multiply(ops.reduce_mean(each, axes, keep_dims=False), np.float32(0)))
    outputs = []
    for index, shape in enumerate(output_shapes):
        values = np.resize(np.array(PEOPLE, np.float32), shape)
        outputs.append(ops.add(ops.constant(values), nothing))
        outputs[-1].output(0).set_names({f"out{index}"})
    for index, each in enumerate(inputs):
        each.output(0).set_names({f"in{index}"})
    return openvino.Model(outputs, inputs, "rows")


def write_ir(model: openvino.Model, path: Path) -> Path:
    """Write a model as an IR of uncompressed weights to `path`, its .bin beside it; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(model, path, compress_to_fp16=False)
    return path
