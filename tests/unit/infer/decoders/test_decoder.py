"""Pictures get into the input as a decoder asks, boxes find their way back, and any outputs may be read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.capture.decode.pictures import ArrayPicture
from pipeline.config.models import Infer
from pipeline.frames import Detections
from pipeline.infer import decoders
from pipeline.infer.backends.openvino.detector import load
from pipeline.infer.decoders.decoder import Letterbox, Pixels, Port
from pipeline.infer.models.catalogue import Located
from tests.support.models import rows_model, write_ir


@pytest.mark.parametrize(
    ("picture", "model", "place"),
    [
        ((1920, 1080), (640, 640), (0, 140, 640, 360)),
        ((1080, 1920), (640, 640), (140, 0, 360, 640)),
        ((640, 640), (640, 640), (0, 0, 640, 640)),
        ((320, 240), (640, 480), (0, 0, 640, 480)),
        ((10000, 1), (64, 64), (0, 31, 64, 1)),
    ],
)
def test_the_picture_keeps_its_aspect_in_the_middle(
    picture: tuple[int, int], model: tuple[int, int], place: tuple[int, int, int, int]
) -> None:
    assert Letterbox.of(picture, model) == place


def test_boxes_of_the_input_become_boxes_of_the_picture() -> None:
    boxes = np.array([[0, 140, 640, 500], [320, 320, 640, 500]], np.float32)
    undone = Letterbox.of((1920, 1080), (640, 640)).undone(boxes, (1920, 1080))
    assert undone.tolist() == [[0, 0, 1920, 1080], [960, 540, 1920, 1080]]


class Scored:
    """The decoder of a family with boxes in one output and scores in another, found by their names."""

    expects = "outputs boxes [N,4] and scores [N]"
    pixels = Pixels()

    def __init__(self, width: int, height: int, outputs: Sequence[Port]) -> None:
        self.places = {port.name: index for index, port in enumerate(outputs)}

    @staticmethod
    def matches(inputs: Sequence[Port], outputs: Sequence[Port]) -> bool:
        return {port.name for port in outputs} == {"out0", "out1"}

    def decode(
        self,
        outputs: Sequence[NDArray[np.float32]],
        width: int,
        height: int,
        threshold: float,
        labels: tuple[str, ...],
        keep: tuple[str, ...] = (),
    ) -> Detections:
        boxes, scores = outputs[self.places["out1"]], outputs[self.places["out0"]]
        return Detections(boxes.copy(), scores.copy(), np.zeros(len(scores), np.int32), labels)


def test_a_decoder_may_read_several_outputs_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(decoders, "BUILT_IN", (*decoders.BUILT_IN, Scored))
    path = write_ir(rows_model(output_shapes=((2,), (2, 4))), tmp_path / "scored.xml")
    detector = load(Located("scored", "", path, ("person",), "path"), Infer(device="CPU"), "latency")
    request = detector.request()
    detector.fill(request, ArrayPicture(np.zeros((24, 32, 3), np.uint8)))
    request.infer()
    found = detector.parse(request, 32, 24, 0.5)
    assert (found.scores.shape, found.boxes.shape) == ((2,), (2, 4))


def test_a_letterboxed_picture_stands_between_grey_bars(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Scored, "pixels", Pixels(fit="letterbox"))
    monkeypatch.setattr(decoders, "BUILT_IN", (Scored,))
    path = write_ir(rows_model(((1, 3, 32, 32),), ((2,), (2, 4))), tmp_path / "scored.xml")
    detector = load(Located("scored", "", path, ("person",), "path"), Infer(device="CPU"), "latency")
    request = detector.request()
    detector.fill(request, ArrayPicture(np.full((36, 64, 3), 200, np.uint8)))
    rows = detector.input(request)[:, 0, 0].tolist()
    assert rows == [114] * 7 + [200] * 18 + [114] * 7
