"""Known models: where to look for their files, how to tell the real ones, where to fetch them."""

from __future__ import annotations

import difflib
import json
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import platformdirs

from pipeline.config.models import Model
from pipeline.errors import ModelError
from pipeline.notice import notify

from .download import File, TimeLimits
from .download import fetch as download

log = logging.getLogger(__name__)

AUTO = "auto"
OFFICIAL = "person-detection-0202"
BUNDLED = "lookout-person"
_HOMELESS = "not fetched because this user has no home to keep it in; set XDG_CACHE_HOME"
_PACKAGE = Path(__file__).parent
_PATIENT_LIMITS = TimeLimits(connect=5, read=15, whole=900)
_QUICK_LIMITS = TimeLimits(connect=2, read=4, whole=8)


@dataclass(frozen=True, slots=True)
class Located:
    """A model whose files are on this machine."""

    name: str
    precision: str
    """FP16-INT8, FP16 or FP32; empty for a model given by path."""
    xml: Path
    """The .xml (its .bin beside it) or .onnx file."""
    labels: tuple[str, ...]
    """Names of the classes 0, 1, ...; empty where nobody named them."""
    origin: str
    """Where it came from: path, models folder, LOOKOUT_MODELS, cache, download or bundled."""


@dataclass(frozen=True, slots=True)
class Known:
    """A model of the registry."""

    name: str
    labels: tuple[str, ...]
    """Names of the classes 0, 1, ..."""
    width: int
    """Of its input, pixels."""
    height: int
    releases: dict[str, tuple[tuple[File, File], ...]]
    """By precision: every official release as its .xml and .bin, the one to fetch first."""
    bundled: bool
    """Whether it comes with the package instead of from a server."""


@dataclass(frozen=True, slots=True)
class CheckedFiles:
    """Files of a known model in one of the places that are looked into."""

    name: str
    precision: str
    folder: Path
    origin: str
    fault: str
    """What is wrong with them, in one line; empty if they are the official ones."""


