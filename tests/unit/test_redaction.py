"""Neither an address nor anything that quotes it shows a secret."""

from __future__ import annotations

import base64
import html
import json
import logging
import re
from urllib.parse import quote

import pytest

from pipeline import redaction
from pipeline.cli.status_line import lines
from pipeline.stats.camera import State
from pipeline.stats.registry import Stats


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins and ends without secrets in mind."""
    monkeypatch.setattr(redaction, "_patterns", set())
    monkeypatch.setattr(redaction, "_known", None)


REDACTED = [
    ("rtsp://u:pw@h:554/x", "rtsp://***@h:554/x"),
    ("rtsp://token@h/x", "rtsp://***@h/x"),
    ("rtsp://u:p@:/%#w@h/x", "rtsp://***@h/x"),
    ("rtsp://h/x?user=u&pw=p", "rtsp://h/x?***"),
    ("rtsp://host/path?user=a&password=p@ss", "rtsp://host/path?***"),
    ("rtsp://h:554/x?user=a&password=p@s@s", "rtsp://h:554/x?***"),
    ("rtsp://[::1]:554/x?a=b?c@d", "rtsp://[::1]:554/x?***"),
    ("rtsp://h/user=u_password=p@ss_channel=1.sdp", "rtsp://h/user=u_password=***"),
    ("rtsp://u:p?w@h/x", "rtsp://***@h/x"),
    ("rtsp://u:p?w=x@h/x", "rtsp://***@h/x"),
    ("rtsp://u:12?34@h/x", "rtsp://***@h/x"),
    ("rtsp://u:p@ss@h/x?a=b", "rtsp://***@h/x?***"),
    ("rtsp://u:pw@h/x?user=a&password=p@ss", "rtsp://***"),
    ("fault:stall=3@4:rtsp://h/x?password=p@ss", "fault:stall=3@4:rtsp://h/x?***"),
    ("rtsp://h/user=u_password=pw_channel=1.sdp", "rtsp://h/user=u_password=***"),
    ("rtsp://u:pw", "rtsp://***"),
    ("rtsp://u:pw/x", "rtsp://***"),
    ("rtsp://[::1]:554/x", "rtsp://[::1]:554/x"),
    ("rtsp://h:554", "rtsp://h:554"),
    ("rtsp:/u:pw@h/x", "***@h/x"),
    ("//u:pw@h/x", "***@h/x"),
    ("u:pw@h", "***@h"),
    ("fault:stall=3@4/9:rtsp://u:pw@h/x", "fault:stall=3@4/9:rtsp://***@h/x"),
    ("fault:stall=3@4:demo", "fault:stall=3@4:demo"),
    ("fault:stall=3@4rtsp://u:pw@h/x", "fault:stall=3@4rtsp:***@h/x"),
    ("clips/a@b.mp4", "clips/a@b.mp4"),
    ("/data/12:30/a@b.mp4", "/data/12:30/a@b.mp4"),
    (r"C:\clips\a@b.mp4", r"C:\clips\a@b.mp4"),
    ("demo", "demo"),
]


@pytest.mark.parametrize(("text", "shown"), REDACTED)
def test_an_address_is_shown_without_its_secrets(text: str, shown: str) -> None:
    assert redaction.redacted(text) == shown


PASSWORD = "P@s:/s %#&'\"<é"


def spellings() -> list[str]:
    encoded = quote(PASSWORD, safe="")
    small = "".join(part.lower() if index % 2 else part for index, part in enumerate(_cut(encoded)))
    login = f"viewer:{PASSWORD}".encode()
    found = [PASSWORD, encoded, small, quote(PASSWORD), quote(encoded, safe=""), PASSWORD.replace("@", "%40")]
    found += [json.dumps(PASSWORD)[1:-1], json.dumps(PASSWORD, ensure_ascii=False)[1:-1], repr(PASSWORD)[1:-1]]
    found += [html.escape(PASSWORD), html.escape(PASSWORD).replace("&#x27;", "&#39;"), ascii(PASSWORD)[1:-1]]
    found += [base64.b64encode(login).decode(), base64.urlsafe_b64encode(login).decode().rstrip("=")]
    return [*found, base64.b64encode(PASSWORD.encode()).decode()]


def _cut(encoded: str) -> list[str]:
    """The text in pieces, every second of them a percent code."""
    return re.split(r"(%[0-9A-F]{2})", encoded)


@pytest.mark.parametrize(
    "given", [PASSWORD, quote(PASSWORD, safe=""), PASSWORD.replace("%", "%25").replace("@", "%40")]
)
@pytest.mark.parametrize("spelling", spellings())
def test_a_remembered_password_is_masked_however_it_is_spelled(given: str, spelling: str) -> None:
    redaction.remember(f"rtsp://viewer:{given}@camera/live")
    assert redaction.scrub(f"before {spelling} after") == "before *** after"


def test_a_short_password_is_masked_in_addresses_and_quotes_but_not_in_words() -> None:
    redaction.remember("rtsp://cam:ab@host/live")
    text = "about rtsp://cam:ab@host/live, 'ab' and cab of ab Y2FtOmFi"
    assert redaction.scrub(text) == "about rtsp://***@host/live, '***' and cab of ab ***"


def test_logins_that_nobody_mentioned_are_masked_too() -> None:
    text = "http://a:b@h/x, Authorization: Basic Zm9v\nauthorization: Digest username=u, response=1 ?password=x&y=1"
    masked = "http://***@h/x, Authorization: Basic ***\nauthorization: Digest ***"
    assert redaction.scrub(text) == masked
    assert redaction.scrub("x?password=abc&y=1") == "x?password=***&y=1"
    assert redaction.scrub("see http://h?password=p@ss, please") == "see http://h?password=*** please"


QUERIES = [
    ("rtsp://h/x?user=a&password=p@ssword", "p@ssword", "p%40ssword"),
    ("rtsp://u:hunter2@h/x?password=p@ssword", "hunter2", "p@ssword"),
    ("rtsp://u:hunter@2?x=y@h/x", "hunter@2?x=y", "hunter%402%3Fx=y"),
]


@pytest.mark.parametrize(("given", "first", "second"), QUERIES)
def test_an_at_sign_in_a_query_may_belong_to_a_value_or_to_the_login(given: str, first: str, second: str) -> None:
    redaction.remember(given)
    assert redaction.scrub(f"{first} and {second}.") == "*** and ***."


def test_secrets_without_an_address_and_in_queries_are_remembered() -> None:
    redaction.conceal("hunter2")
    redaction.remember("http://h/x?token=shortone&resolution=1920x1080&session=0123456789abcdefXYZ")
    assert redaction.scrub("hunter2 shortone 1920x1080 0123456789abcdefXYZ") == "*** *** 1920x1080 ***"


def test_a_picture_size_or_port_is_no_secret() -> None:
    redaction.remember("rtsp://camera:554/1920x1080")
    redaction.remember("street@night.mp4")
    assert redaction.scrub("554 1920x1080 street@night.mp4") == "554 1920x1080 street@night.mp4"


TEMPLATES = [
    ("rtsp://viewer:hunter2@h/x?channel=1", "rtsp://viewer:${CAMERA_PASSWORD}@h/x?channel=1"),
    ("rtsp://hunter2@h/x", "rtsp://${CAMERA_PASSWORD}@h/x"),
    ("http://h/x?user=a&password=hunter2&c=1", "http://h/x?user=a&password=${CAMERA_PASSWORD}&c=1"),
    ("fault:stall=1@2:rtsp://viewer:hunter2@h/x", "rtsp://viewer:${CAMERA_PASSWORD}@h/x"),
    ("rtsp://h/x?password=p@ssword", "rtsp://h/x?password=${CAMERA_PASSWORD}"),
    ("rtsp://u:hunter2@h/x?password=p@ssword", ""),
    ("rtsp://h/x?password=hunter?2@x", ""),
    ("rtsp://hunter2:hunter2@h/x", ""),
    ("rtsp://viewer:hunter2@h/hunter2", ""),
    ("street.mp4", "street.mp4"),
]


@pytest.mark.parametrize(("text", "template"), TEMPLATES)
def test_a_configuration_gets_a_variable_for_the_secret(text: str, template: str) -> None:
    redaction.remember(text)
    assert redaction.template(text) == template


def test_a_password_is_masked_in_both_alphabets_of_base64() -> None:
    password = "o>?~?>~~o"
    redaction.remember(f"rtsp://viewer:{quote(password, safe='')}@camera/live")
    for secret in (password, f"viewer:{password}"):
        plain, safe = (code(secret.encode()).decode() for code in (base64.b64encode, base64.urlsafe_b64encode))
        assert "+" in plain
        assert "/" in plain
        for spelling in (plain, safe, safe.rstrip("=")):
            assert redaction.scrub(f"before {spelling} after") == "before *** after"


def test_a_value_in_a_query_is_a_secret_from_sixteen_letters_on_and_a_login_from_four() -> None:
    redaction.remember("http://h/x?session=abcdefghijklmno&key=ABCDEFGHIJKLMNOP")
    assert redaction.scrub("abcdefghijklmno ABCDEFGHIJKLMNOP") == "abcdefghijklmno ***"
    redaction.remember("rtsp://viewer:q7zw@h/x")
    redaction.remember("rtsp://viewer:q8z@h/x")
    assert redaction.scrub("(q7zw) (q8z)") == "(***) (q8z)"


def test_what_looks_like_a_login_without_a_host_is_remembered() -> None:
    redaction.remember("rtsp://viewer:hunter3/live")
    assert redaction.scrub("it was hunter3.") == "it was ***."
    redaction.remember("rtsp://other:hunter4@camera:port/live")
    assert redaction.scrub("camera:port hunter4") == "camera:port ***"


HOSTILE = {
    "\x1b[31mred\x1b[0m": "red",
    "\x1b[2J\x1b[Hgone": "gone",
    "\x1b]0;title\x07shown": "shown",
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\": "link",
    "\x1b]52;c;aGk=": "",
    "\x1bPq#0\x1b\\after": "after",
    "\x1bcreset": "reset",
    "\x9b31mred": "red",
    "a\x1b": "a",
    "a\x08\x08b\x7f": "a??b?",
    "a\x00b": "a?b",
    "over\rwritten": "over?written",
    "turned\u202eabout\u2066": "turned?about?",
    "two\r\nlines\tand a tab": "two\nlines\tand a tab",
    "Haust\u00fcr \u5165\u53e3": "Haust\u00fcr \u5165\u53e3",
}


@pytest.mark.parametrize("text", HOSTILE)
def test_what_commands_a_terminal_is_taken_out_of_foreign_text(text: str) -> None:
    assert redaction.printable(text) == HOSTILE[text]
    assert redaction.scrub(text) == HOSTILE[text]
    assert "\n" not in redaction.one_line(text)


def test_no_log_record_carries_what_commands_a_terminal(caplog: pytest.LogCaptureFixture) -> None:
    redaction.guard_logs()
    logging.getLogger("stranger").warning("codec %s", "\x1b]0;x\x07h264\x1b[2J")
    assert caplog.messages == ["codec h264"]


def test_what_a_camera_says_is_one_clean_line_wherever_it_is_told() -> None:
    camera = Stats(["door"]).cameras["door"]
    camera.opened("h264\x1b[2J\n<4>forged 1x1", again=False)
    camera.changed(State.OFFLINE, "refused\x1b]0;x\x07\r\nwarning: forged")
    figures = camera.figures()
    told = [figures.source, figures.reason, str(camera.changes()[-1].reason), str(camera.summary()["source"])]
    told += [line.plain for line in lines([figures])]
    assert all(text.isprintable() for text in told), told
    assert figures.reason == "refused warning: forged"
