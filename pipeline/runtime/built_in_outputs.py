"""The outputs that Lookout comes with: their settings, and where their classes are, imported when needed."""

from __future__ import annotations

from pipeline.config.outputs import register
from pipeline.outputs.events.settings import Events
from pipeline.outputs.hls.settings import Hls
from pipeline.outputs.record.settings import Record
from pipeline.outputs.stream.settings import Stream
from pipeline.outputs.video.settings import Video
from pipeline.outputs.window.settings import Window
from pipeline.web.settings import Web

register(Window, "pipeline.outputs.window.output:WindowOutput")
register(Web, "pipeline.web.output:WebOutput")
register(Video, "pipeline.outputs.video.output:VideoOutput")
register(Events, "pipeline.outputs.events.jsonl:EventsOutput")
register(Record, "pipeline.outputs.record.output:RecordOutput")
register(Stream, "pipeline.outputs.stream.output:StreamOutput")
register(Hls, "pipeline.outputs.hls.output:HlsOutput")
