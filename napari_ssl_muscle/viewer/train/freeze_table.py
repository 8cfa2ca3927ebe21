"""What a comparison of freeze modes found, as a table and in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_ssl_muscle.experiments.freeze_results import (
    FreezeComparison,
    ModeResult,
    format_learning,
)
from napari_ssl_muscle.jobs.text import FREEZE_ADVICE, FREEZE_TITLES, FROZEN_PARTS
from napari_ssl_muscle.learning.models.card import read_card
from napari_ssl_muscle.viewer.widgets.result_table import Cell, Column, Row

ONE_EACH = "Each was trained once: small differences may be chance."


@dataclass(frozen=True)
class _Learns(Column):
    """How many of the model's numbers learn: sorted as a number, shown as text."""

    of: int = 0

    def text(self, value: Cell) -> str:
        return format_learning(int(value), self.of) if isinstance(value, float) else "–"


def table_of(found: FreezeComparison, out: Path) -> tuple[list[Column], list[Row]]:
    """Return columns and a row for each mode; `out` is the folder of the comparison."""
    first = found.modes[0]
    classes = read_card(out / first.model).classes
    columns = [
        Column("Fixed", tooltip="What does not learn."),
        _Learns("Learns", 0, tooltip="How many of the model's numbers learn.", of=first.parameters),
        Column("Min", 1, tooltip="How many minutes the training took."),
        Column("Dice", 3, tooltip="Mean over the muscles: 1 is perfect, 0 is a miss."),
        *(
            Column(short, 3, tooltip=f"Dice of {name}.")
            for name, short in zip(classes.names, classes.short_names, strict=True)
        ),
    ]
    rows = [
        Row(
            (
                FROZEN_PARTS[result.mode],
                float(result.trainable),
                result.seconds / 60,
                *(result.dice.get(name) for name in ("mean", *classes.names)),
            ),
            tooltip=f"{FREEZE_ADVICE[result.mode]}\n{result.steps} steps; the model is in "
            f"{out / result.mode}",
        )
        for result in found.modes
    ]
    return columns, rows


def format_findings(found: FreezeComparison, best: ModeResult) -> str:
    """Return in sentences which mode was best, and what that is worth."""
    said = []
    if "mean" in best.dice and len(found.modes) > 1:
        said.append(f"Highest Dice: {FREEZE_TITLES[best.mode].lower()} ({best.dice['mean']:.3f}).")
    said += [ONE_EACH if len(found.modes) > 1 else "", found.validated_on]
    return " ".join(text for text in said if text)
