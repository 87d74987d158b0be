from __future__ import annotations

import threading

import pytest

from pipeline.clock import SystemClock
from pipeline.config.outputs import OutputSettings
from pipeline.config.root import Output as Entry
from pipeline.errors import OutputGoneError
from pipeline.frames import Frame, Packet, Result
from pipeline.outputs.dispatch import OutputWorker, drop_counter, frame_demand, packet_tap
from pipeline.outputs.events.jsonl import EventsOutput
from pipeline.outputs.events.settings import Events
from pipeline.outputs.hls.live_stream import HlsStream
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
from tests.support.scenes import HandClock, Scene
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


class Faulty(Copying):
    """An output that raises what nobody thought of, from wherever it is told to."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where
        self.opened = 0

    def _raise(self, here: str) -> None:
        if here == self.where:
            raise RuntimeError(f"in {here}")

    def open(self) -> None:
        self._raise("open")
        self.opened += 1

    def show(self, view: View) -> bool:
        self._raise("show")
        return super().show(view)

    def poll(self) -> bool:
        self._raise("poll")
        return super().poll()

    def packet(self, packet: Packet) -> None:
        self._raise("packet")

    def on_result(self, result: Result) -> None:
        self._raise("on_result")

    def on_drop(self, frame: Frame) -> None:
        self._raise("on_drop")

    def needs_frames(self, camera: str) -> bool:
        self._raise("needs_frames")
        return False


@pytest.mark.parametrize("where", ["show", "poll", "packet", "on_result", "on_drop", "needs_frames"])
def test_an_output_that_raises_anything_is_opened_again_and_nobody_else_feels_it(where: str) -> None:
    clock = HandClock()
    stats = Stats(["door"], clock)
    scene = Scene(clock, "door", stats)
    faulty, other = Faulty(where), Noting()
    other.name = "other"
    workers = [OutputWorker(each, stats) for each in (faulty, other)]
    hand_packet, drop = packet_tap(workers), drop_counter(workers, stats)
    packet = Packet("door", "h264", b"", True, 0.0, 0.0, 0.0, 640, 360)

    def turn() -> None:
        view = scene.view()
        assert hand_packet is not None
        hand_packet(packet)
        drop(view.result.frame, "stale")
        workers[0].needs_frames("door")
        for worker in workers:
            worker.put(view)
            assert worker.turn(0)

    turn()
    assert stats.told() == {
        "noting": {"noting": f"cannot write noting: unexpected RuntimeError: in {where}"},
        "other": {},
    }
    turn()
    faulty.where = "open"
    clock.seconds += 20
    turn()
    assert stats.told()["noting"] == {"noting": "cannot write noting: unexpected RuntimeError: in open"}
    assert faulty.opened == 0
    faulty.where = ""
    clock.seconds += 20
    turn()
    assert (faulty.opened, stats.told()["noting"]) == (1, {})
    assert len(other.seen) == 4
    lost = stats.outputs["noting"].summary()["lost"]
    assert lost == 4 - len(faulty.seen)
    assert (lost, stats.losses() != []) == (4 - len(faulty.seen), True)


def test_an_output_that_has_gone_for_good_ends_the_run_only_where_no_other_is_left() -> None:
    clock = HandClock()
    stats = Stats(["door"], clock)
    scene = Scene(clock, "door", stats)

    class Gone(Noting):
        def show(self, view: View) -> bool:
            raise OutputGoneError("cannot write standard output: its reader has gone")

    workers: list[OutputWorker] = []
    for output in (Gone(), Noting(), Gone()):
        workers.append(OutputWorker(output, stats, workers))
    workers[0].show(scene.view())
    clock.seconds += 10_000
    workers[0].show(scene.view())
    assert stats.outputs["noting"].summary()["lost"] == 2
    del workers[1]
    with pytest.raises(OutputGoneError):
        workers[1].show(scene.view())


@pytest.mark.parametrize("settings", [Hls(), Stream(address="rtsp://127.0.0.1:9/{camera}")], ids=["hls", "stream"])
def test_a_picture_that_cannot_be_encoded_stops_no_other_camera(settings: OutputSettings) -> None:
    clock = HandClock()
    stats = Stats(["door", "yard"], clock)
    streams = {name: HlsStream(clock) for name in stats.cameras}
    for stream in streams.values():
        stream.admit("player")
    worker = OutputWorker(open_output(settings, context(stats, hls_streams=streams)), stats)
    door, yard = Scene(clock, "door", stats), Scene(clock, "yard", stats)
    for scene, size in ((door, (1, 1)), (yard, (320, 180)), (door, (320, 180))):
        worker.show(scene.view(scene.result(*size)))
    told = stats.told()[settings.kind]
    assert set(told) == {"door"}
    assert stats.outputs[settings.kind].summary()["lost"] == 2
    clock.seconds += 20
    streams["door"].admit("player")
    worker.show(door.view(door.result(320, 180)))
    assert stats.told()[settings.kind] == {}
    worker.output.close()
