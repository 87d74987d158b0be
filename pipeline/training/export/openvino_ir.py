"""The network as an OpenVINO model that ends in PriorBoxClustered and DetectionOutput, like the published one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as opset
from torch import nn

from pipeline.training.evaluation.suppression import CONFIDENCE, KEPT, OVERLAP
from pipeline.training.model.network import (
    INPUT_SIZE,
    PIXEL_SCALE,
    Bottleneck,
    Branch,
    ConvolutionUnit,
    DetectorNetwork,
)
from pipeline.training.model.priors import LAYERS, VARIANCES

Array = NDArray[np.float32]
NAME = "lookout-person"
LABELS = ("person",)


def folded(unit: ConvolutionUnit) -> tuple[Array, Array]:
    """Kernel and bias of a convolution with its batch normalisation folded in."""
    layer, batch = unit[0], unit[1]
    assert isinstance(layer, nn.Conv2d)
    assert isinstance(batch, nn.BatchNorm2d)
    assert batch.running_mean is not None
    assert batch.running_var is not None
    scale = batch.weight.detach().double() / (batch.running_var.double() + batch.eps).sqrt()
    kernel = layer.weight.detach().double() * scale[:, None, None, None]
    bias = batch.bias.detach().double() - batch.running_mean.double() * scale
    return kernel.float().numpy(), bias.float().numpy()


def build_model(network: DetectorNetwork) -> ov.Model:
    """The OpenVINO model of a network: input `image` [1,3,512,512], output `detection_out` [1,1,200,7], both float32.

    A row is picture (0), label (0: person), confidence, x_min, y_min, x_max, y_max as fractions; rows end at a picture
    of -1. Label 1 is background and never appears. The scale of the pixels is folded into the stem, so that an INT8
    version takes bytes as they are.
    """
    image = opset.parameter([1, 3, INPUT_SIZE, INPUT_SIZE], np.float32, name="image")
    image.output(0).set_names({"image"})
    features = image
    taps = []
    for stage in (network.shallow, network.deep):
        for number, block in enumerate(stage):
            name = f"{'shallow' if stage is network.shallow else 'deep'}.{number}"
            features = _block(features, block, name)
        taps.append(features)
    offsets, logits, priors = [], [], []
    size = opset.slice(opset.shape_of(image, output_type="i64"), [2], [4], [1])
    for number, (tap, layer) in enumerate(zip(taps, LAYERS, strict=True)):
        offsets.append(_branch(tap, network.boxes[number], f"boxes.{number}"))
        logits.append(_branch(tap, network.classes[number], f"classes.{number}"))
        cells = opset.slice(opset.shape_of(tap, output_type="i64"), [2], [4], [1])
        attributes = {
            "width": np.array(layer.widths, np.float32),
            "height": np.array(layer.heights, np.float32),
            "clip": False,
            "step": float(layer.step),
            "offset": 0.5,
            "variance": np.array(VARIANCES, np.float32),
        }
        boxes = opset.prior_box_clustered(cells, size, attributes, name=f"priors.{number}")
        priors.append(opset.unsqueeze(boxes, [0]))
    people = opset.softmax(opset.reshape(opset.concat(logits, 1), [1, -1, 2], False), 2, name="probabilities")
    decoder = opset.detection_output(
        opset.concat(offsets, 1, name="offsets"),
        opset.reshape(people, [1, -1], False),
        opset.concat(priors, 2),
        {
            "background_label_id": 1,
            "top_k": KEPT,
            "keep_top_k": np.array([KEPT], np.int32),
            "variance_encoded_in_target": False,
            "code_type": "caffe.PriorBoxParameter.CENTER_SIZE",
            "share_location": True,
            "nms_threshold": OVERLAP,
            "confidence_threshold": CONFIDENCE,
            "clip_before_nms": False,
            "clip_after_nms": False,
            "decrease_label_id": False,
            "normalized": True,
        },
        name="detection_out",
    )
    decoder.output(0).set_names({"detection_out"})
    return ov.Model([opset.result(decoder)], [image], NAME)


def save(model: ov.Model, path: Path, half: bool = True) -> None:
    """Write PATH.xml and its .bin with their labels; float weights as float16 unless `half` is false.

    Keep INT8 models whole: the scales of their weights are too small for float16.
    """
    model.set_rt_info(" ".join(LABELS), ["model_info", "labels"])
    model.set_rt_info("person-detection-0202", ["model_info", "layout_of"])
    path.parent.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, path, compress_to_fp16=half)


def _convolve(features: ov.Output, kernel: Array, bias: Array, stride: int, groups: int, name: str) -> ov.Node:
    pad = kernel.shape[-1] // 2
    arguments = ([stride, stride], [pad, pad], [pad, pad], [1, 1])
    if groups > 1:
        grouped = opset.constant(kernel[:, None], name=f"{name}.kernel")
        result = opset.group_convolution(features, grouped, *arguments, name=name)
    else:
        result = opset.convolution(features, opset.constant(kernel, name=f"{name}.kernel"), *arguments, name=name)
    return opset.add(result, opset.constant(bias[None, :, None, None], name=f"{name}.bias"), name=f"{name}.add")


def _unit(features: ov.Output, unit: ConvolutionUnit, name: str, scale: float = 1.0) -> ov.Node:
    layer = unit[0]
    assert isinstance(layer, nn.Conv2d)
    kernel, bias = folded(unit)
    result = _convolve(features, kernel * np.float32(scale), bias, layer.stride[0], layer.groups, name)
    activation = unit[2] if len(unit) > 2 else None
    if isinstance(activation, nn.ReLU6):
        return opset.clamp(result, 0.0, 6.0, name=f"{name}.relu6")
    return opset.relu(result, name=f"{name}.relu") if activation is not None else result


def _block(features: ov.Output, block: nn.Module, name: str) -> ov.Node:
    if isinstance(block, ConvolutionUnit):
        return _unit(features, block, name, PIXEL_SCALE)
    assert isinstance(block, Bottleneck)
    result = _unit(features, block.expand, f"{name}.expand")
    result = _unit(result, block.depthwise, f"{name}.depthwise")
    result = _unit(result, block.project, f"{name}.project")
    return opset.add(features, result, name=f"{name}.sum") if block.residual else result


def _branch(tap: ov.Output, branch: nn.Module, name: str) -> ov.Node:
    assert isinstance(branch, Branch)
    hidden = _unit(tap, branch.depthwise, f"{name}.depthwise")
    predict = branch.predict
    assert predict.bias is not None
    raw = _convolve(hidden, predict.weight.detach().numpy(), predict.bias.detach().numpy(), 1, 1, f"{name}.predict")
    return opset.reshape(opset.transpose(raw, [0, 2, 3, 1]), [1, -1], False, name=name)
