from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install '.[train]'")
pytest.importorskip("pycocotools", reason="training needs pycocotools: pip install '.[train]'")

import torch

from pipeline.training.export.openvino_ir import folded
from pipeline.training.model.network import DetectorNetwork, count_operations

CARD_PARAMETERS = 1.817e6
CARD_OPERATIONS = 3.143e9


def test_parameters_are_those_of_the_card() -> None:
    parameters, _ = count_operations(DetectorNetwork())
    assert round(parameters / 1e6, 3) == CARD_PARAMETERS / 1e6


def test_operations_fall_short_of_the_card_by_what_is_no_convolution() -> None:
    _, operations = count_operations(DetectorNetwork())
    # The card counts activations, additions and the decoder as well; convolutions alone are 3.070 G of its 3.143 G.
    assert operations == 3_070_033_920
    assert 0.97 < operations / CARD_OPERATIONS < 1


def test_a_prediction_has_5376_priors_and_the_outputs_of_18_blocks() -> None:
    with torch.no_grad():
        raw = DetectorNetwork().eval()(torch.zeros(2, 3, 512, 512))
    assert raw.offsets.shape == (2, 5376, 4)
    assert raw.logits.shape == (2, 5376, 2)
    assert len(raw.blocks) == 18
    assert [tuple(raw.blocks[k].shape) for k in (13, 17)] == [(2, 96, 32, 32), (2, 320, 16, 16)]


def test_folding_keeps_what_a_unit_computes() -> None:
    torch.manual_seed(0)
    unit = DetectorNetwork().units()[0].eval()
    unit[1].running_mean.normal_()
    unit[1].running_var.uniform_(0.5, 2)
    picture = torch.rand(1, 3, 32, 32)
    kernel, bias = folded(unit)
    plain = torch.nn.functional.conv2d(picture, torch.from_numpy(kernel), torch.from_numpy(bias), stride=2, padding=1)
    with torch.no_grad():
        assert torch.allclose(unit(picture), plain.clamp(0, 6), atol=1e-5)
