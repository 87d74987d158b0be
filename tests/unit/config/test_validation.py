"""What is said about configurations that cannot be used: exact words, exact places."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic_core.core_schema import ErrorType

from pipeline.config.cameras import Capture
from pipeline.config.load import load, parse
from pipeline.config.outputs import load_all, output_model
from pipeline.config.overrides import Override
from pipeline.config.root import Config
from pipeline.config.validation import RULES, rule_of
from pipeline.errors import ConfigError

KNOWN = "cameras, capture, detect, overlay, model, infer, outputs, stop_timeout"
OPEN = "needs a token because host is not 127.0.0.1, localhost or ::1"
TOKEN = "put what `lookout token` prints into the environment, and set outputs.web.token to ${LOOKOUT_TOKEN}"
MUST_BE_ONE = "must be exactly one of window, web, video, events, record, stream, hls"
TAGS = "tags (!) are not supported; put text that starts with ! in quotes"
ALIASES = "aliases (*) are not supported; put text that starts with * in quotes"
ANCHORS = "anchors (&) are not supported; put text that starts with & in quotes"
COLON = "unexpected ':'; check the indentation, and put text that holds ': ' in quotes"
SERVED = "must have web beside hls, because the page's server hands it out; add `- web`"
VARIABLE = "must be ${NAME} of letters, digits and _; write $${ for a plain ${"

BAD = [
    # The document.
    ("", "1:1: is empty; name a camera, such as 'cameras: {door: rtsp://address}'"),
    ("# nothing\n", "1:1: is empty; name a camera, such as 'cameras: {door: rtsp://address}'"),
    ("- demo", "1:1: must be a block of 'key: value' lines"),
    ("demo", "1:1: must be a block of 'key: value' lines"),
    ("null", "1:1: must be a block of 'key: value' lines"),
    ("cameras: {a: demo}\n---\ncameras: {b: demo}", "2:1: only one document is read; leave out what follows"),
    ("cameras:\n\ta: demo", "2:1: must be indented with spaces, got a tab"),
    ("cameras:\n  a: demo\n b: demo", "3:2: does not line up with the lines above"),
    ("cameras: a: demo", f"1:11: {COLON}"),
    ("cameras:\n  a: demo\n  b", "3:3: must be 'key: value'"),
    (
        "cameras: {a: rtsp://u:${PASSWORD}@h}",
        "1:10: must be closed with }; inside it, put text that holds [ ] { } or , in quotes",
    ),
    ("detect: {labels: [person", "1:18: must be closed with ]; inside it, put text that holds [ ] { } or , in quotes"),
    ("cameras: {a: 'demo}", "1:14: must end with the quote it starts with"),
    ('cameras: {a: "C:\\door.mp4"}', "1:18: unknown escape after \\; use single quotes to keep \\ as it is"),
    ("cameras:\n  a: @home", "2:6: must be in quotes because it starts with @"),
    ("cameras:\n  a: %40", "2:6: must be in quotes because it starts with %"),
    ("cameras: {a: demo\0}", "1:18: must not hold the character U+0000"),
    ('cameras: {a: "x\\0"}', "1:14: cameras.a: must not hold the character U+0000"),
    ("%YAML 3.0\n---\na: b", "1:1: cannot be read as YAML: found incompatible YAML document (version 1.* is required)"),
    ("a: " + "[" * 30, "1:24: a.0.0: must have at most 20 levels"),
    ("? " * 30, "1:43: ?.?.?: must have at most 20 levels"),
    ("a: [" + "x," * 10_000 + "]", "1:20001: a.9998: must have at most 10000 values"),
    # What YAML offers and a configuration has no use for.
    ("cameras: &all {a: demo}", f"1:10: cameras: {ANCHORS}"),
    ("cameras: *all", f"1:10: cameras: {ALIASES}"),
    ("capture: {<<: {loop: true}}", "1:11: capture: merge keys (<<) are not supported"),
    ("cameras: !!python/object/apply:os.system [ls]", f"1:10: cameras: {TAGS}"),
    ("cameras: {a: !secret door}", f"1:14: cameras.a: {TAGS}"),
    ("cameras:\n  a: &secret$door demo", f"2:6: {ANCHORS}"),
    ("? [a, b]\n: demo", "1:3: a key must be one word"),
    ("stop_timeout: 1\nstop_timeout: 2", "2:1: stop_timeout: given twice, first at line 1"),
    ("cameras:\n  a: demo\n  a: 0", "3:3: cameras.a: given twice, first at line 2"),
    # Keys.
    ("camera: {a: demo}", "1:1: camera: unknown key; did you mean 'cameras'?"),
    ("Detect: {}", "1:1: Detect: unknown key; did you mean 'detect'?"),
    ("zebra: 1", f"1:1: zebra: unknown key; known here: {KNOWN}"),
    ("detect: {treshold: 0.5}", "1:10: detect.treshold: unknown key; did you mean 'threshold'?"),
    ("outputs: [web: {prot: 1}]", "1:17: outputs.0.web.prot: unknown key; did you mean 'port'?"),
    (
        "cameras:\n  a:\n    source: demo\n    infer: {device: CPU}",
        "4:5: cameras.a.infer: unknown key; known here: source, capture, detect, overlay",
    ),
    ("cameras:\n  a:\n    capture: {}", "2:3: cameras.a.source: missing"),
    ("outputs:\n  - video", "2:5: outputs.0.video.path: missing"),
    ("cameras: {a b: demo}", "1:11: cameras.a b: must be 1 to 64 letters, digits, _ or -, got 'a b'; write a-b"),
    # Blocks, lists and texts in each other's places.
    ("cameras:", "1:9: cameras: must be a block of 'name: address' lines, got nothing"),
    ("cameras: {}", "1:10: cameras: must name at least one camera"),
    (f"cameras: {{{', '.join(f'c{i}: demo' for i in range(257))}}}", "1:10: cameras: must have at most 256 entries"),
    ("cameras: [demo]", "1:10: cameras: must be a block of 'name: address' lines, got a list"),
    ("cameras: {a: [demo]}", "1:14: cameras.a: must be a block of keys, got a list"),
    ("capture: fast", "1:10: capture: must be a block of keys, got 'fast'"),
    ("model: [yolo]", "1:8: model: must be a block of keys, got a list"),
    ("detect: {threshold: {a: 1}}", "1:21: detect.threshold: must be a number, got a block of keys"),
    ("detect: {labels: person}", "1:18: detect.labels: must be a list, got 'person'; write [person]"),
    ("detect: {labels: [[person]]}", "1:19: detect.labels.0: must be text, got a list"),
    ("outputs: window", "1:10: outputs: must be a list, got 'window'; write [window]"),
    (
        "outputs: [stream: http://me:secret@server/live]",
        "1:19: outputs.0.stream.address: must be an rtsp://, rtsps://, rtmp:// or rtmps:// address, "
        "got 'http://***@server/live'",
    ),
    (
        "outputs: [windw]",
        "1:11: outputs.0: must be window, web, video, events, record, stream or hls, got 'windw'; "
        "did you mean 'window'?",
    ),
    ("outputs: [hls]", f"1:10: outputs: {SERVED}"),
    ("outputs: [window, hls: {boxes: no}]", f"1:10: outputs: {SERVED}"),
    ("outputs: [web, hls, hls]", "1:10: outputs: must have hls once only: all cameras are in it"),
    ("outputs: [web, hls: no]", "1:21: outputs.1.hls: must be a block of keys, got 'no'"),
    ("outputs: [web, hls: {boxes: beside}]", "1:29: outputs.1.hls.boxes: must be burnt or no, got 'beside'"),
    ("outputs: [{window: , web: }]", f"1:11: outputs.0: {MUST_BE_ONE}"),
    ("outputs: [{}]", f"1:11: outputs.0: {MUST_BE_ONE}"),
    ("infer: {properties: {A: [1]}}", "1:25: infer.properties.A: must be text, a number, true or false, got a list"),
    # Values.
    ("capture: {transport: tpc}", "1:22: capture.transport: must be tcp or udp, got 'tpc'; did you mean 'tcp'?"),
    ("capture: {pace: 9}", "1:17: capture.pace: must be auto, realtime or fast, got 9"),
    ("capture: {open_timeout: -1}", "1:25: capture.open_timeout: must be above 0, got -1"),
    ("capture: {open_timeout: 1e6}", "1:25: capture.open_timeout: must be at most 86400, got 1e6"),
    ("capture: {open_timeout: .inf}", "1:25: capture.open_timeout: must be a finite number, got .inf"),
    ("capture: {open_timeout: 5s}", "1:25: capture.open_timeout: must be a number, got '5s'"),
    ("capture: {open_timeout: 12:30}", "1:25: capture.open_timeout: must be a number, got '12:30'"),
    ("capture: {open_timeout: }", "1:24: capture.open_timeout: must be a number, got nothing"),
    ("capture: {width: -1}", "1:18: capture.width: must be at least 0, got -1"),
    ("capture: {width: 12.5}", "1:18: capture.width: must be a whole number, got 12.5"),
    ("capture: {width: 12:30}", "1:18: capture.width: must be a whole number, got '12:30'"),
    ("capture: {width: true}", "1:18: capture.width: must be a whole number, got true"),
    ("capture: {width: 0640}", "1:18: capture.width: must be a whole number, got '0640'; leave out the leading zeros"),
    ('capture: {width: "640"}', "1:18: capture.width: must be a whole number, got '640'; leave out the quotes"),
    ("capture: {width: 1_000}", "1:18: capture.width: must be a whole number, got '1_000'"),
    ("capture: {loop: yes}", "1:17: capture.loop: must be true or false, got 'yes'"),
    ("capture: {loop: 0}", "1:17: capture.loop: must be true or false, got 0"),
    ('capture: {loop: "true"}', "1:17: capture.loop: must be true or false, got 'true'; leave out the quotes"),
    ("capture: {fourcc: MJ}", "1:19: capture.fourcc: must be four letters, got 'MJ'"),
    ("detect: no", "1:9: detect.enabled: must be true or false, got 'no'"),
    ("detect: 0.6", "1:9: detect: must be a block of keys, got 0.6"),
    ("detect: {threshold: 3}", "1:21: detect.threshold: must be below 1, got 3"),
    ("detect: {threshold: .nan}", "1:21: detect.threshold: must be a finite number, got .nan"),
    ("detect:\n  threshold: 0,5", "2:14: detect.threshold: must be a number, got '0,5'; write 0.5"),
    ("overlay: {scale: 9}", "1:18: overlay.scale: must be at most 4, got 9"),
    ('model: ""', "1:8: model.name: must not be empty, got ''"),
    (
        "model: {precision: INT8}",
        "1:20: model.precision: must be FP16-INT8, FP16 or FP32, got 'INT8'; did you mean 'FP16-INT8'?",
    ),
    (
        "infer: {device: GPU 1}",
        "1:17: infer.device: must be a device such as CPU, GPU.1 or AUTO:GPU,CPU, got 'GPU 1'",
    ),
    ("outputs: [web: 99999]", "1:16: outputs.0.web.port: must be at most 65535, got 99999"),
    ("outputs: [web: 0.0.0.0:80]", f"1:16: outputs.0.web: {OPEN}; {TOKEN}"),
    ("outputs: [web: {names: [door.example]}]", f"1:16: outputs.0.web: needs a token because it has names; {TOKEN}"),
    ("outputs: [web: {key: a.pem}]", "1:16: outputs.0.web: needs a certificate because it has a key"),
    (
        "outputs: [web: {token: 'a b'}]",
        f"1:24: outputs.0.web.token: must be 16 to 256 letters and signs without spaces; {TOKEN}",
    ),
    ("outputs: [web: {token: [secret]}]", "1:24: outputs.0.web.token: must be text, got a list"),
    ("outputs: [web: localhost]", "1:16: outputs.0.web: must be PORT or HOST:PORT, got 'localhost'"),
    ("outputs: [video: {path: }]", "1:24: outputs.0.video.path: must be text, got nothing"),
    (
        f"cameras: {{a: {'x' * 5000}}}",
        f"1:14: cameras.a.source: must have at most 4096 characters, got '{'x' * 45}...'",
    ),
    # The environment.
    ("cameras:\n  a: rtsp://u:${LOOKOUT_UNSET}@h", "2:15: cameras.a: environment variable LOOKOUT_UNSET is not set"),
    ('cameras: {a: "${LOOKOUT UNSET}"}', f"1:14: cameras.a: {VARIABLE}"),
    ('cameras: {a: "${LOOKOUT_UNSET"}', f"1:14: cameras.a: {VARIABLE}"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=lambda each: each[:40])
def test_each_mistake_is_told_in_exactly_these_words(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "street.yaml")
    assert str(caught.value) == f"street.yaml:{message}"


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = """\
cameras:
  door: rtsp://u:${LOOKOUT_UNSET}@h
  yard:
    sorce: 0
    detect: {threshold: 2}
