"""Events, model cards and cohorts as text, for the shell and the window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_ssl_muscle.learning.events import EpochEnd, Event, Failed, Note, Progress, Started
from napari_ssl_muscle.learning.models.card import ModelCard, TrainingSource
from napari_ssl_muscle.text_table import aligned, counted, times

if TYPE_CHECKING:
    from napari_ssl_muscle.scans.cohort import Cohort
    from napari_ssl_muscle.scans.formats.dicom.listing import Export
    from napari_ssl_muscle.scans.inspection import CaseReport

FROZEN_PARTS: dict[str, str] = {
    "none": "Nothing",
    "encoder": "Encoder",
    "decoder": "Decoder",
    "both": "All but last layer",
}
"""Freeze mode → what is kept fixed; in the order in which modes are compared."""

FREEZE_TITLES = {mode: f"{part} fixed" for mode, part in FROZEN_PARTS.items()}
"""Freeze mode → its name in sentences and figures."""

FREEZE_ADVICE: dict[str, str] = {
    "none": "Usual with more than a handful of labelled scans, or with muscles new to the model.",
    "encoder": "For few labels, on images like those that the model has learned from.",
    "decoder": "For images of another scanner or contrast, with muscles that the model knows.",
    "both": "For one or two labelled slices: quick, and the model forgets next to nothing.",
}
"""Freeze mode → when one would choose it."""

_FIGURES = {
    "train_loss": "loss",
    "validation_loss": "validation loss",
    "lr": "learning rate",
    "dice": "validation Dice",
    "masked_error": "error inside the masks",
    "image_error": "error of the whole image",
    "constant_error": "error of a plain grey",
}
"""Figure of an epoch → what a person calls it; other ones are muscles."""

_SHOWN = 6
"""Figures of an epoch that fit on a line."""


def format_event(event: Event) -> str | None:
    """Return an event as one line of text; None for those that only matter to a program."""
    if isinstance(event, Started):
        return f"{event.action} on {event.device}"
    if isinstance(event, Progress):
        return format_progress(event)
    if isinstance(event, EpochEnd):
        shown = list(event.metrics.items())[:_SHOWN]
        figures = ", ".join(f"{_FIGURES.get(name, name)} {value:.4g}" for name, value in shown)
        which = f"{FREEZE_TITLES.get(event.arm, event.arm)}: " if event.arm else ""
        return f"{which}epoch {event.epoch}, step {event.step}: {figures}{' (best)' * event.best}"
    if isinstance(event, Note):
        return f"Warning: {event.text}" if event.warning else event.text
    if isinstance(event, Failed):
        return event.sentence
    return None


def format_progress(event: Progress) -> str:
    """Return progress as text: "40 of 200 (20 %), about 3 min left, sub-01"."""
    share = f" ({100 * event.done // event.total} %)" if event.total else ""
    parts = [f"{event.done} of {event.total}{share}"]
    if event.seconds_left is not None and event.done < event.total:
        parts.append(f"about {format_duration(event.seconds_left)} left")
    if event.text:
        parts.append(event.text)
    return ", ".join(parts)


def format_duration(seconds: float) -> str:
    """Return a time: "40 s", "3 min", "2 h 10 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def format_card(card: ModelCard) -> list[tuple[str, str]]:
    """Return what a person should know of a model, as (caption, text)."""
    rows: list[tuple[str, str]] = []
    if card.title:
        rows.append(("Title", card.title))
    if card.task == "inpainting":
        rows.append(("Knows", "no muscles yet: pretrained on unlabelled scans, to fine-tune from"))
    else:
        caption = "Muscles and their Dice" if card.dice else "Muscles"
        rows.append((caption, ", ".join(_with_dice(name, card) for name in card.muscle_names)))
        if card.sides_from_leg:
            rows.append(("Sides", "left and right, by the leg that a muscle lies in"))
    if "mean" in card.dice:
        leaking = " (LEAKING: split by slice, too good to be true)" if card.leaking else ""
        text = f"{card.dice['mean']:.2f} on average{leaking}. {card.dice_note}"
        rows.append(("Dice", text.strip()))
    elif card.dice_note:
        rows.append(("Measured on", card.dice_note))
    if card.transductive:
        rows.append(("Transductive", "images of test subjects took part in the pretraining"))
    made_for = [card.contrast, ", ".join(card.channels)]
    if card.spacing is not None:
        made_for.append(f"voxels of {times(card.spacing[::-1], '.3g')} mm")
    rows.append(("Made for", "; ".join(dict.fromkeys(part for part in made_for if part))))
    rows.append(("Network", f"U-Net of width {card.network.width}, depth {card.network.depth}"))
    if card.training_data:
        rows.append(("Learned from", "; ".join(_source(data) for data in card.training_data)))
    rows += [("Note", note) for note in card.notes]
    return rows


