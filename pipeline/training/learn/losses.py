"""Losses: SSD's own on labels, and dense distillation from a teacher."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.training.learn.targets import Target, counted, match
from pipeline.training.model.network import Prediction
from pipeline.training.model.priors import encode, prior_boxes

MATCH_THRESHOLD = 0.4
NEGATIVES_PER_POSITIVE = 3
BOX_BETA = 0.1


def label_loss(prediction: Prediction, boxes: list[Tensor], size: int) -> tuple[Tensor, Tensor]:
    """Class and box loss on labels alone, each divided by the number of positives (Liu et al. 2016, section 2.2).

    Cross-entropy of positives and of the hardest negatives, three for each; smooth L1 with a beta of 1 on offsets.
    """
    priors = prior_boxes(size)
    device = prediction.logits.device
    entropy = functional.softplus(prediction.logits[..., 0] - prediction.logits[..., 1])
    class_sum, box_sum, positives = entropy.new_zeros(()), entropy.new_zeros(()), 0
    for index, labels in enumerate(boxes):
        matches = match(labels, size, MATCH_THRESHOLD)
        hit = matches.label >= 0
        found = int(hit.sum())
        positives += found
        background = entropy[index][(~hit & ~matches.ignored).to(device)]
        # A picture of nobody still teaches: its few hardest priors count as those of one person would.
        kept = min(len(background), NEGATIVES_PER_POSITIVE * max(found, 1))
        class_sum = class_sum + background.topk(kept).values.sum()
        if found:
            chosen = hit.to(device)
            wanted = encode(counted(labels)[matches.label[hit]], priors[hit]).to(device)
            logits = prediction.logits[index, chosen]
            class_sum = class_sum + functional.softplus(logits[:, 1] - logits[:, 0]).sum()
            box_sum = box_sum + functional.smooth_l1_loss(prediction.offsets[index, chosen], wanted, reduction="sum")
    return class_sum / max(positives, 1), box_sum / max(positives, 1)


def distillation_loss(prediction: Prediction, target: Target) -> tuple[Tensor, Tensor]:
    """Class and box loss on a target for every prior, each divided by the people the target sees.

    Classes: Kullback-Leibler divergence, weighted by the disagreement and more where the target sees somebody.
    Boxes: smooth L1 weighted by the target's person probability, linear from small errors up: a teacher's boxes are
    worth copying to the pixel, and precise boxes are what a high average precision asks for.
    """
    margin = prediction.logits[..., 0] - prediction.logits[..., 1]
    people = target.people
    weight = torch.where(people > 0.1, 1.0, 0.02) + (people - margin.detach().sigmoid()).abs()
    entropy = functional.binary_cross_entropy_with_logits(margin, people, reduction="none")
    certain = functional.binary_cross_entropy(people, people, reduction="none")
    total = people.sum().clamp(min=1.0)
    gaps = functional.smooth_l1_loss(prediction.offsets, target.offsets, reduction="none", beta=BOX_BETA).sum(-1)
    return (weight * (entropy - certain)).sum() / total, (target.box_weight * gaps).sum() / total