capture:
  transport: tpc
capture:
  loop: true
outputs: [web: x]
"""
    with pytest.raises(ConfigError) as caught:
        parse(text, "s.yaml")
    assert str(caught.value).splitlines() == [
        "s.yaml:2:18: cameras.door: environment variable LOOKOUT_UNSET is not set",
        "s.yaml:3:3: cameras.yard.source: missing",
        "s.yaml:4:5: cameras.yard.sorce: unknown key; did you mean 'source'?",
        "s.yaml:5:25: cameras.yard.detect.threshold: must be below 1, got 2",
        "s.yaml:7:14: capture.transport: must be tcp or udp, got 'tpc'; did you mean 'tcp'?",
        "s.yaml:8:1: capture: given twice, first at line 6",
        "s.yaml:10:16: outputs.0.web: must be PORT or HOST:PORT, got 'x'",
    ]


def test_a_mistake_at_the_top_is_told_once_however_many_cameras_inherit_it() -> None:
    text = """\
cameras:
  a: demo
  b: {source: demo, capture: }
  c: {source: demo, capture: {loop: 3}}
  d: {source: demo, capture: 5}
capture: {width: big, x: 1}
detect: {labels: [[x]]}
"""
    with pytest.raises(ConfigError) as caught:
        parse(text, "s.yaml")
    assert str(caught.value).splitlines() == [
        "s.yaml:4:37: cameras.c.capture.loop: must be true or false, got 3",
        "s.yaml:5:30: cameras.d.capture: must be a block of keys, got 5",
        "s.yaml:6:18: capture.width: must be a whole number, got 'big'",
        f"s.yaml:6:23: capture.x: unknown key; known here: {', '.join(Capture.model_fields)}",
        "s.yaml:7:19: detect.labels.0: must be text, got a list",
    ]


def test_a_flood_of_mistakes_ends_after_fifty() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("\n".join(f"key{number}: 1" for number in range(80)), "s.yaml")
    lines = str(caught.value).splitlines()
    assert (len(lines), lines[-1]) == (51, "and 30 more")


def test_a_bomb_of_aliases_is_refused_where_it_starts() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 9)]
    with pytest.raises(ConfigError) as caught:
        parse("\n".join(lines), "s.yaml")
    assert f"s.yaml:1:5: a0: {ANCHORS}" in str(caught.value)
    assert f"s.yaml:2:10: a1.0: {ALIASES}" in str(caught.value)


SPOILT = [
    # Spaces and quotes of word processors.
    ("cameras:\n\u00a0\u00a0a: demo", "2:1: must be indented with spaces, got U+00A0, which only looks like one"),
    ("cameras:\n  a:\n  \u00a0source: demo", "3:3: must be indented with spaces, got U+00A0"),
    ("cameras:\n  a:\u00a0demo", "2:5: must be indented with spaces, got U+00A0"),
    ("outputs:\n  -\u2003web", "2:4: must be indented with spaces, got U+2003"),
    ("\u3000cameras: {a: demo}", "1:1: must be indented with spaces, got U+3000"),
    ("cameras:\n  a: demo\u00a0", "2:6: cameras.a: holds U+00A0 (no-break space) in the place of a space"),
    ("cameras:\n  a: “rtsp://h/1”", "2:6: cameras.a: begins with the quote U+201C (left double quotation mark)"),
    ("cameras:\n  a: „rtsp://h/1“", "2:6: cameras.a: begins with the quote U+201E"),
    ("cameras:\n  a: rtsp://h/1\u2019", "2:6: cameras.a: ends with the quote U+2019"),
    ("detect: {labels: [\u2018person\u2019]}", "1:19: detect.labels.0: begins with the quote U+2018"),
    # Words in braces that stand for nothing.
    (
        "outputs: [video: '{name}.mp4']",
        "1:18: outputs.0.video.path: unknown placeholder {name}; did you mean {camera}?",
    ),
    ("outputs: [video: '{Camera}.mp4']", "1:18: outputs.0.video.path: unknown placeholder {Camera}; did you mean"),
    ("outputs: [record: '{cam}-{time}.mp4']", "1:19: outputs.0.record.path: unknown placeholder {cam}; did you mean"),
    ("outputs: [events: '{time}.jsonl']", "1:19: outputs.0.events.path: unknown placeholder {time}; known here"),
    ("outputs: [stream: 'rtsp://h/{}']", "1:19: outputs.0.stream.address: unknown placeholder {}; known here"),
    # Variables.
    ("cameras: {a: 'rtsp://u:$CANARY@h/1'}", "1:14: cameras.a: write ${CANARY} for the environment variable CANARY"),
    ("model: $LOOKOUT_UNSET", "1:8: model: write ${LOOKOUT_UNSET} for the environment variable LOOKOUT_UNSET"),
    ("cameras: {a: 'rtsp://u:${LINES}@h/1'}", "1:14: cameras.a: environment variable LINES must be one line"),
    # Numbers that are none.
    ("capture: {width: 1e30}", "1:18: capture.width: must be a whole number of a sensible size, got 1e30"),
    ("capture: {width: 1e400}", "1:18: capture.width: must be a finite number, got 1e400"),
    ("infer: {requests: 99999999999999999999999999}", "1:19: infer.requests: must be at most 256, got 9999"),
    # Names.
    ("cameras: {Front Door: demo}", "1:11: cameras.Front Door: must be 1 to 64 letters, digits, _ or -, got"),
    ("cameras: {a/b: demo}", "1:11: cameras.a/b: must be 1 to 64 letters, digits, _ or -, got 'a/b'"),
    ("cameras: {☃: demo}", "1:11: cameras.☃: must be 1 to 64 letters, digits, _ or -, got '☃'"),
    (f"cameras: {{{'東' * 60}: demo}}", "1:11: cameras."),
    ("cameras: {door: demo, Door: demo}", "1:10: cameras: door and Door are one name to many disks"),
    ("cameras: {STRASSE: demo, straße: demo}", "1:10: cameras: STRASSE and straße are one name to many disks"),
    ("outputs: [web: {names: ['https://a.example:8443/x']}]", "1:24: outputs.0.web.names: must be names of machines"),
    ("outputs: [web: {names: ['a.example:80']}]", "1:24: outputs.0.web.names: must be names of machines alone"),
]


@pytest.mark.parametrize(("text", "message"), SPOILT)
def test_what_only_looks_right_is_told_in_one_line(text: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "secret")
    monkeypatch.setenv("LINES", "one\ntwo")
    with pytest.raises(ConfigError) as caught:
        parse(text, "s.yaml")
    assert str(caught.value).startswith(f"s.yaml:{message}")
    assert "\n" not in str(caught.value)


def test_what_people_call_cameras_is_a_name() -> None:
    names = ["Haustür", "東門", "Вход", "बरामदा", "café", "Entrée_2", "-"]
    assert [*parse("cameras:\n" + "".join(f"  {name}: demo\n" for name in names)).cameras] == names
    assert [*parse("cameras: {cafe\u0301: demo}").cameras] == ["café"]


@pytest.mark.parametrize("text", ["a.example", "192.168.1.5", "fd00::1", "xn--tr-xka.example", "türme.example"])
def test_names_of_machines_are_taken_as_they_are(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "0123456789abcdef")
    config = parse(f"cameras: {{a: demo}}\noutputs: [web: {{names: ['{text}'], token: '${{TOKEN}}'}}]")
    assert config.outputs is not None
    assert config.outputs[0].web.names == (text,)


def test_a_secret_that_comes_from_a_file_may_end_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "secret\r\n")
    assert parse("cameras: {a: 'rtsp://u:${CANARY}@h/1'}").cameras["a"].source == "rtsp://u:secret@h/1"


def test_a_variable_that_is_not_set_is_told_once_however_often_it_is_missed() -> None:
    cameras = "".join(f"  c{number}: rtsp://${{LOOKOUT_ONE}}:${{LOOKOUT_TWO}}@h/{number}\n" for number in range(6))
    with pytest.raises(ConfigError) as caught:
        parse(f"cameras:\n{cameras}", "s.yaml")
    assert str(caught.value).splitlines() == [
        "s.yaml:2:14: cameras.c0: environment variable LOOKOUT_ONE is not set, here and in 5 other places",
        "s.yaml:2:29: cameras.c0: environment variable LOOKOUT_TWO is not set, here and in 5 other places",
    ]


def test_a_file_whose_name_is_no_text_may_be_a_source_and_nothing_else() -> None:
    name = b"caf\xe9.mp4".decode(errors="surrogateescape")
    assert load(None, (Override("-i", ("cameras", "a"), {"source": name}),)).cameras["a"].source == name
    for key in ("model.name", "infer.device"):
        with pytest.raises(ConfigError, match=r"must be text in UTF-8"):
            load(None, (Override("-o", tuple(key.split(".")), name),))


KINDS = set(get_args(ErrorType))
OF_OTHER_TYPES = re.compile(
    "arguments_|bytes_|callable_|complex_|dataclass_|date_|datetime_|decimal_|enum|fraction_|frozen_|frozenset_|"
    "generator_|get_attribute|is_|iterable_|iteration_|json_|keyword|list_|mapping_|missing_|missing_sentinel|"
    "model_attributes|multiple_of|multiple_argument|needs_python|needs_|no_such|none_required|positional|recursion|set_|"
    "time_|timezone_|unexpected_|union_|url_|uuid_|assertion_|custom|default_factory|bool_parsing|float_parsing|"
    "counter_|deque_|ellipsis_|named_tuple_|ordered_dict_|string_not_ascii|string_sub_type|invalid_key|int_parsing|string_type|string_unicode|unset"
)
"""Kinds of errors of types that no key of ours has."""


def types_in(schema: Any) -> set[str]:
    """The names of all types in one of pydantic's inner schemas."""
    if isinstance(schema, dict):
        own = {schema["type"]} if isinstance(schema.get("type"), str) else set()
        return own.union(*(types_in(each) for each in schema.values()))
    return set().union(*map(types_in, schema)) if isinstance(schema, list | tuple) else set()


