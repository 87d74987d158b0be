"""The way from the results to one output: a queue of its own, so that no output delays another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.concurrency.queues import Funnel, Lane
from pipeline.frames import Frame, Packet
from pipeline.stats.registry import Stats

from .protocols import OnDemandOutput, Output, PacketOutput, ResultListener, View

_POLL_INTERVAL_S = 0.25


def packet_tap(workers: Sequence[OutputWorker], *more: Callable[[Packet], None]) -> Callable[[Packet], None] | None:
    """Return what hands every packet to all outputs that take packets, and to `more`; None where none does."""
    outputs = [worker.output for worker in workers]
    takers: list[Callable[[Packet], None]] = [
        output.packet for output in outputs if isinstance(output, PacketOutput) and output.takes_packets
    ]
    takers.extend(more)

    def hand_out(packet: Packet) -> None:
        for take in takers:
            take(packet)

    return hand_out if takers else None


def drop_counter(workers: Sequence[OutputWorker], stats: Stats) -> Callable[[Frame, str], None]:
    """Return what counts every frame that will not be inferred, and tells all outputs that listen."""
    listeners = [worker.output.on_drop for worker in workers if isinstance(worker.output, ResultListener)]

    def drop(frame: Frame, reason: str) -> None:
        stats.cameras[frame.camera].dropped(reason)
        for on_drop in listeners:
            on_drop(frame)

    return drop


def frame_demand(workers: Sequence[OutputWorker]) -> Callable[[str], bool]:
    """Return what says whether any output has a use for pictures of a camera now."""
    on_demand = [worker.output.needs_frames for worker in workers if isinstance(worker.output, OnDemandOutput)]
    always = len(on_demand) < len(workers)
    return lambda camera: always or any(needs_frames(camera) for needs_frames in on_demand)


class OutputWorker:
    """An output with its queue: live cameras keep only the newest view, files wait for room and lose none."""

    def __init__(self, output: Output, stats: Stats) -> None:
        self.output = output
        self.views: Funnel[View] = Funnel()
        self._on_result = output.on_result if isinstance(output, ResultListener) else None
        self._stats = stats
        self._lanes: dict[str, Lane[View]] = {}

    def put(self, view: View) -> None:
        """Queue a view; called by one thread for each camera."""
        if self._on_result is not None:
            self._on_result(view.result)
        camera = view.result.frame.camera
        lane = self._lanes.get(camera)
        if lane is None:
            skipped = self._stats.outputs[self.output.name].skipped
            lane = self._lanes[camera] = self.views.lane(
                1 if view.live else 2, latest=view.live, dropped=lambda view, reason: skipped()
            )
        lane.put(view)

    def run(self) -> None:
        """Show every view until the queue ends, then close the output."""
        try:
            while self.turn(_POLL_INTERVAL_S):
                pass
        finally:
            self.views.close(discard=True)
            self.output.close()

    def turn(self, wait_s: float) -> bool:
        """Show the next view, or wait `wait_s` seconds for one; False when the user or the queue is at the end."""
        view = self.views.get(wait_s)
        if view is not None:
            self.show(view)
        return self.output.poll() and not self.views.ended

    def show(self, view: View) -> None:
        """Hand one view to the output and count what became of it."""
        clock = self._stats.clock
        began = clock.monotonic()
        is_shown = self.output.show(view)
        self._stats.spent(f"output.{self.output.name}", clock.monotonic() - began)
        if is_shown:
            self._stats.outputs[self.output.name].shown()
            if view.mark_shown():
                frame = view.result.frame
                self._stats.cameras[frame.camera].shown(frame.captured)
