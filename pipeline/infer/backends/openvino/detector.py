"""A detector compiled for a device, whose requests take and give pixels."""

from __future__ import annotations

import difflib
import logging
import time
from pathlib import Path
from typing import Any, Literal

import openvino

from pipeline.config.models import Infer
from pipeline.errors import ConfigError, DeviceError
from pipeline.frames import Detections, Image, Picture
from pipeline.infer.decoders.decoder import Decoder, Letterbox
from pipeline.infer.models.catalogue import Located
from pipeline.notice import notify

from . import compile_cache as cache
from .contract import read
from .devices import VIRTUAL, physical, plain, resolve

log = logging.getLogger(__name__)

_GREY = 114
"""The brightness of bars around a picture, as the networks that want them have learnt it."""

_OF_THE_CORE = {"ALLOW_AUTO_BATCHING", "AUTO_BATCH_TIMEOUT", "CACHE_DIR", "CACHE_MODE", "ENABLE_MMAP"}


class OpenvinoDetector:
    """A compiled detector; its requests may be used from any thread, each by one at a time.

    `located` is what it was made from, with its `name` and `labels`; `width` and `height` are its input in pixels,
    `device` what it was compiled for, `precision` what it computes in (such as i8/bf16), `streams` those of the device
    (0 if it has none), `requests` how many to keep in flight, `compiled_in` seconds.
    """

    def __init__(
        self,
        located: Located,
        compiled: openvino.CompiledModel,
        decoder: Decoder,
        device: str,
        precision: str,
        requests: int,
        compiled_in: float,
    ) -> None:
        self._compiled = compiled
        self._decode = decoder.decode
        self._outputs = range(len(compiled.outputs))
        self.located = located
        self.name = located.name
        self.labels = located.labels
        _, self.height, self.width, _ = (int(size) for size in compiled.input(0).shape)
        self._letterboxes = decoder.pixels.fit == "letterbox"
        self.device = device
        self.precision = precision
        self.streams = sum(int(each) for each in _of_each_device(compiled, "NUM_STREAMS"))
        self.requests = requests
        self.compiled_in = compiled_in

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that execute now, such as ("CPU",); AUTO may move from the CPU to a GPU once that is ready."""
        return tuple(_asked(self._compiled, "EXECUTION_DEVICES") or (self.device,))

    def title(self) -> str:
        """Say what detects and on what, now: `person-detection-0202 FP16-INT8 on CPU`; a bundled model is called so."""
        bundled = " (bundled)" if self.located.origin == "bundled" else ""
        return f"{self.name} {self.located.precision}".strip() + f"{bundled} on {', '.join(self.devices)}"

    def report(self) -> str:
        """Return one line for the terminal: model, devices, precision, streams, requests, time to compile."""
        parts = [
            self.precision,
            _counted(self.streams, "stream") if self.streams else "",
            _counted(self.requests, "request"),
            f"compiled in {self.compiled_in:.2f} s",
        ]
        return f"{self.title()}: {', '.join(part for part in parts if part)}"

    def facts(self) -> dict[str, dict[str, object]]:
        """Return what the summary says of model and device, with stable keys."""
        located = self.located
        return {
            "model": {
                "name": self.name,
                "files": located.precision,
                "precision": self.precision,
                "origin": located.origin,
            },
            "device": {"devices": self.devices, "requests": self.requests, "streams": self.streams},
        }

    def check_labels(self, keep: tuple[str, ...]) -> None:
        """Raise ConfigError if one of the labels to keep is none of this model's; its class number will do too."""
        for label in keep:
            if self.labels and label not in self.labels and not label.isdecimal():
                known = ", ".join(self.labels)
                raise ConfigError(f"detect.labels: must be labels of {self.name} ({known}), got {label!r}")

    def request(self) -> openvino.InferRequest:
        """Make a request: `fill` it, call start_async() and wait(), then `parse` it."""
        return self._compiled.create_infer_request()

    def input(self, request: openvino.InferRequest) -> Image:
        """Return the request's own input to write into: height x width x 3, uint8, BGR."""
        view: Image = request.get_input_tensor().data[0]
        return view

    def fill(self, request: openvino.InferRequest, picture: Picture) -> None:
        """Lay a picture into the request's input: stretched, or whole between grey bars, as the decoder asks."""
        view = self.input(request)
        if not self._letterboxes:
            view[:] = picture.resized(self.width, self.height)
            return
        place = Letterbox.of((picture.width, picture.height), (self.width, self.height))
        view[:] = _GREY
        inside = view[place.top : place.top + place.height, place.left : place.left + place.width]
        inside[:] = picture.resized(place.width, place.height)

    def parse(
        self, request: openvino.InferRequest, width: int, height: int, threshold: float, keep: tuple[str, ...] = ()
    ) -> Detections:
        """Return what a finished request found, in pixels of a picture of `width` x `height`.

        The request is free again. `keep` are the labels wanted; empty keeps all.
        """
        outputs = [request.get_output_tensor(index).data for index in self._outputs]
        return self._decode(outputs, width, height, threshold, self.labels, keep)

    def explain(self, error: Exception) -> str:
        """Return OpenVINO's message in one line."""
        return plain(error)


