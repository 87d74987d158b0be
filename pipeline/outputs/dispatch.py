"""The way from the results to one output: a queue of its own, so that no output delays another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from pipeline.concurrency.queues import Funnel, Lane
from pipeline.errors import OutputGoneError
from pipeline.frames import Frame, Packet, Sound
from pipeline.stats.registry import Stats

from .protocols import OnDemandOutput, Output, PacketOutput, ResultListener, SoundOutput, View
from .retry import Retry

Item = TypeVar("Item")

_POLL_INTERVAL_S = 0.25


def packet_tap(workers: Sequence[OutputWorker], *more: Callable[[Packet], None]) -> Callable[[Packet], None] | None:
    """Return what hands every packet to all outputs that take packets, and to `more`; None where none does."""
    takers: list[Callable[[Packet], None]] = [
        partial(worker.hand, worker.output.packet)
        for worker in workers
        if isinstance(worker.output, PacketOutput) and worker.output.takes_packets
    ]
    takers.extend(more)

    def hand_out(packet: Packet) -> None:
        for take in takers:
            take(packet)

    return hand_out if takers else None


def sound_tap(workers: Sequence[OutputWorker]) -> Callable[[Sound], None] | None:
    """Return what hands every piece of sound to all outputs that take it; None where none does."""
    takers = [
        partial(worker.hand, worker.output.sound)
        for worker in workers
        if isinstance(worker.output, SoundOutput) and worker.output.takes_sound
    ]

    def hand_out(sound: Sound) -> None:
        for take in takers:
            take(sound)

    return hand_out if takers else None


def drop_counter(workers: Sequence[OutputWorker], stats: Stats) -> Callable[[Frame, str], None]:
    """Return what counts every frame that will not be inferred, and tells all outputs that listen."""
    listeners = [
        partial(worker.hand, worker.output.on_drop) for worker in workers if isinstance(worker.output, ResultListener)
    ]

    def drop(frame: Frame, reason: str) -> None:
        stats.cameras[frame.camera].dropped(reason)
        for on_drop in listeners:
            on_drop(frame)

    return drop


def frame_demand(workers: Sequence[OutputWorker]) -> Callable[[str], bool]:
    """Return what says whether any output has a use for pictures of a camera now."""
    on_demand = [worker for worker in workers if isinstance(worker.output, OnDemandOutput)]
    always = len(on_demand) < len(workers)
    return lambda camera: always or any(worker.needs_frames(camera) for worker in on_demand)


class OutputWorker:
    """An output with its queue: live cameras keep only the newest view, files wait for room and lose none.

    An output that raises anything is opened again after a pause; what comes meanwhile is counted as lost.
    Neither a camera nor another output feels it. The run ends only where an output has gone for good that no `peers`
    are left beside: other workers, which may be added later.
    """

    def __init__(self, output: Output, stats: Stats, peers: Sequence[OutputWorker] = ()) -> None:
        self.output = output
        self.views: Funnel[View] = Funnel()
        self.gone = False
        """Whether nothing can be given to it any more."""
        self._peers = peers
        self._on_result = output.on_result if isinstance(output, ResultListener) else None
        self._stats = stats
        self._retry = Retry(output.name, output.name, stats.outputs[output.name], stats.clock)
        self._is_open = True
        self._lanes: dict[str, Lane[View]] = {}

    def put(self, view: View) -> None:
        """Queue a view; called by one thread for each camera."""
        if self._on_result is not None:
            self.hand(self._on_result, view.result)
        camera = view.result.frame.camera
        lane = self._lanes.get(camera)
        if lane is None:
            skipped = self._stats.outputs[self.output.name].skipped
            lane = self._lanes[camera] = self.views.lane(
                1 if view.live else 2, latest=view.live, dropped=lambda view, reason: skipped()
            )
        lane.put(view)

    def hand(self, take: Callable[[Item], None], item: Item) -> None:
        """Give something to a method of the output outside its queue, from any thread, which feels no error of it."""
        if not self._is_open:
            return
        try:
            take(item)
        except Exception as error:
            self._fail(error)

    def needs_frames(self, camera: str) -> bool:
        """Return whether the output has a use for a camera's pictures now; one that raises is taken to have."""
        try:
            return not isinstance(self.output, OnDemandOutput) or self.output.needs_frames(camera)
        except Exception as error:
            self._fail(error)
            return True

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
        wants_more = True
        if self._is_open:
            try:
                wants_more = self.output.poll()
            except Exception as error:
                self._fail(error)
        elif self._retry.due:
            self._reopen()
        return wants_more and not self.views.ended

    def show(self, view: View) -> None:
        """Hand one view to the output and count what became of it."""
        if not self._is_open and not self._reopen():
            self._retry.lost()
            return
        clock = self._stats.clock
        began = clock.monotonic()
        try:
            is_shown = self.output.show(view)
        except Exception as error:
            self._fail(error)
            self._retry.lost()
            return
        self._retry.worked()
        self._stats.spent(f"output.{self.output.name}", clock.monotonic() - began)
        if is_shown:
            self._stats.outputs[self.output.name].shown()
            if view.mark_shown():
                frame = view.result.frame
                self._stats.cameras[frame.camera].shown(frame.captured)

    def _fail(self, error: Exception) -> None:
        """Note an error of the output, which is closed and opened again by its own thread."""
        self._is_open = False
        self._retry.failed(error)
        if isinstance(error, OutputGoneError):
            self.gone = True
            if all(peer.gone for peer in self._peers):
                raise error

    def _reopen(self) -> bool:
        """Let the output take up its work again, if the time has come; return whether it does."""
        if not self._retry.due:
            return False
        try:
            self.output.reopen()
        except Exception as error:
            self._fail(error)
            return False
        self._is_open = True
        return True
