"""Models are read, held to the contract, compiled and spoken to in pixels."""

from __future__ import annotations

import os
import re
from pathlib import Path

import cv2
import numpy as np
import openvino
import pytest

from pipeline.capture.sources.synthetic.source import Street
from pipeline.config.models import Infer, Model
from pipeline.errors import ConfigError, DeviceError, ModelError
from pipeline.frames import Image
from pipeline.infer.backends.openvino.detector import OpenvinoDetector, load
from pipeline.infer.models.catalogue import Located, locate
from tests.support.model_shop import colour_model, onnx_bytes
from tests.support.models import rows_model, write_ir

F32 = {"INFERENCE_PRECISION_HINT": "f32"}


def located(path: Path, labels: tuple[str, ...] = ("blue", "green", "red")) -> Located:
    return Located(path.stem, "", path, labels, "path")


def loaded(path: Path, **settings: object) -> OpenvinoDetector:
    return load(located(path), Infer.model_validate({"device": "CPU", "properties": F32} | settings), "latency")


def found_in(detector: OpenvinoDetector, picture: Image, threshold: float = 0.01) -> list[tuple[str, float]]:
    request = detector.request()
    detector.input(request)[:] = picture
    request.infer()
    return [(each.label, round(each.score, 3)) for each in detector.parse(request, 320, 240, threshold)]


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    return write_ir(colour_model(), tmp_path / "colours.xml")


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_pixels_reach_the_network_as_bgr_from_0_to_255(tmp_path: Path, layout: str) -> None:
    detector = loaded(write_ir(colour_model(24, 32, layout), tmp_path / "colours.xml"))
    assert (detector.width, detector.height) == (32, 24)
    picture = np.zeros((24, 32, 3), np.uint8)
    picture[:] = (51, 255, 102)
    assert found_in(detector, picture) == [("green", 1.0), ("red", 0.4), ("blue", 0.2)]
    picture[:, :16] = 0
    assert found_in(detector, picture) == [("green", 0.5), ("red", 0.2), ("blue", 0.1)]


def test_the_input_is_the_requests_own_memory(colours: Path) -> None:
    detector = loaded(colours)
    view = detector.input(detector.request())
    assert (view.shape, str(view.dtype), view.flags.writeable) == ((24, 32, 3), "uint8", True)
    request = detector.request()
    detector.input(request)[:] = 255
    assert request.get_input_tensor().data.min() == 255


def test_detections_outlive_the_next_inference(colours: Path) -> None:
    detector = loaded(colours)
    request = detector.request()
    detector.input(request)[:] = 255
    request.infer()
    first = detector.parse(request, 320, 240, 0.5)
    detector.input(request)[:] = 0
    request.infer()
    assert first.scores.tolist() == [1, 1, 1]
    assert first.boxes.tolist() == [[0, 0, 320, 240]] * 3
    assert len(detector.parse(request, 320, 240, 0.5)) == 0


def test_labels_not_asked_for_are_left_out(colours: Path) -> None:
    detector = loaded(colours)
    request = detector.request()
    detector.input(request)[:] = 255
    request.infer()
    assert [each.label for each in detector.parse(request, 320, 240, 0.5, keep=("red",))] == ["red"]


def test_a_label_that_the_model_does_not_have_is_named(colours: Path) -> None:
    detector = loaded(colours)
    for fine in ((), ("red",), ("blue", "green"), ("7",)):
        detector.check_labels(fine)
    with pytest.raises(ConfigError) as caught:
        detector.check_labels(("red", "rde"))
    assert str(caught.value) == "detect.labels: must be labels of colours (blue, green, red), got 'rde'"


def test_throughput_keeps_a_second_request_ready_for_each_that_computes(colours: Path) -> None:
    located = Located("colours", "", colours, (), "path")
    advised = load(located, Infer(), "latency").requests
    assert advised == 1
    fast = load(located, Infer(streams=2), "throughput")
    assert fast.requests >= 2 * fast.streams
    assert load(located, Infer(requests=3), "throughput").requests == 3


def test_requests_run_at_once_and_keep_their_own_answers(colours: Path) -> None:
    detector = loaded(colours, requests=3, streams=2)
    requests = [detector.request() for _ in range(detector.requests)]
    assert len(requests) == 3
    for value, request in zip((255, 0, 128), requests, strict=True):
        detector.input(request)[:] = value
        request.start_async()
    scores = []
    for request in requests:
        request.wait()
        scores.append(len(detector.parse(request, 320, 240, 0.4)))
    assert scores == [3, 0, 3]


