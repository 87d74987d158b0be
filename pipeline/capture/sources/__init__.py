"""The class of source for each address: a built-in one by what the address is, another distribution's by its scheme."""

from __future__ import annotations

from pipeline import plugins, redaction
from pipeline.address import parse as addresses
from pipeline.address.faults import parse
from pipeline.capture.source import SourceClass
from pipeline.errors import SourceError

from .ffmpeg import FfmpegSource
from .synthetic.source import DemoSource
from .webcam import WebcamSource

BUILT_IN: dict[addresses.Kind, SourceClass] = {
    "demo": DemoSource,
    "webcam": WebcamSource,
    "network": FfmpegSource,
    "file": FfmpegSource,
}
_NEEDED = ("gives_packets", "check", "from_address")


def source_class(address: str) -> SourceClass:
    """Return what reads an address, any faults in front of it aside.

    A scheme that nobody knows names a file. Raises SourceError where the plug-in for a scheme is broken.
    """
    _, real = parse(address)
    kind = addresses.kind(real)
    if kind != "plugin":
        return BUILT_IN[kind]
    try:
        plugged: SourceClass | None = plugins.load(plugins.SOURCES, addresses.scheme(real), _NEEDED)
    except plugins.PluginError as error:
        raise SourceError(f"{redaction.redacted(address)}: {error}", "unsupported") from error
    return plugged or BUILT_IN["file"]
