"""The detector: MobileNetV2 of width 1 with two SSD heads, laid out as on the model card of person-detection-0202."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.training.model.priors import LAYERS

INPUT_SIZE = 512
PIXEL_SCALE = 1.0 / 255.0

# Channels, repeats and stride of each run of bottlenecks: Sandler et al. 2018, table 2, up to the 320-channel block.
STAGES = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
STEM_CHANNELS = 32
EXPANSION = 6
FIRST_TAP = 14  # modules of the backbone up to and with the last 96-channel bottleneck


class ConvolutionUnit(nn.Sequential):
    """Convolution without bias, batch normalisation and, unless linear, ReLU6."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        activation: nn.Module | None = None,
    ) -> None:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        layers: list[nn.Module] = [convolution, nn.BatchNorm2d(outputs)]
        if activation is not None:
            layers.append(activation)
        super().__init__(*layers)


class Bottleneck(nn.Module):
    """Inverted residual: 1x1 expansion, 3x3 depthwise, 1x1 linear projection, added to its input where shapes agree.

    The first one keeps its 1x1 expansion although its factor is 1: the published model has it, torchvision's has not.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = ConvolutionUnit(inputs, hidden, 1, activation=nn.ReLU6(inplace=True))
        self.depthwise = ConvolutionUnit(hidden, hidden, 3, stride, hidden, nn.ReLU6(inplace=True))
        self.project = ConvolutionUnit(hidden, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        projected: Tensor = self.project(self.depthwise(self.expand(features)))
        return features + projected if self.residual else projected


class Branch(nn.Module):
    """One output of a head: 3x3 depthwise with ReLU, then a 1x1 convolution with bias."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = ConvolutionUnit(channels, channels, 3, groups=channels, activation=nn.ReLU(inplace=True))
        self.predict = nn.Conv2d(channels, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        prediction: Tensor = self.predict(self.depthwise(features))
        return prediction.permute(0, 2, 3, 1)


@dataclass(frozen=True, slots=True)
class Prediction:
    """Raw outputs for B pictures, P priors (5,376 at 512x512): offsets [B,P,4], logits [B,P,2]; and every block's."""

    offsets: Tensor
    logits: Tensor
    blocks: list[Tensor]


class DetectorNetwork(nn.Module):
    """Person detector: BGR pictures of 0..255, [B,3,H,W] with H and W multiples of 32, to a Prediction.

    Class 0 is person and class 1 background. The heads look at two taps: 96 channels at stride 16, 320 at stride 32.
    """

    def __init__(self) -> None:
        super().__init__()
        stem = ConvolutionUnit(3, STEM_CHANNELS, 3, 2, activation=nn.ReLU6(inplace=True))
        blocks: list[nn.Module] = [stem]
        inputs = STEM_CHANNELS
        for outputs, repeats, stride in STAGES:
            for repeat in range(repeats):
                expansion = 1 if len(blocks) == 1 else EXPANSION
                blocks.append(Bottleneck(inputs, outputs, stride if repeat == 0 else 1, expansion))
                inputs = outputs
        self.shallow = nn.Sequential(*blocks[:FIRST_TAP])
        self.deep = nn.Sequential(*blocks[FIRST_TAP:])
        channels = (96, 320)
        self.boxes = nn.ModuleList(Branch(c, 4 * layer.count) for c, layer in zip(channels, LAYERS, strict=True))
        self.classes = nn.ModuleList(Branch(c, 2 * layer.count) for c, layer in zip(channels, LAYERS, strict=True))

    def forward(self, pictures: Tensor) -> Prediction:
        features = pictures * PIXEL_SCALE
        blocks = []
        for block in self.blocks():
            features = block(features)
            blocks.append(features)
        return self.predict(blocks)

    def blocks(self) -> list[nn.Module]:
        """The stem and the 17 bottlenecks, first to last."""
        return [*self.shallow, *self.deep]

    def predict(self, blocks: list[Tensor]) -> Prediction:
        """Return the answer of the heads to the outputs of all blocks, of which they look at two."""
        taps = (blocks[FIRST_TAP - 1], blocks[-1])
        batch = taps[0].shape[0]
        offsets = [branch(tap).reshape(batch, -1, 4) for branch, tap in zip(self.boxes, taps, strict=True)]
        logits = [branch(tap).reshape(batch, -1, 2) for branch, tap in zip(self.classes, taps, strict=True)]
        return Prediction(torch.cat(offsets, 1), torch.cat(logits, 1), blocks)

    def units(self) -> list[ConvolutionUnit]:
        """Every convolution with batch normalisation, in the order of the graph, heads last (boxes, then classes)."""
        return [module for module in self.modules() if isinstance(module, ConvolutionUnit)]


def initialise_heads(network: DetectorNetwork, person_probability: float = 0.01) -> None:
    """Reset both heads so that every prior starts near the given person probability (Lin et al. 2017, section 3.3)."""
    for branch in [*network.boxes, *network.classes]:
        assert isinstance(branch, Branch)
        for layer in (branch.depthwise[0], branch.predict):
            assert isinstance(layer, nn.Conv2d)
            nn.init.normal_(layer.weight, std=0.03 if layer.groups == 1 else 0.2)
    margin = math.log(person_probability / (1 - person_probability))
    for branches, person in ((network.boxes, 0.0), (network.classes, margin / 2)):
        for branch in branches:
            assert isinstance(branch, Branch)
            assert branch.predict.bias is not None
            with torch.no_grad():
                branch.predict.bias[0::2] = person
                branch.predict.bias[1::2] = -person


def count_operations(network: DetectorNetwork, size: int = INPUT_SIZE) -> tuple[int, int]:
    """Parameters with batch normalisation folded, and floating-point operations (two a multiply-add) of one picture."""
    parameters = operations = 0

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal parameters, operations
        assert isinstance(layer, nn.Conv2d)
        parameters += layer.weight.numel() + layer.out_channels
        operations += 2 * layer.weight[0].numel() * output.numel()

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d)]
    training = network.training
    network.eval()
    with torch.no_grad():
        network(torch.zeros(1, 3, size, size))
    network.train(training)
    for hook in hooks:
        hook.remove()
    return parameters, operations