def test_every_kind_of_error_has_words() -> None:
    spoken = {*RULES, "extra_forbidden", "string_pattern_mismatch"}
    assert spoken <= KINDS
    assert {kind for kind in KINDS - spoken if not OF_OTHER_TYPES.match(kind)} == set()


def test_no_key_has_a_type_whose_errors_have_no_words() -> None:
    load_all()
    found = set().union(*(types_in(each.__pydantic_core_schema__) for each in (Config, output_model())))
    known = {
        *(
            "model",
            "model-fields",
            "model-field",
            "dict",
            "tuple",
            "str",
            "int",
            "float",
            "bool",
            "literal",
            "nullable",
        ),
        *("union", "default", "definitions", "definition-ref", "lax-or-strict", "json-or-python", "is-instance"),
        *("function-after", "function-before", "function-wrap", "function-plain", "chain"),
        # Not types of values, but of what stands beside them.
        *("no-info", "with-info", "general", "format", "model-ser", "to-string", "any"),
    }
    assert {each for each in found if not each.startswith(("function-", "serializer"))} - known == set()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_error_is_one_line_whoever_raises_it(kind: str) -> None:
    words = rule_of(kind, {"msg": "Something\nodd", **dict.fromkeys(CONTEXT, 1)})
    assert words
    assert "\n" not in words
    assert "{" not in words


