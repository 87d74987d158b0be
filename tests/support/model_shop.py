"""Tiny generated models, a private set of places to look for models, and a server with bad habits."""

from __future__ import annotations

import hashlib
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

from pipeline.infer.models import catalogue as zoo
from pipeline.infer.models.catalogue import Known
from pipeline.infer.models.download import File
from tests.support.models import PEOPLE, rows_model, write_ir

__all__ = ["PEOPLE", "rows_model", "write_ir"]

OFFICIAL_FILES = os.environ.get("LOOKOUT_MODELS")


def colour_model(height: int = 24, width: int = 32, layout: str = "NCHW") -> openvino.Model:
    """A model whose three rows score the mean of channels 0, 1 and 2: it shows what reaches the network."""
    shape = [1, 3, height, width] if layout == "NCHW" else [1, height, width, 3]
    image = ops.parameter(shape, np.float32, name="image")
    axes = [layout.index("H"), layout.index("W")]
    means = ops.divide(ops.reduce_mean(image, axes, keep_dims=False), np.float32(255))
    scores = ops.reshape(means, [1, 1, 3, 1], special_zero=False)
    front = ops.constant(np.array([[[[0, 0], [0, 1], [0, 2]]]], np.float32))
    boxes = ops.constant(np.tile(np.array([0, 0, 1, 1], np.float32), (1, 1, 3, 1)))
    rows = ops.concat([front, scores, boxes], axis=3)
    rows.output(0).set_names({"detection_out"})
    image.output(0).set_names({"image"})
    return openvino.Model([rows], [image], "colours")


def onnx_bytes(height: int = 24, width: int = 32) -> bytes:
    """An ONNX model that answers PEOPLE to any picture."""
    rows = np.array(PEOPLE, np.float32).reshape(1, 1, 3, 7)
    nodes = (("ReduceMean", ("image",), "mean"), ("Mul", ("mean", "zero"), "none"), ("Add", ("none", "rows"), "found"))
    graph = b"".join(
        _field(
            1, b"".join(_field(1, name.encode()) for name in names) + _field(2, out.encode()) + _field(4, kind.encode())
        )
        for kind, names, out in nodes
    )
    graph += _field(2, b"people") + _field(5, _onnx_tensor("zero", np.zeros((1, 1, 1, 1), np.float32)))
    graph += _field(5, _onnx_tensor("rows", rows))
    graph += _field(11, _onnx_value("image", (1, 3, height, width))) + _field(12, _onnx_value("found", rows.shape))
    return _varint(1, 8) + _field(7, graph) + _field(8, _varint(2, 13))


def _field(number: int, content: bytes) -> bytes:
    return _number(number << 3 | 2) + _number(len(content)) + content


def _varint(number: int, value: int) -> bytes:
    return _number(number << 3) + _number(value)


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _onnx_tensor(name: str, values: np.ndarray) -> bytes:
    dims = b"".join(_varint(1, size) for size in values.shape)
    return dims + _varint(2, 1) + _field(8, name.encode()) + _field(9, struct.pack(f"<{values.size}f", *values.flat))


def _onnx_value(name: str, shape: tuple[int, ...]) -> bytes:
    dims = b"".join(_field(1, _varint(1, size)) for size in shape)
    return _field(1, name.encode()) + _field(2, _field(1, _varint(1, 1) + _field(2, dims)))


@pytest.fixture
def official_files() -> Path:
    """The folder with the official models."""
    if OFFICIAL_FILES is None:
        pytest.skip("LOOKOUT_MODELS is not set: no official models to test with")
    return Path(OFFICIAL_FILES)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No model is at hand: an empty cache (returned), LOOKOUT_MODELS unset, no proxy."""
    for name in ("LOOKOUT_MODELS", "http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    cache = tmp_path / "user-cache"
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *names, **options: str(cache))
    return cache / "models"


class Shop:
    """A server whose folder names say how it behaves, and registry entries for what it sells."""

    def __init__(self, goods: dict[str, bytes]) -> None:
        self.goods = goods
        self.asked: list[str] = []
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def known(self, name: str, habit: str = "good", labels: tuple[str, ...] = ("person",)) -> Known:
        """An entry for the goods NAME.xml and NAME.bin, to be fetched with that habit of the server."""
        pair = tuple(
            File(f"{name}.{kind}", len(data), hashlib.sha384(data).hexdigest(), f"{self.address}/{habit}/{name}.{kind}")
            for kind in ("xml", "bin")
            for data in (self.goods[f"{name}.{kind}"],)
        )
        return Known(name, labels, 32, 24, {"FP16-INT8": ((pair[0], pair[1]),)}, bundled=False)

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(shop) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                _, habit, name = self.path.split("/")
                shop.asked.append(name)
                data = shop.goods[name]
                if habit == "hanging":
                    shop.closing.wait(20)
                    return
                if habit == "missing":
                    self.send_error(404)
                    return
                if habit == "other":
                    data = bytes(len(data))
                self.send_response(200)
                if habit != "endless":
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if habit == "cut":
                    self.wfile.write(data[: len(data) // 2])
                elif habit == "silent":
                    self.wfile.write(data[: len(data) // 2])
                    shop.closing.wait(20)
                elif habit == "dripping":
                    for each in data:
                        self.wfile.write(bytes([each]))
                        if shop.closing.wait(0.05):
                            break
                elif habit == "endless":
                    while not shop.closing.is_set():
                        self.wfile.write(bytes(1 << 16))
                        time.sleep(0.001)
                else:
                    self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:
                    self.close_connection = True

        return Handler


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A local server that sells the tiny colour model under two names."""
    goods: dict[str, bytes] = {}
    for name in (zoo.OFFICIAL, "face-detection-0200"):
        path = write_ir(colour_model(), tmp_path / "goods" / f"{name}.xml")
        goods |= {path.name: path.read_bytes(), f"{name}.bin": path.with_suffix(".bin").read_bytes()}
    server = Shop(goods)
    yield server
    server.close()


@pytest.fixture
def stock(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replace the registry by these entries."""

    def replace(*entries: Known) -> None:
        table = {entry.name: entry for entry in entries}
        monkeypatch.setattr(zoo, "registry", lambda: table)

    return replace


def put(folder: Path, known: Known, goods: dict[str, bytes], precision: str = "FP16-INT8") -> Path:
    """Lay a known model's files into NAME/PRECISION below a folder; the .xml."""
    target = folder / known.name / precision
    target.mkdir(parents=True)
    for kind in ("xml", "bin"):
        (target / f"{known.name}.{kind}").write_bytes(goods[f"{known.name}.{kind}"])
    return target / f"{known.name}.xml"
