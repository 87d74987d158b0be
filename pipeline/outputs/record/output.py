"""Recordings: segments of the camera's own pictures, or of encoded ones, that no fault of the disk lets others feel."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from pipeline.concurrency.backoff import Backoff
from pipeline.errors import ConfigError, OutputError, unwritable
from pipeline.frames import Packet
from pipeline.media.muxer import CODECS, MUXERS, DamagedError, Segment
from pipeline.media.packet_queue import Backlog, Boxes
from pipeline.outputs.encoded_feed import EncodedFeed
from pipeline.outputs.events.schema import frame_event
from pipeline.outputs.paths import check_ending, check_template
from pipeline.outputs.protocols import Output, OutputContext, View

from .footage import RecordedClip, RecordingFile
from .retention import RecordingStore
from .settings import Record
from .sidecar import BoxesFile

_POLL_INTERVAL_S = 0.25
_DISK_CHECK_INTERVAL_S = 1.0
_DISK_STALL_S = 3.0
_MAX_TIME_COUNT = 1024
_MAX_FILE_COUNT = 1000
_MAX_DRIFT_S = 2.0
"""Seconds by which a file's time may part from the clock: a camera that was away goes on in a new file."""


class _OpenRecording:
    """The file that is being written of one camera."""

    def __init__(self, segment: Segment, boxes: BoxesFile | None, began: datetime) -> None:
        self.segment = segment
        self.boxes = boxes
        self.began = began
        self.times: OrderedDict[float, float] = OrderedDict()
        """Where the newest pictures stand in the file, by their pts."""


