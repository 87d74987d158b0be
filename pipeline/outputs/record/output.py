"""Recordings: segments of the camera's own pictures, or of encoded ones, that no fault of the disk lets others feel."""

from __future__ import annotations

import errno
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.frames import Packet, Sound
from pipeline.media.muxer import CODECS, MUXERS, SOUND_CODECS, DamagedError, Segment
from pipeline.media.packet_queue import Backlog, Boxes
from pipeline.outputs.encoded_feed import EncodedFeed
from pipeline.outputs.events.schema import frame_event
from pipeline.outputs.paths import check_ending, check_template, filled
from pipeline.outputs.protocols import Output, OutputContext, View
from pipeline.outputs.retry import Retry

from .footage import RecordedClip, RecordingFile
from .retention import RecordingStore
from .settings import Record
from .sidecar import BoxesFile

_POLL_INTERVAL_S = 0.25
_DISK_CHECK_INTERVAL_S = 1.0
_DISK_STALL_S = 3.0
_MAX_TIME_COUNT = 1024
_MAX_FILE_COUNT = 1000
_SILENCE_S = 2.0
"""Seconds after which a clip is not waited for any longer, where its camera sends nothing more."""
_MAX_DRIFT_S = 2.0
"""Seconds by which a file's time may part from the clock: a camera that was away goes on in a new file."""
_DISK_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENODEV, errno.ESTALE})
"""What hits all cameras of a disk alike."""


class _OpenRecording:
    """The file that is being written of one camera."""

    def __init__(self, segment: Segment, boxes: BoxesFile | None) -> None:
        self.segment = segment
        self.boxes = boxes
        self.times: OrderedDict[float, float] = OrderedDict()
        """Where the newest pictures stand in the file, by their pts."""


