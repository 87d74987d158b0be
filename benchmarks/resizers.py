"""Which resizer serves accuracy best: AP of one model on labelled pictures, each scaled straight from YUV.

python -m benchmarks.resizers MODEL.xml ANNOTATIONS.json PICTURES [--limit N]
"""

from __future__ import annotations

import argparse
import contextlib
import io
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.config.models import Infer
from pipeline.infer.backends.openvino.detector import OpenvinoDetector, load
from pipeline.infer.models.catalogue import Located

RESIZERS = ("FAST_BILINEAR", "BILINEAR", "BICUBIC", "AREA", "LANCZOS", "cv2 linear", "cv2 area")


def pictures(frame: av.VideoFrame, width: int, height: int) -> dict[str, np.ndarray[Any, Any]]:
    """The frame at the model's size, once for each resizer."""
    made = {}
    full = VideoReformatter().reformat(frame, format="bgr24").to_ndarray()
    for name in RESIZERS:
        if name.startswith("cv2"):
            how = cv2.INTER_AREA if name.endswith("area") else cv2.INTER_LINEAR
            made[name] = cv2.resize(full, (width, height), interpolation=how)
        else:
            scaled = VideoReformatter().reformat(
                frame, width=width, height=height, format="bgr24", interpolation=Interpolation[name]
            )
            made[name] = scaled.to_ndarray()
    return made


def rows(
    detector: OpenvinoDetector, picture: np.ndarray[Any, Any], width: int, height: int, image: int
) -> list[dict[str, Any]]:
    """One picture's detections in COCO's result form."""
    request = detector.request()
    detector.input(request)[:] = picture
    request.infer()
    found = detector.parse(request, width, height, 0.01, ())
    return [
        {
            "image_id": image,
            "category_id": 1,
            "score": each.score,
            "bbox": [each.box[0], each.box[1], each.box[2] - each.box[0], each.box[3] - each.box[1]],
        }
        for each in found
    ]


def precision(truth: COCO, found: list[dict[str, Any]], images: list[int]) -> tuple[float, float]:
    """AP over IoU .50 to .95 and AP at .50."""
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(truth, truth.loadRes(found), "bbox")
        judge.params.imgIds = images
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0]), float(judge.stats[1])


def main() -> None:
    """Measure and print one line a resizer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--limit", type=int, default=0)
    options = parser.parse_args()
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(options.annotations))
    images = sorted(truth.getImgIds())[: options.limit or None]
    detector = load(Located(options.model.stem, "", options.model, ("person",), "path"), Infer(), "latency")
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in RESIZERS}
    for image in images:
        file = options.pictures / truth.loadImgs(image)[0]["file_name"]
        with av.open(str(file)) as container:
            frame = next(container.decode(video=0))
        for name, picture in pictures(frame, detector.width, detector.height).items():
            found[name] += rows(detector, picture, frame.width, frame.height, image)
    print(f"{options.model.stem}, {len(images)} pictures")
    for name in RESIZERS:
        ap, ap50 = precision(truth, found[name], images)
        print(f"{name:15} AP {ap:.4f}  AP50 {ap50:.4f}")


if __name__ == "__main__":
    main()
