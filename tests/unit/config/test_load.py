"""What configurations mean: short forms, inheritance, the environment, overrides, and the files we ship."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel, SecretStr

from pipeline.config.cameras import Camera, Capture, Detect
from pipeline.config.json_schema import default_yaml, schema
from pipeline.config.load import load, parse
from pipeline.config.models import Infer, Model
from pipeline.config.overrides import Override
from pipeline.config.root import Config, Output
from pipeline.config.validation import PATTERNS
from pipeline.errors import ConfigError
from pipeline.outputs.events.settings import Events
from pipeline.outputs.record.settings import Record
from pipeline.outputs.stream.settings import Stream
from pipeline.outputs.video.settings import Video
from pipeline.outputs.window.settings import Window
from pipeline.web.settings import Web

FOLDER = Path(__file__).parents[3] / "config"
FILES = sorted(FOLDER.glob("*.yaml"))
VALIDATOR = Draft202012Validator(schema())


class Yaml12(yaml.SafeLoader):
    """YAML as editors read it: only true and false are truth values, and 12:30 is text."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]


for name, pattern, first in (
    ("null", r"~|null|", "~n"),
    ("bool", r"true|false", "tf"),
    ("int", r"[-+]?\d+|0o[0-7]+|0x[0-9a-f]+", "-+0123456789"),
    ("float", r"[-+]?(\.\d+|\d+(\.\d*)?)(e[-+]?\d+)?", "-+.0123456789"),
):
    letters = [*first, ""] if name == "null" else [*first]
    Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(f"^(?:{pattern})$"), letters)


def as_editors_read(text: str) -> Any:
    """What a validator in an editor is given; keys are text there."""
    return json.loads(json.dumps(yaml.load(text, Yaml12)))


GOOD: list[tuple[str, dict[str, Any]]] = [
    ("{}", {}),
    ("cameras: {a: demo}", {"cameras": {"a": Camera(source="demo")}}),
    ("cameras: {a: 0}", {"cameras": {"a": Camera(source="0")}}),
    ("cameras: {a: {source: 0}}", {"cameras": {"a": Camera(source="0")}}),
    ("cameras: {a: no}", {"cameras": {"a": Camera(source="no")}}),
    ("cameras: {a: 12:30}", {"cameras": {"a": Camera(source="12:30")}}),
    ("cameras: {no: demo, 'on': demo}", {"cameras": {"no": Camera(source="demo"), "on": Camera(source="demo")}}),
    ("cameras: {a: 'rtsp://u:p#/?@h/1'}", {"cameras": {"a": Camera(source="rtsp://u:p#/?@h/1")}}),
    ("cameras: {a: '$${HOME}'}", {"cameras": {"a": Camera(source="${HOME}")}}),
    ("capture:", {}),
    ("capture: {open_timeout: 1e1}", {"capture": Capture(open_timeout=10)}),
    ("capture: {width: 0x280, height: 0o17}", {"capture": Capture(width=640, height=15)}),
    ("capture: {fourcc: ''}", {"capture": Capture(fourcc="")}),
    ("detect: {labels: [no, 12:30, 'null']}", {"detect": Detect(labels=("no", "12:30", "null"))}),
    ("detect: {threshold: .5}", {}),
    ("detect: true", {}),
    ("detect: false", {"detect": Detect(enabled=False)}),
    ("cameras: {a: {source: 0, detect: false}}", {"cameras": {"a": Camera(source="0", detect=Detect(enabled=False))}}),
    ("model: person-detection-0200", {"model": Model(name="person-detection-0200")}),
    ("model: {name: a.xml, folder: ~}", {"model": Model(name="a.xml")}),
    (
        "infer: {properties: {A: 1, B: on, C: true, D: 1.5, E: '2'}}",
        {"infer": Infer(properties={"A": 1, "B": "on", "C": True, "D": 1.5, "E": "2"})},
    ),
    ("outputs:", {}),
    ("outputs: []", {"outputs": ()}),
    ("outputs: [window]", {"outputs": (Output(window=Window()),)}),
    ("outputs:\n- window:\n- web:", {"outputs": (Output(window=Window()), Output(web=Web()))}),
    ("outputs: [web: 9000]", {"outputs": (Output(web=Web(port=9000)),)}),
    ("outputs: [web: localhost:80]", {"outputs": (Output(web=Web(host="localhost", port=80)),)}),
    (
        "outputs: [web: {host: 0.0.0.0, token: sixteen-letters!}]",
        {"outputs": (Output(web=Web(host="0.0.0.0", token=SecretStr("sixteen-letters!"))),)},
    ),
    ("outputs: [web: '[::1]:80']", {"outputs": (Output(web=Web(host="::1", port=80)),)}),
    ("outputs: [web: {port: 80}]", {"outputs": (Output(web=Web(port=80)),)}),
    ("outputs: [video: 'out/{camera}.mp4']", {"outputs": (Output(video=Video(path="out/{camera}.mp4")),)}),
    ("outputs: [events: '-']", {"outputs": (Output(events=Events(path="-")),)}),
]


