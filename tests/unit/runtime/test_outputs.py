from __future__ import annotations

import threading

import pytest

from pipeline.clock import SystemClock
from pipeline.config import root as config
from pipeline.outputs.dispatch import OutputWorker
from pipeline.outputs.events.jsonl import EventsOutput
from pipeline.outputs.hls.live_stream import Broadcasts
from pipeline.outputs.hls.output import CopyHlsOutput, HlsOutput
from pipeline.outputs.protocols import Output, View
from pipeline.outputs.video import VideoOutput
from pipeline.outputs.window.output import WindowOutput
from pipeline.runtime.outputs import open_output
from pipeline.stats.registry import Stats
from pipeline.web.output import WebOutput
from tests.support.scenes import Scene
from tests.support.wait import HANG_S, until


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (config.Output(window=config.Window()), WindowOutput),
        (config.Output(web=config.Web()), WebOutput),
        (config.Output(video=config.Video(path="out.mp4")), VideoOutput),
        (config.Output(events=config.Events(path="-")), EventsOutput),
        (config.Output(hls=config.Hls()), HlsOutput),
        (config.Output(hls=config.Hls(boxes="no")), CopyHlsOutput),
    ],
)
def test_each_kind_of_output_has_its_class(settings: config.Output, kind: type) -> None:
    output = open_output(
        settings, config.Config(), Stats(["demo"]), lambda name, body: None, Broadcasts(config.Config(), SystemClock())
    )
    assert isinstance(output, kind)
    assert output.name == settings.kind


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
