"""Weights of an OpenVINO detector, official or our own, float or INT8, for a network that can be trained on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from openvino import opset13 as opset
from torch import Tensor, nn

from pipeline.errors import TrainingError
from pipeline.training.model.ir_graph import CONVOLUTIONS, backbone, dissect
from pipeline.training.model.network import PIXEL_SCALE, Branch, ConvolutionUnit, DetectorNetwork


def adopt(network: DetectorNetwork, path: Path) -> None:
    """Copy the weights of the OpenVINO model at a path, so that the network's outputs are the model's.

    Weights of INT8 models come back as the numbers they stand for; the rounding of activations does not. Normalisation
    layers become plain scales: call settle before training them. Raises TrainingError for a model of another layout.
    """
    parts = dissect(path)
    modules = [*network.shallow.modules(), *network.deep.modules()]
    units = [module for module in modules if isinstance(module, ConvolutionUnit)]
    nodes = backbone(parts)
    if len(nodes) != len(units):
        raise TrainingError(f"{path}: its backbone has {len(nodes)} convolutions, not {len(units)}")
    for unit, node in zip(units, nodes, strict=True):
        _fill(unit, node, path)
    stem = units[0][0]
    assert isinstance(stem, nn.Conv2d)
    with torch.no_grad():
        stem.weight.mul_(_input_scale(nodes[0]) / PIXEL_SCALE)
    for branches, outputs in ((network.boxes, parts.boxes), (network.classes, parts.classes)):
        for branch, output in zip(branches, outputs, strict=True):
            assert isinstance(branch, Branch)
            predict = _before(output.get_node())
            _fill(branch.depthwise, _before(predict), path)
            kernel, bias = _weights(predict, tuple(branch.predict.weight.shape), path)
            assert branch.predict.bias is not None
            with torch.no_grad():
                branch.predict.weight.copy_(kernel)
                branch.predict.bias.copy_(bias)


@torch.no_grad()
def settle(network: DetectorNetwork, batches: Iterable[Tensor]) -> None:
    """Give every normalisation layer the statistics of pictures [B,3,H,W], and scales that leave its output as it was.

    Without this, training in batches would change what an adopted network computes.
    """
    sums: dict[nn.BatchNorm2d, list[Tensor]] = {}

    def collect(layer: nn.Module, inputs: tuple[Tensor, ...], _: object) -> None:
        assert isinstance(layer, nn.BatchNorm2d)
        variance, mean = torch.var_mean(inputs[0], (0, 2, 3), correction=0)
        count = inputs[0][:, 0].numel()
        squares = variance.double() + mean.double().square()
        parts = [mean.double() * count, squares * count, torch.tensor(count)]
        sums[layer] = [a + b for a, b in zip(sums[layer], parts, strict=True)] if layer in sums else parts

    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [layer.register_forward_hook(collect) for layer in layers]
    network.eval()
    for batch in batches:
        network(batch)
    for hook in hooks:
        hook.remove()
    for layer, (total, squares, count) in sums.items():
        assert layer.running_mean is not None
        assert layer.running_var is not None
        mean = total / count
        variance = (squares / count - mean.square()).clamp(min=1e-6)
        scale = layer.weight.double() / (layer.running_var.double() + layer.eps).sqrt()
        layer.bias.copy_(layer.bias + scale * (mean - layer.running_mean))
        layer.weight.copy_(scale * (variance + layer.eps).sqrt())
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)


def _input_scale(stem: ov.Node) -> float:
    """Return the factor on pixels on their way to the first convolution."""
    scale, node = 1.0, stem.input_value(0).get_node()
    while node.get_type_name() != "Parameter":
        if node.get_type_name() == "Multiply":
            scale *= float(_constant(node.input_value(1)).reshape(-1)[0])
        node = node.input_value(0).get_node()
    return scale


def _before(node: ov.Node) -> ov.Node:
    """The nearest convolution before a node, along first inputs."""
    current = node.input_value(0).get_node()
    while current.get_type_name() not in CONVOLUTIONS:
        current = current.input_value(0).get_node()
    return current


def _weights(node: ov.Node, shape: tuple[int, ...], path: Path) -> tuple[Tensor, Tensor]:
    kernel = _constant(node.input_value(1))
    if kernel.size != np.prod(shape):
        raise TrainingError(f"{path}: {node.get_friendly_name()} has {kernel.size} weights, not {shape}")
    following = next(iter(node.output(0).get_target_inputs())).get_node()
    if following.get_type_name() != "Add":
        raise TrainingError(f"{path}: {node.get_friendly_name()} has no bias")
    sides = [following.input_value(k) for k in range(2)]
    bias = next(side for side in sides if side.get_node().get_friendly_name() != node.get_friendly_name())
    return torch.from_numpy(kernel.reshape(shape)), torch.from_numpy(_constant(bias).reshape(-1))


def _fill(unit: ConvolutionUnit, node: ov.Node, path: Path) -> None:
    layer, batch = unit[0], unit[1]
    assert isinstance(layer, nn.Conv2d)
    assert isinstance(batch, nn.BatchNorm2d)
    kernel, bias = _weights(node, tuple(layer.weight.shape), path)
    assert batch.running_mean is not None
    assert batch.running_var is not None
    with torch.no_grad():
        layer.weight.copy_(kernel)
        batch.running_mean.zero_()
        batch.running_var.fill_(1.0)
        batch.weight.fill_((1.0 + batch.eps) ** 0.5)
        batch.bias.copy_(bias)


def _constant(output: ov.Output) -> NDArray[np.float32]:
    """The numbers that a branch without inputs computes: a constant after its conversions and scales."""
    compiled = ov.Core().compile_model(ov.Model([opset.result(output)], []), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    values = next(iter(compiled.create_infer_request().infer({}).values()))
    return np.array(values, np.float32)
