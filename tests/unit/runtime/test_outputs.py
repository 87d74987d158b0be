from __future__ import annotations

import threading

import pytest

from pipeline.clock import SystemClock
from pipeline.config.outputs import OutputSettings
from pipeline.config.root import Output as Entry
from pipeline.frames import Packet
from pipeline.outputs.dispatch import OutputWorker, frame_demand, packet_tap
from pipeline.outputs.events.jsonl import EventsOutput
from pipeline.outputs.events.settings import Events
from pipeline.outputs.hls.output import HlsOutput
from pipeline.outputs.hls.settings import Hls
from pipeline.outputs.protocols import Output, PacketOutput, View
from pipeline.outputs.record.output import RecordOutput
from pipeline.outputs.record.settings import Record
from pipeline.outputs.stream.output import StreamOutput
from pipeline.outputs.stream.settings import Stream
from pipeline.outputs.video.output import VideoOutput
from pipeline.outputs.video.settings import Video
from pipeline.outputs.window.output import WindowOutput
from pipeline.outputs.window.settings import Window
from pipeline.runtime.outputs import open_output
from pipeline.stats.registry import Stats
from pipeline.web.output import WebOutput
from pipeline.web.settings import Web
from tests.support.outputs import context
from tests.support.scenes import Scene
from tests.support.wait import HANG_S, until

KINDS = [
    (Window(), WindowOutput),
    (Web(), WebOutput),
    (Video(path="out.mp4"), VideoOutput),
    (Events(path="-"), EventsOutput),
    (Record(path="{time}.mp4"), RecordOutput),
    (Stream(address="rtsp://server/live"), StreamOutput),
    (Hls(), HlsOutput),
]


@pytest.mark.parametrize(("settings", "kind"), KINDS)
def test_each_kind_of_output_has_its_class(settings: OutputSettings, kind: type) -> None:
    output = open_output(settings, context(Stats(["demo"])))
    assert type(output) is kind
    assert output.name == settings.kind


def test_each_kind_of_the_configuration_is_among_them() -> None:
    assert [settings.kind for settings, _ in KINDS] == list(Entry.model_fields)


@pytest.mark.parametrize(
    ("settings", "takes"),
    [
        (Record(path="{time}.mp4"), True),
        (Record(path="{time}.mp4", boxes="no"), True),
        (Record(path="{time}.mp4", boxes="burnt"), False),
        (Stream(address="rtsp://server/live", boxes="no"), True),
        (Stream(address="rtsp://server/live"), False),
        (Hls(boxes="no"), True),
        (Hls(), False),
    ],
)
def test_only_what_passes_packets_on_is_given_any(settings: OutputSettings, takes: bool) -> None:
    output = open_output(settings, context(Stats(["demo"])))
    assert isinstance(output, PacketOutput)
    assert output.takes_packets is takes
    assert (packet_tap([OutputWorker(output, Stats(["demo"]))]) is not None) is takes


class Noting(Output):
    """An output that notes what is asked of it."""

    name = "noting"

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.polled = self.closed = 0

    def show(self, view: View) -> bool:
        self.seen.append(view.result.frame.seq)
        return True

    def poll(self) -> bool:
        self.polled += 1
        return True

    def close(self) -> None:
        self.closed += 1


def test_an_output_is_polled_though_no_view_comes_and_gets_every_view_of_a_file() -> None:
    stats = Stats(["door"], SystemClock())
    scene = Scene(stats.clock, "door", stats, live=False)
    output = Noting()
    kept: Output = output
    outlet = OutputWorker(kept, stats)
    thread = threading.Thread(target=outlet.run)
    thread.start()
    assert until(lambda: output.polled >= 2)
    for _ in range(10):
        outlet.put(scene.view())
    outlet.views.close()
    thread.join(HANG_S)
    assert not thread.is_alive()
    assert output.seen == list(range(10))
    assert output.closed == 1
    assert stats.cameras["door"].figures().shown == 10
    assert stats.stages()["output.noting"].count == 10


class Sparing(Noting):
    """An output that has a use for one camera alone."""

    def needs_frames(self, camera: str) -> bool:
        return camera == "door"


def test_a_camera_is_decoded_where_one_output_wants_it_or_does_not_say() -> None:
    stats = Stats(["door", "yard"], SystemClock())
    sparing, other = (OutputWorker(output, stats) for output in (Sparing(), Noting()))
    for outlets, wanted in (([], (False, False)), ([sparing], (True, False)), ([sparing, other], (True, True))):
        assert tuple(map(frame_demand(outlets), ("door", "yard"))) == wanted


class Copying(Noting):
    """An output that takes packets."""

    takes_packets = True

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Packet] = []

    def packet(self, packet: Packet) -> None:
        self.taken.append(packet)


def test_packets_go_to_all_that_take_them_and_nobody_is_asked_where_none_does() -> None:
    stats = Stats(["door"], SystemClock())
    first, second = Copying(), Copying()
    packet = Packet("door", "h264", b"", True, 0.0, 0.0, 0.0, 640, 360)
    assert packet_tap([OutputWorker(Noting(), stats)]) is None
    hand = packet_tap([OutputWorker(Noting(), stats), OutputWorker(first, stats)], second.packet)
    assert hand is not None
    hand(packet)
    assert (first.taken, second.taken) == ([packet], [packet])
