"""Learning a teacher's network block by block: what each of its blocks gives, in units that suit the learner."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from pipeline.training.learn.teacher import Teacher
from pipeline.training.model.network import PIXEL_SCALE, STAGES, STEM_CHANNELS, DetectorNetwork, Prediction

# A channel that hardly varies is measured by this share of its stage's mean variance, not by its own noise.
LEAST_VARIANCE = 0.01

# The stage of each block, the stem's being 0: blocks of a stage add to one another, so they share their units.
BLOCK_STAGES = (0, *(stage for stage, (_, repeats, _) in enumerate(STAGES, 1) for _ in range(repeats)))


class BlockMatching(nn.Module):
    """Compares a learner's blocks with a teacher's, whose channels count in units of their own deviation.

    A network of linear bottlenecks gives the same answers whatever the units of the channels between its blocks, and
    learns best where they all vary alike. The units are part of the state, for a run that goes on must keep them.
    """

    def __init__(self) -> None:
        super().__init__()
        for stage, channels in enumerate((STEM_CHANNELS, *(outputs for outputs, _, _ in STAGES))):
            self.register_buffer(f"unit{stage}", torch.ones(1, channels, 1, 1))

    @torch.no_grad()
    def measure(self, teacher: Teacher, batches: Iterable[Tensor]) -> None:
        """Set the units from the teacher's blocks on some batches of uint8 pictures [B,3,S,S]."""
        variances: dict[int, list[Tensor]] = {}
        for batch in batches:
            for stage, output in zip(BLOCK_STAGES, teacher.teach(batch.numpy(), blocks=True).blocks, strict=True):
                variances.setdefault(stage, []).append(output.var((0, 2, 3), keepdim=True))
        for stage, found in variances.items():
            variance = torch.stack(found).mean(0)
            self.get_buffer(f"unit{stage}").copy_((variance + LEAST_VARIANCE * variance.mean()).sqrt())

    def in_units(self, blocks: list[Tensor]) -> list[Tensor]:
        """The outputs of a teacher's blocks in the learner's units."""
        return [block / self.get_buffer(f"unit{stage}") for stage, block in zip(BLOCK_STAGES, blocks, strict=True)]

    def forward(self, blocks: list[Tensor], wanted: list[Tensor]) -> Tensor:
        """Mean squared gap, in units, to what is wanted, over the pictures that both have: 1 is nothing learnt."""
        gaps = [
            (block[: len(target)].float() - target[: len(block)]).square().mean()
            for block, target in zip(blocks, self.in_units(wanted), strict=True)
        ]
        return torch.stack(gaps).mean()


class Student(nn.Module):
    """A network whose blocks each see what the teacher's block before them gave: none waits for another to learn."""

    def __init__(self, network: DetectorNetwork, matching: BlockMatching) -> None:
        super().__init__()
        self.network, self.matching = network, matching

    def forward(self, pictures: Tensor, wanted: list[Tensor]) -> tuple[Prediction, Tensor]:
        """Return what the heads say of the teacher's blocks and the gap of the network's blocks as in BlockMatching."""
        seen = [pictures * PIXEL_SCALE, *self.matching.in_units(wanted)]
        blocks = [
            block(features[: len(target)])
            for block, features, target in zip(self.network.blocks(), seen[:-1], wanted, strict=True)
        ]
        return self.network.predict(seen[1:]), self.matching(blocks, wanted)
