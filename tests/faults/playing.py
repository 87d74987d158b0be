"""Faults that come while a camera plays: a row each."""

from __future__ import annotations

from tests.faults.oracle import Verdict
from tests.faults.rig import (
    FPS,
    Case,
    RemoteRig,
    at_once,
    both,
    every_tenth_second,
    first_only,
    from_a_keyframe,
    killed,
    narrow,
    off,
    put,
    random_slices,
    some_lost,
    suspended,
    upright,
    with_gaps,
    without_keyframes,
)

SOON = (0.0, 1.0)
STALL = (1.5, 3.5)
"""Seconds until the absence of pictures is told: not in a gap of a second, and soon."""
CALM = "connecting live"
CUT = r"connecting live (corrupt )?(offline:(ended|refused) retrying )+live"
"""Where the cut is in the midst of a picture, what came of it is damaged."""
SILENCE = r"connecting live stalled:timed-out retrying (offline:[\w-]+ retrying )*live"
CORRUPT = r"connecting live corrupt(:[\w-]+)? ((stalled|offline|late|corrupt)(:[\w-]+)? |retrying |live )*live"
OPENED = 5.0
"""Seconds that a lonely picture may wait while a stream is opened."""
LATE = r"connecting live (late(:late)? (retrying |live |stalled:timed-out |offline:[\w-]+ )*)+live"
ANY = float("inf")

CASES = (
    Case("03-cut", at_once(lambda rig: rig.server.cut()), Verdict(CUT, SOON, 3), 0),
    Case("03-reset", at_once(lambda rig: rig.proxy.reset()), Verdict(CUT, SOON, 3), 0, True),
    Case("03-half-closed", at_once(lambda rig: rig.proxy.half_close()), Verdict(CUT, SOON, 3), 0, True),
    Case("03-off-for-3-s", off, Verdict(CUT, SOON, 3), 3),
    Case("03-off-for-7-s", off, Verdict(CUT, SOON, 6), 7),
    Case("03-killed-for-3-s", killed, Verdict(CUT, SOON, 4, ANY), 3, rig=RemoteRig),
    Case("04-suspended", suspended, Verdict(SILENCE, STALL, 6, ANY), rig=RemoteRig),
    Case(
        "02-password-changed",
        both(put("server.password", "other"), at_once(lambda rig: rig.server.cut())),
        Verdict("connecting live offline:ended retrying offline:unauthorized", SOON),
        10,
        tries=4,
    ),
    Case(
        "03-goodbye",
        at_once(lambda rig: rig.server.bye()),
        Verdict(r"connecting live (stalled:timed-out|offline:ended) retrying live", (0, 3.5), 6),
        0,
    ),
    Case("04-nothing-to-us", put("proxy.to_client.stalled", True), Verdict(SILENCE, STALL, 6), through=True),
    Case("04-nothing-from-us", put("proxy.to_server.stalled", True), Verdict(CALM, None, 1), through=True),
    Case(
        "04-nothing-either-way",
        both(put("proxy.to_client.stalled", True), put("proxy.to_server.stalled", True)),
        Verdict(SILENCE, STALL, 6),
        through=True,
    ),
    Case("04-reports-but-no-pictures", put("server.stalled", True), Verdict(SILENCE, STALL, 3)),
    Case(
        "04-sound-but-no-pictures",
        both(put("server.audio", True), put("server.stalled", True)),
        Verdict(SILENCE, STALL, 3),
    ),
    Case("04-a-byte-a-second", put("proxy.to_client.rate", 1.0), Verdict(SILENCE, STALL, 6, 9), through=True),
    Case(
        "04-a-picture-in-ten-seconds",
        put("server.change", every_tenth_second),
        Verdict(
            r"connecting live (stalled:timed-out retrying (offline:timed-out retrying )*(live )?)+(live)?",
            None,
            3,
            OPENED,
        ),
        9,
    ),
    Case("04-gaps-of-a-second", from_a_keyframe(with_gaps), Verdict(CALM, None, 2)),
    Case("05-noise-in-the-slices", put("server.change", random_slices), Verdict(CORRUPT, (0, 3.5), 6)),
    Case("05-no-keyframes", put("server.change", without_keyframes), Verdict(CORRUPT, (0, 3.5), 6), after=6),
    Case("05-packets-lost", put("server.lost", some_lost), Verdict(CORRUPT, (0, 3.5), 6)),
    Case(
        "05-bytes-flipped",
        put("proxy.to_client.flipped", 2001),
        Verdict(r"connecting live ((corrupt|stalled|offline)(:[\w-]+)? |retrying |live )+live", (0, 5), 6),
        through=True,
    ),
    Case("06-turned", from_a_keyframe(upright), Verdict(CALM, None, 2, sizes=frozenset({(320, 240), (240, 320)}))),
    Case("07-an-hour-ahead", put("server.stamp", lambda ticks: ticks + 3600 * 90000), Verdict(CALM, None, 1)),
    Case("07-an-hour-back", put("server.stamp", lambda ticks: ticks - 3600 * 90000), Verdict(CALM, None, 1)),
    Case(
        "07-same-time-twice", put("server.stamp", lambda ticks: ticks - ticks % (180000 // FPS)), Verdict(CALM, None, 1)
    ),
    Case("07-times-stand-still", put("server.stamp", lambda ticks: 0), Verdict(CALM, None, 1)),
    Case(
        "09-frozen",
        from_a_keyframe(first_only),
        Verdict(r"connecting live frozen(:[\w-]+)? live", (3.0, 5.0), 2, ANY),
        8,
        capture={"frozen_after": 4.0},
    ),
    Case("09-still-but-not-for-long", from_a_keyframe(first_only), Verdict(CALM, None, 1, ANY), 6),
    Case(
        "10-half-the-room-it-needs",
        narrow,
        Verdict(LATE, (3, 9), 6, 12),
        13,
        True,
    ),
    Case(
        "10-more-than-a-second-later",
        put("proxy.to_client.delay", 1.6),
        Verdict(LATE, (3, 7), 6, 4),
        9,
        True,
    ),
    Case("10-half-a-second-later", put("proxy.to_client.delay", 0.5), Verdict(CALM, None, 1), through=True),
    Case("10-bursts-of-a-second", put("server.held", True), Verdict(CALM, None, 1, 1.5), 1),
)
