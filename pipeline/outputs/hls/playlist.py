"""The two texts that HLS players read: which stream there is, and what of it can be had now."""

from __future__ import annotations

from datetime import UTC

from pipeline.media.nal import codec_name

from .segmenter import MediaSegment, Segmenter

_VERSION = 9
_PEAK = 1.3
"""How far the bits of a second may rise above what was seen so far."""


def index(cutter: Segmenter) -> str:
    """The multivariant playlist: codec, size and rate of the one stream."""
    whole = [each for each in cutter.stretches if each.whole]
    peak = max(8 * each.size / max(each.seconds, 0.1) for each in whole)
    mean = sum(8 * each.size for each in whole) / max(sum(each.seconds for each in whole), 0.1)
    width, height = cutter.size
    attributes = f"BANDWIDTH={peak * _PEAK:.0f},AVERAGE-BANDWIDTH={mean:.0f}"
    attributes += f',CODECS="{codec_name(cutter.keyframe)}",RESOLUTION={width}x{height}'
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{_VERSION}", f"#EXT-X-STREAM-INF:{attributes}", "live.m3u8"]
    return "\n".join(lines) + "\n"


def live(cutter: Segmenter) -> str:
    """The media playlist: segments, and of the newest ones their parts too."""
    first, last = cutter.stretches[0], cutter.stretches[-1]
    target, part = cutter.target, cutter.part_target
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{_VERSION}",
        f"#EXT-X-TARGETDURATION:{target}",
        f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,HOLD-BACK={3 * target},PART-HOLD-BACK={3 * part:.5f}",
        f"#EXT-X-PART-INF:PART-TARGET={part:.5f}",
        f"#EXT-X-MEDIA-SEQUENCE:{first.number}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{first.chapter - first.breaks}",
    ]
    if all(each.parts[0].key for each in cutter.stretches if each.parts):
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    left = sum(each.seconds for each in cutter.stretches)
    head = None
    for each in cutter.stretches:
        left -= each.seconds
        if each.breaks:
            lines.append("#EXT-X-DISCONTINUITY")
        if each.head != head:
            head = each.head
            lines.append(f'#EXT-X-MAP:URI="head-{head}.mp4"')
        begins = each.begins.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{begins}")
        lines += _parts(each) if left < 3 * target else []
        if each.whole:
            lines += [f"#EXTINF:{each.seconds:.5f},", f"{each.number}.m4s"]
    if cutter.growing:
        lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{last.number}.{len(last.parts)}.m4s"')
    return "\n".join(lines) + "\n"


def _parts(stretch: MediaSegment) -> list[str]:
    return [
        f'#EXT-X-PART:DURATION={part.seconds:.5f},URI="{stretch.number}.{number}.m4s"'
        + (",INDEPENDENT=YES" if part.key else "")
        for number, part in enumerate(stretch.parts)
    ]