def _with_dice(name: str, card: ModelCard) -> str:
    return f"{name} {card.dice[name]:.2f}" if name in card.dice else name


def _source(data: TrainingSource) -> str:
    counts = [
        counted(count, noun)
        for count, noun in ((data.subjects, "subject"), (data.slices, "slice"))
        if count
    ]
    known = [f"labels: {data.labels}"] if data.labels else []
    known += [data.licence] if data.licence else []
    text = f"{data.name}: {', '.join(counts)}" if counts else data.name
    return f"{text} ({'; '.join(known)})" if known else text


_LAYOUTS = {
    "bids": "BIDS",
    "nnunet": "nnU-Net raw",
    "flat": "images side by side",
    "folders": "a folder for each patient",
}


def format_cohort(cohort: Cohort, reports: Sequence[CaseReport], width: int = 100) -> str:
    """Return what a cohort holds: a head, one line for each case, its muscles, its problems.

    `reports` are those of `scans.inspection.inspect`; tables are at most `width` characters wide.
    """
    head = [
        f"{cohort.folder} ({_LAYOUTS[cohort.layout]})",
        f"{counted(len(cohort.subjects), 'subject')}, {counted(len(cohort.cases), 'case')}, "
        f"{len(cohort.labelled)} labelled; channels: {', '.join(cohort.channels)}",
    ]
    if cohort.table is not None:
        muscles = ", ".join(f"{muscle.value} {muscle.name}" for muscle in cohort.table.muscles)
        head.append(f"Muscle table: {muscles}")
    rows = [["case", "subject", "voxels", "mm", "volumes", "labelled slices", "muscles"]]
    rows += [_row(report) for report in reports]
    from napari_ssl_muscle.scans.inspection import CHECKED, coverage

    problems = [*cohort.problems, *(text for report in reports for text in report.problems)]
    counts = [report.voxels for report in reports if report.labelled_slices]
    if cohort.table is not None:
        problems += coverage(counts, cohort.table)
    said = [f"- {text}" for text in dict.fromkeys(problems)]
    parts = ["\n".join(head), aligned(rows, width)]
    parts.append("\n".join(["Problems and notes:", *said]) if said else "No problems were found.")
    parts.append("\n".join([*_facts(cohort, reports), f"Checked: {', '.join(CHECKED)}."]))
    return "\n\n".join(parts)


def _facts(cohort: Cohort, reports: Sequence[CaseReport]) -> list[str]:
    """Return what is no problem and should be known all the same."""
    facts = []
    bare = [case.name for case in cohort.cases if case.labels is None]
    if bare and cohort.labelled:
        facts.append(f"Without a label map: {', '.join(bare)}.")
    silent = [report for report in reports if not report.unit_stated]
    if silent:
        say = "says" if len(silent) == 1 else "say"
        facts.append(f"{counted(len(silent), 'case')} {say} no unit of length; it is taken for mm.")
    if not cohort.subjects_told:
        facts.append("Whose scans they are was read from names of files or folders only.")
    return facts


def format_export(export: Export, width: int = 120) -> str:
    """Return the series of a DICOM export as a table, by technical tags, and what is wrong.

    Patients and studies are counted. Descriptions of series are free text of the scanner's
    operator: this is for the screen, and must not be written to a file.
    """
    rows = [["", "patient", "study", "series", "shows", "TE ms", "voxels", "mm", "description"]]
    patients = {patient: str(n) for n, patient in enumerate(export.patients, 1)}
    studies: dict[str, dict[str, int]] = {}
    problems = []
    for series in export.series:
        made = series.acquisition
        own = studies.setdefault(made.patient, {})
        rows.append(
            [
                "*" if series.suggested else "",
                patients[made.patient],
                str(own.setdefault(made.study, len(own) + 1)),
                str(made.number),
                series.contrast,
                "" if made.echo_time is None else f"{made.echo_time:g}",
                times(series.shape),
                "?" if series.spacing is None else times(series.spacing, ".3g"),
                made.description,
            ]
        )
        if series.problem is not None:
            problems.append(f"- {series.describe()}: {series.problem}.")
    parts = [aligned(rows, width)]
    if problems:
        parts.append("\n".join(["Cannot be used:", *dict.fromkeys(problems)]))
    return "\n\n".join([*parts, *export.notes()])


def _row(report: CaseReport) -> list[str]:
    return [
        report.case.name,
        report.case.subject,
        times(report.shape[::-1]) if report.shape else "?",
        times(report.spacing[::-1], ".3g") if report.spacing else "?",
        str(report.volumes),
        "none" if report.labelled_slices is None else str(report.labelled_slices),
        str(len(report.muscles)),
    ]
