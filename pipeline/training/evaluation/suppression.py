"""Raw outputs to boxes, as OpenVINO's DetectionOutput does it."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.training.model.priors import decode, intersection_over_union, prior_boxes

CONFIDENCE = 0.02
OVERLAP = 0.45
KEPT = 200


def detect(people: Tensor, offsets: Tensor, size: int = 512) -> list[Tensor]:
    """Detections of B pictures from person probabilities [B,P] and offsets [B,P,4].

    For every picture [N,5], best first: confidence, then corner coordinates as fractions of the picture, unclipped.
    The 200 best above 0.02 go into non-maximum suppression at an overlap of 0.45.
    """
    boxes = decode(offsets, prior_boxes(size)) / size
    return [_suppress(scores, corners) for scores, corners in zip(people, boxes, strict=True)]


def _suppress(scores: Tensor, boxes: Tensor) -> Tensor:
    found = (scores > CONFIDENCE).nonzero()[:, 0]
    order = found[scores[found].argsort(descending=True, stable=True)][:KEPT]
    overlaps = intersection_over_union(boxes[order], boxes[order])
    kept: list[int] = []
    for candidate in range(len(order)):
        if not kept or float(overlaps[candidate, kept].max()) <= OVERLAP:
            kept.append(candidate)
    chosen = order[kept]
    return torch.cat([scores[chosen, None], boxes[chosen]], 1)