@pytest.mark.parametrize(("text", "expected"), GOOD, ids=[each[0] for each in GOOD])
def test_each_form_means_what_it_says(text: str, expected: dict[str, Any]) -> None:
    assert parse(text) == Config(**expected)


@pytest.mark.parametrize("text", [each[0] for each in GOOD])
def test_editors_accept_each_form(text: str) -> None:
    VALIDATOR.validate(as_editors_read(text))


def test_a_camera_starts_from_the_sections_at_the_top_and_overrides_them_key_by_key() -> None:
    config = parse("""
cameras:
  a: demo
  b: {source: demo, capture: {loop: true}, detect: }
  c: {source: demo, overlay: {scale: 2}}
capture: {transport: udp}
detect: {threshold: 0.7}
""")
    assert config.capture == Capture(transport="udp")
    assert config.cameras["a"].capture == Capture(transport="udp")
    assert config.cameras["b"].capture == Capture(transport="udp", loop=True)
    assert config.cameras["b"].detect == config.cameras["c"].detect == Detect(threshold=0.7)
    assert (config.cameras["a"].overlay.scale, config.cameras["c"].overlay.scale) == (1, 2)


def test_a_camera_may_be_left_out_of_detection_or_taken_in_again() -> None:
    text = "detect: {threshold: 0.7, enabled: %s}\ncameras: {a: demo, b: {source: demo, detect: %s}}"
    for top, own in (("true", "false"), ("false", "true")):
        cameras = parse(text % (top, own)).cameras
        assert [cameras[name].detect.enabled for name in "ab"] == [top == "true", own == "true"]
        assert cameras["b"].detect.threshold == 0.7


def test_values_come_from_the_environment_and_mean_what_they_would_mean_in_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOOKOUT_PASSWORD", "p@ss: {x} #1")
    monkeypatch.setenv("LOOKOUT_PORT", "9000")
    monkeypatch.setenv("LOOKOUT_LOOP", "true")
    config = parse("""
cameras: {a: "rtsp://u:${LOOKOUT_PASSWORD}@h", b: 'x${LOOKOUT_PORT}y${LOOKOUT_PORT}'}
capture:
  loop: ${LOOKOUT_LOOP}
outputs:
  - web: ${LOOKOUT_PORT}
""")
    assert config.cameras["a"].source == "rtsp://u:p@ss: {x} #1@h"
    assert config.cameras["b"].source == "x9000y9000"
    assert config.capture.loop is True
    assert config.outputs == (Output(web=Web(port=9000)),)


OVERRIDES = [
    ("detect.threshold=0.9", {"detect": Detect(threshold=0.9)}),
    ("detect=false", {"detect": Detect(enabled=False)}),
    ("model=b", {"model": Model(name="b")}),
    ("model.name=b", {"model": Model(name="b", precision="FP32")}),
    ("model.folder=", {}),
    ("outputs.web.port=1", {"outputs": (Output(web=Web(port=1, quality=50)),)}),
    ("outputs.0.web.port=1", {"outputs": (Output(web=Web(port=1, quality=50)),)}),
    ("outputs=[window]", {"outputs": (Output(window=Window()),)}),
    (
        "outputs.video.path=a.mp4",
        {"outputs": (Output(web=Web(port=80, quality=50)), Output(video=Video(path="a.mp4")))},
    ),
    ("infer.properties.A=1", {"infer": Infer(properties={"A": 1})}),
    ("cameras.b=0", {"cameras": {"a": Camera(source="demo"), "b": Camera(source="0")}}),
    ("cameras.a.detect.threshold=0.9", {"cameras": {"a": Camera(source="demo", detect=Detect(threshold=0.9))}}),
]


