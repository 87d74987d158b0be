"""Pictures and packets of files and cameras are shown as the container, the stream or somebody by hand asks."""

from __future__ import annotations

import gc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import pytest

from pipeline.capture.sources.ffmpeg import FfmpegSource
from pipeline.config.cameras import Capture
from pipeline.frames import Packet, Presentation
from tests.support.cameras import Running
from tests.support.quarters import (
    ORIENTATIONS,
    film,
    letters,
    orientation_message,
    quarters,
    with_messages,
)

Shown = list[tuple[str, int, int]]


def played(path: Path, settings: Capture | None = None, *, wanted: bool = True) -> tuple[Shown, list[Packet]]:
    """Quarters, width and height of every picture that came unpacked, and all packets."""
    packets: list[Packet] = []
    source = FfmpegSource(str(path), settings or Capture())
    source.tap = packets.append
    if not wanted:
        source.wanted = lambda: False
    source.open()
    shown = []
    while (sample := source.read()) is not None:
        if sample.picture is not None:
            whole = sample.picture.bgr()
            assert whole.shape[1::-1] == (sample.picture.width, sample.picture.height)
            assert letters(sample.picture.resized(64, 32)) == letters(whole)
            shown.append((letters(whole), sample.picture.width, sample.picture.height))
    source.close()
    return shown, packets


def raw(tmp_path: Path, codec: str, messages: list[bytes | None], count: int = 9) -> Path:
    """A raw stream with SEI messages."""
    path = tmp_path / f"raw.{codec}"
    made = film(tmp_path / "film.mp4", count=count, encoder={"h264": "libx264", "hevc": "libx265"}[codec])
    with av.open(str(made)) as given, av.open(str(path), "w", format=codec) as target:
        stream = target.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    path.write_bytes(with_messages(path.read_bytes(), messages, codec))
    return path


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("shown", ORIENTATIONS)
def test_all_that_a_container_can_ask_is_done_and_known_with_the_first_packet(
    tmp_path: Path, shown: str, ending: str, wanted: bool
) -> None:
    asked = ORIENTATIONS[shown]
    pictures, packets = played(film(tmp_path / f"film.{ending}", asked), wanted=wanted)
    assert pictures == [(shown, *asked.shown_size(160, 96))] * (6 if wanted else 1)
    assert [packet.presentation for packet in packets] == [asked] * 6


@pytest.mark.parametrize("number", range(1, 9))
def test_all_that_exif_can_ask_is_done(tmp_path: Path, number: int) -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0" + bytes([number, 0, 0, 0]) + b"\0\0\0\0"
    data = cv2.imencode(".jpg", quarters())[1].tobytes()
    path = tmp_path / "picture.jpg"
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    (pictures, packets), (shown, asked) = played(path), list(ORIENTATIONS.items())[number - 1]
    assert pictures == [(shown, *asked.shown_size(160, 96))]
    assert packets[0].presentation == asked


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("every", [1, 3, 9])
def test_what_a_message_asks_holds_until_the_next_one(tmp_path: Path, codec: str, every: int) -> None:
    message = orientation_message(codec, degrees=90)
    pictures, packets = played(raw(tmp_path, codec, [message, *[None] * (every - 1)]))
    assert pictures == [("GWRB", 96, 160)] * 9
    assert {packet.presentation for packet in packets} == {Presentation(90)}


@pytest.mark.parametrize("word", [orientation_message(), orientation_message(cancel=True)])
def test_the_next_message_may_ask_for_nothing(tmp_path: Path, word: bytes) -> None:
    turned = orientation_message(degrees=180)
    pictures, packets = played(raw(tmp_path, "h264", [turned, None, None, word, None, None, turned, None, None]))
    assert [shown for shown, *_ in pictures] == ["WBGR"] * 3 + ["RGBW"] * 3 + ["WBGR"] * 3
    assert [packet.presentation.rotation for packet in packets] == [180] * 3 + [0] * 3 + [180] * 3


@pytest.mark.parametrize(
    ("aspect", "size"), [(Fraction(2), (320, 96)), (Fraction(1, 2), (160, 192)), (Fraction(64, 45), (228, 96))]
)
def test_pixels_that_only_the_container_calls_wide_are_shown_and_passed_on_so(
    tmp_path: Path, aspect: Fraction, size: tuple[int, int]
) -> None:
    pictures, packets = played(film(tmp_path / "film.mp4", Presentation(pixel_aspect=aspect)))
    assert pictures == [("RGBW", *size)] * 6
    assert {packet.shown_size for packet in packets} == {size}
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    assert len(decoder.decode(av.Packet(packets[0].data)) + decoder.decode(None)) == 1
    assert decoder.sample_aspect_ratio == aspect


def test_wide_pixels_are_stretched_before_the_picture_is_turned(tmp_path: Path) -> None:
    pictures, _ = played(film(tmp_path / "film.mp4", Presentation(90, pixel_aspect=Fraction(2))))
    assert pictures == [("GWRB", 96, 320)] * 6


@pytest.mark.parametrize(
    ("keys", "shown", "size"),
    [
        ({"rotate": 90}, "BRWG", (96, 160)),
        ({"rotate": 180}, "WBGR", (160, 96)),
        ({"rotate": 270}, "GWRB", (96, 160)),
        ({"mirror": True}, "GRWB", (160, 96)),
        ({"rotate": 90, "mirror": True}, "RBGW", (96, 160)),
        ({"aspect": "16:9"}, "RGBW", (171, 96)),
        ({"aspect": "4:3", "rotate": 90}, "BRWG", (120, 160)),
    ],
)
def test_what_is_asked_by_hand_is_done_beside(
    tmp_path: Path, running: Callable[..., Running], keys: dict[str, object], shown: str, size: tuple[int, int]
) -> None:
    settings = Capture.model_validate(keys)
    pictures, packets = played(film(tmp_path / "film.mp4"), settings)
    assert pictures == [(shown, *size)] * 6
    assert {packet.shown_size for packet in packets} == {size}
    upside_down, _ = played(film(tmp_path / "turned.mp4", Presentation(180)), settings)
    assert [letters for letters, *_ in upside_down] == [shown[::-1]] * 6
    # The demo is 1280x720 and gives no packets.
    drawn = running("demo", **keys)
    drawn.start()
    picture = drawn.next().picture
    drawn.stop()
    wide = picture.width > picture.height
    assert wide == (size[0] > size[1])
    assert picture.bgr().shape[1::-1] == (picture.width, picture.height)


def test_pictures_are_freed_as_soon_as_nobody_holds_them(tmp_path: Path) -> None:
    source = FfmpegSource(str(film(tmp_path / "film.mp4", Presentation(90), count=12)), Capture())
    source.open()
    gc.collect()
    gc.disable()
    try:
        while source.read() is not None:
            pass
        held = sum(isinstance(each, av.VideoFrame) for each in gc.get_objects())
    finally:
        gc.enable()
        source.close()
    assert held <= 2
