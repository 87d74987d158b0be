"""Where a network's first weights come from: ImageNet files, checkpoints in torchvision's layout, OpenVINO models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import TrainingError
from pipeline.training.model.network import PIXEL_SCALE, Bottleneck, Branch, ConvolutionUnit, DetectorNetwork

# Mean and deviation of ImageNet in RGB, on a scale of 0..1: the published weights expect pictures normalised by them.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)

State = dict[str, Any]


def read_state(path: Path) -> State:
    """Dictionary in a .pt file, without running any code that the file may hold.

    Raises TrainingError where the file is missing or holds something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, ImportError) as error:
        raise TrainingError(f"{path}: not a readable PyTorch file: {str(error).splitlines()[0]}") from error
    except Exception as error:
        raise TrainingError(f"{path}: not a file of plain tensors") from error
    if not isinstance(state, dict):
        raise TrainingError(f"{path}: holds a {type(state).__name__}, not a dictionary of tensors")
    return state


def load_run(network: DetectorNetwork, path: Path) -> None:
    """Load the weights.pt of a run, or the averaged weights of its checkpoint; raises TrainingError for other files."""
    state = read_state(path)
    state = state.get("average", state)
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise TrainingError(f"{path}: not the weights of a run of lookout-train") from error


def load_torchvision_layout(network: DetectorNetwork, state: State) -> bool:
    """Copy weights of a MobileNetV2 in torchvision's layout, and of heads `h1` and `h2` where the state has them.

    The layout has no expansion in the first bottleneck and takes normalised RGB: the missing expansion becomes an
    identity, the normalisation and the channel order are folded into the stem, so outputs stay what they were, but for
    the padding at the border, which is black here and the mean colour there. Returns whether heads were found.
    """
    backbone = _backbone_keys(state)
    blocks = [*network.shallow, *network.deep]
    with torch.no_grad():
        _fold_normalisation(blocks[0], backbone, state)
        for index, block in enumerate(blocks[1:], 1):
            assert isinstance(block, Bottleneck)
            prefix = backbone[index] + "conv."
            places = [(0, 1), (3, 4)] if index == 1 else [(0, 1), (3, 4), (6, 7)]
            units = [block.depthwise, block.project] if index == 1 else [block.expand, block.depthwise, block.project]
            for unit, (convolution, normalisation) in zip(units, places, strict=True):
                _copy_unit(unit, state, f"{prefix}{convolution}.", f"{prefix}{normalisation}.")
        first = blocks[1]
        assert isinstance(first, Bottleneck)
        _make_identity(first.expand, after=blocks[0])
        if "h1.box.0.weight" not in state:
            return False
        for number, (boxes, classes) in enumerate(zip(network.boxes, network.classes, strict=True), 1):
            for branch, name in ((boxes, "box"), (classes, "cls")):
                assert isinstance(branch, Branch)
                _copy_unit(branch.depthwise, state, f"h{number}.{name}.0.", f"h{number}.{name}.1.")
                _copy(branch.predict.weight, state, f"h{number}.{name}.3.weight")
                assert branch.predict.bias is not None
                _copy(branch.predict.bias, state, f"h{number}.{name}.3.bias")
    return True


def _backbone_keys(state: State) -> list[str]:
    for prefixes in (("features.",), ("a.", "b.")):
        keys = []
        for index in range(18):
            found = [f"{p}{index}." for p in prefixes if any(k.startswith(f"{p}{index}.") for k in state)]
            keys += found[:1]
        if len(keys) == 18:
            return keys
    raise TrainingError("weights: not a MobileNetV2 in torchvision's layout (no features.0 to features.17)")


def _copy(target: Tensor, state: State, key: str) -> None:
    if key not in state or state[key].shape != target.shape:
        raise TrainingError(f"weights: {key} is missing or not of shape {tuple(target.shape)}")
    target.copy_(state[key])


def _copy_unit(unit: ConvolutionUnit, state: State, convolution: str, normalisation: str) -> None:
    layer, batch = unit[0], unit[1]
    assert isinstance(layer, nn.Conv2d)
    assert isinstance(batch, nn.BatchNorm2d)
    _copy(layer.weight, state, convolution + "weight")
    for name in ("weight", "bias", "running_mean", "running_var"):
        _copy(getattr(batch, name), state, normalisation + name)


def _fold_normalisation(stem: nn.Module, backbone: list[str], state: State) -> None:
    assert isinstance(stem, ConvolutionUnit)
    _copy_unit(stem, state, backbone[0] + "0.", backbone[0] + "1.")
    layer, batch = stem[0], stem[1]
    assert isinstance(layer, nn.Conv2d)
    assert isinstance(batch, nn.BatchNorm2d)
    mean = layer.weight.new_tensor(IMAGENET_MEAN)[None, :, None, None]
    deviation = layer.weight.new_tensor(IMAGENET_DEVIATION)[None, :, None, None]
    scaled = layer.weight / (deviation * 255.0 * PIXEL_SCALE)
    assert batch.running_mean is not None
    batch.running_mean += (scaled * mean).sum((1, 2, 3))
    layer.weight.copy_(scaled.flip(1))


def _make_identity(unit: ConvolutionUnit, after: nn.Module) -> None:
    """Let a 1x1 unit pass its input on, in training as well: its statistics are those of a clamped normal variable."""
    assert isinstance(after, ConvolutionUnit)
    source, layer, batch = after[1], unit[0], unit[1]
    assert isinstance(source, nn.BatchNorm2d)
    assert isinstance(layer, nn.Conv2d)
    assert isinstance(batch, nn.BatchNorm2d)
    assert batch.running_mean is not None
    assert batch.running_var is not None
    quantiles = torch.special.ndtri((torch.arange(2000) + 0.5) / 2000)
    values = (source.bias[:, None] + source.weight[:, None] * quantiles).clamp(0, 6)
    layer.weight.copy_(torch.eye(layer.in_channels)[:, :, None, None])
    batch.running_mean.copy_(values.mean(1))
    batch.running_var.copy_(values.var(1, correction=0))
    batch.weight.copy_(torch.sqrt(batch.running_var + batch.eps))
    batch.bias.copy_(batch.running_mean)
