"""The training loop, with checkpoints from which a killed run goes on as if nothing had happened."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import TrainingError
from pipeline.training.data.batches import Batch, Batches, stream
from pipeline.training.learn.journal import Journal
from pipeline.training.learn.losses import distillation_loss, label_loss
from pipeline.training.learn.recipe import Recipe
from pipeline.training.learn.targets import as_taught, correct
from pipeline.training.learn.teacher import Teacher
from pipeline.training.model.blocks import BlockMatching, Student
from pipeline.training.model.network import DetectorNetwork, Prediction
from pipeline.training.model.weights import read_state

CHECKPOINT = "checkpoint.pt"
MEASURED_BATCHES = 4
Progress = Callable[[int, str], None]
Score = Callable[[DetectorNetwork], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How far to go and how often to stop: steps in all, between journal lines, checkpoints and scores (0: never)."""

    steps: int
    journal: int = 25
    checkpoint: int = 100
    score: int = 0
    workers: int = 1


class Trainer:
    """A network in training, with everything a checkpoint must hold."""

    def __init__(
        self,
        network: DetectorNetwork,
        recipe: Recipe,
        batches: Batches,
        folder: Path,
        teacher: Teacher | None,
        device: str = "cpu",
    ) -> None:
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.recipe, self.folder, self.step = recipe, folder, 0
        self.journal = Journal(folder / "journal.jsonl")
        self._batches, self._teacher, self._device = batches, teacher, device
        self._matching = BlockMatching().to(device) if teacher and recipe.block_weight else None
        self._student: Callable[..., tuple[Prediction, Tensor]] | None = None
        if self._matching is not None:
            self._student = Student(network, self._matching)
        self._freeze()
        self._optimiser = self._make_optimiser()
        self.average = WeightAverage(network, recipe.average)
        self._forward: Callable[[Tensor], Prediction] = network

    def compile(self) -> None:
        """Let PyTorch generate code for the network: a minute or two at first, then about a sixth faster."""
        self._forward = torch.compile(self.network, dynamic=False)
        if self._student is not None:
            self._student = torch.compile(self._student, dynamic=False)

    def _freeze(self) -> None:
        for module in itertools.islice(self.network.shallow, self.recipe.frozen):
            module.requires_grad_(False)

    def _train_mode(self) -> None:
        self.network.train()
        for module in itertools.islice(self.network.shallow, self.recipe.frozen):
            module.eval()

    def _make_optimiser(self) -> torch.optim.Optimizer:
        heads = [*self.network.boxes.parameters(), *self.network.classes.parameters()]
        backbone = [p for p in (*self.network.shallow.parameters(), *self.network.deep.parameters()) if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": backbone, "lr": 0.0, "peak": self.recipe.backbone_rate},
            {"params": heads, "lr": 0.0, "peak": self.recipe.head_rate},
        ]
        if self.recipe.optimiser == "sgd":
            return torch.optim.SGD(groups, lr=0.0, momentum=self.recipe.momentum, weight_decay=self.recipe.decay)
        return torch.optim.AdamW(groups, lr=0.0, weight_decay=self.recipe.decay)

    def resume(self) -> bool:
        """Go on from the folder's checkpoint, if there is one; returns whether there was."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            return False
        content = read_checkpoint(path)
        self.network.load_state_dict(content["network"])
        self.average.state, self.average.updates = content["average"], content["updates"]
        self._optimiser.load_state_dict(content["optimiser"])
        if self._matching is not None:
            self._matching.load_state_dict(content["matching"])
        self.step = content["step"]
        self.journal.cut(self.step)
        return True

    def save(self) -> None:
        """Write the checkpoint of the present step."""
        content = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state,
            "updates": self.average.updates,
            "optimiser": self._optimiser.state_dict(),
            "matching": self._matching.state_dict() if self._matching is not None else None,
        }
        save_checkpoint(self.folder / CHECKPOINT, content)

    def run(self, pace: Schedule, progress: Progress, score: Score) -> None:
        """Learn until `pace.steps`; `progress` hears of every step, `score` judges the averaged network."""
        if self._matching is not None and self._teacher is not None and self.step == 0:
            self._matching.measure(self._teacher, (self._batches[step].pictures for step in range(MEASURED_BATCHES)))
        sums: dict[str, float] = {}
        pictures, since = 0, time.monotonic()
        self._train_mode()
        for batch in stream(self._batches, self.step, pace.steps, pace.workers):
            parts = self._learn(batch, pace.steps)
            self.step += 1
            self.average.update(self.network)
            pictures += len(batch.pictures)
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value
            progress(self.step, f"loss {parts['loss']:.3f}")
            if self.step % pace.journal == 0:
                speed = pictures / (time.monotonic() - since)
                means = {name: value / pace.journal for name, value in sums.items()}
                rate = self.recipe.factor(self.step, pace.steps) * self.recipe.backbone_rate
                self.journal.write("step", step=self.step, **means, rate=rate, pictures_per_second=speed)
                sums, pictures, since = {}, 0, time.monotonic()
            if self.step % pace.checkpoint == 0 or self.step == pace.steps:
                self.save()
            if pace.score and (self.step % pace.score == 0 or self.step == pace.steps):
                self.journal.write("score", step=self.step, **score(self.averaged()))
                since = time.monotonic()

    def averaged(self) -> DetectorNetwork:
        """A copy of the network with the averaged weights, ready to be judged or exported."""
        network = DetectorNetwork()
        network.load_state_dict({name: value.cpu() for name, value in self.average.state.items()})
        return network.eval()

    def _learn(self, batch: Batch, steps: int) -> dict[str, float]:
        factor = self.recipe.factor(self.step, steps)
        alone = self.step < self.recipe.alone_steps
        for group in self._optimiser.param_groups:
            group["lr"] = (self.recipe.alone_rate if alone else group["peak"]) * factor
        parts = self._parts(batch, alone)
        loss = parts["classes"] + self.recipe.box_weight * parts["boxes"]
        if "blocks" in parts:
            # Alone, every block answers for itself only: a mean over them would but slow them all down.
            loss = loss + (len(self.network.blocks()) if alone else self.recipe.block_weight) * parts["blocks"]
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        trained = [p for group in self._optimiser.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(trained, self.recipe.clip)
        self._optimiser.step()
        return {"loss": float(loss.detach()), **{name: float(value.detach()) for name, value in parts.items()}}

    def _autocast(self) -> torch.autocast:
        """Compute in bfloat16, or in float32 on a processor that would only emulate bfloat16, far more slowly."""
        kind = self._device.split(":")[0]
        return torch.autocast(kind, torch.bfloat16, enabled=kind != "cpu" or processor_has_bfloat16())

    def _parts(self, batch: Batch, alone: bool) -> dict[str, Tensor]:
        size = batch.pictures.shape[-1]
        pictures = batch.pictures.to(self._device).float().contiguous(memory_format=torch.channels_last)
        if self._teacher is None:
            classes, boxes = label_loss(self._predict(pictures), batch.boxes, size)
            return {"classes": classes, "boxes": boxes}
        taught = self._teacher.teach(batch.pictures.numpy(), self._matching is not None, alone)
        wanted = [b.to(self._device).contiguous(memory_format=torch.channels_last) for b in taught.blocks]
        parts: dict[str, Tensor] = {}
        if alone and self._student is not None:
            with self._autocast():
                raw, parts["blocks"] = self._student(pictures, wanted)
            prediction, target = _single(raw), as_taught(taught)
        else:
            prediction = self._predict(pictures)
            target = correct(taught, batch.boxes, batch.trust, size)
            if self._matching is not None:
                parts["blocks"] = self._matching(prediction.blocks, wanted)
        parts["classes"], parts["boxes"] = distillation_loss(prediction, target.to(self._device))
        return parts

    def _predict(self, pictures: Tensor) -> Prediction:
        with self._autocast():
            raw = self._forward(pictures)
        return _single(raw)


def processor_has_bfloat16() -> bool:
    """Tell whether this processor computes in bfloat16 faster than in float32; PyTorch has no public way to ask."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _single(raw: Prediction) -> Prediction:
    """The same answers in single precision."""
    return Prediction(raw.offsets.float(), raw.logits.float(), raw.blocks)


class WeightAverage:
    """Exponential average of a network's floating-point state; the first updates count for more."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self.updates = 0
        self.state: dict[str, Tensor] = {name: value.clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average towards the network's present weights."""
        self.updates += 1
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1 - decay)
            else:
                self.state[name].copy_(value)


FORMAT = 1


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Replace the file at a path in one move, so that a kill at any moment leaves the old file or the new one."""
    temporary = path.with_suffix(".partial")
    with temporary.open("wb") as file:
        torch.save({"format": FORMAT, **content}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return what save_checkpoint wrote; raises TrainingError for any other file."""
    content: dict[str, Any] = read_state(path)
    if content.get("format") != FORMAT:
        raise TrainingError(f"{path}: not a checkpoint of lookout-train")
    return content
