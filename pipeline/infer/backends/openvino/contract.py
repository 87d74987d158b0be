"""The reader of model files, and the contract it holds them to: one picture in, outputs that a decoder can read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openvino
from openvino import layout_helpers
from openvino.frontend import (
    FrontEndManager,
    GeneralFailure,
    InitializationFailure,
    NotImplementedFailure,
    OpConversionFailure,
    OpValidationFailure,
)
from openvino.preprocess import ColorFormat, PrePostProcessor

from pipeline.errors import ModelError
from pipeline.infer.decoders import decoder_class, expected
from pipeline.infer.decoders.decoder import Decoder, DecoderClass, Port

from .devices import plain

_READER_ERRORS = (
    GeneralFailure,
    InitializationFailure,
    NotImplementedFailure,
    OpConversionFailure,
    OpValidationFailure,
)
_LAYOUTS = ("NCHW", "NHWC")
_INPUT = "one image input [1,3,H,W] or [1,H,W,3] of fixed size"


def read(core: openvino.Core, path: Path) -> tuple[openvino.Model, Decoder]:
    """Read the model in `path` and find its decoder.

    The model takes 8-bit BGR pixels, 1 x height x width x 3, and gives f32. Raises ModelError if the file is damaged
    or no decoder reads such inputs and outputs, saying which.
    """
    _check_head(path)
    try:
        return _read(core, path)
    except UnicodeDecodeError as error:
        # Any name, and any error that quotes one, may be of other bytes.
        raise ModelError(f"{path}: damaged or not a model: it holds names that are no UTF-8") from error


def _read(core: openvino.Core, path: Path) -> tuple[openvino.Model, Decoder]:
    try:
        model = core.read_model(path) if path.suffix.lower() == ".xml" else _read_onnx(path)
    except (RuntimeError, *_READER_ERRORS) as error:
        raise ModelError(f"{path}: damaged or not a model: {plain(error)}") from error
    layout = _fitting_layout(model)
    decoder = None if layout is None else decoder_class(_ports(model.inputs), _ports(model.outputs))
    if layout is None or decoder is None:
        raise ModelError(f"{path}: expected {_INPUT} and {expected()}; found {_found(model)}")
    try:
        return _taking_pixels(model, layout, decoder)
    except RuntimeError as error:
        raise ModelError(f"{path}: cannot take 8-bit pixels: {plain(error)}") from error


def _taking_pixels(model: openvino.Model, layout: str, decoder_class: DecoderClass) -> tuple[openvino.Model, Decoder]:
    shape = model.input(0).shape
    decoder = decoder_class(shape[layout.index("W")], shape[layout.index("H")], _ports(model.outputs))
    steps = PrePostProcessor(model)
    pixels = steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    if decoder.pixels.order == "rgb":
        pixels.set_color_format(ColorFormat.BGR)
        steps.input().preprocess().convert_color(ColorFormat.RGB)
    if decoder.pixels.scale != 1:
        steps.input().preprocess().convert_element_type(openvino.Type.f32).scale(decoder.pixels.scale)
    steps.input().model().set_layout(openvino.Layout(layout))
    for index in range(len(model.outputs)):
        steps.output(index).tensor().set_element_type(openvino.Type.f32)
    return steps.build(), decoder


def _ports(ports: Any) -> list[Port]:
    """Describe inputs or outputs to a decoder."""
    return [Port(port.any_name if port.names else "", _sizes(port.partial_shape)) for port in ports]


def _sizes(shape: openvino.PartialShape) -> tuple[int | None, ...] | None:
    if shape.rank.is_dynamic:
        return None
    return tuple(None if size.is_dynamic else size.get_length() for size in shape)


def _check_head(path: Path) -> None:
    """Stop what is plainly no model before OpenVINO tries all of its readers on it, some of which print."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
    good = b"<net" in head if path.suffix.lower() == ".xml" else head[:1] == b"\x08"
    if not good:
        kind = "an OpenVINO IR" if path.suffix.lower() == ".xml" else "an ONNX model"
        raise ModelError(f"{path}: not {kind}: {'the file is empty' if not head else 'it starts with other content'}")


def _read_onnx(path: Path) -> openvino.Model:
    """Read the model with the ONNX reader alone: of a damaged file OpenVINO asks all its readers, and some print."""
    reader = FrontEndManager().load_by_framework("onnx")
    return reader.convert(reader.load(str(path)))


def _fitting_layout(model: openvino.Model) -> str | None:
    """Make the model ready for one picture and return NCHW or NHWC; None if its input is no image."""
    if len(model.inputs) != 1:
        return None
    shape = model.input(0).partial_shape
    if shape.rank.is_dynamic or len(shape) != 4:
        return None
    layout = _layout(model.input(0), shape)
    if layout is None or any(shape[index].is_dynamic for index in (1, 2, 3)):
        return None
    if shape[0].is_dynamic or shape[0].get_length() != 1:
        try:
            model.reshape(openvino.PartialShape([1, *(shape[index].get_length() for index in (1, 2, 3))]))
        except RuntimeError:
            return None
    return layout


def _layout(port: Any, shape: openvino.PartialShape) -> str | None:
    declared = str(layout_helpers.get_layout(port)).strip("[]").replace(",", "")
    for layout in (declared,) if declared in _LAYOUTS else _LAYOUTS:
        channels = shape[layout.index("C")]
        if channels.is_static and channels.get_length() == 3:
            return layout
    return None


def _found(model: openvino.Model) -> str:
    inputs, outputs = (", ".join(map(_port, ports)) or "none" for ports in (model.inputs, model.outputs))
    return f"inputs {inputs}; outputs {outputs}"


def _port(port: Any) -> str:
    return f"{port.any_name if port.names else 'unnamed'} {port.partial_shape}".replace("..", "?")
