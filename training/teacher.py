"""A finished detector asked for its dense outputs, to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from openvino import opset13 as opset
from torch import Tensor

from training.graph import dissect


@dataclass(frozen=True, slots=True)
class Lesson:
    """What the teacher says of B pictures: person probabilities [B,P], offsets [B,P,4] and its two taps."""

    people: Tensor
    offsets: Tensor
    taps: tuple[Tensor, Tensor]


class Teacher:
    """Dense outputs of an OpenVINO detector on batches of BGR pictures; square sizes in multiples of 32.

    With `mirrored` probabilities and offsets are the mean over the picture and its mirror image: better than either.
    With `exact` the processor computes in float32 even where it could be quicker in bfloat16.
    """

    def __init__(self, path: Path, mirrored: bool = False, threads: int = 2, exact: bool = False) -> None:
        anatomy = dissect(path)
        outputs = [*anatomy.boxes, *anatomy.classes, *anatomy.taps]
        self._model = ov.Model([opset.result(output) for output in outputs], anatomy.model.get_parameters(), "teacher")
        self._mirrored = mirrored
        self._settings: dict[str, str | int] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
        if exact:
            self._settings["INFERENCE_PRECISION_HINT"] = "f32"
        self._requests: dict[tuple[int, ...], ov.InferRequest] = {}

    def teach(self, pictures: NDArray[np.uint8]) -> Lesson:
        """The lesson on uint8 pictures [B,3,S,S]."""
        plain = self._infer(pictures)
        if not self._mirrored:
            return plain
        mirror = self._infer(np.ascontiguousarray(pictures[..., ::-1]))
        size = pictures.shape[-1]
        people, offsets = mirror.people[..., None], mirror.offsets * mirror.offsets.new_tensor((-1.0, 1.0, 1.0, 1.0))
        people, offsets = _mirror_cells(people, size)[..., 0], _mirror_cells(offsets, size)
        first, second = plain.people[..., None] + 1e-6, people[..., None] + 1e-6
        merged = (plain.offsets * first + offsets * second) / (first + second)
        return Lesson((plain.people + people) / 2, merged, plain.taps)

    def _infer(self, pictures: NDArray[np.uint8]) -> Lesson:
        # Bytes would be scaled in bfloat16 where the processor has it, which costs the teacher some of its precision.
        results = self._request(pictures.shape).infer([pictures.astype(np.float32)], share_inputs=True)
        arrays = [torch.from_numpy(np.array(value)) for value in results.values()]
        offsets = torch.cat([_rows(array, 4) for array in arrays[0:2]], 1)
        logits = torch.cat([_rows(array, 2) for array in arrays[2:4]], 1)
        return Lesson(logits.softmax(-1)[..., 0], offsets, (arrays[4], arrays[5]))

    def _request(self, shape: tuple[int, ...]) -> ov.InferRequest:
        if shape not in self._requests:
            model = self._model.clone()
            model.reshape(list(shape))
            compiled = ov.Core().compile_model(model, "CPU", self._settings)
            self._requests[shape] = compiled.create_infer_request()
        return self._requests[shape]


def _rows(array: Tensor, width: int) -> Tensor:
    return array.permute(0, 2, 3, 1).reshape(array.shape[0], -1, width)


def _mirror_cells(values: Tensor, size: int) -> Tensor:
    """Values of priors [B,P,K] in the order they have on the mirror image."""
    parts, start = [], 0
    for step, count in ((16, 4), (32, 5)):
        cells = size // step
        part = values[:, start : start + cells * cells * count]
        start += cells * cells * count
        parts.append(part.reshape(len(values), cells, cells, count, -1).flip(2).reshape(len(values), part.shape[1], -1))
    return torch.cat(parts, 1)
