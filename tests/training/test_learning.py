from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install '.[train]'")
pytest.importorskip("pycocotools", reason="training needs pycocotools: pip install '.[train]'")

import numpy as np
import torch

from pipeline.training.data.batches import Batches
from pipeline.training.data.mosaic import MosaicComposer, Variety
from pipeline.training.data.pictures import read_coco
from pipeline.training.evaluation.evaluation import Labels
from pipeline.training.evaluation.measurement import measure_network
from pipeline.training.evaluation.suppression import detect
from pipeline.training.learn.journal import Journal
from pipeline.training.learn.recipe import CARD, Recipe
from pipeline.training.learn.targets import correct, match
from pipeline.training.learn.teacher import TeacherOutput
from pipeline.training.learn.trainer import Schedule, Trainer
from pipeline.training.model.network import DetectorNetwork, Prediction, initialise_heads
from pipeline.training.model.priors import encode, prior_boxes
from tests.support.wait import HANG_S

PLAIN = Variety(drawn=0, unlabelled=0, collages=0, pasted=0, stepped_back=0, cuts=0, degraded=False)
QUICK = Recipe("adamw", 4e-3, 1e-2, 1e-4, batch=1, warm_up=2, warm_up_start=0.1, sizes=((160, 1.0),), average=0.9)


def trainer(data: Path, folder: Path, recipe: Recipe, variety: Variety = PLAIN) -> Trainer:
    torch.manual_seed(0)
    network = DetectorNetwork()
    initialise_heads(network)
    composer = MosaicComposer(read_coco(data, "train"), [], variety, seed=0)
    return Trainer(network, recipe, Batches(composer, recipe, 0), folder, None)


def test_the_loss_falls_in_a_few_steps_on_drawn_pictures(drawn: Path, tmp_path: Path) -> None:
    run = trainer(drawn, tmp_path, QUICK)
    run.run(Schedule(steps=16, journal=4, checkpoint=100, workers=0), lambda step, text: None, lambda network: {})
    losses = [event["loss"] for event in run.journal.events()]
    assert len(losses) == 4
    assert losses[-1] < 0.85 * losses[0]