CONTEXT = ("gt", "ge", "lt", "le", "min_length", "max_length", "expected", "error", "pattern", "actual_length")

OVERRIDES = [
    ("capture.transport=tpc", "capture.transport: must be tcp or udp, got 'tpc'; did you mean 'tcp'?"),
    ("detect.treshold=1", "detect.treshold: unknown key; did you mean 'threshold'?"),
    ("cameras.a.source.x=1", "cameras.a.source.x: cameras.a.source has no keys"),
    ("outputs.7.port=1", "outputs.7.port: no such entry; the list has 1, counted from 0"),
    ("outputs.web.port=x", "outputs.0.web.port: must be a whole number, got 'x'"),
    (
        "detect.labels=[a",
        "detect.labels: must be closed with ]; inside it, put text that holds [ ] { } or , in quotes",
    ),
    ("model.name=${LOOKOUT_UNSET}", "model.name: environment variable LOOKOUT_UNSET is not set"),
    ("threshold", "must be key.path=value"),
    ("a..b=1", "must be key.path=value"),
]


@pytest.mark.parametrize(("override", "message"), OVERRIDES)
def test_a_mistake_in_an_override_names_the_override(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse("cameras: {a: demo}\noutputs: [web]", "s.yaml", (override,))
    assert str(caught.value) == f"--set {override}: {message}"


SECRETS = [
    "cameras: {a: 'rtsp://admin:{secret}@h/1', b: {sorce: 1}}",
    "cameras: {'rtsp://admin:{secret}@h/1': x}",
    "cameras:\n  a: !{secret}@h x",
    "cameras:\n  a: &{secret}@h x",
    "cameras:\n  a: *{secret}",
    "cameras:\n  a: @{secret}",
    "capture: {transport: 'rtsp://admin:{secret}@h/1'}",
    "capture: {transport: 'see rtsp://admin:{secret}@h/1'}",
    "capture: {transport: 'admin:{secret}@h'}",
    "capture: {transport: 'http://h/?token={secret}'}",
    "capture: {width: '${CANARY}'}",
    "capture: {transport: '${CANARY}'}",
    "outputs: [web: '${CANARY}']",
    "outputs: [web: '${CANARY}:99999']",
    "detect: {labels: '${CANARY}'}",
    "outputs: ['${CANARY}']",
    "model: {precision: 'FP${CANARY}'}",
    "infer: {properties: {password: {secret}, A: []}}",
    "cameras: {a: demo}\n'admin:{secret}@h': 1",
    'cameras: {a: "rtsp://admin:{secret}@h/\\0"}',
]


@pytest.mark.parametrize("text", SECRETS)
def test_no_message_holds_a_secret(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "hunter2")
    with pytest.raises(ConfigError) as caught:
        parse(text.replace("{secret}", "hunter2"), "s.yaml")
    assert "hunter2" not in str(caught.value)


def test_no_message_about_an_override_holds_a_secret() -> None:
    for override in ("cameras.a=rtsp://u:hunter2@h/1", "cameras.rtsp://u:hunter2@h=1", "rtsp://u:hunter2@h"):
        with pytest.raises(ConfigError) as caught:
            parse("zebra: 1", "s.yaml", (override,))
        assert "hunter2" not in str(caught.value)


def test_a_file_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "street.yaml").write_text("cameras: {a: demo}")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "stret.yml")
    assert str(caught.value) == f"{tmp_path}/stret.yml: no such file; did you mean {tmp_path}/street.yaml?"
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "nowhere" / "x.yaml")
    assert str(caught.value) == f"{tmp_path}/nowhere/x.yaml: no such file"


