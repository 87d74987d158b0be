"""The compressed pictures: complete, decodable from every keyframe, and with the times of their frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline.capture.bitstream import AnnexBRepacker
from pipeline.frames import Packet
from pipeline.media.muxer import DamagedError, readable
from tests.support.cameras import Running
from tests.support.clips import Clip, number_in, street, write_file
from tests.support.servers.rtsp import RtspServer


def decoded(packets: list[Packet]) -> list[tuple[float | None, int]]:
    """Times and numbers of the pictures in packets, decoded without anything else."""
    decoder = av.CodecContext.create(packets[0].codec, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    found, times = [], sorted(packet.pts for packet in packets if packet.pts is not None)
    for packet in packets:
        found += decoder.decode(av.Packet(packet.data))
    found += decoder.decode(None)
    assert all(isinstance(frame, av.VideoFrame) for frame in found)
    return list(zip(times, (number_in(frame.to_ndarray(format="bgr24")) for frame in found), strict=True))


def taps(running: Callable[..., Running], address: str, **more: object) -> tuple[Running, list[Packet]]:
    packets: list[Packet] = []
    camera = running(address, tap=packets.append, **more)
    camera.start()
    return camera, packets


@pytest.mark.parametrize(("ending", "codec"), [("mp4", "h264"), ("ts", "h264"), ("mkv", "hevc")])
def test_every_packet_of_a_file_comes_with_the_time_of_its_frame(
    tmp_path: Path, running: Callable[..., Running], ending: str, codec: str
) -> None:
    options = {"g": "20", "bf": "2", "x265-params": "keyint=20:bframes=2:open-gop=0:log-level=none"}
    encoder = {"h264": "libx264", "hevc": "libx265"}[codec]
    path = write_file(tmp_path / f"street.{ending}", street(45), 30, encoder=encoder, **options)
    camera, packets = taps(running, str(path))
    frames = [(frame.pts, number_in(frame.picture.bgr())) for frame in camera.rest()]
    assert len(frames) == len(packets) == 45
    assert decoded(packets) == frames
    assert {(each.camera, each.codec, each.width, each.height) for each in packets} == {("door", codec, 640, 360)}
    keys = [at for at, each in enumerate(packets) if each.key]
    assert keys[0] == 0
    assert len(keys) >= 3
    assert decoded(packets[keys[1] :])[-1] == frames[-1]


@pytest.mark.parametrize("described", [True, False])
def test_a_camera_that_names_its_parameter_sets_once_has_them_before_every_keyframe(
    clip: Clip, running: Callable[..., Running], described: bool
) -> None:
    with RtspServer({"live": clip}, parameter_sets=described) as server:
        if described:
            server.change = lambda number, units: tuple(unit for unit in units if unit[0] & 31 not in (7, 8))
        camera, packets = taps(running, server.url("live"))
        frames = [camera.next() for _ in range(20)]
        camera.stop()
    by_time = {packet.pts: packet for packet in packets}
    for frame in frames:
        assert by_time[frame.pts].captured <= frame.captured
    keys = [at for at, each in enumerate(packets) if each.key]
    assert keys[0] == 0
    assert len(keys) >= 2
    assert len(decoded(packets[keys[1] :])) == len(packets) - keys[1]
    assert {(each.width, each.height) for each in packets} == {(640, 360)}


def test_no_picture_beyond_all_measure_is_unpacked_to_learn_of_it() -> None:
    data = bytearray(cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))[1].tobytes())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = (8192).to_bytes(2, "big") + (16384).to_bytes(2, "big")
    packet = av.Packet(bytes(data))
    packet.is_keyframe = True
    assert AnnexBRepacker("mjpeg").take(packet, 0.0) is None
    with pytest.raises(DamagedError):
        readable(Packet("door", "mjpeg", bytes(data), True, 0.0, 0.0, 0.0, 16384, 8192))


def test_a_file_in_a_loop_goes_on_in_time(tmp_path: Path, running: Callable[..., Running]) -> None:
    path = write_file(tmp_path / "street.mp4", street(5), 25, bf="0")
    camera, packets = taps(running, str(path), loop=True)
    frames = [camera.next() for _ in range(12)]
    camera.stop()
    assert [packet.pts for packet in packets[:12]] == [frame.pts for frame in frames]
    assert frames[11].pts == pytest.approx(11 / 25)


def test_pictures_that_overtake_others_get_times_to_be_decoded_at(tmp_path: Path) -> None:
    path = write_file(tmp_path / "street.mp4", street(40), 30, bf="3", preset="medium")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        repacker = AnnexBRepacker("h264", stream.codec_context.extradata or b"", live=True)
        packets = [made for each in container.demux(stream) if (made := repacker.take(each, 0.0)) is not None]
    shown = [packet.pts or 0.0 for packet in packets]
    decoded_at = [packet.dts or 0.0 for packet in packets]
    assert shown != sorted(shown)
    assert decoded_at == sorted(decoded_at)
    assert all(dts <= pts for dts, pts in zip(decoded_at, shown, strict=True))