class _AbsentError(ModelError):
    """Nowhere on this machine, and not fetched for `reason`."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@cache
def registry() -> dict[str, Known]:
    """Return every known model by name."""
    data = json.loads((_PACKAGE / "zoo.json").read_text())
    return {name: _entry(name, entry, data["address"]) for name, entry in data["models"].items()}


def known() -> list[Known]:
    """Return every known model, by name."""
    return [registry()[name] for name in sorted(registry())]


def locate(settings: Model, stopping: threading.Event | None = None) -> Located:
    """Return the model that the settings ask for, its files checked; fetched if it has to be.

    `auto` is person-detection-0202, or the bundled model where that cannot be had within a few seconds.
    What is fetched, and why, is logged; fetching ends once `stopping` is set. Raises ModelError: unknown, damaged, or
    nowhere to be found.
    """
    if settings.name == AUTO:
        return _automatic(settings, _QUICK_LIMITS._replace(stopping=stopping))
    if settings.name.lower().endswith((".xml", ".onnx")):
        return _given(Path(settings.name).expanduser(), settings.labels)
    return _obtain(_named(settings.name), settings, _PATIENT_LIMITS._replace(stopping=stopping))


def fetch(name: str, precision: str, stopping: threading.Event | None = None) -> Located:
    """Return the model in the user's cache, fetched if it is not there whole; raises ModelError.

    Fetching ends once `stopping` is set.
    """
    model = _named(name)
    releases = _releases(model, precision)
    if model.bundled:
        return _obtain(model, Model(name=name), _PATIENT_LIMITS)
    kept = _cache()
    if kept is None:
        raise ModelError(f"model {name} {precision}: {_HOMELESS}")
    folder = kept / name / precision
    if _fault(folder, releases) != "":
        _download(model, precision, folder, _PATIENT_LIMITS._replace(stopping=stopping))
    return Located(name, precision, folder / f"{name}.xml", model.labels, "cache")


def verify(settings: Model) -> Iterator[CheckedFiles]:
    """Check the files of all known models in all places; those that are not there at all are left out."""
    for model in known():
        for precision, releases in model.releases.items():
            for origin, folder in _places(model, precision, settings):
                fault = _fault(folder, releases)
                if fault is not None:
                    yield CheckedFiles(model.name, precision, folder, origin, fault)


def _entry(name: str, entry: dict[str, Any], address: str) -> Known:
    def file(kind: str, precision: str, release: dict[str, Any]) -> File:
        size, sha384 = release[kind]
        url = "" if "release" not in release else address
        url = url.format(release=release.get("release"), name=name, precision=precision, file=f"{name}.{kind}")
        return File(f"{name}.{kind}", size, sha384, url)

    releases = {
        precision: tuple((file("xml", precision, each), file("bin", precision, each)) for each in entries)
        for precision, entries in entry["files"].items()
    }
    width, height = entry["input"]
    return Known(name, tuple(entry["labels"]), width, height, releases, entry.get("bundled", False))


def _automatic(settings: Model, limits: TimeLimits) -> Located:
    try:
        return _obtain(_named(OFFICIAL), settings, limits)
    except ModelError as error:
        bundled = registry().get(BUNDLED)
        if bundled is None:
            raise
        precision = next(iter(bundled.releases))
        located = _obtain(bundled, settings.model_copy(update={"precision": precision}), limits)
        reason = error.reason if isinstance(error, _AbsentError) else str(error)
        notify(log, f"{OFFICIAL} is not at hand ({reason}); using the bundled {BUNDLED}")
        return located


def _given(path: Path, labels: tuple[str, ...]) -> Located:
    weights = path.with_suffix(".bin")
    if not path.is_file():
        raise ModelError(f"model {path}: no such file")
    if path.suffix.lower() == ".xml" and not weights.is_file():
        raise ModelError(f"model {path}: {weights.name} is missing beside it; an OpenVINO IR is both files")
    if not labels and path.stem in registry():
        labels = registry()[path.stem].labels
    return Located(path.stem, "", path, labels, "path")


def _named(name: str) -> Known:
    if name in registry():
        return registry()[name]
    near = difflib.get_close_matches(name, [*registry(), AUTO], n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise ModelError(
        f"model {name}: unknown; {hint}`lookout models` lists the known ones; a path ends in .xml or .onnx"
    )


def _releases(model: Known, precision: str) -> tuple[tuple[File, File], ...]:
    if precision not in model.releases:
        raise ModelError(f"model {model.name}: there is no {precision}; it comes as {', '.join(model.releases)}")
    return model.releases[precision]


def _obtain(model: Known, settings: Model, limits: TimeLimits) -> Located:
    precision = settings.precision
    releases = _releases(model, precision)
    labels = settings.labels or model.labels
    places = _places(model, precision, settings)
    for origin, folder in places:
        fault = _fault(folder, releases)
        if fault == "":
            return Located(model.name, precision, folder / f"{model.name}.xml", labels, origin)
        if fault and (origin != "cache" or not settings.download):
            raise ModelError(fault)
        if fault:
            notify(log, f"{fault}; fetching it again")
    title = f"model {model.name} {precision}"
    looked = ", ".join(f"{origin} ({folder})" for origin, folder in places)
    if model.bundled:
        raise ModelError(f"{title}: not in {looked}; install Lookout again")
    if "LOOKOUT_MODELS" not in os.environ:
        looked = ", ".join(filter(None, (looked, "LOOKOUT_MODELS (not set)")))
    source = releases[0][0].url.rpartition("/")[0]
    into = places[0][1] if places else "a folder that LOOKOUT_MODELS names, below NAME/PRECISION"
    remedy = f"put {model.name}.xml and {model.name}.bin from {source} into {into}"
    reason = _HOMELESS if _cache() is None else "not fetched because model.download is false"
    if settings.download and _cache() is not None:
        try:
            _download(model, precision, places[-1][1], limits)
            return Located(model.name, precision, places[-1][1] / f"{model.name}.xml", labels, "download")
        except ModelError as error:
            reason = str(error)
    raise _AbsentError(f"{title}: not in {looked}; {reason}; {remedy}", reason)


def _download(model: Known, precision: str, folder: Path, limits: TimeLimits) -> None:
    files = model.releases[precision][0]
    size = sum(file.size for file in files) / 1e6
    notify(log, f"fetching {model.name} {precision} ({size:.1f} MB) from {files[0].url.split('/')[2]}")
    download(files, folder, limits)


def _places(model: Known, precision: str, settings: Model) -> list[tuple[str, Path]]:
    """Give origin and folder of every place to look into, in this order; the cache, if there is one, comes last."""
    if model.bundled:
        return [("bundled", _PACKAGE / "bundled")]
    kept = _cache()
    roots = [] if kept is None else [("cache", kept)]
    if os.environ.get("LOOKOUT_MODELS"):
        roots.insert(0, ("LOOKOUT_MODELS", Path(os.environ["LOOKOUT_MODELS"]).expanduser()))
    if settings.folder:
        roots.insert(0, ("models folder", Path(settings.folder).expanduser()))
    return [(origin, root / model.name / precision) for origin, root in roots]


def _cache() -> Path | None:
    """Return the folder that fetched models are kept in; None for a user who has no place of his own."""
    try:
        folder = Path(platformdirs.user_cache_dir("lookout", appauthor=False))
    except RuntimeError:
        return None
    # Older versions give a path that begins with ~, which is none.
    return folder / "models" if folder.is_absolute() else None


def _fault(folder: Path, releases: tuple[tuple[File, File], ...]) -> str | None:
    """Say what is wrong with the files in a folder: empty if they are those of one release, None if none is there."""
    if not any((folder / file.name).exists() for file in releases[0]):
        return None
    faults = []
    for release in releases:
        wrong = [fault for file in release if (fault := file.fault(folder))]
        if not wrong:
            return ""
        faults.append(wrong)
    return min(faults, key=len)[0]