class _Track:
    """What is recorded of one camera; but for the retry, it belongs to the thread that writes."""

    def __init__(self, feed: EncodedFeed, retry: Retry) -> None:
        self.feed = feed
        self.retry = retry
        self.open: _OpenRecording | None = None
        self.former: _OpenRecording | None = None
        """The one before, for boxes that come late."""
        self.files: list[RecordingFile] = []
        self.refusal = ""
        """Why nothing of the camera can be recorded."""
        self.wanted: list[RecordedClip] = []
        """Clips that wait for the rest of their pictures."""
        self.readable_until = float("-inf")
        self.sound: Sound | None = None
        """A piece of the camera's sound; None as long as none came."""

    def end(self) -> None:
        """Finish the file; its boxes may still come until the next one ends. Raises OutputError."""
        former, self.former = self.former, None
        if former is not None and former.boxes is not None:
            former.boxes.close()
        recording, self.open = self.open, None
        if recording is not None:
            self.former = recording
            self.readable_until = max(self.readable_until, recording.segment.newest)
            recording.segment.close()

    def end_all(self) -> None:
        """Finish the file and the boxes, as far as can be."""
        # The second time for the boxes of what the first time ended.
        for _ in range(2):
            with suppress(Exception):
                self.end()


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
        self._counted = stats.outputs[self.name]
        self._clock = stats.clock
        self._start = context.start
        self._boxed = {name for name, camera in cameras.items() if camera.detect.enabled and settings.boxes == "beside"}
        floor = settings.free * 1_000_000
        self._store = RecordingStore(settings.path, tuple(cameras), floor, context.claims.taken)
        burnt = settings.boxes == "burnt"
        self.takes_packets = not burnt
        self.takes_sound = settings.audio
        self._tracks = {}
        for name in cameras:
            encodes = burnt or name not in context.packet_cameras
            retry = Retry(self.name, str(filled(settings.path, name)), self._counted, self._clock)
            self._tracks[name] = _Track(EncodedFeed(name, settings.bitrate, overlay=burnt, encodes=encodes), retry)
        self._disk = Retry(self.name, settings.path, self._counted, self._clock)
        self._backlog = self._new_backlog()
        self.every_picture = any(track.feed.encodes for track in self._tracks.values())
        self._file_cameras = set(context.file_cameras)
        self._checked_at = float("-inf")
        self._busy_since: float | None = None
        self._writes = False
        self._reports_stall = False

    def open(self) -> None:
        """Make the folders and start writing; raises OutputError."""
        self._store.open()
        self._backlog = self._new_backlog()
        self._writes = True
        self._start("record-write", self._work)

    def show(self, view: View) -> bool:
        """Take the boxes of a picture, and the picture itself where the camera gives no compressed ones."""
        frame = view.result.frame
        pts = frame.pts
        if not view.live:
            self._file_cameras.add(frame.camera)
        track = self._tracks[frame.camera]
        if track.feed.encodes and not self._disk.due:
            self._disk.lost()
            return False
        if track.feed.encodes:
            packet = track.retry.attempt(partial(track.feed.encode, view), track.feed.rest, settles=False)
            if packet is None:
                return False
            self._backlog.put(packet)
            pts = packet.pts
        if frame.camera in self._boxed and view.result.detected:
            event = frame_event(view.result, view.captured_at, 0.0)
            del event["timings_ms"]
            self._backlog.put(Boxes(frame.camera, pts, event))
        return not (self._disk.failing or track.retry.failing)

    def needs_frames(self, camera: str) -> bool:
        """Only what is encoded here has to be decoded first."""
        return self._tracks[camera].feed.encodes

    def packet(self, packet: Packet) -> None:
        """Take one packet of any camera, untouched."""
        if not self._tracks[packet.camera].feed.encodes:
            self._backlog.put(packet)

    def sound(self, sound: Sound) -> None:
        """Take a piece of any camera's sound, untouched."""
        self._backlog.put(sound)

    def poll(self) -> bool:
        """Tell where the disk takes nothing any more, although it reports no error."""
        busy = self._busy_since
        if busy is not None and (silent := self._clock.monotonic() - busy) > _DISK_STALL_S:
            self._counted.tell(self._settings.path, f"the disk has taken nothing for {silent:.0f} s")
            self._reports_stall = True
        elif self._reports_stall and not self._disk.failing:
            self._reports_stall = False
            self._counted.tell(self._settings.path, "")
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
        now, track = self._clock.monotonic(), self._tracks[camera]
        clip = RecordedClip(camera, track.files, self._store, now - before, now + after)
        track.wanted.append(clip)
        if not self._writes:
            clip.arrival.give()
        return clip

    def refusal(self, camera: str) -> str:
        """Return why nothing of a camera can be recorded; empty where it can."""
        return self._tracks[camera].refusal

    def _new_backlog(self) -> Backlog:
        slow = f"cannot write {self._settings.path}: the disk is too slow"
        return Backlog(lambda: self._counted.lost(self._disk.error or slow))

    def _work(self) -> None:
        backlog = self._backlog
        try:
            while not backlog.ended:
                self._busy_since = None
                item = backlog.get(_POLL_INTERVAL_S)
                self._busy_since = self._clock.monotonic()
                self._check_disk()
                if isinstance(item, Packet):
                    self._take(item)
                elif isinstance(item, Sound):
                    self._guard(item.camera, partial(self._write_sound, item))
                elif isinstance(item, Boxes):
                    self._guard(item.camera, partial(self._note, item))
                self._tell_clips()
        finally:
            for track in self._tracks.values():
                track.end_all()
            self._writes = False
            self._tell_clips(over=True)
            self._store.close()

    def _check_disk(self) -> None:
        """Once a second, or when the time has come after an error, see whether the disk has room; or make it."""
        now = self._clock.monotonic()
        if not self._disk.due or (now - self._checked_at < _DISK_CHECK_INTERVAL_S and not self._disk.failing):
            return
        self._checked_at = now
        try:
            self._store.check(self._open_paths())
        except Exception as error:
            self._end_all()
            self._backlog.skip()
            self._disk.failed(error)

    def _take(self, packet: Packet) -> None:
        track = self._tracks[packet.camera]
        if packet.codec not in CODECS:
            track.refusal = f"{packet.codec} cannot be copied; set boxes: burnt"
            self._counted.tell(packet.camera, track.refusal)
        elif not self._disk.due:
            self._disk.lost()
        elif not track.retry.due:
            track.retry.lost()
        elif self._guard(packet.camera, partial(self._write, packet)):
            self._disk.worked()
            track.retry.worked()
        elif self._disk.failing or track.retry.failing:
            # An error, or one before and no keyframe since.
            (self._disk if self._disk.failing else track.retry).lost()

    def _guard(self, camera: str, write: Callable[[], object]) -> bool:
        """Do it; an error ends the files that it concerns, and is noted where it belongs."""
        track = self._tracks[camera]
        try:
            return write() is not False
        except Exception as error:
            cause = error.__cause__ or error
            if isinstance(cause, OSError) and cause.errno in _DISK_FAULTS:
                self._end_all()
                self._backlog.skip()
                self._disk.failed(error)
            else:
                track.end_all()
                self._backlog.skip(camera)
                track.retry.failed(error)
            return False

    def _write(self, packet: Packet) -> bool:
        """Add a packet; return whether it went into a file."""
        track = self._tracks[packet.camera]
        recording = track.open
        if packet.key and (recording is None or self._full(recording.segment, packet)):
            track.end()
            recording = None
            with suppress(DamagedError):
                recording = self._begin(packet)
        if recording is None:
            return False
        segment = recording.segment
        at = segment.write(packet)
        track.readable_until = max(track.readable_until, segment.readable_until)
        if packet.pts is not None:
            recording.times[packet.pts] = at
            if len(recording.times) > _MAX_TIME_COUNT:
                recording.times.popitem(last=False)
        return True

    def _full(self, segment: Segment, packet: Packet) -> bool:
        longest, largest = self._settings.seconds, self._settings.megabytes * 1_000_000
        grown = segment.seconds >= longest - 0.001 or (largest and segment.size >= largest)
        known = segment.first
        drift = abs(packet.captured - known.captured - segment.seconds)
        if drift > _MAX_DRIFT_S and packet.camera not in self._file_cameras:
            return True
        sound = self._tracks[packet.camera].sound
        if segment.moved or (sound is not None and sound.kind != segment.sound_kind):
            return True
        return bool(grown) or packet.kind != known.kind

    def _begin(self, packet: Packet) -> _OpenRecording:
        age = self._clock.monotonic() - packet.captured
        date = self._clock.now() - timedelta(seconds=age)
        self._store.check(self._open_paths())
        track = self._tracks[packet.camera]
        segment = Segment(self._store.begin(packet.camera, date), packet, track.sound)
        track.open = _OpenRecording(segment, None)
        track.files.append(RecordingFile(segment.path, packet.captured, date, packet.presentation))
        del track.files[:-_MAX_FILE_COUNT]
        if packet.camera in self._boxed:
            track.open.boxes = BoxesFile(segment.path)
        return track.open

    def _write_sound(self, sound: Sound) -> None:
        """Add sound to the file; where it is the first of its kind, files have it from the next keyframe on."""
        track = self._tracks[sound.camera]
        if sound.codec not in SOUND_CODECS or not sound.sample:
            self._counted.tell(f"{sound.camera} sound", f"{sound.codec} cannot be kept; set the camera to AAC")
            return
        encodes = track.feed.encodes
        if encodes and sound.camera in self._file_cameras:
            # Nothing says when a file's sound belongs to pictures that were encoded anew.
            return
        if track.sound is None or track.sound.kind != sound.kind:
            track.sound = sound
        if track.open is not None:
            track.open.segment.write_sound(sound, by_capture=encodes)

    def _note(self, boxes: Boxes) -> None:
        """Write boxes beside the picture they belong to, which may stand at the end of the file before."""
        track = self._tracks[boxes.camera]
        for recording in (track.open, track.former):
            at = None if recording is None or boxes.pts is None else recording.times.get(boxes.pts)
            if recording is not None and recording.boxes is not None and at is not None:
                recording.boxes.write(at, boxes.event)
                return

    def _tell_clips(self, *, over: bool = False) -> None:
        """Give word to clips of which all is in the files, or will never be."""
        now, idle = self._clock.monotonic(), self._backlog.empty
        for track in self._tracks.values():
            for clip in list(track.wanted):
                silent = idle and now > clip.end + _SILENCE_S
                if silent and track.open is not None and track.readable_until < track.open.segment.newest:
                    # The last pictures get into the file with its end; the camera goes on in a new one.
                    track.end_all()
                if over or clip.released or silent or track.readable_until >= clip.end:
                    track.wanted.remove(clip)
                    clip.arrival.give()

    def _open_paths(self) -> list[Path]:
        return [track.open.segment.path for track in self._tracks.values() if track.open is not None]

    def _end_all(self) -> None:
        for track in self._tracks.values():
            track.end_all()
