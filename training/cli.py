"""The command line: lookout-train fit, evaluate, export, quantize."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.errors import TrainingError

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
    start: Annotated[str, typer.Option("--from", help="bundled, official, imagenet, or a file.")] = "bundled",
    recipe: Annotated[str, typer.Option(help="card (the published one), tune or distil.")] = "card",
    steps: Annotated[int, typer.Option(min=1, help="Batches to learn from in all.")] = 1000,
    batch: Annotated[int | None, typer.Option(min=1, help="Pictures in a batch at 512 pixels.")] = None,
    rate: Annotated[float | None, typer.Option(min=0, help="Factor on the learning rates of the recipe.")] = None,
    seed: Annotated[int, typer.Option(help="Of pictures and weights; the same seed gives the same run.")] = 0,
    teacher: Annotated[Path | None, typer.Option(help="OpenVINO model to learn from (recipe distil).")] = None,
    mirrored: Annotated[bool, typer.Option(help="Ask the teacher about the mirror image as well.")] = False,
    unlabelled: Annotated[list[Path] | None, typer.Option(help="Folder of pictures or clips, for a teacher.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on with the run in the folder.")] = False,
    score_every: Annotated[int, typer.Option(min=0, help="Steps between scores on val; 0 for none.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="Processor threads; 0 leaves it to PyTorch.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare pictures.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    compiled: Annotated[bool, typer.Option(help="Generate code for the network first.")] = False,
    models: Models = None,
) -> None:
    """Train on one's own pictures."""
    from training.recipe import RECIPES
    from training.run import Run
    from training.run import fit as carry_out
    from training.trainer import Pace

    if recipe not in RECIPES:
        raise TrainingError(f"--recipe {recipe}: not one of {', '.join(RECIPES)}")
    if (recipe == "distil") != (teacher is not None):
        raise TrainingError("--recipe distil and --teacher go together")
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
    run = Run(
        data=data,
        folder=out,
        start=start,
        recipe=chosen,
        pace=Pace(steps=steps, score=score_every, workers=workers),
        seed=seed,
        teacher=teacher,
        mirrored=mirrored,
        unlabelled=tuple(unlabelled or ()),
        models=models,
        device=device,
        threads=threads,
        compiled=compiled,
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("training", total=steps)
        weights = carry_out(run, resume, lambda step, text: bar.update(task, completed=step, description=text))
    console.print(f"weights in {weights}, journal and its picture beside them")


def main() -> None:
    """Entry of the console script: one clear line, and exit code 2, for input that cannot be used."""
    try:
        app()
    except TrainingError as error:
        console.print(f"lookout-train: {error}", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
