"""Evaluation reports: CSV for statistics programs, JSON for machines, text for the screen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import reduce
from operator import add
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, ClassVar

from napari_ssl_muscle.evaluation.dice import BATCH, BatchDice, dice_of_counts
from napari_ssl_muscle.evaluation.muscle_metrics import RULES, CaseResult, MuscleResult
from napari_ssl_muscle.evaluation.provenance import LEAKING, Provenance, unlike_sentences
from napari_ssl_muscle.evaluation.statistics import dice_by_subject, mean_over_subjects, summarise
from napari_ssl_muscle.files import csv_text, json_text, write_together
from napari_ssl_muscle.text_table import aligned, muscle_title, number

if TYPE_CHECKING:
    import pandas as pd

    from napari_ssl_muscle.evaluation.statistics import MuscleSummary


class Report(ABC):
    """Figures that are saved as CSV for statistics programs and as JSON for machines."""

    FILES: ClassVar[tuple[str, ...]]
    """Names of the files of a report: one for each of `tables`, then the JSON."""
    COLUMNS: ClassVar[tuple[str, ...]]
    """Columns of the first CSV."""

    @abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each case, muscle and side, with `columns` as keys."""

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """Return what the JSON holds besides its format and its date."""

    @abstractmethod
    def to_text(self, width: int = 100) -> str:
        """Return the report for the screen, in lines of `width` characters."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the first CSV of this report: `COLUMNS`, and what else it has."""
        return self.COLUMNS

    def frame(self) -> pd.DataFrame:
        """Return `rows` as a table of pandas."""
        import pandas as pd  # heavy: only for those who want it

        return pd.DataFrame(self.rows(), columns=list(self.columns))

    def to_csv(self) -> str:
        """Return `rows` as CSV: an empty field is "not counted", "inf" an infinite distance."""
        return csv_text(self.columns, self.rows())

    def tables(self) -> tuple[str, ...]:
        """Return the CSVs."""
        return (self.to_csv(),)

    def to_json(self) -> dict[str, Any]:
        """Return the whole report as plain data (infinite numbers still as numbers)."""
        created = datetime.now(UTC).isoformat(timespec="seconds")
        return {"format": 1, "created": created, **self.content()}

    def write(self, folder: Path) -> list[Path]:
        """Write all `FILES` or none; return their paths.

        Raises
        ------
        BadInput
            If the folder cannot be written.
        """
        texts = (*self.tables(), json_text(self.to_json()))
        return write_together(folder, dict(zip(self.FILES, texts, strict=True)))


