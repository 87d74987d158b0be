"""The verdict on a measurement, in plain words that name the setting to change."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pipeline.doctor.diagnosis import diagnose
from pipeline.doctor.probe import Measurement
from pipeline.doctor.rtsp_describe import RtspDescription
from pipeline.doctor.timing import StreamTiming
from pipeline.doctor.v4l2 import Mode
from pipeline.stats.histogram import Spread

CAMERA = "rtsp://viewer:secret7@camera/live"
GOOD = Measurement(
    "network",
    measured=20.0,
    open=0.2,
    first_picture=0.5,
    transport="tcp",
    transports={"tcp": "works", "udp": "works"},
    said=RtspDescription("rtsp", 200, parameter_sets=True),
    negotiated="h264 1280x720 over tcp",
    codec="h264",
    profile="Main",
    level="3.1",
    width=1280,
    height=720,
    pixel_format="yuv420p",
    declared_fps=25.0,
    rhythm=StreamTiming(
        pictures=500,
        seconds=19.0,
        fps=25.0,
        interval=0.04,
        longest_gap=0.05,
        keyframes=20,
        keyframe_every=1.0,
        keyframe_pictures=25,
        drift_ppm=20.0,
        drift_error_ppm=80.0,
        lag=0.01,
        largest_lag=0.05,
        bitrate=2e6,
    ),
    decode=Spread(500, 4.0, 4.0, 6.0, 7.0, 9.0),
    in_band=True,
)


def changed(base: Measurement = GOOD, **parts: Any) -> Measurement:
    """A measurement with some parts changed, of the rhythm too."""
    known = {field.name for field in dataclasses.fields(StreamTiming)}
    rhythm = {name: parts.pop(name) for name in list(parts) if name in known}
    return dataclasses.replace(base, rhythm=dataclasses.replace(base.rhythm, **rhythm), **parts)


def test_a_good_camera_is_called_good() -> None:
    found = diagnose(CAMERA, GOOD)
    assert (found.verdict, found.findings, found.capture) == ("good", (), {})


GOP = "'I-frame interval' (also called 'GOP' or 'keyframe interval')"
NETWORK = "use a cable in the place of Wi-Fi, or set a lower 'Bitrate' or 'Resolution' in the camera"
WARNINGS: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    (
        {"keyframe_every": 4.0, "keyframe_pictures": 100},
        f"the camera sends a keyframe each 4 s: set {GOP} to the frame rate, 25, so that pictures come back within 1 s "
        "after a loss",
        {},
    ),
    (
        {"keyframes": 1, "keyframe_every": None},
        f"the camera sent one keyframe in 20 s: set {GOP} to the frame rate, 25, so that pictures come back within 1 s "
        "after a loss, and switch 'Smart codec', 'H.264+' or 'Zipstream dynamic GOP' off",
        {},
    ),
    (
        {"b_frames": 200, "reorder": 2},
        "the camera sends B-frames, which delay every picture by 80 ms: set 'B-frames' to 0, or 'Profile' to Baseline",
        {},
    ),
    (
        {"fps": 12.0},
        "the camera declares 25 pictures a second but sends 12.0: see its 'Frame rate', and 'Slow shutter' or "
        "'Exposure', which lower it in the dark",
        {},
    ),
    (
        {"pauses": 1, "not_made": 1, "longest_gap": 2.5},
        "once the camera recorded nothing for up to 2.5 s, or it was lost: see whether it restarts, and switch "
        "'Smart codec' and motion-dependent frame rates off",
        {},
    ),
    (
        {"pauses": 3, "longest_gap": 1.5, "largest_lag": 1.5},
        f"3 times no picture came for up to 1.5 s although the camera had recorded: {NETWORK}",
        {},
    ),
    ({"largest_lag": 0.8}, f"pictures came up to 0.8 s late: {NETWORK}", {}),
    (
        {"lag": 1.9, "largest_lag": 1.9, "drift_ppm": 90000.0},
        "pictures come later and later, 1.9 s in 19 s: the way here is too slow for the stream of 2.0 Mbit/s: "
        + NETWORK,
        {},
    ),
    ({"jumps": 2}, "2 times the camera's clock leapt: set its time server ('NTP') to one it can reach", {}),
    (
        {"decode": Spread(500, 30.0, 30.0, 35.0, 36.0, 40.0)},
        "unpacking a picture takes 30 ms of the 40 ms there are: use the camera's second stream ('sub-stream'), or set "
        "a lower 'Resolution', or H.264 in the place of H.265",
        {},
    ),
    ({"still": 19.0}, "the picture did not change at all for 19 s: it may be frozen", {}),
    (
        {"transport": "udp", "transports": {"tcp": "unsupported", "udp": "works"}},
        "the camera sends over UDP only (TCP: unsupported): set capture.transport to udp, as below",
        {"transport": "udp"},
    ),
    (
        {"transport": "udp", "errors": {"lost packets": 9}, "corrupt": 4},
        "pictures were damaged on their way over UDP (9 lost packets): use capture.transport tcp",
        {"transport": "tcp"},
    ),
    ({"errors": {"damaged pictures": 3}, "corrupt": 3}, f"pictures came damaged (3 damaged pictures): {NETWORK}", {}),
    (
        {"errors": {"missing parameter sets": 3}},
        "the camera leaves parameter sets out: switch 'Smart codec' or 'H.264+' off, or restart it "
        "(3 missing parameter sets)",
        {},
    ),
    (
        {"first_picture": 6.0},
        f"the first picture took 6.0 s: set {GOP} to the frame rate, 25, so that pictures come back within 1 s",
        {},
    ),
    (
        {"error": "rtsp://***@camera/live: the stream ended", "measured": 7.0},
        "pictures ended after 7.0 s: the stream ended",
        {},
    ),
]


@pytest.mark.parametrize(("parts", "text", "capture"), WARNINGS, ids=lambda each: str(each)[:40])
def test_each_weakness_is_named_with_its_cure(parts: dict[str, Any], text: str, capture: dict[str, Any]) -> None:
    found = diagnose(CAMERA, changed(**parts))
    assert [(each.weight, each.text) for each in found.findings] == [("warns", text)]
    assert (found.verdict, found.capture) == ("works", capture)


NOTES: list[tuple[dict[str, Any], str]] = [
    ({"audio": ("AAC",)}, "sound is left out"),
    (
        {"load": 2.5},
        "this machine is busy, 2.5 programs for each core: pauses, delay and slow unpacking may be its own; ask again "
        "when it is idle",
    ),
    (
        {"transports": {"tcp": "works", "udp": "timed out"}},
        "it works over TCP only (UDP: timed out), which is the default",
    ),
    (
        {"said": RtspDescription("rtsp", 200)},
        "parameter sets come with the pictures only, so opening waits for a keyframe",
    ),
    (
        {"drift_ppm": -3000.0},
        "the camera's clock runs 0.3 % too fast; ages are counted from the arrival, so nothing shows wrong",
    ),
]


@pytest.mark.parametrize(("parts", "text"), NOTES, ids=lambda each: str(each)[:40])
def test_what_is_no_weakness_is_only_noted(parts: dict[str, Any], text: str) -> None:
    found = diagnose(CAMERA, changed(**parts))
    assert [(each.weight, each.text) for each in found.findings] == [("note", text)]
    assert found.verdict == "good"


@pytest.mark.parametrize("ppm", [800.0, 3000.0])
def test_a_drift_below_its_error_or_of_every_quartz_is_not_told(ppm: float) -> None:
    assert diagnose(CAMERA, changed(drift_ppm=ppm, drift_error_ppm=1600.0)).findings == ()


NOTHING = Measurement("network", transport="tcp")
FAILURES: list[tuple[str, dict[str, Any], str]] = [
    (
        "rtsp://camera/live",
        {"reason": "refused"},
        "nobody answers at port 554 of camera: is the camera on, and RTSP switched on in its network settings? "
        "Its port is usually 554",
    ),
    (
        "rtsp://camera:8554/live",
        {"reason": "timed out", "said": RtspDescription()},
        "camera does not answer: is the address right, the camera on, and no firewall between?",
    ),
    (
        "rtsp://camera:80/live",
        {"reason": "timed out", "said": RtspDescription("mute")},
        "port 80 of camera takes the connection but does not answer: restart the camera, and see that 80 is its RTSP "
        "port (usually 554)",
    ),
    (
        "rtsp://camera:80/live",
        {"reason": "unsupported", "said": RtspDescription("http", 400)},
        "port 80 of camera speaks HTTP, not RTSP: take the RTSP port of the camera, usually 554, or an address with "
        "http:// if its pictures are there",
    ),
    (
        "rtsp://camera:22/live",
        {"reason": "unsupported", "said": RtspDescription("other")},
        "port 22 of camera does not speak RTSP: take the RTSP port of the camera, usually 554",
    ),
    (
        "rtsp://camera/live",
        {"reason": "unauthorized", "said": RtspDescription("rtsp", 401)},
        "the camera wants user and password: write rtsp://USER:${CAMERA_PASSWORD}@HOST/PATH",
    ),
    (
        CAMERA,
        {"reason": "unauthorized", "said": RtspDescription("rtsp", 401)},
        "the camera refuses this user or password: some want a user of its own for RTSP (TP-Link Tapo calls it "
        "'Camera Account'); in a password write @ : / ? # % as %40 %3A %2F %3F %23 %25",
    ),
    (
        CAMERA,
        {"reason": "not found", "said": RtspDescription("rtsp", 404)},
        "the camera has no stream at /live: see its manual for the path; some: Axis /axis-media/media.amp, Dahua and "
        "Amcrest /cam/realmonitor?channel=1&subtype=0, Hikvision /Streaming/Channels/101, Reolink "
        "/h264Preview_01_main, TP-Link Tapo /stream1",
    ),
    (
        CAMERA,
        {"reason": "timed out", "said": RtspDescription("rtsp", 200, video=("H265",))},
        f"the camera describes a stream of H265 but sends no picture of it: set 'Video codec' to H.264 and {GOP} to "
        "the frame rate, restart the camera, and see that no firewall is between",
    ),
    (
        CAMERA,
        {"reason": "not found", "error": "rtsp://***@camera/live: no machine is called camera"},
        "no machine is called camera",
    ),
    (
        "rtsp://u:p@camera:port/live",
        {"reason": "unreadable"},
        "the address cannot be understood; write rtsp://USER:PASSWORD@HOST:PORT/PATH",
    ),
]


@pytest.mark.parametrize(("address", "parts", "text"), FAILURES, ids=lambda each: str(each)[:40])
def test_a_camera_without_pictures_is_explained(address: str, parts: dict[str, Any], text: str) -> None:
    found = diagnose(address, changed(NOTHING, **parts))
    assert [(each.weight, each.text) for each in found.findings] == [("fails", text)]
    assert found.verdict == "fails"


def test_a_stream_that_is_all_damaged_fails_and_gets_the_other_transport() -> None:
    parts = {"corrupt": 50, "errors": {"lost packets": 80}, "transports": {"udp": "damaged", "tcp": "works"}}
    found = diagnose(CAMERA, changed(NOTHING, transport="udp", **parts))
    texts = [each.text for each in found.findings]
    assert texts == [
        "every picture came damaged",
        "pictures were damaged on their way over UDP (80 lost packets): use capture.transport tcp",
    ]
    assert (found.verdict, found.capture) == ("fails", {"transport": "tcp"})


MODES = (
    Mode("YUYV", 640, 480, 30),
    Mode("YUYV", 1280, 720, 10),
    Mode("MJPG", 1280, 720, 30),
    Mode("MJPG", 1920, 1080, 30),
)


def webcam(**parts: Any) -> Measurement:
    base = Measurement("webcam", measured=20.0, open=0.2, first_picture=0.4, negotiated="YUYV 1280x720 at 10 fps")
    return changed(base, width=1280, height=720, modes=MODES, interval=0.1, fps=9.8, **parts)


def test_a_webcam_in_a_slow_mode_is_told_a_quick_one_of_its_own() -> None:
    found = diagnose("0", webcam())
    assert found.capture == {"fourcc": "MJPG", "width": 1280, "height": 720}
    assert (
        "as YUYV 1280x720 at 10 fps, but offers MJPG 1280x720 at 30: ask for that as below" in found.findings[-1].text
    )


def test_a_webcam_is_not_told_to_use_another_network() -> None:
    found = diagnose("0", dataclasses.replace(webcam(pauses=2, longest_gap=1.0), modes=()))
    assert [each.text.rpartition(": ")[2] for each in found.findings] == [
        "plug it straight into the computer, at a port of its own"
    ]


def test_of_a_file_only_damage_counts() -> None:
    file = changed(GOOD, kind="file", live=False, keyframe_every=9.0, b_frames=99, fps=5.0, transports={}, said=None)
    assert diagnose("street.mp4", file).verdict == "good"
    damaged = diagnose("street.mp4", dataclasses.replace(file, errors={"damaged pictures": 2}))
    assert [each.text for each in damaged.findings] == ["parts of it are damaged: 2 damaged pictures"]
