"""What an evaluation looks like in the form: rows of the table, sentences, the plot."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import fmean
from typing import TYPE_CHECKING, Any

from napari_ssl_muscle.viewer.widgets.result_table import Cell, Column, Row, muscle_cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from napari_ssl_muscle.evaluation.muscle_metrics import CaseResult
    from napari_ssl_muscle.viewer.evaluate.evaluate_worker import EvaluatedPair, EvaluationAnswer

SUBJECT = Column("Scan", tooltip="The scan; with a mark if the model was trained on it.")
COLUMNS = (
    Column("Muscle", tooltip="Point at a row for the muscle's full name."),
    Column("Dice", 3, tooltip="Overlap: 1 is perfect, 0 is none."),
    Column(
        "HD95\nmm", 1, tooltip="Distance between the outlines in mm that 95 % of them stay below."
    ),
    Column("Mean\nmm", 2, tooltip="Mean distance between the outlines in mm."),
    Column("mL", 1, tooltip="Volume of the labels in mL."),
    Column("True\nmL", 1, tooltip="Volume of the ground truth in mL."),
    Column("Diff.\nmL", 1, signed=True, tooltip="Labels minus ground truth in mL."),
    Column("Diff.\n%", 1, signed=True, tooltip="The difference in % of the true volume."),
)
TRAINED = "trained on"
_WORDS = {
    "missed": "Missed: in the ground truth only.",
    "invented": "Invented: in the labels only.",
    "absent in both": "In neither of the two, so not counted.",
}
MARK = "#56B4E9"
TRAINED_MARK = "#E69F00"


def table_rows(
    answer: EvaluationAnswer,
) -> tuple[list[Column], list[Row], list[tuple[int, int | None]]]:
    """Return columns, rows, and for each row its finding and the place in it (None: the mean)."""
    several = len(answer.findings) > 1
    rows: list[Row] = []
    targets: list[tuple[int, int | None]] = []
    means: list[Row] = []
    for number, finding in enumerate(answer.findings):
        whose: tuple[Cell, ...] = (scan_title(answer, finding),) if several else ()
        for index, result in enumerate(finding.case.muscles):
            cells = (
                muscle_title(muscle_cell(result.muscle, short=several), result.side),
                result.dice,
                *_lengths(
                    finding.case,
                    result.hd95_mm,
                    result.msd_mm,
                    result.volume_pred_ml,
                    result.volume_ref_ml,
                    result.difference_ml,
                ),
                percent(result.difference_ml, result.volume_ref_ml),
            )
            name = muscle_title(result.muscle, result.side)
            about = f"{finding.name}: {name}. {_WORDS.get(result.status, '')}".strip()
            rows.append(Row((*whose, *cells), tooltip=about))
            targets.append((number, index))
        means.append(
            Row(
                (*whose, "mean" if several else "mean, total", *_means(finding.case)),
                summary=True,
                tooltip=f"{finding.name}: means of Dice and distances, sums of volumes.",
            )
        )
    targets += [(number, None) for number in range(len(means))]
    return ([SUBJECT] if several else []) + list(COLUMNS), rows + means, targets


def scan_title(answer: EvaluationAnswer, finding: EvaluatedPair) -> str:
    """Return a scan's name, with a mark if the model was trained on it."""
    trained = answer.report.is_training(finding.case)
    return f"{finding.name} ({TRAINED})" if trained else finding.name


def muscle_title(muscle: str, side: str) -> str:
    """Return a muscle's name with its side."""
    return f"{muscle} {side}".strip()


def percent(part: float, whole: float) -> float | None:
    """Return `part` in % of `whole`; None if that is nothing."""
    return 100.0 * part / whole if whole else None


def _lengths(case: CaseResult, *figures: float | None) -> tuple[Cell, ...]:
    """Return figures in mm and mL; none where the size of a voxel is not known."""
    return figures if case.spacing_known else (None,) * len(figures)


