"""HLS of a whole run: a real camera that goes and comes back, a real detector, players, and what the terminal tells."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from tests.support.clips import Clip, encode, number_in, street
from tests.support.models import rows_model, write_ir
from tests.support.servers.rtsp import RtspServer
from tests.support.wait import HANG_S, until

ROOT = Path(__file__).parents[2]
TOKEN = "t0ken-k4n4ry-of-the-run"


@pytest.fixture(scope="module")
def clip() -> Clip:
    """Three seconds of the street, a keyframe every second."""
    return encode(street(90, 320, 180), 30, 30)


class Run:
    """The program with a camera that it shows as HLS."""

    def __init__(self, camera: RtspServer, folder: Path) -> None:
        model = write_ir(rows_model(), folder / "two.xml")
        outputs = "outputs: [web: {port: 0, token: '${LOOKOUT_TOKEN}'}, hls: {boxes: no}]"
        lines = [f"cameras: {{door: '{camera.url('live')}'}}", f"model: {{name: '{model}'}}", outputs]
        (folder / "street.yaml").write_text("\n".join(lines))
        self.told = folder / "told"
        environment = os.environ | {"LOOKOUT_TOKEN": TOKEN, "DISPLAY": "", "WAYLAND_DISPLAY": ""}
        with self.told.open("wb") as out:
            command = [sys.executable, str(ROOT / "run.py"), "street.yaml", "-v", "--summary", "summary"]
            self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
        found = until(lambda: re.search(r"watch on (http://\S+)/\n", self.told.read_text()))
        assert found, self.told.read_text()
        self.page = found[1]

    def ask(self, path: str) -> tuple[int, str]:
        """Status and text of an answer to one who has the token."""
        asked = urllib.request.Request(self.page + path, headers={"Authorization": f"Bearer {TOKEN}"})
        try:
            with urllib.request.urlopen(asked, timeout=HANG_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def play(self, address: str, count: int) -> list[tuple[float, int]]:
        """Time and number of the first pictures that FFmpeg sees there."""
        with av.open(self.page + address, timeout=(HANG_S, HANG_S)) as container:
            seen = []
            for frame in container.decode(video=0):
                seen.append((float(frame.time or 0.0), number_in(frame.to_ndarray(format="bgr24"))))
                if len(seen) == count:
                    break
            return seen


@pytest.fixture
def run(tmp_path: Path, clip: Clip) -> Iterator[Callable[[], tuple[Run, RtspServer]]]:
    made: list[Run] = []
    with RtspServer({"live": clip}) as camera:

        def start() -> tuple[Run, RtspServer]:
            made.append(Run(camera, tmp_path))
            return made[-1], camera

        yield start
        for each in made:
            each.process.kill()
            each.process.wait()


def test_players_see_the_camera_again_after_its_restart_and_no_secret_is_told(
    run: Callable[[], tuple[Run, RtspServer]], tmp_path: Path
) -> None:
    program, camera = run()
    address = json.loads(program.ask("/api/cameras/door")[1])["hls"]
    assert until(lambda: program.ask("/hls/door/index.m3u8")[0] == 200), program.ask("/hls/door/index.m3u8")
    watch(program, address)
    camera.stop()
    assert until(lambda: program.ask("/hls/door/index.m3u8")[0] == 503)
    said = program.ask("/hls/door/index.m3u8")[1]
    assert re.fullmatch(r"door (gives no pictures now: .+|has not given enough pictures yet)\.\n", said)
    camera.start()
    assert until(lambda: program.ask("/hls/door/index.m3u8")[0] == 200)
    watch(program, address)
    assert re.search(r'lookout_output_frames_shown_total\{output="hls"\} [1-9]', program.ask("/metrics")[1])
    program.process.terminate()
    assert program.process.wait(HANG_S) == 0
    told = program.told.read_text() + (tmp_path / "summary").read_text()
    assert f"HLS on {program.page}/hls/{{camera}}/index.m3u8 with the token" in told
    assert re.search(r"hls +door: (live|waiting for a picture), 1 viewer", told)
    assert address.split("/")[2] not in told
    assert TOKEN not in told


def watch(program: Run, address: str) -> None:
    """See 45 pictures in a row."""
    seen = program.play(address, 45)
    assert {(after - before) % 90 for (_, before), (_, after) in itertools.pairwise(seen)} == {1}
    assert all(0 < after - before < 1.5 for (before, _), (after, _) in itertools.pairwise(seen))
