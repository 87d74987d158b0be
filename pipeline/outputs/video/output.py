"""H.264 video files with the overlay, playable up to the last second however the program ends."""

from __future__ import annotations

from pathlib import Path

from pipeline.media.muxer import MUXERS, Segment
from pipeline.outputs.encoded_feed import EncodedFeed
from pipeline.outputs.paths import check_ending, check_template, filled, make_room
from pipeline.outputs.protocols import Output, OutputContext, View

from .settings import Video


class VideoOutput(Output):
    """One file a camera; a picture of another size starts NAME.2.mp4, then NAME.3.mp4."""

    name = "video"
    every_picture = True

    def __init__(self, settings: Video, context: OutputContext) -> None:
        cameras = tuple(context.cameras)
        check_template("video.path", settings.path, cameras)
        check_ending("video.path", settings.path, tuple(MUXERS))
        self._paths = {camera: filled(settings.path, camera) for camera in cameras}
        self._feeds = {camera: EncodedFeed(camera, settings.bitrate, overlay=settings.overlay) for camera in cameras}
        self._segments: dict[str, Segment] = {}
        self._counts = dict.fromkeys(cameras, 0)

    def open(self) -> None:
        """Make the folders and the files."""
        for path in self._paths.values():
            make_room(path)

    def show(self, view: View) -> bool:
        """Encode one picture and write what is ready."""
        frame = view.result.frame
        packet = self._feeds[frame.camera].encode(view)
        segment = self._segments.get(frame.camera)
        if segment is not None and (packet.width, packet.height) != (segment.first.width, segment.first.height):
            segment.close()
            segment = None
        if segment is None:
            segment = self._segments[frame.camera] = Segment(self._next(frame.camera), packet)
        segment.write(packet)
        return True

    def close(self) -> None:
        """Finish all files."""
        while self._segments:
            self._segments.popitem()[1].close()

    def _next(self, camera: str) -> Path:
        path = self._paths[camera]
        self._counts[camera] += 1
        count = self._counts[camera]
        return path if count == 1 else path.with_name(f"{path.stem}.{count}{path.suffix}")
