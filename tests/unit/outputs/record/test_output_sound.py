"""The sound of cameras: kept only where it is asked for, and then untouched, in recordings and in clips of them."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import pipeline
from pipeline.capture import open_source
from pipeline.capture.source import SoundSource
from pipeline.config.cameras import Capture
from pipeline.config.root import Config
from pipeline.errors import SourceError
from pipeline.frames import Sound
from pipeline.runtime.runtime import Runtime
from tests.support.clips import street

FPS = 25


def film(path: Path, codec: str, rate: int) -> Path:
    """Write two seconds of pictures and a tone of the same length, a keyframe every half second."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "tune": "zerolatency"})
        video.width, video.height, video.pix_fmt, video.gop_size = 64, 48, "yuv420p", 12
        audio: Any = container.add_stream(codec, rate=rate)
        audio.layout = "mono"
        size = audio.codec_context.frame_size or rate // 50
        resampler = av.AudioResampler(format=audio.codec_context.format.name, layout="mono", rate=rate)
        pictures, done = street(2 * FPS, 64, 48), 0
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = number
            container.mux(video.encode(frame))
            while done < (number + 1) * rate // FPS:
                wave = (np.sin(np.arange(done, done + size) / 9) * 8000).astype(np.int16)
                tone = av.AudioFrame.from_ndarray(wave[None, :], format="s16", layout="mono")
                tone.sample_rate, tone.pts = rate, done
                for each in resampler.resample(tone):
                    each.pts = done
                    container.mux(audio.encode(each))
                done += size
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def sounds(path: Path) -> list[tuple[float, bytes]]:
    """Times and bytes of all pieces of sound, without what stands in front of them in a transport stream."""
    with av.open(f"file:{path}") as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size] if container.streams.audio else []
        bare = [(bytes(packet), float(packet.pts * packet.time_base)) for packet in packets if packet.pts is not None]
    return [(at, data[7:] if data[:1] == b"\xff" and path.suffix == ".ts" else data) for data, at in bare]


def recorded(source: Path, template: Path, **keys: object) -> tuple[Path, Runtime]:
    config = Config.model_validate(
        {
            "cameras": {"door": {"source": str(source), "capture": {"pace": "fast"}, "detect": {"enabled": False}}},
            "outputs": [{"record": {"path": str(template), "free": 0, **keys}}],
        }
    )
    runtime = Runtime(config)
    runtime.run()
    (path,) = (each for each in template.parent.iterdir() if each.suffix == template.suffix)
    return path, runtime


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [("a.mp4", "aac", 16000), ("a.ts", "aac", 16000), ("a.mkv", "libopus", 48000), ("a.mov", "libmp3lame", 44100)],
)
def test_sound_is_copied_beside_its_pictures(tmp_path: Path, name: str, codec: str, rate: int, ending: str) -> None:
    source = film(tmp_path / name, codec, rate)
    path, runtime = recorded(source, tmp_path / "out" / f"{{time}}{ending}", audio=True)
    given, kept = sounds(source), sounds(path)
    assert [data for _, data in kept] == [data for _, data in given][-len(kept) :]
    assert len(given) - len(kept) <= 3
    with av.open(str(source)) as container:
        began = min(float(each.pts * each.time_base) for each in container.demux(video=0) if each.pts is not None)
    before = len(given) - len(kept)
    # A fragmented MP4 has its first piece at 0, whenever it begins.
    assert [at for at, _ in kept][1:] == pytest.approx([at - began for at, _ in given[before:]][1:], abs=0.03)
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 2 * FPS
    with av.open(str(path)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) > 1.7 * rate
    assert runtime.stats.losses() == []


def test_no_sound_is_kept_unless_it_is_asked_for(tmp_path: Path) -> None:
    path, _ = recorded(film(tmp_path / "a.mp4", "aac", 16000), tmp_path / "out" / "{time}.mp4")
    with av.open(str(path)) as container:
        assert not container.streams.audio
        assert sum(1 for _ in container.decode(video=0)) == 2 * FPS


def test_sound_that_no_file_takes_is_told_and_costs_no_picture(tmp_path: Path) -> None:
    path, runtime = recorded(film(tmp_path / "a.mov", "pcm_alaw", 8000), tmp_path / "out" / "{time}.mp4", audio=True)
    with av.open(str(path)) as container:
        assert not container.streams.audio
        assert sum(1 for _ in container.decode(video=0)) == 2 * FPS
    assert runtime.stats.told()["record"] == {"door sound": "pcm_alaw cannot be kept; set the camera to AAC"}


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_a_clip_of_a_recording_has_its_sound(tmp_path: Path, ending: str) -> None:
    source = film(tmp_path / "a.mp4", "aac", 16000)
    config = Config.model_validate(
        {
            "cameras": {"door": {"source": str(source), "detect": {"enabled": False}}},
            "outputs": [{"record": {"path": str(tmp_path / "out" / "{time}.mp4"), "free": 0, "audio": True}}],
        }
    )
    with pipeline.open(config) as results:
        count = sum(1 for _ in results)
        clip = results.clip("door", 30, 0, tmp_path / f"clip{ending}")
    assert count == 2 * FPS
    given = [data for _, data in sounds(source)]
    kept = [data for _, data in sounds(clip)]
    assert kept
    assert kept == given[given.index(kept[0]) :][: len(kept)]
    assert len(given) - len(kept) <= 8
    with av.open(str(clip)) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 2 * FPS - FPS // 2


@pytest.mark.parametrize("rehearsed", ["", "fault:freeze@60:"])
def test_a_live_stream_gives_its_sound_beside_its_pictures_if_it_is_asked(tmp_path: Path, rehearsed: str) -> None:
    source = film(tmp_path / "a.ts", "aac", 16000)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"{rehearsed}tcp://127.0.0.1:{server.getsockname()[1]}"

        def serve() -> None:
            for _ in range(2):
                with server.accept()[0] as player:
                    player.sendall(source.read_bytes())

        serving = threading.Thread(target=serve)
        serving.start()
        heard: list[Sound] = []
        for tap in (heard.append, None):
            camera = open_source(address, Capture())
            assert isinstance(camera, SoundSource)
            camera.sound_tap = tap
            camera.open()
            pictures: list[object] = []
            with pytest.raises(SourceError, match="the stream ended"):
                pictures.extend(iter(camera.read, None))
            camera.close()
            assert len(pictures) == 2 * FPS
        serving.join()
    assert [each.data for each in heard] == [data for _, data in sounds(source)][: len(heard)]
    assert len(heard) > 25
