"""How to train: everything that shapes the result, in one value that goes into the journal."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipeline.training.data.mosaic import Variety


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of a run. Rates are learning rates at their peak; `sizes` maps picture sizes to their share of steps.

    Batches at smaller sizes hold more pictures, so that every step costs about the same. `milestones` are fractions of
    the run at which a step schedule divides its rate by ten; without any the rate falls along a cosine. `frozen` blocks
    stay as they are. In the first `alone_steps` every block learns by itself, at a rate and with batches of its own.
    """

    optimiser: str
    backbone_rate: float
    head_rate: float
    decay: float
    batch: int
    warm_up: int
    warm_up_start: float
    momentum: float = 0.9
    milestones: tuple[float, ...] = ()
    sizes: tuple[tuple[int, float], ...] = ((512, 1.0),)
    average: float = 0.998
    clip: float = 10.0
    frozen: int = 0
    box_weight: float = 1.0
    block_weight: float = 0.0
    alone_steps: int = 0
    alone_rate: float = 0.0
    alone_batch: int = 0

    def factor(self, step: int, steps: int) -> float:
        """Return the factor on the peak rates at a step of so many; a short run warms up for a fifth of it at most."""
        if self.alone_steps:
            alone = step < self.alone_steps
            step, steps = (step, self.alone_steps) if alone else (step - self.alone_steps, steps - self.alone_steps)
        warm_up = max(1, min(self.warm_up, steps // 5))
        warm = min(1.0, self.warm_up_start + (1 - self.warm_up_start) * (step + 1) / warm_up)
        progress = step / max(steps, 1)
        if self.milestones:
            return warm * 0.1 ** sum(progress >= milestone for milestone in self.milestones)
        return warm * (0.5 * (1 + math.cos(math.pi * progress)) * 0.99 + 0.01)

    def pictures(self, step: int, size: int) -> int:
        """Pictures of a size in the batch of a step."""
        batch = self.alone_batch if step < self.alone_steps else self.batch
        return max(1, round(batch * (512 / size) ** 2))


# The published recipe: 20 epochs with steps after the 8th, 15th and 18th, 60 pictures a batch at a rate of 0.05. The
# rate is for that batch; `scaled` adapts it (Goyal et al. 2017: proportional to the batch).
CARD = Recipe(
    optimiser="sgd",
    backbone_rate=0.05,
    head_rate=0.05,
    decay=5e-4,
    batch=60,
    warm_up=1200,
    warm_up_start=1 / 3,
    milestones=(0.4, 0.75, 0.9),
)
# Gentle steps from weights that already find people.
TUNE = Recipe(
    optimiser="adamw",
    backbone_rate=4e-4,
    head_rate=1.6e-3,
    decay=1e-4,
    batch=16,
    warm_up=50,
    warm_up_start=0.05,
    frozen=3,
)
# Learning from a teacher's dense outputs, and from what each of its blocks gives.
DISTIL = Recipe(
    optimiser="adamw",
    backbone_rate=8e-4,
    head_rate=8e-4,
    decay=1e-4,
    batch=16,
    warm_up=100,
    warm_up_start=0.02,
    sizes=((512, 0.6), (320, 0.4)),
    block_weight=4.0,
    alone_steps=3000,
    alone_rate=3e-3,
    alone_batch=6,
)
RECIPES = {"card": CARD, "tune": TUNE, "distil": DISTIL}
# The published recipe cuts, mirrors and changes colours; the others compose pictures as well.
VARIETIES = {
    "card": Variety(drawn=0, unlabelled=0, collages=0, pasted=0, stepped_back=0, cuts=0.8),
    "tune": Variety(drawn=0, unlabelled=0, collages=0.25, pasted=0),
    "distil": Variety(),
}
