"""Whatever stands in a configuration, it is read or refused in lines, and no secret is in them."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.config.load import of_values, parse
from pipeline.config.root import Config
from pipeline.errors import ConfigError

SECRET = "hunter2-canary"
KEYS = st.sampled_from(
    [
        *Config.model_fields,
        *(
            "source",
            "a",
            "web",
            "video",
            "events",
            "record",
            "stream",
            "hls",
            "window",
            "path",
            "port",
            "host",
            "token",
        ),
        *("names", "fps", "width", "threshold", "labels", "properties", "name", "device", "boxes", "seconds", "kind"),
    ]
)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            *(
                "demo",
                "0",
                "${A}",
                "${",
                "$$",
                "$HOME",
                "~/x",
                "1e999",
                "-.inf",
                "0x1F",
                "true",
                "null",
                "'",
                "{camera}",
            ),
            *("{time}", "{x}", "rtsp://u:p@h/x", "fault:stall:demo", "fault:", "8080", "::1:80", "\u00a0", "\ud800"),
        ]
    ),
)
LEAVES = st.one_of(
    TEXTS, st.integers(), st.integers(min_value=10**30), st.floats(), st.booleans(), st.none(), st.just(f"u:{SECRET}@h")
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | TEXTS, inner, max_size=5), max_leaves=12
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=6)


def judge(read: Any) -> None:
    """Hold what reading a configuration ends with to what may be relied on."""
    try:
        assert isinstance(read(), Config)
    except ConfigError as error:
        text = str(error)
        assert text.splitlines()
        assert all(line.strip() for line in text.splitlines())
        assert SECRET not in text
        assert len(text) < 50_000


@given(DOCUMENTS)
def test_any_mapping_is_a_configuration_or_refused(values: dict[str, Any]) -> None:
    judge(lambda: of_values(values))


@given(DOCUMENTS, st.booleans())
def test_any_document_is_a_configuration_or_refused(values: dict[str, Any], flow: bool) -> None:
    try:
        text = yaml.safe_dump(values, allow_unicode=True, default_flow_style=flow)
    except (yaml.YAMLError, UnicodeError):
        return
    judge(lambda: parse(text))


@given(
    st.text(max_size=200) | st.lists(KEYS | TEXTS | st.sampled_from([*":-[]{}, \n\t#&*!|>'\"%@`\u00a0"])).map("".join)
)
def test_any_text_is_a_configuration_or_refused(text: str) -> None:
    judge(lambda: parse(text))


@given(st.lists(KEYS | TEXTS, min_size=1, max_size=4), TEXTS)
@example(["\ud800"], "")
def test_any_override_is_taken_or_refused(path: list[str], value: str) -> None:
    judge(lambda: parse("cameras: {a: demo}\noutputs: [web, video: x.mp4]", "s.yaml", (f"{'.'.join(path)}={value}",)))
