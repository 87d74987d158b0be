"""Makes the clips that the benchmarks use: the drawn street as H.264."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

from pipeline.capture.sources.synthetic.source import Street


def street(path: Path, frames: int, fps: int = 30) -> Path:
    """Write that many frames of the drawn 1280x720 street, unless the file is there already."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name("part-" + path.name)
    drawn = Street()
    with av.open(str(part), "w") as container:
        stream = container.add_stream(
            "libx264", fps, options={"preset": "veryfast", "crf": "23", "tune": "zerolatency"}
        )
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.codec_context.gop_size = fps
        for seq in range(frames):
            frame = av.VideoFrame.from_ndarray(drawn.picture(seq), format="bgr24")
            frame.pts, frame.time_base = seq, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    part.rename(path)
    return path
