"""The way from frames to results: through the detector, out of recordings, or past both."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from pipeline.concurrency.queues import Funnel, Lane
from pipeline.concurrency.threads import ThreadGroup
from pipeline.config.cameras import Detect
from pipeline.config.models import Infer, Model
from pipeline.frames import Detections, Frame, Result, Timing
from pipeline.infer.detector import Detector
from pipeline.infer.failover import Failover
from pipeline.infer.models.catalogue import locate
from pipeline.notice import notify
from pipeline.stats.registry import Stats

from .replay import Replay

log = logging.getLogger(__name__)

COLLECTORS = ("infer-collect", "pass-on")
"""Names of the threads that deliver results."""


class Inference:
    """Takes frames in at a lane for each camera; its threads call `deliver` in the order of each camera's frames.

    `replay` takes the place of the detector. The frames of a camera that is not to be detected go past both, and
    without any other camera no model is loaded.
    """

    def __init__(
        self,
        detect: Mapping[str, Detect],
        model: Model,
        infer: Infer,
        stats: Stats,
        deliver: Callable[[Result], None],
        replay: Replay | None,
    ) -> None:
        self.detector: Detector | None = None
        self.detects = any(each.enabled for each in detect.values())
        """Whether any camera is to be detected."""
        self.passes = not all(each.enabled for each in detect.values())
        """Whether any camera is not."""
        self._detect = detect
        self._model = model
        self._infer = infer
        self._stats = stats
        self._deliver = deliver
        self._replay = replay
        self._intake: Funnel[Frame] = Funnel()
        self._past: Funnel[Frame] = Funnel()
        self._stopping = threading.Event()

    def lane(self, camera: str, *, live: bool, dropped: Callable[[Frame, str], None]) -> Lane[Frame]:
        """Return the way in for a camera's frames; `dropped(frame, reason)` hears of each that will not be inferred."""
        capacity = 1 if live else 2
        if self._detect[camera].enabled:
            return self._intake.lane(capacity, latest=live, dropped=dropped)
        # These were to be inferred never, so that one which gives way to a newer one is no loss to count.
        return self._past.lane(capacity, latest=live)

    def prepare(
        self, mark: Callable[[str], None], threads: ThreadGroup, live: Callable[[str], bool]
    ) -> Callable[[], None]:
        """Load the model; return what makes results of frames until there are no more, in a thread of the caller.

        `mark` hears how far it is; `live` says whether a source is a camera, for which delay matters most.
        """
        if self._replay is not None:
            notify(log, self._replay.report())
            return self._play
        hint = self._infer.hint
        if hint == "auto":
            hint = "latency" if any(map(live, self._detect)) else "throughput"
        # Only here, for it takes long and whoever only watches needs none of it.
        from pipeline.infer.backends.openvino.detector import load
        from pipeline.infer.backends.openvino.devices import devices, successors

        located = locate(self._model, self._stopping)
        mark("model_found")
        first = load(located, self._infer, hint)
        detect = {name: each for name, each in self._detect.items() if each.enabled}
        for each in detect.values():
            first.check_labels(each.labels)
        mark("model_compiled")
        self._use(first)
        notify(log, first.report())
        order = successors(self._infer.device, [name for name, _ in devices()])

        def load_for(device: str) -> Detector:
            wanted = self._infer
            if device != order[0]:
                # What was set for the device asked for may be unknown to another.
                wanted = wanted.model_copy(update={"device": device, "properties": {}, "streams": 0})
            return load(located, wanted, hint)

        failover = Failover(
            load_for,
            order,
            self._intake,
            self._deliver,
            detect,
            self._stats,
            self._infer.timeout,
            threads,
            self._use,
            live,
        )
        return lambda: failover.run(first)

    def _use(self, detector: Detector | None) -> None:
        """Say which detector works now; None while there is none."""
        self.detector = detector or self.detector
        self._stats.detector = detector.title if detector else str

    def pass_on(self) -> None:
        """Deliver every frame that is not to be detected, until there will be no more."""
        for frame in self._past:
            self._stats.spent("decode", frame.decode)
            self._deliver(Result(frame, Detections.empty(), Timing(frame.decode), detected=False))

    def close(self) -> None:
        """Take nothing in any more, forget what waits, and wait for no model."""
        self._stopping.set()
        self._intake.close(discard=True)
        self._past.close(discard=True)

    def _play(self) -> None:
        assert self._replay is not None
        self._replay.run(self._intake, self._deliver, self._stats)