def _means(case: CaseResult) -> tuple[Cell, ...]:
    def mean(name: str) -> float | None:
        values = [getattr(m, name) for m in case.muscles]
        values = [v for v in values if v is not None and math.isfinite(v)]
        return fmean(values) if values else None

    predicted, true = (
        sum(getattr(m, name) for m in case.muscles) for name in ("volume_pred_ml", "volume_ref_ml")
    )
    return (
        case.mean_dice,
        *_lengths(case, mean("hd95_mm"), mean("msd_mm"), predicted, true, predicted - true),
        percent(predicted - true, true),
    )


def headline(answer: EvaluationAnswer) -> str:
    """Return the result in a line."""
    from napari_ssl_muscle.evaluation.statistics import dice_by_subject

    report = answer.report
    dice = dice_by_subject(report.summarised)
    if not dice:
        return "No muscle is in the labels or in the ground truth."
    mean = fmean(dice.values())
    whose = f" of {len(dice)} subjects" if len(dice) > 1 else ""
    return f"✓ Mean Dice{whose} {mean:.3f} (1: the same, 0: nothing in common)."


def sentences(answer: EvaluationAnswer) -> str:
    """Return what belongs to the figures; first of all what becomes of absent muscles."""
    from napari_ssl_muscle.evaluation.muscle_metrics import RULES

    count = sum(
        result.status == "absent in both"
        for finding in answer.findings
        for result in finding.case.muscles
    )
    rule = (
        "A muscle that is in neither of the two is not counted "
        f"(here: {count or 'none'}); one that is missed or invented has Dice 0 and distance ∞."
    )
    others = [text for text in answer.report.sentences() if text not in RULES.values()]
    return "\n".join([rule, *others])


def details(answer: EvaluationAnswer) -> str:
    """Return the Dice as publications on training by batches have it; "" if there is none."""
    batch = answer.report.batch_dice
    if batch is None or batch.foreground is None:
        return ""
    background = f" Background: {batch.background:.2f}." if batch.background else ""
    return (
        f"Dice of all muscles over batches of 10 slices taken together: {batch.foreground:.3f}, as "
        f"some publications report it; it is higher than the mean over muscles.{background}"
    )


def dice_plot(answer: EvaluationAnswer) -> tuple[Callable[[Figure], None], int]:
    """Return what paints the Dice of every muscle and scan, and the height in pixels it needs.

    A dot for each scan, and a line at their mean if there are several.
    """
    dots: dict[str, list[tuple[float, bool]]] = {}
    for finding in answer.findings:
        trained = bool(answer.report.is_training(finding.case))
        for result in finding.case.muscles:
            values = dots.setdefault(muscle_title(result.muscle, result.side), [])
            if result.dice is not None:
                values.append((result.dice, trained))
    names = list(dots)
    several = len(answer.findings) > 1
    marked = any(trained for values in dots.values() for _, trained in values)

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        for place, values in enumerate(dots.values()):
            spread = _spread(len(values))
            for (dice, trained), off in zip(values, spread, strict=True):
                axes.plot(
                    dice,
                    place + off,
                    "s" if trained else "o",
                    color=TRAINED_MARK if trained else MARK,
                    markersize=4,
                    clip_on=False,
                )
            counted = [dice for dice, trained in values if not trained] or [d for d, _ in values]
            if several and counted:
                mean = fmean(counted)
                axes.plot([mean, mean], [place - 0.35, place + 0.35], lw=1.5, color="#CC79A7")
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        lowest = min((dice for values in dots.values() for dice, _ in values), default=0.0)
        axes.set_xlim(max(0.0, math.floor(10 * lowest - 0.5) / 10), 1)
        axes.grid(axis="x", alpha=0.25)
        axes.tick_params(axis="y", length=0)
        label = "Dice"
        if several:
            label += " (dot: a scan, line: mean)"
        if marked:
            label += "; square: trained on"
        axes.set_xlabel(label)

    return paint, 46 + 18 * max(len(names), 3)


def _spread(count: int) -> list[float]:
    """Return offsets that keep dots of one muscle apart."""
    if count < 2:
        return [0.0] * count
    return [0.5 * (index / (count - 1) - 0.5) for index in range(count)]
