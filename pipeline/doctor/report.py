"""`lookout doctor ADDRESS`: measures one source and says in plain words how it does and what to change."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import threading
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from pipeline.address.parse import inner, login
from pipeline.clock import SystemClock
from pipeline.concurrency.signals import Interrupt
from pipeline.config.cameras import Camera
from pipeline.redaction import VARIABLE, redacted, scrub, template

from .diagnosis import Diagnosis, diagnose
from .probe import Measurement, probe

_HEADS = {"good": "good", "works": "works, but", "fails": "does not work"}
_VARIABLE = re.compile(r"\$\{\w+\}")
_PLAIN = re.compile(r"[\w./~\[][\w./~:@?&=%+$,{}\[\]-]*")


def consult(
    name: str, camera: Camera, written: str, seconds: float, console: Console, *, machine: bool
) -> tuple[str, int]:
    """Return what to print about a camera, and the exit code; `written` is its address with `${NAME}` unfilled."""
    measured, ended = examine(camera, seconds, console)
    diagnosis = diagnose(camera.source, measured)
    pasted = paste(name, camera.source, written, diagnosis) if diagnosis.verdict != "fails" else ""
    text = (as_json if machine else report)(camera, measured, diagnosis, pasted)
    return text, 130 if ended else 3 if diagnosis.verdict == "fails" else 0


def examine(camera: Camera, seconds: float, console: Console) -> tuple[Measurement, bool]:
    """Measure a camera for so long with a bar on the console; whether Ctrl-C ended it early comes with it."""
    stopping = threading.Event()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"))
    with (
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar,
        Interrupt(stopping.set) as interrupt,
    ):
        task = bar.add_task(redacted(camera.source), total=1.0)
        measured = probe(
            camera.source,
            camera.capture,
            seconds,
            SystemClock(),
            stopping,
            lambda share, doing: bar.update(task, completed=min(1.0, share), description=doing),
        )
    return measured, bool(interrupt.number)


def report(camera: Camera, measured: Measurement, diagnosis: Diagnosis, pasted: str) -> str:
    """Say what was measured, the verdict, and YAML to paste, for a person."""
    lines = [redacted(camera.source), *(f"  {title:<16}{text}" for title, text in _facts(measured)), ""]
    heavy = [finding.text for finding in diagnosis.findings if finding.weight != "note"]
    notes = [finding.text for finding in diagnosis.findings if finding.weight == "note"]
    lines.append(f"{_HEADS[diagnosis.verdict]}{':' if heavy else ''}")
    lines += [f"  - {text}" for text in heavy]
    lines += ["", "also:", *(f"  - {text}" for text in notes)] if notes else []
    text = scrub("\n".join(lines))
    return f"{text}\n\nto paste into a configuration:\n\n{pasted}" if pasted else text


def as_json(camera: Camera, measured: Measurement, diagnosis: Diagnosis, pasted: str) -> str:
    """Return the same for programs, with stable keys."""
    return json.dumps(
        {
            "address": redacted(camera.source),
            "verdict": diagnosis.verdict,
            "findings": _clean([dataclasses.asdict(finding) for finding in diagnosis.findings]),
            "measured": _clean(dataclasses.asdict(measured)),
            "yaml": pasted,
        },
        indent=2,
    )


def paste(name: str, address: str, written: str, diagnosis: Diagnosis) -> str:
    """Return YAML for the camera, its secret replaced by an environment variable; empty where that cannot be done."""
    named = _VARIABLE.fullmatch(login(written)[1]) is not None
    written = inner(written) if named else template(address).replace("${", "$${").replace(f"${VARIABLE}", VARIABLE)
    if not written:
        return ""
    quoted = written if _PLAIN.fullmatch(written) else json.dumps(written, ensure_ascii=False)
    lines = ["cameras:", f"  {name}:", f"    source: {quoted}"]
    if diagnosis.capture:
        lines += ["    capture:", *(f"      {key}: {value}" for key, value in diagnosis.capture.items())]
    return "\n".join(lines)


def _delays(measured: Measurement) -> Iterator[tuple[str, str]]:
    """Give what is known of how a live camera's pictures come."""
    rhythm = measured.rhythm
    yield "arrival", _arrival(measured)
    if rhythm.drift_ppm is not None:
        drift = f"{abs(rhythm.drift_ppm):.0f} millionths {'slow' if rhythm.drift_ppm >= 0 else 'fast'}"
        error = f", give or take {rhythm.drift_error_ppm:.0f}" if rhythm.drift_error_ppm is not None else ""
        yield "its clock", drift + error
    yield "late by", f"{1e3 * rhythm.lag:.0f} ms at the end, {1e3 * rhythm.largest_lag:.0f} ms at most"


