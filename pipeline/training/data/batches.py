"""Batches in a fixed order, made in a process of their own while the network learns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipeline.training.data.mosaic import MosaicComposer, to_planes
from pipeline.training.learn.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Batch:
    """Uint8 pictures [B,3,S,S], their boxes [N,5] and the trust in them [B,S/16,S/16]."""

    pictures: Tensor
    boxes: list[Tensor]
    trust: Tensor


class Batches(Dataset[Batch]):
    """The batch of every step: the same step of the same seed always sees the same pictures."""

    def __init__(self, composer: MosaicComposer, recipe: Recipe, seed: int) -> None:
        self._composer, self._recipe, self._seed = composer, recipe, seed

    def __getitem__(self, step: int) -> Batch:
        sizes, shares = zip(*self._recipe.sizes, strict=True)
        rng = np.random.default_rng((self._seed, step, 1))
        size = int(rng.choice(sizes, p=np.array(shares) / sum(shares)))
        count = self._recipe.pictures(step, size)
        # Steps are far enough apart that no two batches share a picture's number, whatever their sizes.
        samples = [self._composer.compose(step * 4096 + k, size) for k in range(count)]
        pictures = torch.from_numpy(np.stack([to_planes(sample.image) for sample in samples]))
        trust = torch.from_numpy(np.stack([sample.trust for sample in samples]))
        return Batch(pictures, [torch.from_numpy(sample.boxes) for sample in samples], trust)


def _single_threaded(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def stream(batches: Batches, start: int, stop: int, workers: int = 1) -> Iterator[Batch]:
    """Batches of steps from `start` up to `stop`."""
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=range(start, stop),
        num_workers=workers,
        worker_init_fn=_single_threaded,
        prefetch_factor=3 if workers else None,
        # A forked process would inherit the locks of thread pools whose threads it does not have, and wait for ever.
        multiprocessing_context="spawn" if workers else None,
    )
    return iter(loader)
