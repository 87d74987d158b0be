"""How packets and pictures say in which way they are to be shown, read and written."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.frames import Presentation
from pipeline.media.presentation import from_matrix, from_units, to_matrix, with_pixel_aspect
from tests.support.quarters import ORIENTATIONS, film, letters, orientation_message, quarters


@pytest.mark.parametrize("shown", ORIENTATIONS)
def test_a_picture_is_turned_as_is_said(shown: str) -> None:
    presentation = ORIENTATIONS[shown]
    assert letters(presentation.turn(quarters())) == shown
    assert from_matrix(to_matrix(presentation, 160, 96)) == presentation
    assert presentation.shown_size(160, 96) == presentation.turn(quarters()).shape[1::-1]


@pytest.mark.parametrize("first", ORIENTATIONS)
@pytest.mark.parametrize("second", ORIENTATIONS)
def test_one_turn_after_another_is_one_turn(first: str, second: str) -> None:
    one, two = ORIENTATIONS[first], ORIENTATIONS[second]
    assert letters(one.then(two).turn(quarters())) == letters(two.turn(one.turn(quarters())))


@pytest.mark.parametrize("shown", ORIENTATIONS)
def test_nothing_of_a_turned_picture_lies_outside(shown: str) -> None:
    a, b, _, c, d, _, left, top, _ = (each / 65536 for each in to_matrix(ORIENTATIONS[shown], 160, 96))
    corners = [(a * x + c * y + left, b * x + d * y + top) for x in (0, 160) for y in (0, 96)]
    assert (min(x for x, _ in corners), min(y for _, y in corners)) == (0, 0)


def test_odd_angles_are_rounded_to_quarters() -> None:
    assert from_matrix([65000, 9000, 0, -9000, 65000, 0, 0, 0, 1 << 30]) == Presentation()
    assert from_matrix([0, 0, 0, 0, 0, 0, 0, 0, 0]) == Presentation()


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize(
    ("across", "down", "degrees", "shown"),
    [
        (False, False, 0, "RGBW"),
        (True, False, 0, "GRWB"),
        (True, True, 0, "WBGR"),
        (False, False, 180, "WBGR"),
        (False, True, 0, "BWRG"),
        (True, False, 90, "RBGW"),
        (False, False, 270, "BRWG"),
        (True, False, 270, "WGBR"),
        (False, False, 90, "GWRB"),
    ],
)
def test_a_message_between_others_is_read(codec: str, across: bool, down: bool, degrees: int, shown: str) -> None:
    message = orientation_message(codec, across=across, down=down, degrees=degrees)
    assert from_units([message], codec) == ORIENTATIONS[shown]


def test_a_message_may_cancel_or_be_missing_or_cut_off() -> None:
    assert from_units([orientation_message(cancel=True)], "h264") == Presentation()
    assert from_units([b"\x67\x42\0\x1f"], "h264") is None
    whole = orientation_message(degrees=180)
    for length in range(1, len(whole)):
        from_units([whole[:length]], "h264")


@pytest.mark.parametrize(("encoder", "codec"), [("libx264", "h264"), ("libx265", "hevc"), ("mjpeg", "mjpeg")])
def test_a_keyframe_can_be_told_the_shape_of_its_pixels(tmp_path: Path, encoder: str, codec: str) -> None:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = film(tmp_path / "film.mkv", count=1, encoder=encoder, pixel_format=pixels)
    with av.open(str(path)) as made, av.open(str(tmp_path / f"raw.{codec}"), "w", format=codec) as raw:
        stream = raw.add_stream_from_template(made.streams.video[0])
        for packet in made.demux(video=0):
            if packet.size:
                packet.stream = stream
                raw.mux(packet)
    data = (tmp_path / f"raw.{codec}").read_bytes()
    told = with_pixel_aspect(with_pixel_aspect(data, codec, Fraction(3)), codec, Fraction(16, 11))
    with av.open(io.BytesIO(told), "r", format=codec) as container:
        frame = next(container.decode(video=0))
        assert container.streams.video[0].codec_context.sample_aspect_ratio == Fraction(16, 11)
        assert letters(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)) == "RGBW"


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        (Fraction(2), (320, 96)),
        (Fraction(1, 2), (160, 192)),
        (Fraction(12, 11), (175, 96)),
        (Fraction(1, 1000), (160, 96)),
        (Fraction(1000), (160, 96)),
    ],
)
def test_pixels_are_made_square_by_stretching_unless_nobody_can_mean_it(
    aspect: Fraction, size: tuple[int, int]
) -> None:
    assert Presentation(pixel_aspect=aspect).shown_size(160, 96) == size
    assert Presentation(90, pixel_aspect=aspect).shown_size(160, 96) == size[::-1]


def test_no_picture_is_stretched_beyond_what_could_be_decoded() -> None:
    assert Presentation(pixel_aspect=Fraction(9)).shown_size(8192, 8192) == (8192, 8192)