def load(
    located: Located,
    settings: Infer,
    hint: Literal["latency", "throughput"],
    core: openvino.Core | None = None,
) -> OpenvinoDetector:
    """Read, check and compile a model; a cache that is of no use is logged.

    Raises ModelError (file or contract), DeviceError (device absent or failing), ConfigError (infer.properties).
    """
    core = core or openvino.Core()
    device = resolve(settings.device, core.available_devices)
    _check_properties(core, device, settings.properties)
    model, decoder = read(core, located.xml)
    quantized = any(each.get_type_name() == "FakeQuantize" for each in model.get_ops())
    options: dict[str, Any] = {"PERFORMANCE_HINT": hint.upper()}
    if settings.requests:
        options["PERFORMANCE_HINT_NUM_REQUESTS"] = settings.requests
    if settings.streams:
        options["NUM_STREAMS"] = settings.streams
    if settings.threads:
        options["INFERENCE_NUM_THREADS"] = settings.threads
    options |= settings.properties
    begun = time.perf_counter()
    compiled = _compile_cached(core, model, device, options, settings)
    took = time.perf_counter() - begun
    requests = settings.requests or int(_asked(compiled, "OPTIMAL_NUMBER_OF_INFER_REQUESTS") or 1)
    if not settings.requests and hint == "throughput":
        # With one more ready for each that computes, no stream waits for the next picture to be scaled.
        requests *= 2
    return OpenvinoDetector(located, compiled, decoder, device, _precision(compiled, quantized), requests, took)


def _compile_cached(
    core: openvino.Core,
    model: openvino.Model,
    device: str,
    options: dict[str, Any],
    settings: Infer,
) -> openvino.CompiledModel:
    folder = Path(settings.cache).expanduser() if settings.cache else None
    if folder is None or not cache.ready(folder):
        return _compile(core, model, device, options, settings)
    try:
        compiled = core.compile_model(model, device, {"CACHE_DIR": str(folder), **options})
    except RuntimeError:
        compiled = _compile(core, model, device, options, settings)
        notify(log, f"infer.cache: {folder} cannot be used by {device}; going on without it")
        return compiled
    cache.seal(folder)
    return compiled


def _compile(
    core: openvino.Core, model: openvino.Model, device: str, options: dict[str, Any], settings: Infer
) -> openvino.CompiledModel:
    try:
        return core.compile_model(model, device, options)
    except RuntimeError as error:
        text = plain(error)
        for key, value in settings.properties.items():
            if not _compiles(core, model, device, {key: value}):
                raise ConfigError(f"infer.properties.{key}: {device} does not take {value!r}: {text}") from error
        raise DeviceError(f"device {device}: cannot run this model: {text}") from error


def _compiles(core: openvino.Core, model: openvino.Model, device: str, options: dict[str, Any]) -> bool:
    try:
        core.compile_model(model, device, options)
    except RuntimeError:
        return False
    return True


def _check_properties(core: openvino.Core, device: str, properties: dict[str, str | int | float | bool]) -> None:
    if not properties:
        return
    known: dict[str, str] = dict.fromkeys(_OF_THE_CORE, "RW")
    head = device.partition(":")[0]
    for each in [*physical(device, core.available_devices), *([head] if head in VIRTUAL else [])]:
        known |= {str(key): str(value) for key, value in core.get_property(each, "SUPPORTED_PROPERTIES").items()}
    for key in properties:
        if key not in known:
            near = difflib.get_close_matches(key.upper(), list(known), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"infer.properties.{key}: unknown to {device}{hint}")
        if known[key] == "RO":
            raise ConfigError(f"infer.properties.{key}: {device} lets it be read, not set")


def _precision(compiled: openvino.CompiledModel, quantized: bool) -> str:
    kinds = _of_each_device(compiled, "INFERENCE_PRECISION_HINT")
    names = [kind.get_type_name() if isinstance(kind, openvino.Type) else str(kind) for kind in kinds]
    return "/".join(dict.fromkeys(["i8"] * quantized + names))


def _of_each_device(compiled: openvino.CompiledModel, name: str) -> list[Any]:
    """Return a property of every device that executes: AUTO, HETERO and MULTI tell those of their members."""
    value = _asked(compiled, name)
    if value is not None:
        return [value]
    members = _asked(compiled, "DEVICE_PROPERTIES") or {}
    return [member[name] for member in members.values() if name in member]


def _asked(compiled: openvino.CompiledModel, name: str) -> Any:
    """Return a property of the compiled model; None where its device has no such thing."""
    try:
        return compiled.get_property(name)
    except RuntimeError:
        return None


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
