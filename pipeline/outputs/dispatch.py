"""The way from the results to one output: a queue of its own, so that no output delays another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.concurrency.queues import Funnel, Lane
from pipeline.frames import Frame, Packet
from pipeline.stats.registry import Stats

from .protocols import Output, PacketOutput, PromptOutput, SparingOutput, View

_PATIENCE = 0.25


def fan_out(outlets: Sequence[OutputWorker], *more: Callable[[Packet], None]) -> Callable[[Packet], None] | None:
    """What hands every packet to all outputs that take packets, and to `more`; None where none does."""
    outputs = [outlet.output for outlet in outlets]
    takers: list[Callable[[Packet], None]] = [
        each.packet for each in outputs if isinstance(each, PacketOutput) and each.takes_packets
    ]
    takers.extend(more)

    def hand(packet: Packet) -> None:
        for take in takers:
            take(packet)

    return hand if takers else None


def losses(outlets: Sequence[OutputWorker], stats: Stats) -> Callable[[Frame, str], None]:
    """What counts every frame that will not be inferred, and tells all outputs that want prompt word of it."""
    told = [outlet.output.missed for outlet in outlets if isinstance(outlet.output, PromptOutput)]

    def lose(frame: Frame, reason: str) -> None:
        stats.cameras[frame.camera].dropped(reason)
        for tell in told:
            tell(frame)

    return lose


def wanting(outlets: Sequence[OutputWorker]) -> Callable[[str], bool]:
    """What says whether any output has a use for pictures of a camera now."""
    asked = [outlet.output.wants for outlet in outlets if isinstance(outlet.output, SparingOutput)]
    always = len(asked) < len(outlets)
    return lambda camera: always or any(wants(camera) for wants in asked)


class OutputWorker:
    """An output with its queue: live cameras keep only the newest view, files wait for room and lose none."""

    def __init__(self, output: Output, stats: Stats) -> None:
        self.output = output
        self.views: Funnel[View] = Funnel()
        self._found = output.found if isinstance(output, PromptOutput) else None
        self._stats = stats
        self._lanes: dict[str, Lane[View]] = {}

    def put(self, view: View) -> None:
        """Queue a view; called by one thread for each camera."""
        if self._found is not None:
            self._found(view.result)
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
            while self.turn(_PATIENCE):
                pass
        finally:
            self.views.close(discard=True)
            self.output.close()

    def turn(self, patience: float) -> bool:
        """Show the next view, or wait `patience` seconds for one; False when the user or the queue is at the end."""
        view = self.views.get(patience)
        if view is not None:
            self.show(view)
        return self.output.poll() and not self.views.ended

    def show(self, view: View) -> None:
        """Hand one view to the output and count what became of it."""
        clock = self._stats.clock
        begun = clock.monotonic()
        went = self.output.show(view)
        self._stats.spent(f"output.{self.output.name}", clock.monotonic() - begun)
        if went:
            self._stats.outputs[self.output.name].shown()
            if view.claim():
                frame = view.result.frame
                self._stats.cameras[frame.camera].shown(frame.captured)
