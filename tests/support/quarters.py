"""Films of four coloured quarters, which show at a glance how they are turned: red and green above blue and white."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from pipeline.capture.decode.presentation_tracker import display_matrix
from pipeline.frames import AS_CODED, Image, Presentation
from pipeline.media.nal import PICTURES, joined, unit_type, units
from pipeline.media.presentation import to_matrix

ORIENTATIONS = {
    "RGBW": Presentation(),
    "GRWB": Presentation(0, True),
    "WBGR": Presentation(180),
    "BWRG": Presentation(180, True),
    "RBGW": Presentation(90, True),
    "BRWG": Presentation(270),
    "WGBR": Presentation(270, True),
    "GWRB": Presentation(90),
}
"""All eight ways to show the film, in the order of EXIF 1 to 8: the quarters in reading order, and the way."""

_COLOURS = {"R": (0, 0, 255), "G": (0, 255, 0), "B": (255, 0, 0), "W": (255, 255, 255)}


def quarters(width: int = 160, height: int = 96) -> Image:
    """The picture, in BGR."""
    picture = np.empty((height, width, 3), np.uint8)
    for place, letter in enumerate("RGBW"):
        row, column = divmod(place, 2)
        picture[row * height // 2 : (row + 1) * height // 2, column * width // 2 : (column + 1) * width // 2] = (
            _COLOURS[letter]
        )
    return picture


def letters(picture: Image) -> str:
    """The quarters of a picture in reading order."""
    height, width = picture.shape[:2]
    found = ""
    for y in (height // 4, 3 * height // 4):
        for x in (width // 4, 3 * width // 4):
            near = {each: np.abs(picture[y, x].astype(int) - colour).max() for each, colour in _COLOURS.items()}
            best = min(near, key=lambda each: near[each])
            found += best if near[best] < 64 else "?"
    return found


def film(
    path: Path,
    presentation: Presentation = AS_CODED,
    count: int = 6,
    *,
    encoder: str = "libx264",
    size: tuple[int, int] = (160, 96),
    keyframe_every: int = 3,
    pixel_format: str = "yuv420p",
) -> Path:
    """Write a film whose container asks to be shown so; its pictures themselves say nothing of it."""
    plain = io.BytesIO()
    options = {"preset": "ultrafast", "bf": "0", "g": str(keyframe_every), "x265-params": "log-level=none"}
    with av.open(plain, "w", format="mp4") as encoded:
        pictures = encoded.add_stream(encoder, rate=10, options=options if encoder != "mjpeg" else {})
        assert isinstance(pictures, av.VideoStream)
        pictures.width, pictures.height, pictures.pix_fmt = *size, pixel_format
        for _ in range(count):
            encoded.mux(pictures.encode(av.VideoFrame.from_ndarray(quarters(*size), format="bgr24")))
        encoded.mux(pictures.encode(None))
    plain.seek(0)
    with av.open(plain, "r") as given, av.open(str(path), "w") as made:
        model = given.streams.video[0]
        stream = made.add_stream_from_template(model, opaque=True)
        if presentation.turned:
            stream.set_display_matrix(to_matrix(presentation, *size))
        if presentation.pixel_aspect != 1:
            stream.sample_aspect_ratio = presentation.pixel_aspect
        for packet in given.demux(model):
            if packet.size:
                packet.stream = stream
                made.mux(packet)
    return path


def seen(path: Path) -> list[tuple[str, int, int]]:
    """Quarters, width and height of every picture as a player shows it that knows nothing of us."""
    found = []
    with av.open(str(path)) as container:
        aspect = container.streams.video[0].sample_aspect_ratio or Fraction(1)
        for frame in container.decode(video=0):
            matrix = display_matrix(frame) or (1, 0, 0, 0, 1)
            across, down, _, sideways, along = np.sign(matrix[:5]).tolist()
            pixels = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
            if not across:
                # Rows become columns; what is left is to be mirrored, upside down or both.
                pixels, across, along = pixels.transpose(1, 0, 2), sideways, down
            pixels = pixels[:: int(along), :: int(across)]
            wide = round(frame.width * max(aspect, Fraction(1)))
            tall = round(frame.height / min(aspect, Fraction(1)))
            found.append((letters(np.ascontiguousarray(pixels)), *((wide, tall) if sideways == 0 else (tall, wide))))
    return found


def with_messages(data: bytes, messages: list[bytes | None], codec: str = "h264") -> bytes:
    """A raw stream with an SEI unit in front of the pictures; None for a picture without one."""
    made, place, begun = [], 0, True
    for unit in units(data):
        if unit_type(unit, codec) in PICTURES[codec]:
            if begun and (message := messages[place % len(messages)]) is not None:
                made.append(message)
            place += 1
        made.append(unit)
    return joined(made)


def orientation_message(
    codec: str = "h264", *, cancel: bool = False, across: bool = False, down: bool = False, degrees: int = 0
) -> bytes:
    """An SEI unit that asks for a display orientation, behind another message in the same unit."""
    bits = f"{cancel:b}" + ("" if cancel else f"{across:b}{down:b}{round(degrees / 360 * 65536):016b}" + "0100")
    bits += "1" + "0" * (-len(bits + "1") % 8)
    payload = int(bits, 2).to_bytes(len(bits) // 8, "big")
    other = bytes([5, 18]) + bytes(range(1, 19))
    head = bytes([6]) if codec == "h264" else bytes([39 << 1, 1])
    escaped = (other + bytes([47, len(payload)]) + payload).replace(b"\0\0", b"\0\0\3")
    return head + escaped + b"\x80"
