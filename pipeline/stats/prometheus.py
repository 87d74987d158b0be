"""Everything that is counted, for Prometheus: taken from the statistics when asked for, counted nowhere twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from pipeline.version import __version__

from .camera import CameraFigures, State
from .histogram import Histogram, boundary
from .registry import Stats

_STEPS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LIMITS = tuple(float(f"{boundary(step):.6g}") for step in _STEPS)

_TOTALS: dict[str, tuple[str, Callable[[CameraFigures], float]]] = {
    "captured": ("Frames that the source gave.", lambda each: each.captured),
    "inferred": ("Frames that have their detections.", lambda each: each.inferred),
    "carried": ("Frames shown with boxes carried on from earlier ones.", lambda each: each.carried),
    "passed": ("Frames that went on without detection.", lambda each: each.passed),
    "shown": ("Frames that at least one output has shown.", lambda each: each.shown),
}
_TIMES: dict[str, tuple[str, Callable[[CameraFigures], float]]] = {
    "reconnects": ("Times that a lost source answered again.", lambda each: each.reconnects),
    "late": ("Times that the pictures fell behind the camera's own clock.", lambda each: each.late),
}
_NOW: dict[str, tuple[str, Callable[[CameraFigures], float | None]]] = {
    "frames_in_flight": ("Frames between capture and result.", lambda each: each.in_flight),
    "fps": ("Frames a second that the source gives.", lambda each: each.fps_in),
    "shown_fps": ("Frames a second that at least one output shows.", lambda each: each.fps),
    "detected_fps": ("Frames a second that are inferred.", lambda each: each.fps_detected),
    "people": (
        "Detections in the newest result; none without detection, and while no pictures come.",
        lambda each: each.people,
    ),
    "detected": ("1 where people are looked for, 0 where not.", lambda each: each.detected),
    "age_seconds": ("Age of the newest picture that is ready to be seen.", lambda each: each.age),
}


class Exposition:
    """The text that a Prometheus server fetches."""

    def __init__(self, stats: Stats, viewers: Callable[[str], int]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(stats, viewers))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text form, version 0.0.4."""
        return generate_latest(self._registry)


class _Collector(Collector):
    def __init__(self, stats: Stats, viewers: Callable[[str], int]) -> None:
        self._stats = stats
        self._viewers = viewers

    def describe(self) -> Iterable[Metric]:
        """Nothing: what exists is known only when it is asked for."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every metric at this moment."""
        yield InfoMetricFamily("lookout", "Version of the program.", {"version": __version__})
        yield from self._cameras(self._stats.figures())
        ages = ((camera.name, camera.ages()) for camera in self._stats.cameras.values())
        yield _histogram("lookout_age_seconds", "Age of frames when their first output had shown them.", "camera", ages)
        stages = self._stats.histograms().items()
        yield _histogram("lookout_stage_seconds", "Time that frames spent in each stage.", "stage", stages)
        yield from self._outputs()
        yield GaugeMetricFamily("lookout_viewers", "Pages and programs that look.", self._viewers(""))
        if threads := _threads():
            yield GaugeMetricFamily("process_threads", "Number of OS threads in the process.", threads)

    def _cameras(self, cameras: list[CameraFigures]) -> Iterator[Metric]:
        for name, (about, total) in _TOTALS.items():
            family = CounterMetricFamily(f"lookout_camera_frames_{name}", about, labels=["camera"])
            yield _filled(family, ((each.name, total(each)) for each in cameras))
        dropped = CounterMetricFamily(
            "lookout_camera_frames_dropped", "Frames that were not inferred.", labels=["camera", "reason"]
        )
        for camera in cameras:
            for reason, count in camera.dropped.items():
                dropped.add_metric([camera.name, reason], count)
        yield dropped
        for name, (about, total) in _TIMES.items():
            family = CounterMetricFamily(f"lookout_camera_{name}", about, labels=["camera"])
            yield _filled(family, ((each.name, total(each)) for each in cameras))
        for name, (about, value) in _NOW.items():
            gauge = GaugeMetricFamily(f"lookout_camera_{name}", about, labels=["camera"])
            yield _filled(gauge, ((each.name, value(each)) for each in cameras))
        viewers = GaugeMetricFamily("lookout_camera_viewers", "Pages and programs that look at it.", labels=["camera"])
        yield _filled(viewers, ((each.name, self._viewers(each.name)) for each in cameras))
        states = GaugeMetricFamily("lookout_camera_state", "1 for the state it is in.", labels=["camera", "state"])
        for camera in cameras:
            for state in State:
                states.add_metric([camera.name, state.value], camera.state is state)
        yield states

    def _outputs(self) -> Iterator[Metric]:
        outputs = {name: output.summary() for name, output in dict(self._stats.outputs).items()}
        parts = {
            "shown": "that went somewhere",
            "skipped": "that gave way to a newer one",
            "lost": "that could not be written",
        }
        for part, about in parts.items():
            family = CounterMetricFamily(f"lookout_output_frames_{part}", f"Frames {about}.", labels=["output"])
            yield _filled(family, ((name, cast(int, counts[part])) for name, counts in outputs.items()))


def _filled(family: Any, values: Iterable[tuple[str, float | None]]) -> Metric:
    for label, value in values:
        if value is not None:
            family.add_metric([label], value)
    filled: Metric = family
    return filled


def _histogram(name: str, about: str, label: str, histograms: Iterable[tuple[str, Histogram]]) -> Metric:
    family = HistogramMetricFamily(name, about, labels=[label])
    for value, histogram in histograms:
        counts = map(str, _LIMITS)
        buckets = [*zip(counts, histogram.up_to(_LIMITS), strict=True), ("+Inf", histogram.spread().count)]
        family.add_metric([value], buckets, histogram.sum)
    return family


def _threads() -> int:
    """Threads of this process as the system counts them, OpenVINO's and FFmpeg's included; 0 where it does not tell."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 0
