"""Whatever an address holds, it has one meaning, and its password is shown nowhere."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from pipeline.address import faults, parse
from pipeline.config.root import Config
from pipeline.config.sources import camera_names, is_source
from pipeline.redaction import redacted, remember, scrub, template

PIECES = st.sampled_from(
    [
        *":/@?#&;=%[]. ~-_+*",
        "rtsp://",
        "HTTP://",
        "file://",
        "fault:",
        "stall=1@2/9:",
        "password=",
        "h",
        "554",
        "//",
        ".mp4",
    ]
)
ADDRESSES = st.lists(PIECES | st.text(max_size=4), max_size=12).map("".join)
NAMES = st.text(min_size=1, max_size=20)


@given(ADDRESSES)
def test_any_address_has_a_meaning(address: str) -> None:
    assert parse.kind(address) in ("demo", "webcam", "network", "plugin", "file")
    assert parse.scheme(address) == parse.scheme(address).lower()
    assert parse.inner(parse.inner(address)) == parse.inner(address)
    assert "\n" not in parse.scheme(address)
    parse.login(address)
    parse.local_path(address)
    assert parse.connectable(parse.connectable(address)) == parse.connectable(address)
    assert isinstance(is_source(address), bool)
    with suppress(ValueError):
        faults.parse(address)


@given(ADDRESSES)
def test_any_address_can_be_shown(address: str) -> None:
    remember(address)
    assert isinstance(scrub(redacted(address)), str)
    assert isinstance(template(address), str)


@given(
    st.text(alphabet="abcXYZ0189:@/?#%&= ", min_size=8, max_size=16), st.sampled_from(["rtsp", "RTSP", "Http", "rtmps"])
)
def test_no_password_is_shown_whatever_it_holds(password: str, scheme: str) -> None:
    secret = f"Q{password}Q"
    address = f"{scheme}://user:{secret}@camera.example/live"
    assert secret not in redacted(address)
    assert secret not in redacted(f"fault:stall:{address}")
    remember(address)
    assert secret not in scrub(f"cannot open {address}")


@given(st.lists(ADDRESSES | NAMES, min_size=1, max_size=5))
def test_any_sources_have_names_that_a_configuration_takes(sources: list[str]) -> None:
    names = camera_names(sources)
    assert len(Config.model_validate({"cameras": dict.fromkeys(names, "demo")}).cameras) == len(sources)
