"""What plays a slower processor makes inferences dearer and changes no box."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.slow import SLOW_INFERENCE

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
import numpy as np
from pipeline.capture.decode.pictures import ArrayPicture
from pipeline.config.models import Infer, Model
from pipeline.infer.backends.openvino.detector import load
from pipeline.infer.models.catalogue import locate

detector = load(locate(Model(name=sys.argv[1], download=False)), Infer(), "latency")
request = detector.request()
detector.fill(request, ArrayPicture(np.zeros((48, 64, 3), np.uint8)))
request.start_async()
polls = 1
while not request.wait_for(10_000):
    polls += 1
print(polls, len(detector.parse(request, 64, 48, 0.0)))
"""


def test_each_request_is_computed_so_many_times(quick_model: Path) -> None:
    told = []
    for rounds in (1, 5):
        slow = {"PYTHONPATH": os.pathsep.join([str(SLOW_INFERENCE), str(ROOT)]), "LOOKOUT_TEST_ROUNDS": str(rounds)}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(quick_model)],
            env=os.environ | slow,
            capture_output=True,
            text=True,
            check=True,
        )
        told.append(done.stdout.split())
    assert [int(polls) for polls, _ in told] == [1, 5]
    assert told[0][1] == told[1][1]
