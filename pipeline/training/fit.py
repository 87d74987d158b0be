"""One training run: collect pictures and weights, learn, keep the journal."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from pipeline.errors import TrainingError
from pipeline.training.data.batches import Batches
from pipeline.training.data.mosaic import MosaicComposer, Variety
from pipeline.training.data.pictures import SUFFIXES, LabelledPicture, extract_frames, read_coco, read_folders
from pipeline.training.evaluation.evaluation import Labels
from pipeline.training.evaluation.measurement import measure_network
from pipeline.training.evaluation.suppression import detect
from pipeline.training.learn.journal import plot
from pipeline.training.learn.recipe import Recipe
from pipeline.training.learn.teacher import Teacher
from pipeline.training.learn.trainer import CHECKPOINT, Schedule, Trainer
from pipeline.training.model.initial_weights import BUNDLED, SCRATCH, find_weights, first_weights
from pipeline.training.model.network import DetectorNetwork

SCORED_PICTURES = 200


@dataclass(frozen=True, slots=True)
class Run:
    """What to learn from, in which way, and where to keep it.

    `unlabelled` folders may hold pictures and clips; of clips every tenth frame is taken. `teacher` is the
    path of an OpenVINO model.
    """

    data: Path
    folder: Path
    start: str
    recipe: Recipe
    pace: Schedule
    seed: int = 0
    teacher: Path | None = None
    mirrored: bool = False
    unlabelled: tuple[Path, ...] = ()
    variety: Variety = field(default_factory=Variety)
    models: Path | None = None
    device: str = "cpu"
    threads: int = 0
    compiled: bool = False


def fit(run: Run, resume: bool, progress: Callable[[int, str], None]) -> Path:
    """Carry a run out, or on; returns the file of the averaged weights, `weights.pt` in the run's folder.

    Raises TrainingError in one line for input that cannot be used.
    """
    if (run.folder / CHECKPOINT).exists() and not resume:
        raise TrainingError(f"{run.folder}: holds a run already; add --resume to go on with it, or name another folder")
    labelled = read_coco(run.data, "train")
    has_validation = (run.data / "val.json").is_file()
    run.folder.mkdir(parents=True, exist_ok=True)
    unlabelled = _unlabelled(run)
    if run.threads:
        torch.set_num_threads(run.threads)
    torch.manual_seed(run.seed)
    network = DetectorNetwork()
    teacher = Teacher(run.teacher, run.mirrored, run.threads or torch.get_num_threads()) if run.teacher else None
    composer = MosaicComposer(labelled, unlabelled, run.variety, run.seed)
    resuming = resume and (run.folder / CHECKPOINT).exists()
    if not resuming:
        first_weights(network, run.start, run.models, labelled)
    recipe = _fitting(run.recipe, run.start)
    trainer = Trainer(network, recipe, Batches(composer, recipe, run.seed), run.folder, teacher, run.device)
    trainer.resume()
    _open_journal(run, trainer, [*labelled, *unlabelled])
    if run.compiled:
        trainer.compile()
    labels = Labels(run.data, "val", SCORED_PICTURES) if has_validation and run.pace.score else None

    def score(averaged: DetectorNetwork) -> dict[str, float]:
        if labels is None:
            return {}
        evaluation = labels.judge(measure_network(averaged, run.data, "val", labels, detect))
        return {
            "average_precision": evaluation.average_precision,
            "average_precision_50": evaluation.average_precision_50,
        }

    trainer.run(run.pace, progress, score)
    target = run.folder / "weights.pt"
    torch.save(trainer.averaged().state_dict(), target)
    plot(trainer.journal, run.folder / "journal.png")
    return target


def _fitting(recipe: Recipe, start: str) -> Recipe:
    """The recipe without the parts that would harm weights that stand already.

    Only weights from scratch have nothing to lose while blocks learn alone; and only those, or the bundled ones, which
    were learnt so, have blocks that can be compared with a teacher's one by one.
    """
    if start == SCRATCH:
        return recipe
    return dataclasses.replace(recipe, alone_steps=0, block_weight=recipe.block_weight if start == BUNDLED else 0.0)


def _unlabelled(run: Run) -> list[LabelledPicture]:
    if not run.unlabelled:
        return []
    for folder in run.unlabelled:
        if not folder.is_dir():
            raise TrainingError(f"{folder}: no such folder")
    frames = run.folder / "frames"
    found = extract_frames(run.unlabelled, frames)
    with_pictures = [f for f in run.unlabelled if any(p.suffix.lower() in SUFFIXES for p in f.rglob("*"))]
    return read_folders([*with_pictures, *([frames] if found else [])])


def _open_journal(run: Run, trainer: Trainer, entries: list[LabelledPicture]) -> None:
    roots = {run.data.resolve(): "data", run.folder.resolve(): "run"}
    roots |= {folder.resolve(): folder.name for folder in run.unlabelled}

    def name(path: Path) -> str:
        for root, label in roots.items():
            if path.resolve().is_relative_to(root):
                return f"{label}/{path.resolve().relative_to(root).as_posix()}"
        return path.name

    files = [(name(entry.path), entry.path) for entry in entries] + [("data/train.json", run.data / "train.json")]
    digest = write_manifest(run.folder / "manifest.sha256", files)
    trainer.journal.write(
        "run" if trainer.step == 0 else "resume",
        step=trainer.step,
        steps=run.pace.steps,
        seed=run.seed,
        start=_shown(run.start),
        recipe=dataclasses.asdict(trainer.recipe),
        variety=dataclasses.asdict(run.variety),
        start_sha256=sha256(find_weights(run.start, run.models)) if run.start != SCRATCH else None,
        teacher=run.teacher.name if run.teacher else None,
        teacher_sha256=sha256(run.teacher.with_suffix(".bin")) if run.teacher else None,
        mirrored=run.mirrored,
        pictures=len(entries),
        manifest=digest,
        torch=torch.__version__,
        python=platform.python_version(),
        command=" ".join(_shown(argument) for argument in sys.argv[1:]),
    )


def _shown(argument: str) -> str:
    """An argument without the folders of this machine."""
    return Path(argument).name if "/" in argument else argument


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(target: Path, files: Iterable[tuple[str, Path]]) -> str:
    """Write `hash  name` for every file, sorted by name, as sha256sum does; returns the hash of the list itself."""
    lines = sorted(f"{sha256(path)}  {name}" for name, path in files)
    lines.sort(key=lambda line: line.split("  ", 1)[1])
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return sha256(target)
