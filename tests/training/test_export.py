from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install '.[train]'")
pytest.importorskip("pycocotools", reason="training needs pycocotools: pip install '.[train]'")

import numpy as np
import openvino as ov
import torch

from pipeline.training.evaluation.suppression import detect
from pipeline.training.export.openvino_ir import build_model, save
from pipeline.training.model.ir_weights import settle
from pipeline.training.model.network import DetectorNetwork, initialise_heads
from tests.training.test_ir_weights import rows, street


def lively() -> DetectorNetwork:
    """A network of random weights whose confidences are neither all high nor all low."""
    torch.manual_seed(7)
    network = DetectorNetwork().eval()
    settle(network, [torch.from_numpy(np.concatenate([street(1), street(2)])).float()])
    initialise_heads(network, 0.05)
    with torch.no_grad():
        for branch in network.classes:
            branch.predict.weight *= 40
    return network


def test_the_exported_model_detects_what_the_network_detects(tmp_path: Path) -> None:
    network = lively()
    save(build_model(network), tmp_path / "model.xml", half=False)
    pictures = street(3)
    with torch.no_grad():
        raw = network(torch.from_numpy(pictures).float())
    ours = detect(raw.logits.softmax(-1)[..., 0], raw.offsets)[0].numpy()
    exported = rows(tmp_path / "model.xml", pictures)
    assert len(exported) > 5
    assert exported.shape[0] == len(ours)
    assert set(exported[:, 1]) == {0}
    assert np.abs(exported[:, 2:] - ours).max() < 1e-4


def test_the_exported_model_has_the_published_contract(tmp_path: Path) -> None:
    save(build_model(DetectorNetwork().eval()), tmp_path / "model.xml")
    model = ov.Core().read_model(tmp_path / "model.xml")
    assert model.input(0).get_any_name() == "image"
    assert list(model.input(0).shape) == [1, 3, 512, 512]
    assert model.output(0).get_any_name() == "detection_out"
    assert list(model.output(0).shape) == [1, 1, 200, 7]
    kinds = [node.get_type_name() for node in model.get_ordered_ops()]
    assert kinds.count("PriorBoxClustered") == 2
    decoder = next(node for node in model.get_ordered_ops() if node.get_type_name() == "DetectionOutput")
    attributes = decoder.get_attributes()
    assert attributes["background_label_id"] == 1
    assert (attributes["top_k"], attributes["keep_top_k"]) == (200, [200])
    assert round(attributes["nms_threshold"], 4) == 0.45
    assert round(attributes["confidence_threshold"], 4) == 0.02
    assert model.get_rt_info(["model_info", "labels"]).astype(str) == "person"
