"""The command line: lookout-train fit, evaluate, export, quantize."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.errors import TrainingError

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
console = Console(stderr=True)

Data = Annotated[Path, typer.Argument(help="Folder with train.json, val.json (COCO form) and the folders train, val.")]
Models = Annotated[
    Path | None,
    typer.Option(envvar="LOOKOUT_MODELS", help="Folder of official models, NAME/PRECISION/NAME.xml."),
]


@app.callback()
def program() -> None:
    """Train, judge, export and quantise the person detector."""


@app.command()
def fit(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoints, journal, weights.")] = Path("runs/latest"),
    start: Annotated[str, typer.Option("--from", help="bundled, official, imagenet, scratch, or a file.")] = "bundled",
    recipe: Annotated[str, typer.Option(help="card (the published one), tune or distil.")] = "card",
    steps: Annotated[int, typer.Option(min=1, help="Batches to learn from in all.")] = 1000,
    batch: Annotated[int | None, typer.Option(min=1, help="Pictures in a batch at 512 pixels.")] = None,
    size: Annotated[int | None, typer.Option(min=64, help="Pixels of training pictures, a multiple of 32.")] = None,
    rate: Annotated[float | None, typer.Option(min=0, help="Factor on the learning rates of the recipe.")] = None,
    seed: Annotated[int, typer.Option(help="Of pictures and weights; the same seed gives the same run.")] = 0,
    teacher: Annotated[Path | None, typer.Option(help="OpenVINO model to learn from (recipe distil).")] = None,
    alone: Annotated[int | None, typer.Option(min=0, help="Steps from scratch in which blocks learn alone.")] = None,
    mirrored: Annotated[bool, typer.Option(help="Ask the teacher about the mirror image as well.")] = False,
    unlabelled: Annotated[list[Path] | None, typer.Option(help="Folder of pictures or clips, for a teacher.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on with the run in the folder.")] = False,
    score_every: Annotated[int, typer.Option(min=0, help="Steps between scores on val; 0 for none.")] = 0,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 100,
    threads: Annotated[int, typer.Option(min=0, help="Processor threads; 0 leaves it to PyTorch.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare pictures.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    compiled: Annotated[bool, typer.Option(help="Generate code for the network first.")] = False,
    models: Models = None,
) -> None:
    """Train on one's own pictures."""
    from pipeline.training.fit import Run
    from pipeline.training.fit import fit as carry_out
    from pipeline.training.learn.recipe import RECIPES, VARIETIES
    from pipeline.training.learn.trainer import Schedule

    if recipe not in RECIPES:
        raise TrainingError(f"--recipe {recipe}: not one of {', '.join(RECIPES)}")
    if (recipe == "distil") != (teacher is not None):
        raise TrainingError("--recipe distil and --teacher go together")
    if unlabelled and teacher is None:
        raise TrainingError("--unlabelled needs a --teacher to learn from")
    chosen = RECIPES[recipe]
    if batch is not None:
        share = batch / chosen.batch if chosen.optimiser == "sgd" else 1.0
        chosen = dataclasses.replace(
            chosen, batch=batch, backbone_rate=chosen.backbone_rate * share, head_rate=chosen.head_rate * share
        )
    if rate is not None:
        chosen = dataclasses.replace(
            chosen, backbone_rate=chosen.backbone_rate * rate, head_rate=chosen.head_rate * rate
        )
    if alone is not None:
        chosen = dataclasses.replace(chosen, alone_steps=alone)
    if size is not None:
        if size % 32:
            raise TrainingError(f"--size {size}: must be a multiple of 32")
        chosen = dataclasses.replace(chosen, sizes=((size, 1.0),))
    run = Run(
        data=data,
        folder=out,
        start=start,
        recipe=chosen,
        pace=Schedule(steps, checkpoint=checkpoint_every, score=score_every, workers=workers),
        seed=seed,
        teacher=teacher,
        mirrored=mirrored,
        unlabelled=tuple(unlabelled or ()),
        variety=VARIETIES[recipe],
        models=models,
        device=device,
        threads=threads,
        compiled=compiled,
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console)
    task = bar.add_task("", total=steps)

    def show(step: int, text: str) -> None:
        bar.start()
        bar.update(task, completed=step, description=text)

    try:
        weights = carry_out(run, resume, show)
    finally:
        bar.stop()
    console.print(f"weights in {weights}, journal and its picture beside them")


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="OpenVINO model (.xml), the name of an official one, or bundled.")],
    data: Data,
    part: Annotated[str, typer.Option(help="Which pictures: val or train, or any DATA/PART.json.")] = "val",
    limit: Annotated[int, typer.Option(min=0, help="Pictures to take, evenly spread; 0 for all.")] = 0,
    label: Annotated[int | None, typer.Option(help="The model's label of a person, where it is not the usual.")] = None,
    threads: Annotated[int, typer.Option(min=0, help="Processor threads; 0 leaves it to OpenVINO.")] = 0,
    models: Models = None,
) -> None:
    """Judge a model on labelled pictures."""
    from pipeline.training.evaluation.evaluation import Labels, as_table
    from pipeline.training.evaluation.measurement import measure_model
    from pipeline.training.model.initial_weights import find_model

    path = find_model(model, models)
    labels = Labels(data, part, limit)
    detections, milliseconds = measure_model(path, data, part, labels, label, threads)
    Console().print(as_table({path.stem: (labels.judge(detections), milliseconds)}))