@pytest.mark.parametrize(("override", "changes"), OVERRIDES)
def test_an_override_replaces_one_key(override: str, changes: dict[str, Any]) -> None:
    text = "cameras: {a: demo}\nmodel: {name: a, precision: FP32}\noutputs: [web: {port: 80, quality: 50}]"
    expected = parse(text).model_copy(update=changes)
    if "detect" in changes:
        expected = expected.model_copy(update={"cameras": {"a": Camera(source="demo", detect=changes["detect"])}})
    assert parse(text, overrides=(override,)) == expected


def test_an_override_may_go_on_from_the_short_form_of_the_one_before() -> None:
    config = load(
        None, (Override("--web 0.0.0.0:80", ("outputs", "web"), "0.0.0.0:80"), f"outputs.web.token={'x' * 16}")
    )
    assert config.outputs == (Output(web=Web(host="0.0.0.0", port=80, token=SecretStr("x" * 16))),)


def test_without_a_file_there_are_still_overrides() -> None:
    assert load(None) == Config()
    assert load(None, ("cameras.a=0",)).cameras == {"a": Camera(source="0")}
    assert parse("", overrides=("stop_timeout=3",)) == Config(stop_timeout=3)


def test_default_yaml_lists_every_key_with_its_default() -> None:
    text = (FOLDER / "default.yaml").read_text()
    assert text == default_yaml(), "write it anew: from pipeline.config.json_schema import default_yaml"
    assert parse(text) == Config()
    known = {key for model in _sections(Config) for key in model.model_fields}
    assert not [key for key in known if f"{key}:" not in text]
    shown = "\n".join(line[2:] for line in text.partition("outputs: null")[2].splitlines() if line.startswith("#   "))
    outputs = parse(f"outputs:\n{shown}").outputs
    assert outputs is not None
    assert outputs[0] == Output(window=Window())
    assert outputs[1] == Output(web=Web())


def _sections(section: type[BaseModel]) -> list[type[BaseModel]]:
    named = (type(value) for _, value in Config() if isinstance(value, BaseModel))
    return [section, Camera, Output, Record, Stream, *named]


def test_every_key_is_described_in_one_sentence() -> None:
    undescribed = [
        f"{name}.{key}"
        for name, section in [("Config", schema()), *schema()["$defs"].items()]
        for key, each in section.get("properties", {}).items()
        if not each.get("description", "").endswith(".")
    ]
    assert undescribed == []


def test_every_pattern_is_said_in_words() -> None:
    patterned = {key for section in _sections(Config) for key, field in section.model_fields.items() if _pattern(field)}
    assert patterned == set(PATTERNS) - {"cameras"}


