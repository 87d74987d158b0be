"""Judgements as a table in the terminal."""

from __future__ import annotations

from rich.table import Table

from pipeline.training.evaluation.evaluation import FALSE_ALARMS, Judgement


def as_table(rows: dict[str, tuple[Judgement, float]]) -> Table:
    """One column a model: its measures, and the milliseconds it takes for a picture."""
    first = next(iter(rows.values()))[0]
    table = Table(title=f"{first.pictures} pictures, {first.people} people")
    table.add_column("")
    for name in rows:
        table.add_column(name, justify="right")
    judged = [judgement for judgement, _ in rows.values()]
    table.add_row("AP", *(_score(j.average_precision) for j in judged))
    table.add_row("AP50", *(_score(j.average_precision_50) for j in judged))
    table.add_row("AP small, under 32 x 32 pixels", *(_score(j.small) for j in judged))
    table.add_row("AP medium", *(_score(j.medium) for j in judged))
    table.add_row("AP large, over 96 x 96 pixels", *(_score(j.large) for j in judged))
    for allowed in FALSE_ALARMS:
        table.add_row(f"recall at {allowed:g} false alarms a picture", *(_score(j.recall[allowed]) for j in judged))
    table.add_row("false alarms a picture without people", *(_score(j.false_alarms) for j in judged))
    table.add_row("ms a picture", *(f"{milliseconds:.1f}" for _, milliseconds in rows.values()))
    return table


def _score(value: float) -> str:
    return "-" if value < 0 else f"{value:.3f}"