@dataclass(frozen=True, eq=False)
class EvaluationReport(Report):
    """Everything that an evaluation found.

    Attributes
    ----------
    cases
        The results, case by case.
    provenance
        Where the predictions come from.
    notes
        Sentences about the whole, such as cases without a partner.
    """

    FILES = ("evaluation.csv", "evaluation.json")
    COLUMNS = (
        "subject",
        "session",
        "case",
        "muscle",
        "side",
        "dice",
        "hd95_mm",
        "msd_mm",
        "volume_pred_ml",
        "volume_ref_ml",
        "difference_ml",
        "status",
        "training_subject",
        "corrected_by_hand",
        "worst_slice",
        "model_hash",
        "split_hash",
        "notes",
        "unlike_training",
    )

    cases: tuple[CaseResult, ...]
    provenance: Provenance = field(default_factory=Provenance)
    notes: tuple[str, ...] = ()

    def is_training(self, case: CaseResult) -> bool | None:
        """Return whether the model was trained on the case's subject; None if it is not known."""
        return self.provenance.trained_on((case.pair.subject, case.pair.name))

    @property
    def summarised(self) -> tuple[CaseResult, ...]:
        """The cases that means are taken over: without training subjects, if any others are."""
        return tuple(c for c in self.cases if not self.is_training(c)) or self.cases

    @property
    def spacing_known(self) -> bool:
        """Whether the size of a voxel is known of every case that means are taken over."""
        return all(case.spacing_known for case in self.summarised)

    @property
    def batch_dice(self) -> BatchDice | None:
        """Batch-aggregate Dice over the compared slices of `summarised`, case after case.

        None if the cases do not all have the same muscles.
        """
        cases = self.summarised
        if not cases or len({case.names for case in cases}) > 1:
            return None
        return dice_of_counts(reduce(add, (case.counts for case in cases)))

    def rows(self) -> list[dict[str, Any]]:
        """One row for each case, muscle and side."""
        return [
            {
                **without_lengths(asdict(result), known=case.spacing_known),
                "subject": case.pair.subject,
                "session": case.pair.session,
                "case": case.pair.name,
                "training_subject": self.is_training(case),
                "corrected_by_hand": case.corrected_by_hand,
                "model_hash": self.provenance.model_hash,
                "split_hash": self.provenance.split_hash,
                "notes": " ".join(case.notes),
                "unlike_training": "; ".join(case.unlike_training),
            }
            for case in self.cases
            for result in case.muscles
        ]

    def content(self) -> dict[str, Any]:
        """Provenance, rules, means, cases and rows."""
        dice = dice_by_subject(self.summarised)
        batch = self.batch_dice
        return {
            "provenance": self.provenance.to_json(),
            "rules": {
                "absent muscles": dict(RULES),
                "infinite distances": "null, with the status missed or invented",
                "means": self.means_over(),
                "batch Dice": f"aggregated over batches of {BATCH} consecutive compared slices",
            },
            "notes": self.sentences(),
            "mean_dice": asdict(mean_over_subjects({s: [d] for s, d in dice.items()}))
            if len(dice) > 1
            else {"subjects": dice, "mean": next(iter(dice.values()), None)},
            "batch_dice": asdict(batch) if batch else None,
            "summary": [
                without_lengths(asdict(entry), known=self.spacing_known)
                for entry in summarise(self.summarised)
            ],
            "cases": [
                {
                    "case": case.pair.name,
                    "subject": case.pair.subject,
                    "session": case.pair.session,
                    "training_subject": self.is_training(case),
                    "corrected_by_hand": case.corrected_by_hand,
                    "prediction": case.pair.prediction.name,
                    "reference": case.pair.reference.name,
                    "slices_compared": case.slices_compared,
                    "slices": case.slices,
                    "mean_dice": case.mean_dice,
                    "batch_dice": asdict(case.batch_dice),
                    "notes": list(case.notes),
                    "unlike_training": list(case.unlike_training),
                }
                for case in self.cases
            ],
            "rows": [{key: row[key] for key in self.COLUMNS} for row in self.rows()],
        }

    def to_text(self, width: int = 100) -> str:
        """Muscle × subject, means per muscle, notes."""
        return evaluation_text(self, width)

    def means_over(self) -> str:
        """Say which cases means are taken over, and why."""
        training = sum(bool(self.is_training(case)) for case in self.cases)
        if not training:
            if self.provenance.training_subjects is None:
                return (
                    "Means are over all subjects; it is not known whether the model was trained "
                    "on any of them."
                )
            return "Means are over all subjects, none of which the model was trained on."
        if training == len(self.cases):
            return (
                "The model was trained on every one of these subjects: the figures say how well "
                "it learned them, not how it does on others."
            )
        return f"Means leave out {training} case(s) of subjects that the model was trained on."

    def sentences(self) -> list[str]:
        """Return every sentence that belongs to the figures: rules, warnings, notes."""
        compared = sum(case.slices_compared for case in self.cases)
        slices = sum(case.slices for case in self.cases)
        sentences = [LEAKING] if self.provenance.leaking else []
        sentences.append(self.means_over())
        sentences.append(
            f"Compared: {compared} of {slices} slices"
            + (" (those with reference labels)." if compared < slices else ".")
        )
        corrected = [case.pair.name for case in self.cases if case.corrected_by_hand]
        if corrected:
            sentences.append(
                f"Corrected by hand after the model: {', '.join(corrected)}. The figures are those "
                "of the corrected labels, not of the model."
            )
        sentences += self.notes
        said: dict[str, list[str]] = {}
        for case in self.cases:
            for note in (*unlike_sentences(case.unlike_training), *case.notes):
                said.setdefault(note, []).append(case.pair.name)
        sentences += [
            note if len(names) == len(self.cases) else f"{', '.join(names)}: {note}"
            for note, names in said.items()
        ]
        met = {m.status for case in self.cases for m in case.muscles}
        sentences += [rule for status, rule in RULES.items() if status in met and status != "both"]
        if met & {"missed", "invented"}:
            sentences.append("Mean distances are over the muscles that were found.")
        return sentences


def without_lengths(figures: dict[str, Any], *, known: bool) -> dict[str, Any]:
    """Return figures without those in mm and mL unless the size of a voxel is known."""
    if known:
        return figures
    return {name: None if name.endswith(("_mm", "_ml")) else v for name, v in figures.items()}


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
                *_lengths(entry, known=report.spacing_known),
                *(str(getattr(entry, name)) for name in met),
            ]
            for entry in summary
        ),
    ]


def _lengths(entry: MuscleSummary, *, known: bool) -> list[str]:
    """Return the cells of a muscle's distances and volumes; dashes if they are not known."""
    if not known:
        return [number(None, 1)] * 5
    return [
        number(entry.hd95_mm, 2),
        number(entry.msd_mm, 2),
        number(entry.volume_pred_ml, 1),
        number(entry.volume_ref_ml, 1),
        f"{round(entry.difference_ml, 1) + 0.0:+.1f}",
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
