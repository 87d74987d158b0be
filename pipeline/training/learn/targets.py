"""What every prior should say: from labels alone, or from a teacher whom the labels correct."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.training.learn.teacher import TeacherOutput
from pipeline.training.model.priors import corners, encode, intersection_over_union, prior_boxes

LABEL_MATCH = 0.5  # overlap above which a label speaks to a prior that the teacher answers for as well
LABEL_CLEAR = 0.3  # overlap below which a prior shows nobody, by the labels


@dataclass(frozen=True, slots=True)
class Matches:
    """For P priors of one picture: the best label (or -1), the overlap with it and whether to leave the prior out."""

    label: Tensor
    overlap: Tensor
    ignored: Tensor


def match(boxes: Tensor, size: int, threshold: float, force: bool = True) -> Matches:
    """Priors against labels [N,5] (corner boxes in pixels, 1 to count or 0 to ignore), by Liu et al. 2016, section 2.2.

    Each prior takes the label it overlaps most, from `threshold` up; with `force` each label also gets the prior that
    overlaps it most, however little. Priors that lie mostly in an ignored region and match nobody are left out.
    """
    priors = corners(prior_boxes(size))
    counted, ignored = boxes[boxes[:, 4] > 0, :4], boxes[boxes[:, 4] <= 0, :4]
    label = torch.full((len(priors),), -1, dtype=torch.long)
    overlap = torch.zeros(len(priors))
    if len(counted):
        overlaps = intersection_over_union(priors, counted)
        overlap, best = overlaps.max(1)
        label = torch.where(overlap >= threshold, best, label)
        if force:
            for number, prior in enumerate(overlaps.argmax(0).tolist()):
                label[prior] = number
    left_out = torch.zeros(len(priors), dtype=torch.bool)
    if len(ignored):
        low = torch.maximum(priors[:, None, :2], ignored[None, :, :2])
        high = torch.minimum(priors[:, None, 2:], ignored[None, :, 2:])
        inside = (high - low).clamp(min=0).prod(-1) / (priors[:, 2:] - priors[:, :2]).prod(-1)[:, None]
        left_out = (inside.max(1).values > 0.3) & (label < 0)
    return Matches(label, overlap, left_out)


def counted(boxes: Tensor) -> Tensor:
    """The labels that matches number: corner boxes [N,4]."""
    return boxes[boxes[:, 4] > 0, :4]


@dataclass(frozen=True, slots=True)
class Target:
    """For B pictures of P priors: person probability, offsets, and the weight of the offsets."""

    people: Tensor
    offsets: Tensor
    box_weight: Tensor

    def to(self, device: str) -> Target:
        """The same target on another device."""
        return Target(self.people.to(device), self.offsets.to(device), self.box_weight.to(device))


def as_taught(taught: TeacherOutput) -> Target:
    """The teacher's answers as they are; offsets count by the probability of a person."""
    return Target(taught.people, taught.offsets, taught.people * (taught.people > 0.05))


def correct(taught: TeacherOutput, boxes: list[Tensor], trust: Tensor, size: int) -> Target:
    """The teacher's answers moved towards the labels, by the trust [B,size/16,size/16] that the labels deserve there.

    Where a label overlaps a prior by half or more the probability rises towards 1 and the offsets towards those of the
    label; where no label is near it falls towards 0, half as fast, for labels miss people more often than they invent
    them. A trust of 1 leaves nothing of the teacher's in places without people.
    """
    priors = prior_boxes(size)
    people, offsets = taught.people.clone(), taught.offsets.clone()
    cell = (priors[:, :2] // 16).long()
    for index, labels in enumerate(boxes):
        faith = trust[index, cell[:, 1], cell[:, 0]]
        matches = match(labels, size, LABEL_MATCH, force=False)
        hit = (matches.label >= 0) & (faith > 0)
        people[index, hit] += (1 - people[index, hit]) * faith[hit]
        wanted = encode(counted(labels)[matches.label[hit]], priors[hit])
        offsets[index, hit] += (wanted - offsets[index, hit]) * faith[hit, None]
        clear = (matches.overlap < LABEL_CLEAR) & ~matches.ignored & (faith > 0)
        doubt = torch.where(faith >= 1, faith, faith / 2)
        people[index, clear] *= 1 - doubt[clear]
    return Target(people, offsets, people * (people > 0.05))
