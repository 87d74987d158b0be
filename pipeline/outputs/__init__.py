"""The outputs of results, one package a kind; these names are for outputs of other distributions."""

from pipeline.config.outputs import OutputSettings

from .protocols import Output, OutputContext, View

__all__ = ["Output", "OutputContext", "OutputSettings", "View"]
