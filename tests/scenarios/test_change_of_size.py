"""A camera whose pictures change their size in mid-stream: boxes, pictures and files follow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

import pipeline
from pipeline.capture.sources.synthetic.source import Street
from pipeline.frames import Result
from tests.support.clips import Clip, encode, number_in, street
from tests.support.servers.rtsp import RtspServer

SMALL, LARGE = (640, 360), (960, 720)
KEYFRAME_EVERY = 15


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    width, height = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    both = width * height
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return float(both / (area - both))


def right_boxes(result: Result, drawn: Street) -> tuple[int, int]:
    """How many boxes of a result are where the street has people, and how many there are."""
    picture = result.frame.picture
    scale = np.array([picture.width / 1280, picture.height / 720] * 2)
    people = [np.array(box) * scale for box, _ in drawn.people(number_in(picture.bgr()))]
    boxes = list(result.detections.boxes)
    return sum(max(overlap(box, each) for each in people) > 0.3 for box in boxes), len(boxes)


def from_a_keyframe(other: Clip) -> Callable[[int, tuple[bytes, ...]], tuple[bytes, ...]]:
    """What the server sends from the next keyframe on, which is where cameras change their size."""
    begun: list[int] = []

    def change(place: int, units: tuple[bytes, ...]) -> tuple[bytes, ...]:
        if place % KEYFRAME_EVERY == 0:
            begun.append(place)
        return other.units[place] if begun else units

    return change


def test_boxes_pictures_and_files_follow_a_change_of_size(tmp_path: Path) -> None:
    small, large = (encode(street(60, *size), 15, KEYFRAME_EVERY) for size in (SMALL, LARGE))
    drawn, video, events = Street(), tmp_path / "out.mp4", tmp_path / "events.jsonl"
    right = dict.fromkeys((SMALL, LARGE), 0)
    total = dict.fromkeys((SMALL, LARGE), 0)
    with RtspServer({"live": small}) as server:
        outputs = f"outputs=[{{video: {{path: '{video}'}}}}, {{events: {{path: '{events}'}}}}]"
        cameras = f"cameras={{door: '{server.url('live')}'}}"
        # The drawn houses have doors of the size of people, which a higher threshold tells apart.
        opened = pipeline.open(None, cameras, outputs, "model.download=false", "detect.threshold=0.75")
        with opened as results:
            changed = False
            for result in results:
                assert sum(total.values()) < 1000, (right, total)
                size = (result.frame.picture.width, result.frame.picture.height)
                found, boxes = right_boxes(result, drawn)
                right[size] += found
                total[size] += boxes
                if total[SMALL] >= 20 and not changed:
                    changed = True
                    server.change = from_a_keyframe(large)
                if total[LARGE] >= 20:
                    break
        states = results.summary()["cameras"]["door"]
    assert states["state"] == "live"
    assert states["reconnects"] == 0
    assert all(right[size] >= 0.8 * total[size] for size in (SMALL, LARGE)), (right, total)
    sizes = []
    for path in (video, video.with_name("out.2.mp4")):
        with av.open(str(path)) as container:
            sizes.append({(frame.width, frame.height) for frame in container.decode(video=0)})
    assert sizes == [{SMALL}, {LARGE}]
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    frames = [line for line in lines if "detections" in line]
    assert {tuple(line["size"]) for line in frames} == {SMALL, LARGE}
    for line in frames:
        for each in line["detections"]:
            assert each["box"][2] <= line["size"][0]
            assert each["box"][3] <= line["size"][1]
