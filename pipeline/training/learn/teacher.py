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

from pipeline.training.model.ir_graph import bottlenecks, dissect

# The first blocks give the largest outputs and hold the fewest weights: a share of a batch is enough to learn from.
EARLY_BLOCKS = 3
EARLY_SHARE = 4


@dataclass(frozen=True, slots=True)
class TeacherOutput:
    """What the teacher says of B pictures: person probabilities [B,P], offsets [B,P,4], and what its blocks gave.

    The first blocks' outputs are kept for the first quarter of the pictures only.
    """

    people: Tensor
    offsets: Tensor
    blocks: list[Tensor]


class Teacher:
    """Dense outputs of an OpenVINO detector on batches of BGR pictures; square sizes in multiples of 32.

    With `mirrored` probabilities and offsets are the mean over the picture and its mirror image: better than either.
    With `exact` the processor computes in float32 even where it could be quicker in bfloat16.
    """

    def __init__(self, path: Path, mirrored: bool = False, threads: int = 2, exact: bool = False) -> None:
        self._anatomy = dissect(path)
        self._mirrored = mirrored
        self._settings: dict[str, str | int] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
        if exact:
            self._settings["INFERENCE_PRECISION_HINT"] = "f32"
        self._requests: dict[tuple[bool, tuple[int, ...]], ov.InferRequest] = {}

    def teach(self, pictures: NDArray[np.uint8], blocks: bool = False, alone: bool = False) -> TeacherOutput:
        """The taught on uint8 pictures [B,3,S,S], with what the blocks gave if asked for.

        Where blocks learn `alone` the mirror image is left out: what a head is to say must follow from what it sees.
        """
        plain = self._infer(pictures, blocks)
        if not self._mirrored or alone:
            return plain
        mirror = self._infer(np.ascontiguousarray(pictures[..., ::-1]), False)
        size = pictures.shape[-1]
        people, offsets = mirror.people[..., None], mirror.offsets * mirror.offsets.new_tensor((-1.0, 1.0, 1.0, 1.0))
        people, offsets = _mirror_cells(people, size)[..., 0], _mirror_cells(offsets, size)
        first, second = plain.people[..., None] + 1e-6, people[..., None] + 1e-6
        merged = (plain.offsets * first + offsets * second) / (first + second)
        return TeacherOutput((plain.people + people) / 2, merged, plain.blocks)

    def _infer(self, pictures: NDArray[np.uint8], blocks: bool) -> TeacherOutput:
        # Bytes would be scaled in bfloat16 where the processor has it, which costs the teacher some of its precision.
        request = self._request(blocks, pictures.shape)
        results = request.infer([pictures.astype(np.float32)], share_inputs=True, share_outputs=True)
        early = max(1, len(pictures) // EARLY_SHARE)
        kept = [len(pictures)] * 4 + [early] * EARLY_BLOCKS + [len(pictures)] * len(results)
        arrays = [
            torch.from_numpy(np.array(value[:count])) for value, count in zip(results.values(), kept, strict=False)
        ]
        offsets = torch.cat([_rows(array, 4) for array in arrays[0:2]], 1)
        logits = torch.cat([_rows(array, 2) for array in arrays[2:4]], 1)
        return TeacherOutput(logits.softmax(-1)[..., 0], offsets, arrays[4:])

    def _request(self, blocks: bool, shape: tuple[int, ...]) -> ov.InferRequest:
        if (blocks, shape) not in self._requests:
            parts = self._anatomy
            outputs = [*parts.boxes, *parts.classes, *(bottlenecks(parts) if blocks else [])]
            results = [opset.result(output) for output in outputs]
            model = ov.Model(results, parts.model.get_parameters(), "teacher").clone()
            model.reshape(list(shape))
            compiled = ov.Core().compile_model(model, "CPU", self._settings)
            self._requests[blocks, shape] = compiled.create_infer_request()
        return self._requests[blocks, shape]


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
