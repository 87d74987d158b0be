"""The meaning of a measured source for its owner: a verdict in plain words, and which of its settings to change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from pipeline.address.parse import inner, login
from pipeline.redaction import redacted

from .probe import Measurement

Weight = Literal["fails", "warns", "note"]

_MAX_KEYFRAME_INTERVAL_S = 2.1
"""Most seconds between keyframes: after a loss nothing can be shown before the next one."""
_STRANGE_DRIFT_PPM = 1000.0
_LATE_S = 1.0
_BUSY_RATIO = 1.5
_HELD_UP_S = 0.5
_GOP = "'I-frame interval' (also called 'GOP' or 'keyframe interval')"
_PATHS = (
    "Axis /axis-media/media.amp, Dahua and Amcrest /cam/realmonitor?channel=1&subtype=0, "
    "Hikvision /Streaming/Channels/101, Reolink /h264Preview_01_main, TP-Link Tapo /stream1"
)
_NETWORK = "use a cable in the place of Wi-Fi, or set a lower 'Bitrate' or 'Resolution' in the camera"
_USB = "plug it straight into the computer, at a port of its own"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth knowing; `fails` means no pictures, `warns` that they could be better."""

    weight: Weight
    text: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything found about one source."""

    findings: tuple[Finding, ...]
    capture: dict[str, str | int]
    """What to set in the section `capture`, as far as it differs from the defaults."""

    @property
    def verdict(self) -> Literal["good", "works", "fails"]:
        """The heaviest of the findings."""
        weights = {finding.weight for finding in self.findings}
        return "fails" if "fails" in weights else "works" if "warns" in weights else "good"


def diagnose(address: str, measured: Measurement) -> Diagnosis:
    """Judge a measurement of the source at an address."""
    capture: dict[str, str | int] = {}
    if measured.first_picture is None and measured.corrupt:
        findings = [each for each in _transport(measured, capture) if each.weight != "note"]
        return Diagnosis((Finding("fails", "every picture came damaged"), *findings), capture)
    if measured.first_picture is None:
        return Diagnosis((Finding("fails", _failure(address, measured)),), capture)
    findings = list(_in_general(address, measured))
    if measured.live:
        findings += [*_transport(measured, capture), *_keyframes(measured), *_pace(measured), *_clock(measured)]
    if measured.kind == "webcam":
        findings += _modes(measured, capture)
    return Diagnosis(tuple(findings), capture)


def _failure(address: str, measured: Measurement) -> str:
    """Say why there is no picture, and what to do."""
    plain = measured.error.removeprefix(f"{redacted(address)}: ") or "no picture came"
    if measured.kind != "network" or inner(address) != address:
        return plain
    try:
        parts = urlsplit(redacted(address))
        host, port = parts.hostname or "", parts.port or {"rtsp": 554, "rtsps": 322, "https": 443}.get(parts.scheme, 80)
    except ValueError:
        return "the address cannot be understood; write rtsp://USER:PASSWORD@HOST:PORT/PATH"
    answer = measured.said
    rtsp = parts.scheme.startswith("rtsp")
    if measured.reason == "refused":
        hint = (
            "is the camera on, and RTSP switched on in its network settings? Its port is usually 554" if rtsp else plain
        )
        return f"nobody answers at port {port} of {host}: {hint}"
    if answer is not None and answer.protocol == "http":
        return (
            f"port {port} of {host} speaks HTTP, not RTSP: take the RTSP port of the camera, usually 554, "
            "or an address with http:// if its pictures are there"
        )
    if answer is not None and answer.protocol == "other":
        return f"port {port} of {host} does not speak RTSP: take the RTSP port of the camera, usually 554"
    if measured.reason == "unauthorized":
        return _unauthorized(address)
    if measured.reason == "not found" and answer is not None and answer.status == 404:
        return f"the camera has no stream at {parts.path or '/'}: see its manual for the path; some: {_PATHS}"
    if measured.reason == "timed out" and answer is not None and answer.protocol == "rtsp" and answer.status == 200:
        codecs = f" of {', '.join(filter(None, answer.video))}" if any(answer.video) else ""
        return (
            f"the camera describes a stream{codecs} but sends no picture of it: set 'Video codec' to H.264 and {_GOP} "
            "to the frame rate, restart the camera, and see that no firewall is between"
        )
    if measured.reason == "timed out" and answer is not None and answer.protocol == "mute":
        text = f"port {port} of {host} takes the connection but does not answer"
        return f"{text}: restart the camera, and see that {port} is its RTSP port (usually 554)"
    if measured.reason == "timed out":
        return f"{host} does not answer: is the address right, the camera on, and no firewall between?"
    return plain


def _unauthorized(address: str) -> str:
    if not any(login(address)):
        return "the camera wants user and password: write rtsp://USER:${CAMERA_PASSWORD}@HOST/PATH"
    return (
        "the camera refuses this user or password: some want a user of its own for RTSP (TP-Link Tapo calls it "
        "'Camera Account'); in a password write @ : / ? # % as %40 %3A %2F %3F %23 %25"
    )


def _in_general(address: str, measured: Measurement) -> Iterator[Finding]:
    if measured.error and measured.live:
        after = f"after {measured.measured:.1f} s"
        yield Finding("warns", f"pictures ended {after}: {measured.error.removeprefix(f'{redacted(address)}: ')}")
    elif measured.error:
        yield Finding("fails", measured.error)
    limit = measured.rhythm.interval or 0.0
    share = (0.5 if measured.live else 1.0) * 1000 * limit
    if measured.kind != "demo" and limit and measured.decode.p50 > share:
        yield Finding(
            "warns",
            f"unpacking a picture takes {measured.decode.p50:.0f} ms of the {1000 * limit:.0f} ms there are: use the "
            "camera's second stream ('sub-stream'), or set a lower 'Resolution', or H.264 in the place of H.265",
        )
    if measured.still >= 5 and measured.still > 0.8 * measured.measured:
        yield Finding("warns", f"the picture did not change at all for {measured.still:.0f} s: it may be frozen")
    if not measured.live and (measured.corrupt or measured.errors):
        yield Finding("warns", f"parts of it are damaged: {_list(measured)}")
    if measured.live and (measured.load or 0) > _BUSY_RATIO:
        text = f"this machine is busy, {measured.load:.1f} programs for each core"
        yield Finding("note", f"{text}: pauses, delay and slow unpacking may be its own; ask again when it is idle")
    if measured.audio:
        yield Finding("note", "sound is left out")


def _transport(measured: Measurement, capture: dict[str, str | int]) -> Iterator[Finding]:
    tcp, udp = measured.transports.get("tcp", ""), measured.transports.get("udp", "")
    if tcp not in ("", "works", "damaged"):
        capture["transport"] = "udp"
        yield Finding("warns", f"the camera sends over UDP only (TCP: {tcp}): set capture.transport to udp, as below")
    elif udp not in ("", "works", "damaged"):
        yield Finding("note", f"it works over TCP only (UDP: {udp}), which is the default")
    if not measured.errors and not measured.corrupt:
        return
    if measured.transport == "udp" and tcp == "works":
        capture["transport"] = "tcp"
        yield Finding(
            "warns", f"pictures were damaged on their way over UDP ({_list(measured)}): use capture.transport tcp"
        )
    elif "missing parameter sets" in measured.errors:
        text = "the camera leaves parameter sets out: switch 'Smart codec' or 'H.264+' off, or restart it"
        yield Finding("warns", f"{text} ({_list(measured)})")
    else:
        yield Finding("warns", f"pictures came damaged ({_list(measured)}): {_cure(measured)}")


def _keyframes(measured: Measurement) -> Iterator[Finding]:
    rhythm = measured.rhythm
    pace = round(1 / rhythm.interval) if rhythm.interval else 25
    compressed = bool(measured.codec) and rhythm.keyframes < rhythm.pictures
    cure = f"set {_GOP} to the frame rate, {pace}, so that pictures come back within 1 s"
    if compressed and rhythm.keyframe_every is None and measured.measured > 2 * _MAX_KEYFRAME_INTERVAL_S:
        yield Finding(
            "warns",
            f"the camera sent {'one' if rhythm.keyframes else 'no'} keyframe in {measured.measured:.0f} s: {cure} "
            "after a loss, and switch 'Smart codec', 'H.264+' or 'Zipstream dynamic GOP' off",
        )
    elif compressed and (rhythm.keyframe_every or 0) > _MAX_KEYFRAME_INTERVAL_S:
        yield Finding("warns", f"the camera sends a keyframe each {rhythm.keyframe_every:.3g} s: {cure} after a loss")
    elif measured.codec and (measured.first_picture or 0) - (measured.open or 0) > _MAX_KEYFRAME_INTERVAL_S + 1:
        yield Finding("warns", f"the first picture took {measured.first_picture:.1f} s: {cure}")
    if measured.b_frames:
        delay = (
            f" by {1000 * measured.reorder * rhythm.interval:.0f} ms" if measured.reorder and rhythm.interval else ""
        )
        text = f"the camera sends B-frames, which delay every picture{delay}"
        profile = ", or 'Profile' to Baseline" if measured.codec == "h264" else ""
        yield Finding("warns", f"{text}: set 'B-frames' to 0{profile}")
    if measured.said is not None and measured.said.status == 200 and not measured.said.parameter_sets:
        yield Finding("note", "parameter sets come with the pictures only, so opening waits for a keyframe")


def _pace(measured: Measurement) -> Iterator[Finding]:
    rhythm = measured.rhythm
    declared, true = measured.declared_fps, rhythm.fps
    if rhythm.not_made:
        yield Finding(
            "warns",
            f"{_times(rhythm.not_made)} the camera recorded nothing for up to {rhythm.longest_gap:.1f} s, "
            "or it was lost: see whether it restarts, and switch 'Smart codec' and motion-dependent frame rates off",
        )
    held = rhythm.pauses - rhythm.not_made
    if held > 0:
        text = f"{_times(held)} no picture came for up to {rhythm.longest_gap:.1f} s although the camera had recorded"
        yield Finding("warns", f"{text}: {_cure(measured)}")
    elif rhythm.largest_lag > _HELD_UP_S and not rhythm.pauses and rhythm.lag < _LATE_S:
        yield Finding("warns", f"pictures came up to {rhythm.largest_lag:.1f} s late: {_cure(measured)}")
    elif declared and true and true < 0.85 * declared and not rhythm.pauses:
        yield Finding(
            "warns",
            f"the camera declares {declared:.4g} pictures a second but sends {true:.1f}: see its 'Frame rate', and "
            "'Slow shutter' or 'Exposure', which lower it in the dark",
        )


def _clock(measured: Measurement) -> Iterator[Finding]:
    rhythm = measured.rhythm
    if rhythm.lag >= _LATE_S:
        rate = f" of {rhythm.bitrate / 1e6:.1f} Mbit/s" if rhythm.bitrate else ""
        yield Finding(
            "warns",
            f"pictures come later and later, {rhythm.lag:.1f} s in {rhythm.seconds:.0f} s: the way here is too slow "
            f"for the stream{rate}: {_cure(measured)}",
        )
    elif rhythm.drift_ppm is not None and rhythm.drift_error_ppm is not None:
        drift = abs(rhythm.drift_ppm)
        if drift > _STRANGE_DRIFT_PPM and drift > 2 * rhythm.drift_error_ppm:
            way = "slow" if rhythm.drift_ppm > 0 else "fast"
            text = f"the camera's clock runs {drift / 1e4:.2g} % too {way}"
            yield Finding("note", f"{text}; ages are counted from the arrival, so nothing shows wrong")
    if rhythm.jumps:
        yield Finding(
            "warns", f"{_times(rhythm.jumps)} the camera's clock leapt: set its time server ('NTP') to one it can reach"
        )


def _modes(measured: Measurement, capture: dict[str, str | int]) -> Iterator[Finding]:
    """Return a better way to ask the webcam, if it offers one."""
    true = measured.rhythm.fps or 0.0
    better = [mode for mode in measured.modes if mode.width >= measured.width and mode.fps > 1.3 * max(true, 1.0)]
    if not better or true > 24:
        return
    best = min(better, key=lambda mode: (mode.width * mode.height, -mode.fps, mode.fourcc != "MJPG"))
    capture |= {"fourcc": best.fourcc, "width": best.width, "height": best.height}
    yield Finding(
        "warns",
        f"the webcam sends {true:.1f} pictures a second as {measured.negotiated}, but offers {best.fourcc} "
        f"{best.width}x{best.height} at {best.fps:g}: ask for that as below; more light helps too, for in the "
        "dark webcams slow down",
    )


def _cure(measured: Measurement) -> str:
    return _USB if measured.kind == "webcam" else _NETWORK


def _list(measured: Measurement) -> str:
    found = [f"{count} {kind}" for kind, count in measured.errors.items()]
    return ", ".join(found or [f"{measured.corrupt} pictures"])


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