def _facts(measured: Measurement) -> Iterator[tuple[str, str]]:
    """Give everything that is known, line by line."""
    rhythm, said = measured.rhythm, measured.said
    if said is not None and said.server:
        yield "camera", said.server
    if measured.device:
        yield "camera", measured.device
    if measured.transports:
        yield "transport", ", ".join(f"{name}: {state}" for name, state in sorted(measured.transports.items()))
    if measured.first_picture is None:
        return
    if measured.codec:
        codec = " ".join(filter(None, (measured.codec, measured.profile, measured.level)))
        yield "stream", f"{codec}, {measured.width}x{measured.height}, {measured.pixel_format}"
    else:
        yield "stream", measured.negotiated
    if measured.modes:
        yield (
            "offers",
            "; ".join(f"{each.fourcc} {each.width}x{each.height} at {each.fps:g}" for each in measured.modes),
        )
    declared = f"{measured.declared_fps:.4g} declared, " if measured.declared_fps else ""
    counted = "by its own times" if not measured.live else "measured"
    yield "frames a second", f"{declared}{rhythm.fps:.4g} {counted}" if rhythm.fps else f"{declared}too few to measure"
    if measured.codec:
        every = (
            f"every {rhythm.keyframe_every:.3g} s, {rhythm.keyframe_pictures} pictures" if rhythm.keyframe_every else ""
        )
        yield "keyframes", every or f"{rhythm.keyframes} in {measured.measured:.1f} s"
        yield "B-frames", f"{measured.b_frames}, {measured.reorder} held back" if measured.b_frames else "none"
    if measured.live:
        yield from _delays(measured)
    yield "decode", f"p50 {measured.decode.p50:.1f} ms, p95 {measured.decode.p95:.1f} ms"
    if rhythm.bitrate:
        yield "bitrate", f"{rhythm.bitrate / 1e6:.2f} Mbit/s"
    if said is not None and measured.in_band is not None:
        places = ["in the description"] * said.parameter_sets + ["with the pictures"] * measured.in_band
        yield "parameter sets", " and ".join(places) or "nowhere"
    if measured.codec:
        yield "sound", ", ".join(measured.audio) or "none"
    errors = [f"{count} {kind}" for kind, count in measured.errors.items()]
    errors += [f"{measured.corrupt} pictures left out"] if measured.corrupt else []
    yield "errors", ", ".join(errors) or "none"
    yield "start", f"opened in {measured.open or 0:.2f} s, first picture after {measured.first_picture:.2f} s"


def _arrival(measured: Measurement) -> str:
    rhythm = measured.rhythm
    pauses = f"{rhythm.pauses or 'no'} pause{'s' * (rhythm.pauses != 1)}"
    bursts = f"{rhythm.bursts or 'no'} burst{'s' * (rhythm.bursts != 1)}"
    bursts += f" of up to {rhythm.largest_burst} pictures" if rhythm.bursts else ""
    return f"{pauses}, longest gap {1000 * rhythm.longest_gap:.0f} ms, {bursts}"


def _clean(value: Any) -> Any:
    """Return the same without secrets, and with numbers that JSON knows."""
    if isinstance(value, dict):
        return {key: _clean(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return scrub(value) if isinstance(value, str) else value