def test_an_onnx_model_of_the_contract_works(tmp_path: Path) -> None:
    path = tmp_path / "people.onnx"
    path.write_bytes(onnx_bytes())
    assert found_in(loaded(path), np.zeros((24, 32, 3), np.uint8), 0.5) == [("blue", 0.9)]


@pytest.mark.parametrize("batch", [-1, 4])
def test_a_free_or_larger_batch_becomes_one_picture(tmp_path: Path, batch: int) -> None:
    detector = loaded(write_ir(rows_model(((batch, 3, 24, 32),)), tmp_path / "batch.xml"))
    assert detector.request().get_input_tensor().shape == [1, 24, 32, 3]
    assert found_in(detector, np.zeros((24, 32, 3), np.uint8), 0.5) == [("blue", 0.9)]


EXPECTED = "expected one image input [1,3,H,W] or [1,H,W,3] of fixed size and one output [1,1,N,7]; found"
ROWS = "outputs out0 [1,1,3,7]"


@pytest.mark.parametrize(
    ("inputs", "outputs", "found"),
    [
        (((1, 3, 24, 32), (1, 6)), ((1, 1, 3, 7),), f"inputs in0 [1,3,24,32], in1 [1,6]; {ROWS}"),
        (((3, 24, 32),), ((1, 1, 3, 7),), f"inputs in0 [3,24,32]; {ROWS}"),
        (((1, 1, 24, 32),), ((1, 1, 3, 7),), f"inputs in0 [1,1,24,32]; {ROWS}"),
        (((1, 4, 24, 32),), ((1, 1, 3, 7),), f"inputs in0 [1,4,24,32]; {ROWS}"),
        (((1, 3, -1, -1),), ((1, 1, 3, 7),), f"inputs in0 [1,3,?,?]; {ROWS}"),
        (((-1, -1, 24, 32),), ((1, 1, 3, 7),), f"inputs in0 [?,?,24,32]; {ROWS}"),
        (((1, 3, 24, 32),), ((1, 3, 7),), "inputs in0 [1,3,24,32]; outputs out0 [1,3,7]"),
        (((1, 3, 24, 32),), ((1, 1, 3, 6),), "inputs in0 [1,3,24,32]; outputs out0 [1,1,3,6]"),
        (((1, 3, 24, 32),), ((2, 1, 3, 7),), "inputs in0 [1,3,24,32]; outputs out0 [2,1,3,7]"),
        (
            ((1, 3, 24, 32),),
            ((1, 1, 3, 7), (5, 4)),
            "inputs in0 [1,3,24,32]; outputs out0 [1,1,3,7], out1 [5,4]",
        ),
    ],
)
def test_a_model_of_another_kind_is_told_what_was_found_and_expected(
    tmp_path: Path, inputs: tuple[tuple[int, ...], ...], outputs: tuple[tuple[int, ...], ...], found: str
) -> None:
    path = write_ir(rows_model(inputs, outputs), tmp_path / "other.xml")
    with pytest.raises(ModelError) as caught:
        loaded(path)
    assert str(caught.value) == f"{path}: {EXPECTED} {found}"
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.xml", b"", "not an OpenVINO IR: the file is empty"),
        ("bad.xml", b"<html><body>404 Not Found</body></html>", "not an OpenVINO IR: it starts with other content"),
        ("bad.onnx", b"", "not an ONNX model: the file is empty"),
        ("bad.onnx", b"version https://git-lfs.github.com/spec/v1", "not an ONNX model: it starts with other content"),
        ("bad.onnx", b"\x08\x08:\xff\xff", "damaged or not a model: "),
    ],
)
def test_a_file_that_is_no_model_is_named_in_one_line_and_in_silence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    path.with_suffix(".bin").write_bytes(b"")
    with pytest.raises(ModelError) as caught:
        loaded(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_an_ir_cut_anywhere_is_named_in_one_line(colours: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = colours.read_bytes()
    for length in range(100, len(whole) - 20, len(whole) // 12):
        colours.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=re.escape(f"{colours}: ")) as caught:
            loaded(colours)
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_weights_cut_or_swapped_or_gone_are_named(colours: Path) -> None:
    weights = colours.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:10])
    with pytest.raises(ModelError) as caught:
        loaded(colours)
    assert str(caught.value) == f"{colours}: damaged or not a model: Incorrect weights in bin file!"
    weights.unlink()
    with pytest.raises(ModelError, match="Empty weights data in bin file or bin file cannot be found!"):
        loaded(colours)


