"""A decoder of another distribution reads models of its own shape, with the program that the documentation shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

from tests.support.distributions import entry_points_of, install, lookout, python_block
from tests.support.models import rows_model, write_ir

PAGE = "docs/howto/add-a-decoder.md"
EXPECTED = "expected one image input [1,3,H,W] or [1,H,W,3] of fixed size and one output [1,1,N,7]"


def toy_model() -> openvino.Model:
    """Build a model of 64 x 64 pixels that always finds one person, scored by how bright the picture's middle is."""
    image = ops.parameter([1, 3, 64, 64], np.float32, name="image")
    image.output(0).set_names({"image"})
    middle = ops.slice(image, np.array([0, 0, 24, 0]), np.array([1, 3, 40, 64]), np.array([1, 1, 1, 1]))
    bright = ops.reduce_max(middle, np.array([0, 1, 2, 3]), keep_dims=False)
    fixed = ops.constant(np.array([[[32, 32, 32, 16, 0, 0], [8, 8, 4, 4, 0.01, 0]]], np.float32))
    score = ops.constant(np.array([[[0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0]]], np.float32))
    rows = ops.add(fixed, ops.multiply(score, bright))
    rows.output(0).set_names({"rows"})
    return openvino.Model([rows], [image], "toy")


def run(folder: Path, model: Path) -> tuple[int, list[dict[str, Any]], str]:
    done = lookout(
        folder, "-i", "demo", "--frames", "2", "--no-web", "--events", "-", "--model", str(model),
        "--set", "model.labels=[person]", "--set", "capture.pace=fast", "--set", "infer.device=CPU",
    )  # fmt: skip
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, [each for each in events if "detections" in each], done.stderr


def test_the_documented_decoder_finds_people_in_the_picture(tmp_path: Path) -> None:
    folder = install(tmp_path / "site", entry_points_of(PAGE), python_block(PAGE))
    code, frames, errors = run(folder, write_ir(toy_model(), tmp_path / "toy.xml"))
    assert code == 0, errors
    assert frames
    width, height = frames[0]["size"]
    (person,) = frames[0]["detections"]
    assert person["label"] == "person"
    # Bright as the demo's street is, and divided by 255.
    assert 0.5 < person["score"] <= 1.0
    # Half the input's width around its middle, and a quarter of it high: less the bars of a picture 16 by 9.
    assert person["box"] == pytest.approx(
        [width / 4, height / 2 - width / 8, width * 3 / 4, height / 2 + width / 8], abs=1
    )


def test_what_is_expected_names_its_models_too(tmp_path: Path) -> None:
    folder = install(tmp_path / "site", entry_points_of(PAGE), python_block(PAGE))
    path = write_ir(rows_model(output_shapes=((1, 5),)), tmp_path / "other.xml")
    code, _, errors = run(folder, path)
    found = "found inputs in0 [1,3,24,32]; outputs out0 [1,5]"
    assert code == 4
    assert errors.strip().splitlines()[-1] == f"{path}: {EXPECTED} or one output [1,N,6]; {found}"


def test_a_broken_one_is_named_only_where_nothing_else_fits(tmp_path: Path) -> None:
    folder = install(tmp_path / "site", entry_points_of(PAGE), "raise OSError('no licence')\n")
    assert run(folder, write_ir(rows_model(), tmp_path / "rows.xml"))[0] == 0
    path = write_ir(rows_model(output_shapes=((1, 5),)), tmp_path / "other.xml")
    code, _, errors = run(folder, path)
    broken = "the plug-in toy:ToyDecoder of toy cannot be loaded: OSError: no licence"
    assert code == 4
    assert errors.strip().splitlines()[-1].startswith(f"{path}: {EXPECTED}; {broken}; found ")
