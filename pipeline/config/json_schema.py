"""The configuration described for editors (JSON Schema) and for people (config/default.yaml)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from .cameras import Camera
from .outputs import OutputSettings, load_all, output_model, registered
from .root import Config, Output

_VARIABLE = {
    "description": "A value from the environment.",
    "type": "string",
    "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}",
}
_ABOUT = ("description", "default")

_HEAD = """\
# Every key with its default; a configuration needs none but `cameras`.
# Durations are seconds. A relative path starts at the folder that Lookout is started in.
# ${NAME} takes a value from the environment; $${ is a plain ${.
"""


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a configuration file, short forms and `${NAME}` included."""
    load_all()
    described = Config.model_json_schema()
    sections = described["$defs"]
    outputs = output_model().model_json_schema()
    sections |= outputs.pop("$defs")
    sections["Output"] = outputs
    for section in (described, *sections.values()):
        section.pop("title")
        for key, each in section["properties"].items():
            # Where key and section are described in the same words, pydantic leaves out those of the key.
            each.setdefault("description", sections.get(each.get("$ref", "").rpartition("/")[2], {}).get("description"))
            section["properties"][key] = _lenient(each)
    source = sections["Camera"]["properties"]["source"]
    _allow(source, {"type": "integer", "minimum": 0})
    address = {key: each for key, each in source.items() if key != "description"}
    cameras = described["properties"]["cameras"]
    cameras["propertyNames"] = {"pattern": next(iter(cameras.pop("patternProperties")))}
    cameras["additionalProperties"] = {"anyOf": [address, {"$ref": "#/$defs/Camera"}]}
    _allow(described["properties"]["model"], {"type": "string", "minLength": 1})
    for section in (described, sections["Camera"]):
        _allow(section["properties"]["detect"], {"type": "boolean"}, {"$ref": "#/$defs/Variable"})
    outputs |= {"minProperties": 1, "maxProperties": 1}
    for settings in registered():
        _allow_short_forms(settings, outputs["properties"][settings.kind], sections)
    bare = [settings.kind for settings in registered() if not _required(settings)]
    array = described["properties"]["outputs"]["anyOf"][0]
    array["items"] = {"anyOf": [{"enum": bare}, array["items"]]}
    sections["Variable"] = dict(_VARIABLE)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Lookout"} | (
        described | {"description": "Cameras to watch, and how."}
    )


def _allow_short_forms(settings: type[OutputSettings], described: dict[str, Any], sections: dict[str, Any]) -> None:
    """Let a text stand in the place of an output's block, and nothing only where no key is required."""
    if _required(settings):
        described["anyOf"].remove({"type": "null"})
    if settings.text_key:
        properties = sections[described["anyOf"][0]["$ref"].rpartition("/")[2]]["properties"]
        value = properties[settings.text_key].get("anyOf", [{}])[0]
        numbers = [value] if value.get("type") in ("integer", "number") else []
        rule = {"pattern": settings.text_pattern} if settings.text_pattern else {"minLength": 1}
        _allow(described, *numbers, {"type": "string", **rule})


def _required(settings: type[OutputSettings]) -> bool:
    """Return whether any key has no default."""
    return any(field.is_required() for field in settings.model_fields.values())


def _lenient(described: dict[str, Any]) -> dict[str, Any]:
    """Return a key's schema that takes `${NAME}` too, and nothing at all for a section."""
    about = {key: described[key] for key in _ABOUT if key in described}
    if "$ref" in described or any("$ref" in each for each in described.get("anyOf", ())):
        about.pop("default", None)
    core = {key: each for key, each in described.items() if key not in (*_ABOUT, "title")}
    if "$ref" in core:
        return about | {"anyOf": [core, {"type": "null"}]}
    if core.get("type") in ("integer", "number", "boolean") or "enum" in core or "pattern" in core:
        return about | {"anyOf": [core, {"$ref": "#/$defs/Variable"}]}
    return about | core


def _allow(described: dict[str, Any], *more: dict[str, Any]) -> None:
    """Let a key's schema take other forms as well."""
    core = {key: described.pop(key) for key in list(described) if key not in _ABOUT}
    described["anyOf"] = [*core.pop("anyOf", [core] if core else []), *more]


def default_yaml() -> str:
    """Return the text of config/default.yaml: every key, its default, and what it is for."""
    blocks = [_HEAD]
    for key, value in Config():
        about = Config.model_fields[key].description
        if key == "cameras":
            blocks.append(f"cameras:  # {about}\n{_cameras(value)}")
        elif isinstance(value, BaseModel):
            blocks.append(f"{key}:  # {about}\n{_lines(value, '  ')}")
        elif key == "outputs":
            blocks.append(f"outputs: {_plain(value)}  # {about}\n{_outputs()}")
        else:
            blocks.append(f"{key}: {_plain(value)}  # {about}\n")
    return "\n".join(blocks)


def _cameras(cameras: dict[str, Camera]) -> str:
    text = ""
    for name, camera in cameras.items():
        about = Camera.model_fields["source"].description
        text += f"  {name}:\n    source: {camera.source}  # {about}\n"
    sections = [key for key in Camera.model_fields if key != "source"]
    return f"{text}    # {', '.join(sections)}: as below, for this camera alone\n"


def _outputs() -> str:
    *first, last = (f"`- {settings.short_form}`" for settings in _built_in() if settings.short_form)
    text = f"# Or any of these, each as often as you like; {', '.join(first)} and {last} are short forms:\n"
    for settings in _built_in():
        about = Output.model_fields[settings.kind].description
        text += f"#   - {settings.kind}:  # {about}\n{_lines(settings(**settings.example), '#       ')}"
    return text


def _built_in() -> Iterator[type[OutputSettings]]:
    """Yield the settings of the outputs that Lookout comes with."""
    return (settings for settings in registered() if settings.kind in Output.model_fields)


def _lines(section: BaseModel, indent: str) -> str:
    rows = {f"{key}: {_plain(value)}": type(section).model_fields[key].description for key, value in section}
    width = max(map(len, rows))
    return "".join(f"{indent}{row:{width}}  # {about}\n" for row, about in rows.items())


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if value is None:
        return "null"
    if isinstance(value, tuple | dict) and not value:
        return "[]" if isinstance(value, tuple) else "{}"
    return str(value)
