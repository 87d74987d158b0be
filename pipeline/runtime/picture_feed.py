"""The way of one camera's pictures to the detector and, where that does not keep up, past it to the screen."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pipeline.analyze.carry import BoxCarrier
from pipeline.clock import Clock
from pipeline.concurrency.queues import Lane
from pipeline.config.cameras import Show
from pipeline.frames import Frame, Result
from pipeline.stats.camera import CameraStats

_NO_ANSWER_S = 1.0
"""Seconds without any answer of the detector after which pictures wait for it no longer."""
_SMOOTHING_RATIO = 0.125
"""Weight of the newest answer in the averages."""
_MIN_ANSWERS_COUNT = 8
"""Answers in a row that must say the same before pictures change their way."""
_BEHIND = (0.9, 1.5, 0.06)
_LEVEL = (0.97, 1.0, 0.045)
"""Share of pictures that have an answer, its delay in intervals between pictures and in seconds: worse than the first
is a detector that does not keep up, better than the second one that does."""


class PictureFeed:
    """Takes a live camera's frames from its capture thread in the place of the detector's lane.

    Shown at once, a frame goes to `show` with boxes carried on to it, and to the detector too, whose answer then only
    moves the boxes of later pictures. Else it is shown with its own boxes when they are there. `lost` hears of
    frames that were not shown and will not be inferred. Frames of files always wait for their boxes.
    """

    def __init__(
        self,
        mode: Show,
        stats: CameraStats,
        clock: Clock,
        show: Callable[[Result], None],
        lost: Callable[[Frame, str], None],
    ) -> None:
        self._stats = stats
        self._clock = clock
        self._show = show
        self._lost = lost
        self._carrier = BoxCarrier()
        self._carries = mode != "exact"
        self._pace = DetectorPace(always_behind=mode == "live")
        self._lock = threading.Lock()
        self._shown_seq = -1
        self._at_once: set[int] = set()
        self._lane: Lane[Frame] | None = None

    def leading_to(self, lane: Lane[Frame]) -> PictureFeed:
        """Take the detector's lane, whose dropped frames this feed hears of by `dropped`."""
        self._lane = lane
        return self

    @property
    def lane(self) -> Lane[Frame]:
        """The detector's lane."""
        assert self._lane is not None
        return self._lane

    @property
    def latest(self) -> bool:
        """Whether old frames give way to new ones, as those of a camera do."""
        return self.lane.latest

    @latest.setter
    def latest(self, value: bool) -> None:
        self.lane.latest = value

    @property
    def closed(self) -> bool:
        """Whether nobody reads any more."""
        return self.lane.closed

    def close(self) -> None:
        """Take no more frames."""
        self.lane.close()

    def put(self, frame: Frame) -> bool:
        """Hand over one frame; False means nobody will read it or any later one."""
        if self._carries and self.lane.latest and not self.lane.closed:
            with self._lock:
                if self._pace.shows_at_once(frame):
                    self._shown_seq = frame.seq
                    self._at_once.add(frame.seq)
                    self._show(self._carrier.carry(frame))
        return self.lane.put(frame)

    def take(self, result: Result, show: Callable[[], None]) -> bool:
        """Learn from an answer, in the detector's thread; call `show`, unless its picture or a later one was shown."""
        with self._lock:
            # Nothing is ever carried on to a file's pictures.
            if self._carries and result.detected and self.lane.latest:
                self._carrier.update(result)
                self._pace.answered(result.frame, self._clock.monotonic())
            self._at_once.discard(result.frame.seq)
            if result.frame.seq <= self._shown_seq:
                return False
            self._shown_seq = result.frame.seq
            if self.lane.latest:
                show()
                return True
        # A file's picture may have to wait for room at an output, and `put` shows none meanwhile.
        show()
        return True

    def dropped(self, frame: Frame, reason: str) -> None:
        """Count a frame that gave way: one that was shown with carried boxes is not lost."""
        with self._lock:
            shown = frame.seq in self._at_once
            self._at_once.discard(frame.seq)
        if shown:
            self._stats.carried()
        else:
            self._lost(frame, reason)


class DetectorPace:
    """Whether a detector keeps up with one camera; used under its feed's lock."""

    def __init__(self, *, always_behind: bool) -> None:
        """Take whether it is to count as one that does not, however quick it is."""
        self._always_behind = always_behind
        self._behind = always_behind
        self._interval_s = 0.0
        self._share, self._delay_s = 1.0, 0.0
        self._captured: float | None = None
        self._answered: float | None = None
        self._seq = -1
        self._doubts = 0

    def shows_at_once(self, frame: Frame) -> bool:
        """Tell whether a picture just captured is to be shown without waiting for its boxes."""
        if self._captured is not None:
            interval_s = frame.captured - self._captured
            weight = _SMOOTHING_RATIO if self._interval_s else 1.0
            self._interval_s += weight * (interval_s - self._interval_s)
        self._captured = frame.captured
        if self._answered is None:
            self._answered = frame.captured
        return self._behind or frame.captured - self._answered > _NO_ANSWER_S

    def answered(self, frame: Frame, now: float) -> None:
        """Take note of an answer that came at `now`."""
        share = 1.0 / max(1, frame.seq - self._seq)
        self._seq, self._answered = frame.seq, now
        self._share += _SMOOTHING_RATIO * (share - self._share)
        self._delay_s += _SMOOTHING_RATIO * (now - frame.captured - self._delay_s)
        if self._always_behind:
            return
        least_share, most_intervals, most_s = _LEVEL if self._behind else _BEHIND
        longest_s = max(most_intervals * self._interval_s, most_s)
        level = self._share >= least_share and self._delay_s <= longest_s
        self._doubts = self._doubts + 1 if level is self._behind else 0
        if self._doubts >= _MIN_ANSWERS_COUNT:
            self._behind, self._doubts = not self._behind, 0
