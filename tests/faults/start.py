"""Faults that a camera has from the start: a row each."""

from __future__ import annotations

from urllib.parse import quote

from tests.faults.oracle import Verdict
from tests.faults.rig import (
    SECRET,
    USER,
    Case,
    Fault,
    at_once,
    both,
    deaf,
    every_tenth_second,
    huge,
    off,
    put,
    without_keyframes,
)

OPENING = (4.5, 5.5)
"""Seconds in which an opening that gets no answer is given up."""
SOON = (0.0, 1.5)


def never(reason: str) -> str:
    """States of a camera that is tried again and again in vain."""
    return f"connecting (offline:{reason} retrying ?)+(offline:{reason})?"


def once(reason: str) -> str:
    """States of a camera that is not asked again, because cameras lock users out."""
    return f"connecting offline:{reason}"


def later(reason: str) -> str:
    """States of a camera that is there after some tries."""
    return f"connecting (offline:{reason} retrying )+live"


def refusal(verb: str, status: str) -> Fault:
    return put("server.status", {verb: status})


def silence(verb: str) -> Fault:
    return put("server.mute", {verb})


HEALED = 5.0

CASES = (
    Case("01-off", off, Verdict(later("refused"), SOON, 5), HEALED),
    Case("01-full", deaf, Verdict(later("timed-out"), OPENING, 8), 6),
    Case(
        "01-no-such-name",
        at_once(lambda rig: None),
        Verdict(never("(not-found|timed-out)"), (0, 5)),
        9,
        address=f"rtsp://{USER}:{quote(SECRET, safe='')}@no-such-camera.invalid/live",
    ),
    Case("01-hangs-up", put("server.greeting", b"\n"), Verdict(later(r"[\w-]+"), SOON, 5), HEALED),
    Case("01-no-rtsp", put("server.greeting", b"SSH-2.0-camera\r\n" * 9), Verdict(later(r"[\w-]+"), (0, 5), 8), 5),
    Case("02-wrong-password", put("server.password", "other"), Verdict(once("unauthorized"), SOON), 12, tries=2),
    Case("02-forbidden", refusal("DESCRIBE", "403 Forbidden"), Verdict(once("unauthorized"), SOON), 12, tries=1),
    Case("02-no-such-path", refusal("DESCRIBE", "404 Not Found"), Verdict(later("not-found"), SOON, 5), HEALED),
    Case("02-no-session", refusal("SETUP", "454 Session Not Found"), Verdict(later("unsupported"), SOON, 5), HEALED),
    Case("02-transport", refusal("SETUP", "461 Unsupported Transport"), Verdict(later("unsupported"), SOON, 5), HEALED),
    Case(
        "02-server-error", refusal("PLAY", "500 Internal Server Error"), Verdict(later("unreadable"), SOON, 5), HEALED
    ),
    Case("04-silent-at-options", silence("OPTIONS"), Verdict(later("timed-out"), OPENING, 8), 6),
    Case("04-silent-at-describe", silence("DESCRIBE"), Verdict(later("timed-out"), OPENING, 8), 6),
    Case("04-silent-at-setup", silence("SETUP"), Verdict(later("timed-out"), OPENING, 8), 6),
    Case("04-silent-at-play", silence("PLAY"), Verdict(later("timed-out"), OPENING, 8), 6),
    Case(
        "04-slow-at-every-verb",
        put("server.delay", dict.fromkeys(("OPTIONS", "DESCRIBE", "SETUP", "PLAY"), 1.6)),
        Verdict(later("timed-out"), OPENING, 8),
        6,
    ),
    Case("04-a-byte-a-second", put("proxy.to_client.rate", 1.0), Verdict(later("timed-out"), OPENING, 8), 6, True),
    Case("04-no-keyframe-yet", put("server.change", without_keyframes), Verdict("connecting live", None, 2), 6),
    Case("04-never-pictures", put("server.stalled", True), Verdict(never("timed-out"), OPENING), 9),
    Case(
        "04-a-picture-in-ten-seconds",
        put("server.change", every_tenth_second),
        Verdict(
            r"connecting (live|offline:timed-out)( (stalled:timed-out|offline:timed-out|retrying|live))*", oldest=5.0
        ),
        16,
    ),
    Case("05-no-parameter-sets", put("server.parameter_sets", False), Verdict("connecting live", None, 2), 4),
    Case("04-sound-only", put("server.media", ("audio",)), Verdict(later("unsupported"), (0, 5), 6), HEALED),
    Case(
        "04-sound-but-no-pictures",
        both(put("server.media", ("video", "audio")), put("server.audio", True), put("server.stalled", True)),
        Verdict(never("timed-out"), OPENING),
        9,
    ),
    Case("03-cut-in-mid-answer", put("proxy.to_client.left", 300), Verdict(later(r"[\w-]+"), (0, 5), 6), 5, True),
    Case("08-no-frame-rate", put("server.frame_rate", "0"), Verdict("connecting live", None, 2), 4),
    Case("08-absurd-frame-rate", put("server.frame_rate", "90000"), Verdict("connecting live", None, 2), 4),
    Case(
        "07-wraps",
        put("server.stamp", lambda ticks: ticks + 2**32 - 6 * 90000),
        Verdict("connecting live", None, 2),
        12,
    ),
    Case("07-no-times", put("server.stamp", lambda ticks: 0), Verdict("connecting live", None, 2), 9),
    Case("13-huge-pictures", huge, Verdict(never("unsupported"), (0, 5)), 9),
    Case("01-well", at_once(lambda rig: None), Verdict("connecting live", None, 2), 1),
)