FILES = [
    (b"cameras: {a: \xff\xfe}", ":1:14: must be saved as UTF-8, got the byte 0xff"),
    ("cameras: {a: demo}\nü: \xff".encode("latin-1"), ":2:1: must be saved as UTF-8, got the byte 0xfc"),
    ("cameras: {a: demo}".encode("utf-16"), ":1:1: must be saved as UTF-8, got UTF-16"),
    ("zebra: 1".encode("utf-8-sig"), f":1:1: zebra: unknown key; known here: {KNOWN}"),
    (
        b"zebra: 1\r\nstop_timeout: x\r\n",
        f":1:1: zebra: unknown key; known here: {KNOWN}\n{{file}}:2:15: stop_timeout: must be a number, got 'x'",
    ),
    (b"a" * (256 * 1024 + 1), ": must have at most 256 KiB"),
]


@pytest.mark.parametrize(("data", "message"), FILES, ids=range(len(FILES)))
def test_a_file_that_cannot_be_read_says_why(data: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert str(caught.value) == f"{file}{message}".replace("{file}", str(file))


def test_twenty_levels_and_no_more_are_read() -> None:
    for levels, message in ((20, "a: unknown key"), (21, "a.0.0: must have at most 20 levels")):
        with pytest.raises(ConfigError) as caught:
            parse("a: " + "[" * (levels - 1) + "x" + "]" * (levels - 1), "s.yaml")
        assert message in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert str(caught.value) == f"{tmp_path}: is a folder, not a configuration file"


def test_what_the_system_refuses_to_read_is_told_in_its_words() -> None:
    with pytest.raises(ConfigError) as caught:
        load("/proc/self/mem")
    assert str(caught.value) == "/proc/self/mem: cannot be read: Input/output error"
    with pytest.raises(ConfigError) as caught:
        load("a\0b.yaml")
    assert str(caught.value) == "a b.yaml: cannot be read: embedded null byte"
