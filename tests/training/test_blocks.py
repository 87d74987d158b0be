from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install '.[train]'")
pytest.importorskip("pycocotools", reason="training needs pycocotools: pip install '.[train]'")

import numpy as np
import torch

from pipeline.errors import TrainingError
from pipeline.training.data.batches import Batches
from pipeline.training.data.mosaic import MosaicComposer, Variety
from pipeline.training.data.pictures import read_coco
from pipeline.training.export.openvino_ir import build_model, save
from pipeline.training.learn.recipe import DISTIL, Recipe
from pipeline.training.learn.teacher import Teacher
from pipeline.training.learn.trainer import Schedule, Trainer
from pipeline.training.model.blocks import BLOCK_STAGES, BlockMatching, Student
from pipeline.training.model.initial_weights import BUNDLED_FILE, find_weights
from pipeline.training.model.ir_weights import settle
from pipeline.training.model.network import DetectorNetwork, initialise_heads
from tests.training.test_ir_weights import street

PLAIN = Variety(drawn=0, unlabelled=0, collages=0, pasted=0, stepped_back=0, cuts=0, degraded=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[DetectorNetwork, Path]:
    """A network of random weights with features that vary, and the OpenVINO model of it."""
    torch.manual_seed(2)
    network = DetectorNetwork().eval()
    settle(network, [torch.from_numpy(np.concatenate([street(1), street(2)])).float()])
    path = tmp_path_factory.mktemp("teacher") / "model.xml"
    save(build_model(network), path, half=False)
    return network, path


def test_a_teacher_shows_what_each_block_of_its_network_gives(model: tuple[DetectorNetwork, Path]) -> None:
    network, path = model
    pictures = np.concatenate([street(seed) for seed in (1, 2)])
    taught = Teacher(path, exact=True).teach(pictures, blocks=True)
    with torch.no_grad():
        raw = network(torch.from_numpy(pictures).float())
    assert len(taught.blocks) == len(raw.blocks) == 18
    for shown, block in zip(taught.blocks, raw.blocks, strict=True):
        assert torch.allclose(shown, block[: len(shown)], atol=2e-3 * float(block.abs().max()))
    assert [len(shown) for shown in taught.blocks] == [1] * 3 + [2] * 15


def test_a_teacher_of_blocks_must_be_a_model_of_floats() -> None:
    path = find_weights("bundled", None)
    assert path.as_posix().endswith(BUNDLED_FILE)
    with pytest.raises(
        TrainingError, match=r"is quantised; to teach single blocks it must be a model of floats, FP16 or FP32$"
    ):
        Teacher(path).teach(street(1), blocks=True)


def test_units_are_the_deviations_of_the_teachers_channels(model: tuple[DetectorNetwork, Path]) -> None:
    matching = BlockMatching()
    pictures = torch.from_numpy(street(1))
    teacher = Teacher(model[1], exact=True)
    matching.measure(teacher, [pictures])
    blocks = teacher.teach(pictures.numpy(), blocks=True).blocks
    deviations = [block.var((0, 2, 3)).mean() for block in matching.in_units(blocks)]
    for stage in range(1, 8):
        stages = [float(d) for d, number in zip(deviations, BLOCK_STAGES, strict=True) if number == stage]
        assert 0.9 < sum(stages) / len(stages) < 1.01


def test_blocks_equal_to_the_teachers_have_no_gap_and_every_other_has(model: tuple[DetectorNetwork, Path]) -> None:
    network, path = model
    matching = BlockMatching()
    pictures = street(1)
    wanted = Teacher(path, exact=True).teach(pictures, blocks=True).blocks
    with torch.no_grad():
        raw = network(torch.from_numpy(pictures).float())
        assert float(matching(raw.blocks, wanted)) < 1e-4
        for number in range(18):
            changed = [block + (1 if k == number else 0) for k, block in enumerate(raw.blocks)]
            assert float(matching(changed, wanted)) > 1 / 19


def test_a_block_that_learns_alone_is_not_disturbed_by_those_before_it(model: tuple[DetectorNetwork, Path]) -> None:
    network, path = model
    student = Student(DetectorNetwork().eval(), BlockMatching())
    student.network.load_state_dict(network.state_dict())
    pictures = street(1)
    wanted = Teacher(path, exact=True).teach(pictures, blocks=True).blocks
    with torch.no_grad():
        before, gap = student(torch.from_numpy(pictures).float(), wanted)
        assert float(gap) < 1e-4
        student.network.shallow[3].project[1].weight.zero_()
        after, gap = student(torch.from_numpy(pictures).float(), wanted)
        # One block of eighteen is wrong: no error reaches those after it, nor the heads.
        wrong = (student.network.shallow[3](wanted[2]) - wanted[3]).square().mean()
        assert float(gap) == pytest.approx(float(wrong) / 18, rel=0.01)
    assert torch.equal(before.logits, after.logits)


def test_blocks_learn_from_nothing_to_give_what_the_teachers_give(
    model: tuple[DetectorNetwork, Path], drawn: Path, tmp_path: Path
) -> None:
    recipe = Recipe(
        "adamw", 8e-4, 8e-4, 0.0, 2, 2, 0.1, sizes=((96, 1.0),), block_weight=4, alone_steps=18, alone_rate=1e-2,
        alone_batch=1,
    )  # fmt: skip
    torch.manual_seed(0)
    network = DetectorNetwork()
    initialise_heads(network)
    batches = Batches(MosaicComposer(read_coco(drawn, "train"), [], PLAIN, seed=0), recipe, 0)
    run = Trainer(network, recipe, batches, tmp_path, Teacher(model[1], exact=True))
    run.run(Schedule(steps=24, journal=6, workers=0), lambda step, text: None, lambda network: {})
    gaps = [event["blocks"] for event in run.journal.events()]
    assert gaps[2] < 0.85 * gaps[0]

    again = Trainer(DetectorNetwork(), recipe, batches, tmp_path, Teacher(model[1], exact=True))
    assert again.resume()
    assert torch.equal(again._matching.unit3, run._matching.unit3)
    assert float(run._matching.unit3.std()) > 0


def test_the_rate_falls_once_while_blocks_learn_alone_and_once_after() -> None:
    steps = DISTIL.alone_steps + 2000
    factors = [
        DISTIL.factor(step, steps) for step in (150, DISTIL.alone_steps - 1, DISTIL.alone_steps + 150, steps - 1)
    ]
    assert factors[0] > 0.95
    assert factors[1] < 0.02
    assert factors[2] > 0.95
    assert factors[3] < 0.02
    assert DISTIL.pictures(0, 512) == DISTIL.alone_batch
    assert DISTIL.pictures(DISTIL.alone_steps, 512) == DISTIL.batch
