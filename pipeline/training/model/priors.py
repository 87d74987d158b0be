"""Prior boxes of the two heads and the coding of boxes against them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

VARIANCES = (0.1, 0.1, 0.2, 0.2)


@dataclass(frozen=True, slots=True)
class PriorLayer:
    """Priors of one head: one box of each width and height, in pixels, at the centre of every cell of `step` pixels."""

    step: int
    widths: tuple[float, ...]
    heights: tuple[float, ...]

    @property
    def count(self) -> int:
        """Priors in one cell."""
        return len(self.widths)


LAYERS = (
    PriorLayer(16, (7.89083, 16.9053, 22.8718, 31.2677), (25.7671, 51.5625, 80.9276, 114.398)),
    PriorLayer(
        32,
        (40.4275, 51.7836, 65.5626, 82.9354, 110.779),
        (154.051, 201.309, 255.939, 326.965, 428.209),
    ),
)


@cache
def prior_boxes(size: int = 512) -> Tensor:
    """Priors of a square picture of `size` pixels, [P,4] as centre x, centre y, width, height in pixels.

    Order: heads, then rows, then columns, then the boxes of the cell, as PriorBoxClustered writes them.
    """
    parts = []
    for layer in LAYERS:
        cells = size // layer.step
        centres = (torch.arange(cells, dtype=torch.float32) + 0.5) * layer.step
        shapes = torch.tensor([layer.widths, layer.heights]).T
        grid = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), -1)
        grid = grid[:, :, None, :].expand(cells, cells, layer.count, 2)
        parts.append(torch.cat([grid, shapes.expand(cells, cells, layer.count, 2)], -1).reshape(-1, 4))
    return torch.cat(parts)


def corners(boxes: Tensor) -> Tensor:
    """Centre form to x_min, y_min, x_max, y_max."""
    half = boxes[..., 2:] / 2
    return torch.cat([boxes[..., :2] - half, boxes[..., :2] + half], -1)


def encode(boxes: Tensor, priors: Tensor) -> Tensor:
    """Offsets of corner boxes from priors in centre form (Liu et al. 2016, equation 2, divided by the variances)."""
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3)
    offsets = torch.cat([(centre - priors[..., :2]) / priors[..., 2:], torch.log(size / priors[..., 2:])], -1)
    return offsets / offsets.new_tensor(VARIANCES)


def decode(offsets: Tensor, priors: Tensor) -> Tensor:
    """Corner boxes, in the priors' unit, of offsets [...,P,4]: the inverse of encode."""
    scaled = offsets * offsets.new_tensor(VARIANCES)
    centre = priors[..., :2] + scaled[..., :2] * priors[..., 2:]
    return corners(torch.cat([centre, priors[..., 2:] * torch.exp(scaled[..., 2:])], -1))


def intersection_over_union(first: Tensor, second: Tensor) -> Tensor:
    """Overlap [N,M] of corner boxes [N,4] and [M,4]; 0 where both are empty."""
    low = torch.maximum(first[:, None, :2], second[None, :, :2])
    high = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    areas = (first[:, 2:] - first[:, :2]).clamp(min=0).prod(-1), (second[:, 2:] - second[:, :2]).clamp(min=0).prod(-1)
    return shared / (areas[0][:, None] + areas[1][None] - shared).clamp(min=1e-9)
