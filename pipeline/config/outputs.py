"""The settings of an output, the register of all kinds of outputs, and the model of an entry of `outputs:`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import (
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    create_model,
    field_validator,
    model_validator,
)

from pipeline import plugins
from pipeline.errors import ConfigError

from .section import Section

BUILT_IN = "pipeline.runtime.built_in_outputs"
"""The module that makes the outputs known that the program comes with; named, because it stands on this one."""


class OutputSettings(Section):
    """The keys of one kind of output; the class attributes say how a configuration may write them."""

    kind: ClassVar[str]
    """The word under `outputs:` that asks for it, such as `video`."""
    summary: ClassVar[str] = ""
    """One sentence about the kind as an entry of `outputs:`; empty takes the docstring's."""
    text_key: ClassVar[str] = ""
    """The key that a text in the place of the block is for, as in `video: FILE`; empty where a text means nothing."""
    text_pattern: ClassVar[str] = ""
    """The pattern of such a text, for editors; empty where any will do."""
    short_form: ClassVar[str] = ""
    """A short form worth showing to people, such as `video: FILE`."""
    example: ClassVar[Mapping[str, Any]] = {}
    """Values for the keys that have no default, to show all keys with."""
    automatic: ClassVar[bool] = False
    """Whether it may be opened where no outputs are configured."""
    makes_hls_streams: ClassVar[bool] = False
    """Whether live streams for HLS players are kept for it."""

    @field_validator("*")
    @classmethod
    def _placeholders(cls, value: Any, about: ValidationInfo) -> Any:
        """Refuse {words} that stand for nothing; those that do are named where the key is described."""
        described = cls.model_fields[about.field_name or ""].description or ""
        known = re.findall(r"\{\w+\}", described)
        unknown = [each for each in re.findall(r"(?<!\$)\{[^{}]*\}", str(value)) if each not in known] if known else []
        if unknown:
            near = difflib.get_close_matches(unknown[0], known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(dict.fromkeys(known))}"
            raise ValueError(f"unknown placeholder {unknown[0][:40]}; {hint}")
        return value

    @classmethod
    def parts(cls, text: str) -> dict[str, str]:
        """Split a text in the place of the block into keys; raises ValueError with what it must be."""
        return {cls.text_key: text}

    @classmethod
    def check_among(cls, kinds: Sequence[str]) -> None:
        """Raise ValueError if it cannot stand among outputs of these kinds, of which at least one is its own."""

    @property
    def files_written(self) -> Mapping[str, str]:
        """The names of the files that it writes by their keys, {camera} and {time} in them."""
        return {}

    @property
    def files_read(self) -> Mapping[str, str]:
        """The names of the files that it needs by their keys."""
        return {}

    @property
    def prints(self) -> bool:
        """Whether it writes to standard output, so that nothing else may."""
        return False

    def alternative(self) -> OutputSettings | None:
        """Return what to try where these cannot be had and nobody asked for them; None for nothing."""
        return None


class OutputEntry(Section):
    """One place that results go to: exactly one of the keys."""

    if TYPE_CHECKING:
        # The keys are those of the kinds that are known, of which a type checker knows none.
        def __init__(self, **kinds: Any) -> None: ...

        def __getattr__(self, kind: str) -> Any: ...

    @property
    def kind(self) -> str:
        """The one key that is given."""
        return next(key for key in type(self).model_fields if getattr(self, key) is not None)

    @property
    def settings(self) -> OutputSettings:
        """The settings under that key."""
        settings: OutputSettings = getattr(self, self.kind)
        return settings

    @model_validator(mode="after")
    def _exactly_one(self) -> OutputEntry:
        if sum(getattr(self, key) is not None for key in type(self).model_fields) != 1:
            raise ValueError(f"must be exactly one of {', '.join(type(self).model_fields)}")
        return self


_settings: dict[str, type[OutputSettings]] = {}
_classes: dict[str, Any] = {}
_models: list[type[OutputEntry]] = []


def register(settings: type[OutputSettings], output: Any) -> None:
    """Make a kind of output known by its settings; `output` is its class, or where that is as `module:name`."""
    _settings[settings.kind] = settings
    _classes[settings.kind] = output


def kinds() -> tuple[str, ...]:
    """Return the words that may stand under `outputs:`, those of other distributions last."""
    return tuple(dict.fromkeys((*_settings, *_plugged())))


def knows(kind: str) -> bool:
    """Return whether a word may stand under `outputs:`; other distributions are asked only where it is none of ours."""
    return kind in _settings or kind in _plugged()


def registered() -> Iterator[type[OutputSettings]]:
    """Yield the settings of all kinds that are known by now, in the order in which they are listed."""
    yield from list(_settings.values())


def settings_of(kind: str) -> type[OutputSettings] | None:
    """Return the settings of a kind, or None if there is none.

    The other distributions are asked only for what is not known by now. Raises ConfigError, in one line, where the
    one that has it cannot be loaded.
    """
    if kind not in _settings and kind in _plugged():
        output = _loaded(kind)
        register(output.settings, output)
    return _settings.get(kind)


def load_all() -> None:
    """Make the outputs of all other distributions known, except those that cannot be loaded."""
    for kind in _plugged():
        try:
            settings_of(kind)
        except ConfigError:
            continue


def output_class(kind: str) -> Any:
    """Return the class of a known kind of output; it is imported only now."""
    output = _classes[kind]
    return resolve_name(output) if isinstance(output, str) else output


def output_model() -> type[OutputEntry]:
    """Return the model of an entry with all kinds that are known by now; each extends the one before."""
    known = set(_models[-1].model_fields) if _models else set()
    if not _models or known != set(_settings):
        base = _models[-1] if _models else OutputEntry
        fields: dict[str, Any] = {
            kind: (settings | None, Field(default=None, description=settings.summary or _sentence(settings)))
            for kind, settings in _settings.items()
            if kind not in known
        }
        _models.append(create_model("Output", __base__=base, __doc__=OutputEntry.__doc__, **fields))
    return _models[-1]


def checked_entry(data: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Validate an entry, with the model that knows its kind where that comes from another distribution."""
    if isinstance(data, dict):
        for key in data:
            try:
                settings_of(key)
            except ConfigError as error:
                raise ValueError(str(error)) from error
        model = output_model()
        if model is not _models[0] and data.keys() - _models[0].model_fields.keys():
            return model.model_validate(data)
    return handler(data)


@cache
def _plugged() -> tuple[str, ...]:
    """Return the words that other distributions have outputs for."""
    return tuple(plugins.names(plugins.OUTPUTS))


def _loaded(kind: str) -> Any:
    """Return the class that another distribution has for a word; raises ConfigError."""
    try:
        output = plugins.load(plugins.OUTPUTS, kind, ("settings",))
    except plugins.PluginError as error:
        raise ConfigError(str(error)) from error
    settings = output.settings
    if not isinstance(settings, type) or not issubclass(settings, OutputSettings):
        raise ConfigError(f"the output '{kind}' cannot be used: its `settings` are no OutputSettings")
    if getattr(settings, "kind", "") != kind:
        raise ConfigError(f"the output '{kind}' cannot be used: the `kind` of its settings must be '{kind}'")
    return output


def _sentence(settings: type[OutputSettings]) -> str:
    return (settings.__doc__ or "").strip().partition("\n")[0]