@pytest.mark.parametrize(("able", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_processor_that_only_emulates_bfloat16_computes_in_float32(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, able: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr("pipeline.training.learn.trainer.processor_has_bfloat16", lambda: able)
    seen: set[torch.dtype] = set()
    run = trainer(drawn, tmp_path, QUICK)
    run.network.register_forward_hook(lambda network, given, raw: seen.add(raw.offsets.dtype))
    run.run(Schedule(steps=1, journal=1, checkpoint=100, workers=0), lambda step, text: None, lambda network: {})
    assert seen == {dtype}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_200_steps_on_eight_drawn_pictures_find_people_in_them(drawn: Path, tmp_path: Path) -> None:
    recipe = Recipe("adamw", 2e-3, 2e-3, 1e-4, 1, 20, 0.1, sizes=((512, 1.0),), average=0.95)
    run = trainer(drawn, tmp_path, recipe)
    run.run(Schedule(steps=200, journal=20, checkpoint=1000, workers=0), lambda step, text: None, lambda network: {})
    losses = [event["loss"] for event in run.journal.events()]
    labels = Labels(drawn, "val")
    judged = labels.judge(measure_network(run.averaged(), drawn, "val", labels, detect))
    print(f"loss {losses[0]:.2f} to {losses[-1]:.2f}, AP {judged.average_precision:.3f}")
    assert losses[-1] < 0.3 * losses[0]
    assert judged.average_precision > 0.05


def test_the_rate_of_the_card_falls_at_epochs_8_15_and_18_of_20() -> None:
    assert CARD.factor(0, 100_000) == pytest.approx(1 / 3, abs=1e-3)
    assert [round(CARD.factor(step * 5000, 100_000), 6) for step in (7, 8, 15, 18)] == [1.0, 0.1, 0.01, 0.001]


def test_every_label_gets_the_prior_it_overlaps_most() -> None:
    boxes = torch.tensor([[0.0, 0.0, 6.0, 9.0, 1.0], [100.0, 100.0, 165.0, 300.0, 1.0]])
    matches = match(boxes, 512, threshold=0.4)
    assert set(matches.label[matches.label >= 0].tolist()) == {0, 1}
    assert int((matches.label == 0).sum()) == 1
    assert int((matches.label == 1).sum()) > 1


def test_priors_in_an_ignored_region_are_left_out() -> None:
    matches = match(torch.tensor([[0.0, 0.0, 200.0, 200.0, 0.0]]), 512, threshold=0.4)
    assert not (matches.label >= 0).any()
    priors = prior_boxes(512)
    assert bool(matches.ignored[(priors[:, 0] < 150) & (priors[:, 1] < 150) & (priors[:, 3] < 60)].all())
    assert not bool(matches.ignored[(priors[:, 0] > 300)].any())


def test_labels_move_the_teacher_only_as_far_as_they_are_trusted() -> None:
    priors = prior_boxes(512)
    taught = TeacherOutput(torch.full((1, 5376), 0.4), torch.zeros(1, 5376, 4), [])
    box = torch.tensor([[100.0, 100.0, 165.0, 300.0, 1.0]])
    half = correct(taught, [box], torch.full((1, 32, 32), 0.5), 512)
    hit = match(box, 512, 0.5, force=False).label >= 0
    assert torch.allclose(half.people[0, hit], torch.tensor(0.7))
    assert torch.allclose(half.offsets[0, hit], encode(box[:, :4], priors[hit]) / 2)
    assert float(half.people[0, ~hit].min()) == pytest.approx(0.3)
    assert torch.equal(correct(taught, [box], torch.zeros(1, 32, 32), 512).people, taught.people)
    assert float(correct(taught, [box[:0]], torch.ones(1, 32, 32), 512).people.max()) == 0


def test_the_same_seed_composes_the_same_pictures(drawn: Path) -> None:
    entries = read_coco(drawn, "train")
    first, again = (MosaicComposer(entries, [], Variety(drawn=0.3), 9) for _ in range(2))
    other = MosaicComposer(entries, [], Variety(drawn=0.3), 10)
    for index in range(6):
        sample, same = first.compose(index, 192), again.compose(index, 192)
        assert np.array_equal(sample.image, same.image)
        assert np.array_equal(sample.boxes, same.boxes)
        assert sample.image.shape == (192, 192, 3)
        assert sample.trust.shape == (12, 12)
    assert not np.array_equal(first.compose(0, 192).image, other.compose(0, 192).image)


def fit(data: Path, folder: Path) -> list[str]:
    command = [
        sys.executable,
        "-m",
        "pipeline.training.cli",
        "fit",
        str(data),
        "--out",
        str(folder),
        "--from",
        "imagenet.pt",
    ]
    command += ["--recipe", "tune", "--steps", "6", "--batch", "1", "--size", "64", "--checkpoint-every", "2"]
    return [*command, "--threads", "1", "--seed", "3"]


@pytest.mark.timeout(1800)
def test_a_killed_run_ends_where_an_unbroken_one_does(drawn: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    start = tmp_path / "start.pt"
    torch.save(DetectorNetwork().state_dict(), start)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    commands = [
        [str(start) if argument == "imagenet.pt" else argument for argument in fit(drawn, folder)]
        for folder in (whole, broken)
    ]
    environment = {**os.environ, "COLUMNS": "200"}
    child = subprocess.Popen(commands[1], env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + HANG_S
    while not (broken / "checkpoint.pt").exists() and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert (broken / "checkpoint.pt").exists()
    subprocess.run([*commands[1], "--resume"], env=environment, check=True, capture_output=True)
    subprocess.run(commands[0], env=environment, check=True, capture_output=True)
    first, second = (torch.load(folder / "weights.pt", weights_only=True) for folder in (whole, broken))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert (broken / "journal.png").stat().st_size > 1000
    assert [event["event"] for event in Journal(broken / "journal.jsonl").events()][:1] == ["run"]


def test_a_prediction_equal_to_its_target_costs_nothing() -> None:
    from pipeline.training.learn.losses import distillation_loss
    from pipeline.training.learn.targets import Target

    people = torch.rand(1, 50) * 0.98 + 0.01
    margin = torch.logit(people)
    offsets = torch.randn(1, 50, 4)
    prediction = Prediction(offsets, torch.stack([margin / 2, -margin / 2], -1), [])
    classes, boxes = distillation_loss(prediction, Target(people, offsets, people))
    assert float(classes) == pytest.approx(0, abs=1e-5)
    assert float(boxes) == 0
