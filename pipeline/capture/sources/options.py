"""What FFmpeg is told when a stream or file is opened."""

from __future__ import annotations

from pipeline.config.root import Capture

MOST_PIXELS = 8192 * 8192
"""No picture may be larger, whatever a stream says of itself."""


def options(settings: Capture, scheme: str, *, live: bool, thorough: bool) -> dict[str, str]:
    """The options for an address with this scheme, or for a file where it is empty.

    `thorough` takes longer over learning the format, for cameras that do not describe it.
    """
    # Also for the decoder that learns the format, which would make room for pictures of any size.
    limits = {"max_pixels": str(MOST_PIXELS)}
    if not scheme:
        return limits
    # A net under Patience, in microseconds: longer than any wait that is allowed.
    longest = str(round(1e6 * (settings.open_timeout + max(settings.start_timeout, settings.read_timeout))))
    options = limits | {"timeout": longest, "rw_timeout": longest}
    if live:
        options["analyzeduration"] = "1000000"
    # No nobuffer: it throws away what was read while probing, which is the keyframe many cameras start with.
    if scheme.startswith("rtsp"):
        udp = settings.transport == "udp"
        # FFmpeg tells of lost packets only where it queues; without loss the queue delays nothing.
        options |= {
            "rtsp_transport": settings.transport,
            "allowed_media_types": "video",
            "probesize": "1000000" if thorough else "32768",
            "analyzeduration": "2000000" if thorough else "100000",
            "fpsprobesize": "0",
            "max_delay": "100000" if udp else "0",
            "reorder_queue_size": "64" if udp else "8",
            "buffer_size": "1048576",
        }
    if scheme.startswith("rtmp"):
        options |= {"rtmp_live": "live", "rtmp_buffer": "100"}
    return options
