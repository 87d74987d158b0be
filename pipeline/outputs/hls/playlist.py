"""The two playlists of HLS players: the multivariant one, and the media playlist of its stream."""

from __future__ import annotations

from datetime import UTC

from pipeline.media.nal import codec_name

from .segmenter import MediaSegment, Segmenter

_VERSION = 9
_PEAK_RATIO = 1.3
"""How far the bits of a second may rise above what was seen so far."""


def multivariant_playlist(segmenter: Segmenter) -> str:
    """Return the multivariant playlist: codec, size and rate of the one stream."""
    whole = [segment for segment in segmenter.segments if segment.whole]
    peak = max(8 * segment.size / max(segment.seconds, 0.1) for segment in whole)
    mean = sum(8 * segment.size for segment in whole) / max(sum(segment.seconds for segment in whole), 0.1)
    width, height = segmenter.size
    attributes = f"BANDWIDTH={peak * _PEAK_RATIO:.0f},AVERAGE-BANDWIDTH={mean:.0f}"
    attributes += f',CODECS="{codec_name(segmenter.keyframe)}",RESOLUTION={width}x{height}'
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{_VERSION}", f"#EXT-X-STREAM-INF:{attributes}", "live.m3u8"]
    return "\n".join(lines) + "\n"


def media_playlist(segmenter: Segmenter) -> str:
    """Return the media playlist: segments, and of the newest ones their parts too."""
    first, last = segmenter.segments[0], segmenter.segments[-1]
    target, part = segmenter.target, segmenter.part_target
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{_VERSION}",
        f"#EXT-X-TARGETDURATION:{target}",
        f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,HOLD-BACK={3 * target},PART-HOLD-BACK={3 * part:.5f}",
        f"#EXT-X-PART-INF:PART-TARGET={part:.5f}",
        f"#EXT-X-MEDIA-SEQUENCE:{first.number}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{first.discontinuity - first.discontinuous}",
    ]
    if all(segment.parts[0].key for segment in segmenter.segments if segment.parts):
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    left = sum(segment.seconds for segment in segmenter.segments)
    init = None
    for segment in segmenter.segments:
        left -= segment.seconds
        if segment.discontinuous:
            lines.append("#EXT-X-DISCONTINUITY")
        if segment.init != init:
            init = segment.init
            lines.append(f'#EXT-X-MAP:URI="head-{init}.mp4"')
        begins = segment.begins.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{begins}")
        lines += _parts(segment) if left < 3 * target else []
        if segment.whole:
            lines += [f"#EXTINF:{segment.seconds:.5f},", f"{segment.number}.m4s"]
    if segmenter.growing:
        lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{last.number}.{len(last.parts)}.m4s"')
    return "\n".join(lines) + "\n"


def _parts(segment: MediaSegment) -> list[str]:
    return [
        f'#EXT-X-PART:DURATION={part.seconds:.5f},URI="{segment.number}.{number}.m4s"'
        + (",INDEPENDENT=YES" if part.key else "")
        for number, part in enumerate(segment.parts)
    ]
