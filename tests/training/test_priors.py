from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install '.[train]'")
pytest.importorskip("pycocotools", reason="training needs pycocotools: pip install '.[train]'")

import numpy as np
import openvino as ov
import torch
from openvino import opset13 as opset

from pipeline.training.model.ir_graph import dissect
from pipeline.training.model.priors import VARIANCES, corners, decode, encode, intersection_over_union, prior_boxes


def test_the_first_and_last_priors_stand_where_the_layers_say() -> None:
    priors = prior_boxes(512)
    assert priors.shape == (5376, 4)
    assert torch.allclose(priors[0], torch.tensor([8.0, 8.0, 7.89083, 25.7671]))
    assert torch.allclose(priors[4], torch.tensor([24.0, 8.0, 7.89083, 25.7671]))
    assert torch.allclose(priors[-1], torch.tensor([496.0, 496.0, 110.779, 428.209]))


def test_decoding_undoes_encoding() -> None:
    priors = prior_boxes(512)[::97]
    boxes = corners(priors * torch.tensor([1.1, 0.9, 1.3, 0.8]))
    assert torch.allclose(decode(encode(boxes, priors), priors), boxes, atol=1e-3)


def test_offsets_of_a_box_shifted_by_a_tenth_of_the_prior_are_one() -> None:
    prior = torch.tensor([[100.0, 100.0, 20.0, 50.0]])
    shifted = corners(prior + torch.tensor([[2.0, 5.0, 0.0, 0.0]]))
    assert torch.allclose(encode(shifted, prior), torch.tensor([[1.0, 1.0, 0.0, 0.0]]), atol=1e-5)


def test_overlap_of_halves_is_a_third() -> None:
    one, other = torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[1.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]])
    assert torch.allclose(intersection_over_union(one, other), torch.tensor([[1 / 3, 0.0]]))


def test_priors_are_those_of_the_official_model(official: Path) -> None:
    parts = dissect(official)
    model = ov.Model([opset.result(parts.decoder.input_value(2))], parts.model.get_parameters())
    values = ov.Core().compile_model(model, "CPU")(np.zeros((1, 3, 512, 512), np.float32))[0].reshape(2, -1, 4)
    assert np.abs(values[0] - (corners(prior_boxes(512)) / 512).numpy()).max() < 1e-4
    assert np.abs(values[1] - np.array(VARIANCES)).max() < 1e-6
