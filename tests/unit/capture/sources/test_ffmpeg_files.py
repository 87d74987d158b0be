"""Files: every picture once and in order, damage survived, and one clear line for what is no video."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from pipeline.capture import check_source
from pipeline.capture.sources.ffmpeg import FfmpegSource
from pipeline.config.cameras import Capture
from pipeline.errors import SourceError
from pipeline.frames import Packet
from tests.support.cameras import picture_of
from tests.support.clips import number_in, street, write_file

NO_VIDEO = "this is no video, or it is cut off before its first picture"


def opened(path: Path) -> FfmpegSource:
    source = FfmpegSource(str(path), Capture())
    source.open()
    return source


def numbers(source: FfmpegSource) -> list[int]:
    found = []
    while (sample := source.read()) is not None:
        found.append(number_in(picture_of(sample).bgr()))
    source.close()
    return found


def test_a_row_of_pictures_is_found_though_no_file_is_called_so(tmp_path: Path) -> None:
    for number, picture in enumerate(street(3)):
        cv2.imwrite(str(tmp_path / f"street{number:02}.png"), picture)
    check_source(str(tmp_path / "street%02d.png"))
    assert numbers(opened(tmp_path / "street%02d.png")) == [0, 1, 2]


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "avi"])
def test_every_picture_of_a_file_comes_once_and_in_order(tmp_path: Path, ending: str) -> None:
    options = {"g": "20", "bf": "0" if ending == "avi" else "2"}
    source = opened(write_file(tmp_path / f"street.{ending}", street(45), 30, **options))
    assert not source.live
    assert source.local
    assert source.fps == pytest.approx(30)
    assert source.description == "h264 640x360 at 30 fps"
    assert numbers(source) == list(range(45))


def test_times_count_up_by_one_frame(video: Path) -> None:
    source = opened(video)
    times = []
    while (sample := source.read()) is not None:
        assert sample.pts is not None
        assert sample.decode >= 0
        times.append(sample.pts)
    assert np.diff(times) == pytest.approx(1 / 30, abs=1e-3)
    source.close()


def test_a_file_can_be_opened_again(video: Path) -> None:
    source = opened(video)
    source.read()
    source.open()
    assert numbers(source) == list(range(60))


@pytest.mark.parametrize("share", [0.15, 0.3, 0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("ending", ["ts", "mkv"])
def test_a_file_that_is_cut_off_plays_up_to_the_cut(tmp_path: Path, ending: str, share: float) -> None:
    whole = write_file(tmp_path / f"whole.{ending}", street(60), 30, g="10", bf="0").read_bytes()
    cut = tmp_path / f"cut.{ending}"
    cut.write_bytes(whole[: int(len(whole) * share)])
    found = numbers(opened(cut))
    assert found
    assert found == list(range(len(found)))
    assert len(found) < 60 or share > 0.9


def test_an_mp4_whose_pictures_are_cut_off_plays_up_to_the_cut(tmp_path: Path) -> None:
    whole = write_file(tmp_path / "whole.mp4", street(60), 30, g="10", bf="0")
    with (
        av.open(str(whole)) as given,
        av.open(str(tmp_path / "first.mp4"), "w", options={"movflags": "faststart"}) as made,
    ):
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    data = (tmp_path / "first.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    found = numbers(opened(tmp_path / "cut.mp4"))
    assert 10 < len(found) < 60
    assert found == list(range(len(found)))


def test_damage_in_the_middle_is_counted_and_survived(tmp_path: Path) -> None:
    path = write_file(tmp_path / "street.ts", street(60), 30, g="10", bf="0")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(1).bytes(3000)
    path.write_bytes(data)
    found = numbers(opened(path))
    assert found[:10] == list(range(10))
    assert found[-10:] == list(range(50, 60))


def test_a_file_that_is_damaged_before_its_first_picture_fails_and_does_not_just_end(tmp_path: Path) -> None:
    path = write_file(tmp_path / "street.ts", street(30), 30, g="10", bf="0")
    data = path.read_bytes()
    whole = len(data) // 20
    path.write_bytes(data[:whole] + bytes(len(data) - whole))
    source = opened(path)
    with pytest.raises(SourceError) as caught:
        source.read()
    source.close()
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.reason == "unreadable"


def test_a_decoder_is_emptied_before_its_file_is_closed(video: Path) -> None:
    order: list[str] = []
    source = opened(video)
    assert source.read() is not None
    real: Any = source._connection.container

    class Container:
        """The same, but what is done to it at the end is noted."""

        @property
        def streams(self) -> Container:
            return self

        @property
        def video(self) -> list[Container]:
            return [self]

        @property
        def codec_context(self) -> Container:
            return self

        def flush_buffers(self) -> None:
            order.append("emptied")
            real.streams.video[0].codec_context.flush_buffers()

        def close(self) -> None:
            order.append("closed")
            real.close()

    source._connection.container = Container()  # type: ignore[assignment]
    source.close()
    source.close()
    assert order == ["emptied", "closed"]


@pytest.mark.parametrize(
    ("name", "content", "said", "reason"),
    [
        ("missing.mp4", None, "no such file", "not found"),
        ("empty.mp4", b"", "the file is empty", "unreadable"),
        ("notes.mp4", b"just some words " * 500, NO_VIDEO, "unreadable"),
        ("noise.mp4", bytes(range(256)) * 400, NO_VIDEO, "unreadable"),
    ],
)
def test_what_is_no_video_is_said_in_one_line(
    tmp_path: Path, name: str, content: bytes | None, said: str, reason: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        opened(path)
    assert str(caught.value) == f"{path}: {said}"
    assert caught.value.reason == reason
    assert caught.value.__cause__ is None


def test_a_folder_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="this is a folder; name one video file in it"):
        opened(tmp_path)


def test_a_file_of_sound_alone_has_no_pictures(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(SourceError, match="there are no pictures in it"):
        opened(path)


def test_a_name_with_a_colon_is_a_file(tmp_path: Path, video: Path) -> None:
    odd = tmp_path / "tcp:12:30 #1?.mp4"
    odd.write_bytes(video.read_bytes())
    assert numbers(opened(odd)) == list(range(60))


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
@pytest.mark.parametrize("extent", ["tv", "pc"])
def test_colours_come_out_as_the_stream_declares_them(tmp_path: Path, matrix: str, extent: str) -> None:
    colours = np.array([[(40, 60, 200), (50, 180, 60), (190, 70, 40), (128, 128, 128)]], np.uint8)
    path = tmp_path / "colours.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"qp": "0", "preset": "ultrafast"})
        stream.codec_context.colorspace = 1 if matrix == "bt709" else 6
        stream.codec_context.color_range = 1 if extent == "tv" else 2
        stream.width, stream.height, stream.pix_fmt = 256, 64, "yuv420p"
        luma, cb, cr = to_yuv(colours[0].astype(float), matrix, extent)
        planes = [np.repeat(np.repeat(plane[None], 64, 0), 64, 1)[:, :256] for plane in (luma, cb, cr)]
        layout = np.vstack([planes[0], planes[1][:32, ::2].reshape(16, 256), planes[2][:32, ::2].reshape(16, 256)])
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(layout.astype(np.uint8), format="yuv420p")))
        container.mux(stream.encode(None))
    sample = opened(path).read()
    assert sample is not None
    for picture in (picture_of(sample).bgr(), picture_of(sample).resized(128, 32)):
        step = picture.shape[1] // 4
        seen = picture[picture.shape[0] // 2, step // 2 :: step].astype(int)
        assert np.abs(seen - colours[0].astype(int)).max() <= 6


def to_yuv(bgr: np.ndarray, matrix: str, extent: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    red_share, blue_share = (0.2126, 0.0722) if matrix == "bt709" else (0.299, 0.114)
    blue, green, red = bgr.T
    luma = red_share * red + (1 - red_share - blue_share) * green + blue_share * blue
    cb, cr = (blue - luma) / (2 * (1 - blue_share)), (red - luma) / (2 * (1 - red_share))
    if extent == "tv":
        return tuple(np.rint(v) for v in (16 + luma * 219 / 255, 128 + cb * 224 / 255, 128 + cr * 224 / 255))
    return tuple(np.rint(v).clip(0, 255) for v in (luma, 128 + cb, 128 + cr))


def test_scaling_in_one_step_looks_like_scaling_the_whole_picture(video: Path) -> None:
    sample = opened(video).read()
    assert sample is not None
    whole = picture_of(sample).bgr()
    assert whole.shape == (360, 640, 3)
    assert whole is picture_of(sample).bgr()
    assert picture_of(sample).resized(640, 360) is whole
    for pixels in (whole, picture_of(sample).resized(512, 512)):
        assert not pixels.flags.writeable
        assert pixels.flags.c_contiguous
    wanted = cv2.resize(whole, (512, 512), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(picture_of(sample).resized(512, 512).astype(int) - wanted).mean() < 4


@pytest.mark.parametrize("wanted", [True, False])
def test_pictures_and_packets_carry_how_the_stream_asks_to_be_shown(tmp_path: Path, video: Path, wanted: bool) -> None:
    path = tmp_path / "anamorphic.mp4"
    with av.open(str(video)) as given, av.open(str(path), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        stream.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_rotation(90, hflip=True)
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    packets: list[Packet] = []
    source = FfmpegSource(str(path), Capture())
    source.tap = packets.append
    source.wanted = lambda: wanted
    source.open()
    sample = source.read()
    assert sample is not None
    assert sample.picture is not None
    shown = sample.picture.presentation
    assert (shown.mirrored, shown.pixel_aspect, shown.turned) == (True, Fraction(4, 3), True)
    assert shown.rotation in (90, 270)
    assert packets[0].presentation.pixel_aspect == Fraction(4, 3)
    source.read()
    assert packets[-1].presentation == shown
    source.close()


def test_a_rotated_recording_stands_upright(tmp_path: Path, video: Path) -> None:
    turned = tmp_path / "turned.mp4"
    with av.open(str(video)) as given, av.open(str(turned), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    data = bytearray(turned.read_bytes())
    # The matrix stands in the track header, right before its width and height.
    upright = b"".join(int(v).to_bytes(4, "big") for v in (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000))
    clockwise = b"".join((v & 0xFFFFFFFF).to_bytes(4, "big") for v in (0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000))
    header = data.index(b"tkhd")
    at = data.index(upright, header)
    data[at : at + 36] = clockwise
    turned.write_bytes(data)
    plain, sample = opened(video).read(), opened(turned).read()
    assert plain is not None
    assert sample is not None
    assert (picture_of(sample).width, picture_of(sample).height) == (360, 640)
    assert np.array_equal(picture_of(sample).bgr(), np.rot90(picture_of(plain).bgr(), -1))
    assert picture_of(sample).resized(90, 160).shape == (160, 90, 3)


def test_a_file_that_changes_its_size_gives_pictures_of_both(tmp_path: Path) -> None:
    first = write_file(tmp_path / "one.ts", street(20), 30, bf="0")
    second = write_file(tmp_path / "two.ts", street(20, 320, 240), 30, bf="0")
    path = tmp_path / "both.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    source = opened(path)
    sizes = []
    while (sample := source.read()) is not None:
        sizes.append(picture_of(sample).resized(64, 64).shape and (picture_of(sample).width, picture_of(sample).height))
    assert sizes == [(640, 360)] * 20 + [(320, 240)] * 20


def test_a_declared_rate_that_cannot_be_true_is_unknown(tmp_path: Path) -> None:
    path = write_file(tmp_path / "fast.mkv", street(5), 1000)
    assert Fraction(opened(path).fps) == 0


@pytest.mark.parametrize(("quality", "size"), [("best", (320, 240)), ("smallest", (160, 96))])
def test_of_several_streams_the_one_that_is_asked_for_is_read(tmp_path: Path, quality: str, size: object) -> None:
    path = tmp_path / "several.mkv"
    with av.open(str(path), "w") as made:
        streams = []
        for width, height in ((160, 96), (320, 240), (240, 176)):
            stream = made.add_stream("libx264", rate=10)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            streams.append(stream)
        for picture in street(5, 320, 240):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(stream.width, stream.height)
                made.mux(stream.encode(frame))
        for stream in streams:
            made.mux(stream.encode(None))
    source = FfmpegSource(str(path), Capture.model_validate({"quality": quality}))
    packets: list[Packet] = []
    source.tap = packets.append
    source.open()
    sizes = []
    while (sample := source.read()) is not None:
        sizes.append((picture_of(sample).width, picture_of(sample).height))
    source.close()
    assert sizes == [size] * 5
    assert [(packet.width, packet.height) for packet in packets] == [size] * 5


def test_a_file_may_be_named_by_an_address(tmp_path: Path, video: Path) -> None:
    path = tmp_path / "a film.mp4"
    path.write_bytes(video.read_bytes())
    address = f"file://{tmp_path}/a%20film.mp4"
    FfmpegSource.check(address)
    assert number_in(picture_of(opened(Path(path)).read()).bgr()) == 0
    source = FfmpegSource(address, Capture())
    source.open()
    assert (source.live, number_in(picture_of(source.read()).bgr())) == (False, 0)
    source.close()
    with pytest.raises(SourceError, match="no such file"):
        FfmpegSource.check(f"file://{tmp_path}/none.mp4")
