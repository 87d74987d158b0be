from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install '.[train]'")
pytest.importorskip("pycocotools", reason="training needs pycocotools: pip install '.[train]'")

import cv2
import numpy as np
import openvino as ov
import torch

from pipeline.training.data.mosaic import to_planes
from pipeline.training.data.street import draw_scene
from pipeline.training.evaluation.suppression import detect
from pipeline.training.export.openvino_ir import build_model, save
from pipeline.training.learn.teacher import Teacher
from pipeline.training.model.ir_weights import adopt, settle
from pipeline.training.model.network import DetectorNetwork


def street(seed: int) -> np.ndarray:
    image = draw_scene(np.random.default_rng(seed), most=6).image
    return to_planes(np.asarray(cv2.resize(image, (512, 512)), np.uint8))[None]


def rows(path: Path, pictures: np.ndarray) -> np.ndarray:
    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(pictures.astype(np.float32))[0].reshape(-1, 7)
    return found[: int(np.argmax(found[:, 0] < 0))] if (found[:, 0] < 0).any() else found


def test_the_official_weights_in_our_network_give_the_official_detections(official: Path) -> None:
    network = DetectorNetwork().eval()
    adopt(network, official)
    for seed in (1, 2):
        pictures = street(seed)
        with torch.no_grad():
            raw = network(torch.from_numpy(pictures).float())
        ours = detect(raw.logits.softmax(-1)[..., 0], raw.offsets)[0].numpy()
        theirs = rows(official, pictures)
        assert len(theirs) > 3
        assert ours.shape == theirs[:, 2:].shape
        assert np.abs(ours - theirs[:, 2:]).max() < 1e-4


def test_official_raw_outputs_decoded_here_are_its_own_detections(official: Path) -> None:
    pictures = street(3)
    taught = Teacher(official, exact=True).teach(pictures)
    ours = detect(taught.people, taught.offsets)[0].numpy()
    theirs = rows(official, pictures)
    assert len(ours) > 3
    assert ours.shape == theirs[:, 2:].shape
    assert np.abs(ours - theirs[:, 2:]).max() < 1e-4


def test_a_mirrored_lesson_is_the_same_on_the_mirror_image(official: Path) -> None:
    teacher = Teacher(official, mirrored=True, exact=True)
    pictures = street(3)
    here, there = teacher.teach(pictures), teacher.teach(np.ascontiguousarray(pictures[..., ::-1]))
    found = [detect(taught.people, taught.offsets)[0] for taught in (here, there)]
    assert torch.allclose(found[0][:, 0], found[1][:, 0], atol=1e-4)
    assert torch.allclose(found[0][:, [1, 3]], 1 - found[1][:, [3, 1]], atol=1e-4)


def test_a_model_of_ours_comes_back_as_it_was(tmp_path: Path) -> None:
    torch.manual_seed(4)
    network = DetectorNetwork().eval()
    settle(network, [torch.from_numpy(street(4)).float()])
    save(build_model(network), tmp_path / "model.xml", half=False)
    again = DetectorNetwork().eval()
    adopt(again, tmp_path / "model.xml")
    pictures = torch.from_numpy(street(5)).float()
    with torch.no_grad():
        before, after = network(pictures), again(pictures)
    assert torch.allclose(before.logits, after.logits, atol=1e-3)
    assert torch.allclose(before.offsets, after.offsets, atol=1e-3)


def test_settling_changes_statistics_but_no_output() -> None:
    torch.manual_seed(5)
    network = DetectorNetwork().eval()
    pictures = torch.from_numpy(street(6)).float()
    with torch.no_grad():
        before = network(pictures)
        settle(network, [pictures])
        after = network(pictures)
        in_training = network.train()(pictures)
    assert torch.allclose(before.logits, after.logits, atol=1e-4)
    assert torch.allclose(before.logits, in_training.logits, atol=2e-2)
    assert float(network.units()[0][1].running_mean.abs().max()) > 0