@pytest.mark.parametrize("name", [b'"Param|eter"', b"<po|rt "])
def test_a_model_with_names_of_other_bytes_is_refused_in_one_line(colours: Path, name: bytes) -> None:
    spoilt = name.replace(b"|", b"\xed\xa0\x80")
    colours.write_bytes(colours.read_bytes().replace(name.replace(b"|", b""), spoilt))
    with pytest.raises(ModelError) as caught:
        loaded(colours)
    assert str(caught.value).startswith(f"{colours}: ")
    assert "\n" not in str(caught.value)


def test_a_folder_or_nothing_instead_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.xml").mkdir()
    with pytest.raises(ModelError, match=r"folder\.xml: cannot be read: Is a directory"):
        loaded(tmp_path / "folder.xml")
    with pytest.raises(ModelError, match=r"none\.xml: cannot be read: No such file or directory"):
        loaded(tmp_path / "none.xml")


@pytest.mark.parametrize("device", ["GPU.7", "AUTO:GPU.7,CPU", "HETERO:GPU.7,CPU", "MULTI:GPU.7,CPU"])
def test_a_missing_device_is_one_line_with_those_found_in_silence(
    colours: Path, capfd: pytest.CaptureFixture[str], device: str
) -> None:
    found = ", ".join(openvino.Core().available_devices)
    part = "" if device == "GPU.7" else " GPU.7"
    with pytest.raises(DeviceError) as caught:
        loaded(colours, device=device)
    assert str(caught.value) == f"device {device}:{part} not found; use AUTO or the devices found: {found}"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"NUM_STREAM": 2}, "infer.properties.NUM_STREAM: unknown to CPU; did you mean NUM_STREAMS?"),
        ({"num_streams": 2}, "infer.properties.num_streams: unknown to CPU; did you mean NUM_STREAMS?"),
        ({"XYZZY": 1}, "infer.properties.XYZZY: unknown to CPU"),
        ({"FULL_DEVICE_NAME": "x"}, "infer.properties.FULL_DEVICE_NAME: CPU lets it be read, not set"),
        ({"NUM_STREAMS": "many"}, "infer.properties.NUM_STREAMS: CPU does not take 'many': "),
        (
            {"ENABLE_CPU_PINNING": True, "INFERENCE_PRECISION_HINT": "f12"},
            "infer.properties.INFERENCE_PRECISION_HINT: CPU does not take 'f12': ",
        ),
    ],
)
def test_a_wrong_property_is_named(colours: Path, properties: dict[str, str | int | bool], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(colours, properties=properties)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_the_settings_reach_the_device_and_the_report(colours: Path) -> None:
    detector = loaded(colours, streams=2, threads=2, requests=3)
    assert (detector.device, detector.devices, detector.streams, detector.requests) == ("CPU", ("CPU",), 2, 3)
    assert detector.precision == "f32"
    assert re.fullmatch(r"colours on CPU: f32, 2 streams, 3 requests, compiled in \d+\.\d\d s", detector.report())
    one = loaded(colours, streams=1, requests=1)
    assert re.fullmatch(r"colours on CPU: f32, 1 stream, 1 request, compiled in \d+\.\d\d s", one.report())


def test_latency_takes_one_stream_and_throughput_what_the_device_advises(colours: Path) -> None:
    latency = load(located(colours), Infer(device="CPU"), "latency")
    throughput = load(located(colours), Infer(device="CPU"), "throughput")
    assert (latency.streams, latency.requests) == (1, 1)
    assert throughput.requests >= throughput.streams >= 1


def test_auto_says_what_it_came_to(colours: Path) -> None:
    detector = load(located(colours), Infer(), "latency")
    assert detector.devices[0].strip("()").partition(".")[0] in {"CPU", "GPU", "NPU"}


def test_compound_devices_run(colours: Path) -> None:
    for device in ("AUTO:CPU", "HETERO:CPU", "MULTI:CPU"):
        detector = loaded(colours, device=device, streams=1)
        assert (detector.devices, detector.precision, detector.streams) == (("CPU",), "f32", 1)
        assert [label for label, _ in found_in(detector, np.full((24, 32, 3), 255, np.uint8))] == [
            "blue",
            "green",
            "red",
        ]


def test_a_compiled_model_is_kept_in_the_cache(colours: Path, tmp_path: Path, notices: list[str]) -> None:
    settings = Infer(device="CPU", cache=str(tmp_path / "compiled" / "deep"))
    for _ in range(2):
        detector = load(located(colours), settings, "latency")
    kept = sorted(each.suffix for each in (tmp_path / "compiled" / "deep").iterdir())
    assert kept == [".blob", ".sha384"]
    assert notices == []
    assert found_in(detector, np.full((24, 32, 3), 255, np.uint8), 0.5) == [("blue", 1.0), ("green", 1.0), ("red", 1.0)]


def test_a_damaged_cache_is_thrown_out_with_a_notice(colours: Path, tmp_path: Path, notices: list[str]) -> None:
    folder = tmp_path / "compiled"
    settings = Infer(device="CPU", cache=str(folder))
    load(located(colours), settings, "latency")
    (blob,) = folder.glob("*.blob")
    good = blob.read_bytes()
    for damaged in (good[: len(good) // 2], good[:-40] + bytes(40), b""):
        blob.write_bytes(damaged)
        notices.clear()
        detector = load(located(colours), settings, "latency")
        assert notices == [f"infer.cache: {blob} is damaged; compiling afresh"]
        assert len(found_in(detector, np.full((24, 32, 3), 255, np.uint8), 0.5)) == 3
        assert blob.read_bytes() != damaged


def test_a_compiled_model_without_its_seal_is_not_trusted(colours: Path, tmp_path: Path, notices: list[str]) -> None:
    folder = tmp_path / "compiled"
    settings = Infer(device="CPU", cache=str(folder))
    load(located(colours), settings, "latency")
    (blob,), (seal,) = folder.glob("*.blob"), folder.glob("*.sha384")
    os.utime(blob, (0, 0))
    seal.unlink()
    load(located(colours), settings, "latency")
    assert seal.exists()
    assert blob.stat().st_mtime > 0, "the blob is still the old one"
    assert notices == []


def test_a_cache_that_cannot_be_used_costs_one_notice(colours: Path, tmp_path: Path, notices: list[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = Infer(device="CPU", cache=str(tmp_path / "file"))
    detector = load(located(colours), settings, "latency")
    assert notices == [f"infer.cache: {tmp_path / 'file'} cannot be used (File exists); going on without it"]
    assert len(found_in(detector, np.full((24, 32, 3), 255, np.uint8), 0.5)) == 3


@pytest.mark.parametrize(
    ("name", "precision", "size"),
    [
        ("person-detection-0202", "FP16-INT8", (512, 512)),
        ("person-detection-0202", "FP16", (512, 512)),
        ("person-detection-retail-0013", "FP16-INT8", (544, 320)),
    ],
)
def test_an_official_model_finds_what_a_plain_run_of_it_finds(
    official_files: Path, name: str, precision: str, size: tuple[int, int]
) -> None:
    settings = Model.model_validate({"name": name, "precision": precision, "folder": str(official_files)})
    model = locate(settings)
    detector = load(model, Infer(device="CPU"), "latency")
    assert (detector.width, detector.height) == size
    assert detector.report().startswith(f"{name} {precision} on CPU: {'i8/' if 'INT8' in precision else ''}")
    picture = cv2.resize(Street().picture(100), size)
    request = detector.request()
    detector.input(request)[:] = picture
    request.infer()
    found = detector.parse(request, 1280, 720, 0.05)
    plain = openvino.Core().compile_model(model.xml, "CPU")(picture.transpose(2, 0, 1)[None].astype(np.float32))[0]
    rows = plain.reshape(-1, 7)
    rows = rows[(np.cumsum(rows[:, 0] < 0) == 0) & (rows[:, 2] >= 0.05)]
    boxes = np.clip(rows[:, 3:], 0, 1) * (1280, 720, 1280, 720)
    assert len(found) == len(rows) >= 3
    assert set(found.class_ids.tolist()) == {1 if "retail" in name else 0}
    assert {each.label for each in found} == {"person"}
    np.testing.assert_allclose(found.scores, rows[:, 2], atol=1e-3)
    np.testing.assert_allclose(found.boxes, boxes, atol=1)