def _pattern(field: Any) -> bool:
    return any(getattr(each, "pattern", None) for each in field.metadata)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_file_we_ship_is_good(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMERA_PASSWORD", "shibboleth")
    monkeypatch.setenv("LOOKOUT_TOKEN", "sixteen-letters!")
    load(file)
    VALIDATOR.validate(as_editors_read(file.read_text()))


def test_the_smallest_file_has_three_lines() -> None:
    assert len((FOLDER / "minimal.yaml").read_text().splitlines()) == 3


TYPOS = [
    "camera: {a: demo}",
    "cameras: {a: {sorce: demo}}",
    "cameras: {}",
    "cameras: {a b: demo}",
    "capture: {transport: tpc}",
    "capture: {open_timeout: 0}",
    "capture: {loop: 1}",
    "capture: {width: '640'}",
    "detect: {threshold: 1}",
    "detect: {labels: person}",
    "detect: no",
    "cameras: {a: {source: demo, detect: 0.6}}",
    "infer: {device: GPU 1}",
    "outputs: window",
    "outputs: [windw]",
    "outputs: [web: localhost]",
    "outputs: [web: 99999]",
    "outputs: [video: ]",
    "outputs: [{window: , web: }]",
]


@pytest.mark.parametrize("text", TYPOS)
def test_editors_and_lookout_refuse_the_same(text: str) -> None:
    assert not VALIDATOR.is_valid(as_editors_read(text))
    with pytest.raises(ConfigError):
        parse(text)


def test_editors_accept_the_environment_where_lookout_does() -> None:
    text = "capture: {loop: '${A}', width: '${B}', pace: '${C}'}\noutputs: [web: '${D}', web: {port: '${E}'}]"
    VALIDATOR.validate(as_editors_read(f"detect: '${{F}}'\n{text}"))


def test_no_damage_to_a_file_leads_to_anything_but_a_good_error() -> None:
    chance = random.Random(7)
    alphabet = "{}[]:,#&*!|>'\"%@`~-?\n\t ${}=abc019.\\\x07\u2028é"
    texts = [file.read_text() for file in FILES if file.name != "default.yaml"] + [each[0] for each in GOOD]
    lines = []
    for _ in range(3000):
        text = chance.choice(texts)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice(alphabet) * chance.randint(0, 2) + text[at + chance.randint(0, 3) :]
        try:
            parse(text, "s.yaml")
        except ConfigError as error:
            lines += str(error).split("\n")
    assert len(lines) > 1000
    assert [line for line in lines if not line.startswith(("s.yaml:", "and ")) or not line.isprintable()] == []


def kinds(text: str, *overrides: Override | str) -> list[str]:
    """The outputs of a configuration after overrides."""
    found = parse(text, "s.yaml", overrides).outputs
    return [output.kind for output in found or ()]


def test_an_output_can_be_taken_away_also_from_those_that_nobody_named() -> None:
    camera = "cameras: {a: demo}\n"
    no_web = Override("--no-web", ("outputs", "web"), None)
    assert kinds(camera + "outputs: [window, web: 8080, events: e.jsonl]", no_web) == ["window", "events"]
    assert kinds(camera, no_web) == ["window"]
    assert kinds(camera + "outputs:", no_web) == ["window"]
    assert kinds(camera + "outputs: [window]", no_web) == ["window"]
    gone = parse(camera + "detect: {threshold: 0.9}", "s.yaml", (Override("--plain", ("detect",), None),))
    assert gone == parse(camera)
    assert parse(camera, "s.yaml", (Override("--plain", ("detect",), None),)) == gone


def test_an_output_is_addressed_by_its_number_or_its_kind_and_added_where_there_is_none() -> None:
    text = "cameras: {a: demo}\noutputs: [web: 8080, events: e.jsonl]"
    found = parse(text, "s.yaml", ("outputs.0.web.port=80", "outputs.events.path=f.jsonl", "outputs.video.path=v.mp4"))
    assert found.outputs is not None
    web, events, video = found.outputs
    assert web.web is not None
    assert web.web.port == 80
    assert events.events == Events(path="f.jsonl")
    assert video.video == Video(path="v.mp4")
    assert kinds(text, "outputs.1=window") == ["web", "window"]
    for wrong in ("outputs.2=window", "outputs.2.web.port=1"):
        with pytest.raises(ConfigError, match=re.escape("no such entry; the list has 2, counted from 0")):
            parse(text, "s.yaml", (wrong,))


def test_an_option_may_hold_for_cameras_that_say_otherwise() -> None:
    text = "cameras: {a: {source: demo, detect: {threshold: 0.9, labels: [person]}}, b: demo}"
    for everywhere, thresholds in ((True, [0.3, 0.3]), (False, [0.9, 0.3])):
        option = Override("--threshold 0.3", ("detect", "threshold"), "0.3", everywhere=everywhere)
        cameras = parse(text, "s.yaml", (option,)).cameras
        assert [camera.detect.threshold for camera in cameras.values()] == thresholds
        assert cameras["a"].detect.labels == ("person",)