class RecordOutput(Output):
    """Writes what it is given from a thread of its own; a full or missing disk stops nothing else.

    The camera's own packets go on without being decoded, unless boxes are to be burnt in or it gives none.
    """

    name = "record"

    def __init__(self, settings: Record, context: OutputContext) -> None:
        cameras, stats = context.cameras, context.stats
        check_template("record.path", settings.path, tuple(cameras))
        check_ending("record.path", settings.path, tuple(MUXERS))
        if "{time}" not in Path(settings.path).name:
            raise ConfigError(f"outputs.record.path: must contain {{time}} in the file's name, got '{settings.path}'")
        self._settings = settings
        self._stats = stats
        self._clock = stats.clock
        self._start = context.start
        self._boxed = {name for name, camera in cameras.items() if camera.detect.enabled and settings.boxes == "beside"}
        self._store = RecordingStore(settings.path, tuple(cameras), settings.free * 1_000_000)
        burnt = settings.boxes == "burnt"
        self.takes_packets = not burnt
        self._feeds = {
            name: EncodedFeed(
                name, settings.bitrate, overlay=burnt, encodes=burnt or name not in context.packet_cameras
            )
            for name in cameras
        }
        self.every_picture = any(feed.encodes for feed in self._feeds.values())
        self._backlog = Backlog(stats.outputs[self.name].skipped)
        self._open_recordings: dict[str, _OpenRecording] = {}
        self._former: dict[str, _OpenRecording] = {}
        self._file_cameras = set(context.file_cameras)
        self._recorded_files: dict[str, list[RecordingFile]] = {name: [] for name in cameras}
        self._refusals: dict[str, str] = {}
        self._backoff = Backoff(settings.path)
        self._retry_at = self._checked_at = float("-inf")
        self._busy_since: float | None = None
        self._reports_stall = False

    def open(self) -> None:
        """Make the folders and start writing; raises OutputError."""
        self._store.open()
        self._start("record-write", self._work)

    def show(self, view: View) -> bool:
        """Take the boxes of a picture, and the picture itself where the camera gives no compressed ones."""
        frame = view.result.frame
        pts = frame.pts
        if not view.live:
            self._file_cameras.add(frame.camera)
        if self._clock.monotonic() < self._retry_at:
            return False
        feed = self._feeds[frame.camera]
        if feed.encodes:
            packet = feed.encode(view)
            self._backlog.put(packet)
            pts = packet.pts
        if frame.camera in self._boxed and view.result.detected:
            event = frame_event(view.result, view.captured_at, 0.0)
            del event["timings_ms"]
            self._backlog.put(Boxes(frame.camera, pts, event))
        return not self._failing

    def needs_frames(self, camera: str) -> bool:
        """Only what is encoded here has to be decoded first."""
        return self._feeds[camera].encodes

    def packet(self, packet: Packet) -> None:
        """Take one packet of any camera, untouched."""
        if not self._feeds[packet.camera].encodes:
            self._backlog.put(packet)

    def poll(self) -> bool:
        """Tell where the disk takes nothing any more, although it reports no error."""
        busy = self._busy_since
        if busy is not None and (silent := self._clock.monotonic() - busy) > _DISK_STALL_S:
            self._stats.outputs[self.name].tell(self._settings.path, f"the disk has taken nothing for {silent:.0f} s")
            self._reports_stall = True
        elif self._reports_stall and not self._failing:
            self._reports_stall = False
            self._stats.outputs[self.name].tell(self._settings.path, "")
        return True

    def close(self) -> None:
        """Finish all files."""
        self._backlog.close()

    @property
    def recordings(self) -> RecordOutput:
        """Itself: clips are cut out of its files."""
        return self

    def footage(self, camera: str, before: float, after: float) -> RecordedClip:
        """Return what a clip of the last `before` seconds of a camera and the next `after` is made of."""
        now = self._clock.now()
        span = now - timedelta(seconds=before), now + timedelta(seconds=after)
        return RecordedClip(camera, self._recorded_files[camera], self._store, *span)

    def refusal(self, camera: str) -> str:
        """Return why nothing of a camera can be recorded; empty where it can."""
        return self._refusals.get(camera, "")

    @property
    def _failing(self) -> bool:
        return self._retry_at > float("-inf")

    def _work(self) -> None:
        try:
            while not self._backlog.ended:
                self._busy_since = None
                item = self._backlog.get(_POLL_INTERVAL_S)
                self._busy_since = now = self._clock.monotonic()
                try:
                    if now - self._checked_at >= _DISK_CHECK_INTERVAL_S and now >= self._retry_at:
                        self._checked_at = now
                        self._store.check([recording.segment.path for recording in self._open_recordings.values()])
                    if isinstance(item, Packet) and now >= self._retry_at:
                        self._write(item)
                    elif isinstance(item, Boxes):
                        self._note(item)
                except OSError as error:
                    self._fail(error if isinstance(error, OutputError) else unwritable(self._settings.path, error))
        finally:
            self._end_all()

    def _write(self, packet: Packet) -> None:
        if packet.codec not in CODECS:
            text = f"{packet.codec} cannot be copied; set boxes: burnt"
            self._stats.outputs[self.name].tell(packet.camera, text)
            self._refusals[packet.camera] = text
            return
        recording = self._open_recordings.get(packet.camera)
        if packet.key and (recording is None or self._full(recording.segment, packet)):
            self._end(packet.camera)
            recording = None
            with suppress(DamagedError):
                recording = self._begin(packet)
        if recording is None:
            return
        at = recording.segment.write(packet)
        if packet.pts is not None:
            recording.times[packet.pts] = at
            if len(recording.times) > _MAX_TIME_COUNT:
                recording.times.popitem(last=False)
        if self._failing:
            self._retry_at = float("-inf")
            self._backoff.losses = 0
            self._stats.outputs[self.name].tell(self._settings.path, "")

    def _full(self, segment: Segment, packet: Packet) -> bool:
        longest, largest = self._settings.seconds, self._settings.megabytes * 1_000_000
        grown = segment.seconds >= longest - 0.001 or (largest and segment.size >= largest)
        known = segment.first
        drift = abs(packet.captured - known.captured - segment.seconds)
        if drift > _MAX_DRIFT_S and packet.camera not in self._file_cameras:
            return True
        return bool(grown) or packet.kind != known.kind

    def _begin(self, packet: Packet) -> _OpenRecording:
        age = self._clock.monotonic() - packet.captured
        began = self._clock.now() - timedelta(seconds=age)
        self._store.check([recording.segment.path for recording in self._open_recordings.values()])
        segment = Segment(self._store.path(packet.camera, began), packet)
        boxes = BoxesFile(segment.path) if packet.camera in self._boxed else None
        recording = self._open_recordings[packet.camera] = _OpenRecording(segment, boxes, began)
        files = self._recorded_files[packet.camera]
        files.append(RecordingFile(segment.path, began, packet.presentation))
        del files[:-_MAX_FILE_COUNT]
        return recording

    def _note(self, boxes: Boxes) -> None:
        """Write boxes beside the picture they belong to, which may stand at the end of the file before."""
        for recording in (self._open_recordings.get(boxes.camera), self._former.get(boxes.camera)):
            at = None if recording is None or boxes.pts is None else recording.times.get(boxes.pts)
            if recording is not None and recording.boxes is not None and at is not None:
                recording.boxes.write(at, boxes.event)
                return

    def _end(self, camera: str) -> None:
        """Finish a camera's file; its boxes may still come until the next one ends."""
        former = self._former.pop(camera, None)
        if former is not None and former.boxes is not None:
            former.boxes.close()
        recording = self._open_recordings.pop(camera, None)
        if recording is not None:
            self._former[camera] = recording
            recording.segment.close()

    def _end_all(self) -> None:
        for camera in self._recorded_files:
            # The second time for the boxes of what the first time ended.
            for _ in range(2):
                with suppress(OutputError):
                    self._end(camera)

    def _fail(self, error: OutputError) -> None:
        self._end_all()
        self._backlog.skip()
        delay = self._backoff.next()
        self._retry_at = self._clock.monotonic() + delay
        self._stats.outputs[self.name].tell(self._settings.path, str(error))