@app.command()
def export(
    weights: Annotated[Path, typer.Argument(help="weights.pt or checkpoint.pt of a run.")],
    target: Annotated[Path, typer.Argument(help="OpenVINO model to write (.xml).")],
    single: Annotated[bool, typer.Option(help="Keep weights in single precision.")] = False,
) -> None:
    """Write the OpenVINO model of a run's weights."""
    from pipeline.training.export.openvino_ir import build_model, save
    from pipeline.training.model.network import DetectorNetwork
    from pipeline.training.model.weights import load_run

    network = DetectorNetwork().eval()
    load_run(network, weights)
    save(build_model(network), _xml(target), half=not single)
    console.print(f"{target}")


@app.command()
def quantize(
    model: Annotated[Path, typer.Argument(help="OpenVINO model that export wrote (.xml).")],
    data: Data,
    target: Annotated[Path, typer.Argument(help="OpenVINO model to write (.xml).")],
    pictures: Annotated[int, typer.Option(min=1, help="Training pictures to calibrate on.")] = 400,
    fast: Annotated[bool, typer.Option(help="Correct all biases in one pass: quicker, less exact.")] = False,
    seed: Annotated[int, typer.Option(help="Of the choice of pictures.")] = 0,
    limit: Annotated[int, typer.Option(min=0, help="Pictures of val to judge on; 0 for all.")] = 0,
) -> None:
    """Write an INT8 model, and show how accurate both are."""
    from pipeline.training.data.pictures import read_coco
    from pipeline.training.evaluation.evaluation import Labels, as_table
    from pipeline.training.evaluation.measurement import measure_model
    from pipeline.training.export.openvino_ir import save
    from pipeline.training.export.quantization import quantise

    _xml(target)
    save(quantise(model, read_coco(data, "train"), pictures, seed, accurate=not fast), target, half=False)
    if (data / "val.json").is_file():
        labels = Labels(data, "val", limit)
        rows = {}
        for name, path in (("before", model), ("after", target)):
            detections, milliseconds = measure_model(path, data, "val", labels)
            rows[name] = labels.judge(detections), milliseconds
        Console().print(as_table(rows))
    console.print(f"{target}")


def _xml(path: Path) -> Path:
    if path.suffix != ".xml":
        raise TrainingError(f"{path}: the name of an OpenVINO model ends in .xml")
    return path


def main() -> None:
    """LabelledPicture of the console script: one clear line, and exit code 2, for input that cannot be used."""
    try:
        app()
    except TrainingError as error:
        console.print(f"lookout-train: {error}", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
