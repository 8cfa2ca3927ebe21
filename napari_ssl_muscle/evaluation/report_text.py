"""An evaluation report as text for the screen."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from napari_ssl_muscle.evaluation.dice import BATCH
from napari_ssl_muscle.evaluation.muscle_metrics import MuscleResult
from napari_ssl_muscle.evaluation.statistics import mean_over_subjects
from napari_ssl_muscle.evaluation.summary import dice_by_subject, summarise
from napari_ssl_muscle.text_table import aligned, muscle_title, number

if TYPE_CHECKING:
    from napari_ssl_muscle.evaluation.report import EvaluationReport


def evaluation_text(report: EvaluationReport, width: int = 100) -> str:
    """Return the Dice of muscle × subject, means per muscle, figures of the whole, and notes.

    Parameters
    ----------
    report
        What was found.
    width
        Characters in a line; a table that is wider goes on below.
    """
    parts = [
        "Dice per muscle (3D)\n" + aligned(_dice_table(report), width),
        "Per muscle\n" + aligned(_summary_table(report), width),
        "\n".join(_figures(report)),
        "\n".join(report.sentences()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _dice_table(report: EvaluationReport) -> list[list[str]]:
    cases = report.cases
    keys = list(dict.fromkeys((m.muscle, m.side) for case in cases for m in case.muscles))
    means = {(s.muscle, s.side): s.dice for s in summarise(report.summarised)}
    results = [{(m.muscle, m.side): m for m in case.muscles} for case in cases]
    dice = dice_by_subject(report.summarised)
    overall = fmean(dice.values()) if dice else None
    return [
        ["muscle", *_headings(report), "mean"],
        *(
            [
                muscle_title(*key),
                *(_cell(of_case.get(key)) for of_case in results),
                number(means.get(key), 3),
            ]
            for key in keys
        ),
        ["mean", *(number(case.mean_dice, 3) for case in cases), number(overall, 3)],
    ]


def _headings(report: EvaluationReport) -> list[str]:
    pairs = [case.pair for case in report.cases]
    names = [  # columns are narrow: "01/2" for sub-01_ses-2
        p.subject.removeprefix("sub-") + (f"/{p.session.removeprefix('ses-')}" if p.session else "")
        for p in pairs
    ]
    if len(set(names)) < len(names):
        names = [pair.name for pair in pairs]
    return [
        name + (" (training)" if report.is_training(case) else "")
        for name, case in zip(names, report.cases, strict=True)
    ]


def _cell(result: MuscleResult | None) -> str:
    if result is None or result.dice is None:
        return "–"
    return number(result.dice, 3) if result.status == "both" else result.status


def _summary_table(report: EvaluationReport) -> list[list[str]]:
    summary = summarise(report.summarised)
    # Counts of what went wrong take room only where something did.
    met = [
        name for name in ("missed", "invented", "absent") if any(getattr(s, name) for s in summary)
    ]
    return [
        ["muscle", "HD95 mm", "MSD mm", "prediction mL", "reference mL", "difference mL", *met],
        *(
            [
                muscle_title(entry.muscle, entry.side),
                number(entry.hd95_mm, 2),
                number(entry.msd_mm, 2),
                number(entry.volume_pred_ml, 1),
                number(entry.volume_ref_ml, 1),
                f"{round(entry.difference_ml, 1) + 0.0:+.1f}",
                *(str(getattr(entry, name)) for name in met),
            ]
            for entry in summary
        ),
    ]


def _figures(report: EvaluationReport) -> list[str]:
    lines = []
    dice = dice_by_subject(report.summarised)
    if len(dice) > 1:
        interval = mean_over_subjects({subject: [value] for subject, value in dice.items()})
        lines.append(
            f"Mean Dice over {interval.n} subjects: {interval.mean:.3f} "
            f"(95 % t interval {interval.t[0]:.3f} to {interval.t[1]:.3f})."
        )
    elif dice:
        lines.append(f"Mean Dice of the one subject: {next(iter(dice.values())):.3f}.")
    batch = report.batch_dice
    if batch is not None:
        lines.append(
            f"Batch-aggregate Dice (batches of {BATCH} slices): foreground "
            f"{number(batch.foreground, 3)}, background {number(batch.background, 3)}."
        )
    return lines
