"""The decoder for what a model looks like: built in, or brought by another distribution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from pipeline import plugins

from .decoder import DecoderClass, Port
from .ssd import SsdDecoder

BUILT_IN: tuple[DecoderClass, ...] = (SsdDecoder,)
_NEEDED = ("expects", "matches")


def decoder_class(inputs: Sequence[Port], outputs: Sequence[Port]) -> DecoderClass | None:
    """Return the first that reads such a model: the built-in ones, then plug-ins by name; broken ones are passed by."""
    for each in BUILT_IN:
        if each.matches(inputs, outputs):
            return each
    return next((each for each in _plugged() if not isinstance(each, str) and each.matches(inputs, outputs)), None)


def expected() -> str:
    """Say what outputs can be read, and which plug-ins are broken."""
    plugged = list(_plugged())
    texts = [each.expects for each in (*BUILT_IN, *plugged) if not isinstance(each, str)]
    return "; ".join([" or ".join(texts), *(each for each in plugged if isinstance(each, str))])


def _plugged() -> Iterator[DecoderClass | str]:
    """Give every decoder of other distributions, or the line that says why it cannot be used."""
    for name in plugins.names(plugins.DECODERS):
        try:
            yield cast(DecoderClass, plugins.load(plugins.DECODERS, name, _NEEDED))
        except plugins.PluginError as error:
            yield str(error)
