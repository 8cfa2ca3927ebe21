"""The sections of the report: what each says, with its tables and figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from markupsafe import Markup

from napari_ssl_muscle.evaluation.provenance import LEAKING
from napari_ssl_muscle.evaluation.statistics import VERDICT_RULE, Comparison
from napari_ssl_muscle.experiments.published.plan import Plan
from napari_ssl_muscle.experiments.report import published, tables
from napari_ssl_muscle.experiments.report.comparisons import (
    comparison_table,
    comparisons,
    labelled_table,
)
from napari_ssl_muscle.experiments.report.curves import curve_figures, spread_table
from napari_ssl_muscle.experiments.report.dice_figures import (
    difference_figure,
    gap_figure,
    labelled_figure,
    mask_figure,
    muscle_figure,
)
from napari_ssl_muscle.experiments.report.grids import (
    freeze_modes,
    grid_table,
    winners,
    winners_table,
)
from napari_ssl_muscle.experiments.report.results import Results
from napari_ssl_muscle.experiments.report.strips import Strip, downstream_strip, pretext_strip
from napari_ssl_muscle.experiments.report.table import Table
from napari_ssl_muscle.experiments.report.unet_drawing import unet_figure
from napari_ssl_muscle.jobs.text import FREEZE_TITLES, format_duration
from napari_ssl_muscle.learning.settings import FreezeMode, preset
from napari_ssl_muscle.text_table import counted


@dataclass(frozen=True)
class Drawing:
    """A figure with lines of text below it."""

    figure: Markup
    caption: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A heading and what is below it, in this order."""

    anchor: str
    title: str
    paragraphs: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    figures: tuple[Markup, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    tables: tuple[Table, ...] = ()
    strips: tuple[Strip, ...] = ()


def sections(results: Results) -> list[Section]:
    """Return every section; one whose trials are missing says so."""
    compared = comparisons(results)
    return [
        _short(results, compared),
        _final(results),
        _comparisons(compared),
        _labelled(results),
        _variants(results),
        _muscles(results),
        *(_experiment(results, key) for key in published.CHOSEN),
        *(_experiment(results, e.key) for e in results.plan.experiments if e.key in "567"),
        _curves(results),
        _pictures(results),
        Section("open", "What the publication leaves open", facts=_open(results)),
        _data(results),
        _trials(results),
    ]


def _short(results: Results, compared: dict[str, Comparison]) -> Section:
    paragraphs = []
    if results.plan.preset == "quick":
        paragraphs.append(
            "Demonstration, too short to conclude: small networks, short trainings and few cells. "
            "It shows what the report of a whole study looks like."
        )
    verdicts = [
        f"{name[0].upper()}{name[1:]}: {entry.verdict} (difference {entry.difference:+.3f}, "
        f"{_interval(entry)}, {counted(len(entry.first), 'test subject')}, "
        f"{counted(len(entry.by_seed), 'seed')})."
        for name, entry in compared.items()
    ]
    if not compared:
        paragraphs.append("Nothing can be compared yet: no pair of tested models is finished.")
    return Section(
        "short",
        "In short",
        tuple(paragraphs),
        items=tuple(verdicts),
        tables=(winners_table(results),),
    )


def _interval(entry: Comparison) -> str:
    if entry.interval is None:
        return entry.interval_text
    return f"95 % interval {entry.interval_text.replace('-', '−')}"


def _final(results: Results) -> Section:
    if not results.finetunings(tables.FINAL):
        return Section("final", "Validation and test", (_missing(results, tables.FINAL),))
    if any(fold.held_out for fold in results.plan.folds):
        split = (
            "Split by subject: each subject tests once, and nothing of it was learned from. "
            "Held-out slices of the training subjects validate, so the validation figures are of "
            "subjects that were learned from."
        )
    else:
        split = "Split by subject: nothing of a subject that validates or tests was learned from."
    paragraphs = [f"{split} Each model was scored once on its test data."]
    shown = [tables.final_table(results)]
    if results.finetunings(tables.FINAL, leaking=True):
        paragraphs.append(
            "The same settings with the split by slice, as published, are in the second table. "
            + LEAKING
        )
        shown.append(tables.final_table(results, leaking=True))
    shown.append(tables.published_table(results))
    return Section(
        "final",
        "Validation and test",
        tuple(paragraphs),
        figures=_there([gap_figure(results)]),
        tables=tuple(shown),
    )


def _comparisons(compared: dict[str, Comparison]) -> Section:
    title = "Does pretraining help?"
    if not compared:
        return Section("verdicts", title, ("No pair of tested models is finished.",))
    return Section(
        "verdicts",
        title,
        (
            "The unit is the subject: its seeds are averaged, and differences are paired over "
            "subjects. What the interval does not show is the seeds; they are beside it.",
            VERDICT_RULE,
        ),
        figures=_there([difference_figure(compared)]),
        tables=(comparison_table(compared),),
    )


def _labelled(results: Results) -> Section:
    title = "Few labelled subjects"
    if not results.finetunings(tables.LABELLED):
        return Section("labelled", title, (_missing(results, tables.LABELLED),))
    return Section(
        "labelled",
        title,
        ("The same fine-tuning from scratch and from pretrained weights, and no validation.",),
        figures=_there([labelled_figure(results)]),
        tables=(labelled_table(results),),
    )


def _variants(results: Results) -> Section:
    if not results.finetunings(tables.FINAL):
        return Section("variants", "Variants of Dice", (_missing(results, tables.FINAL),))
    return Section("variants", "Variants of Dice", tables=(tables.variants_table(results),))


def _muscles(results: Results) -> Section:
    if not results.finetunings(tables.FINAL):
        return Section("muscles", "Dice per muscle", (_missing(results, tables.FINAL),))
    return Section(
        "muscles",
        "Dice per muscle",
        figures=_there([muscle_figure(results)]),
        tables=(tables.muscle_table(results),),
    )


def _experiment(results: Results, key: str) -> Section:
    found = results.experiment(key)
    anchor = f"experiment-{key}"
    if found is None:
        return Section(anchor, f"Experiment {key}", (_missing(results, key),))
    title = f"Experiment {key}: {found.name}"
    question = [found.question]
    if key == "2" and not results.plan.carried and len(found.cells) <= 2:
        question.append(
            f"Its best two go on, and the grid has {len(found.cells)}, so nothing is left out."
        )
    if not results.finetunings(key):
        return Section(anchor, title, (*question, _missing(results, key)))
    chosen = [
        (f"Chosen ({arm})" if arm else "Chosen", text)
        for arm, text in winners(results, key)
        if text
    ]
    return Section(
        anchor,
        title,
        tuple(question),
        facts=tuple(chosen),
        figures=_there([mask_figure(results)]) if key == "2" else (),
        drawings=_freezing(results) if key == "3" else (),
        tables=(grid_table(results, key),),
    )


def _freezing(results: Results) -> tuple[Drawing, ...]:
    depth = results.plan.base.get("finetune", {}).get(
        "depth", preset(results.plan.preset).network.depth
    )
    drawings = []
    modes = freeze_modes(results)
    for mode in get_args(FreezeMode):
        if not (trials := modes.get(mode)):
            continue
        dice = tables.mean_over_subjects(results.scores(trials, "validation"))
        learning = next((t for t in trials if t.trainable and t.parameters), None)
        lines = [f"Validation Dice {dice:.3f}" if dice is not None else "Validation Dice –"]
        if learning is not None:
            lines.append(f"{learning.trainable:,} of {learning.parameters:,} parameters learn")
        drawings.append(Drawing(unet_figure(mode, int(depth)), FREEZE_TITLES[mode], tuple(lines)))
    return tuple(drawings)


def _curves(results: Results) -> Section:
    title = "Learning curves"
    figures = curve_figures(results)
    if not figures:
        return Section("curves", title, (_missing(results, tables.FINAL),))
    return Section(
        "curves",
        title,
        ("The final trainings, split by subject; a line for each fold and seed.",),
        figures=tuple(figures),
        tables=(spread_table(results),),
    )


def _pictures(results: Results) -> Section:
    strips = tuple(s for s in (pretext_strip(results), downstream_strip(results)) if s.rows)
    text = (
        "The pretext task on probe images: of subjects that pretraining held out, where it held "
        "out any. The segmentation on the slice of each test subject that has the most labelled "
        "voxels; the Dice is that of the whole subject."
        if strips
        else _missing(results, tables.FINAL)
    )
    return Section("pictures", "Pictures", (text,), strips=strips)


def _open(results: Results) -> tuple[tuple[str, str], ...]:
    return tuple(published.open_points(results.plan))


def _data(results: Results) -> Section:
    plan, cohort = results.plan, results.plan.cohort
    runs = {trial.run: trial for trial in results.trials}
    seconds = sum(trial.seconds or 0.0 for trial in runs.values())
    devices = dict.fromkeys(trial.device for trial in runs.values() if trial.device)
    seeds = ", ".join(str(seed) for seed in plan.seeds)
    facts = [
        ("Cohort", Path(cohort.folder).name),
        (
            "Scans",
            f"{counted(cohort.subjects, 'subject')}, {counted(cohort.images, 'image')} "
            f"({cohort.slices:,} slices, up to {cohort.columns} × {cohort.rows} pixels) of "
            f"{', '.join(cohort.channels) or 'one channel'}",
        ),
        (
            "Labels",
            f"{counted(len(cohort.labelled_subjects), 'subject')}, "
            f"{counted(cohort.labelled_slices, 'slice')}; hash {cohort.labels_hash}",
        ),
        ("Muscles", ", ".join(cohort.muscles)),
        ("Seeds", f"{seeds}" + (" (one: no spread of the seeds)" if len(plan.seeds) == 1 else "")),
        ("Preset", plan.preset),
        ("Trained", f"{counted(len(runs), 'training')}, {format_duration(seconds)} in all"),
        ("Device", "; ".join(devices) or "–"),
        ("Every pretraining", _settings(plan, "pretrain")),
        ("Every fine-tuning", _settings(plan, "finetune")),
        ("Versions", ", ".join(f"{name} {number}" for name, number in plan.versions.items())),
        ("Started", plan.created or "–"),
        ("Command, in the study’s folder", without_home(plan.command) or "–"),
    ]
    folds = Table(
        name="folds",
        caption="Splits",
        columns={
            "fold": "Fold",
            "unit": "Split by",
            "train": "Train",
            "validation": "Validation",
            "test": "Test",
            "hash": "Hash",
        },
        rows=[
            {
                "fold": fold.name,
                "unit": f"{fold.unit}{' (LEAKING)' if fold.leaking else ''}",
                "train": _members(fold.train, fold.leaking),
                "validation": _members(fold.validation, fold.leaking)
                or f"{sum(len(held) for held in fold.held_out.values())} held-out slices",
                "test": _members(fold.test, fold.leaking),
                "hash": fold.hash,
            }
            for fold in plan.folds
        ],
    )
    return Section("data", "Data, splits, seeds, versions", facts=tuple(facts), tables=(folds,))


def _settings(plan: Plan, kind: Literal["pretrain", "finetune"]) -> str:
    """Return what all trainings of a kind have in common besides what the experiments vary."""
    common = ", ".join(f"{name} {value}" for name, value in sorted(plan.base[kind].items()))
    return f"preset {plan.preset}{f'; {common}' if common else ''}"


def _members(members: Sequence[str], leaking: bool) -> str:
    return counted(len(members), "slice") if leaking else ", ".join(members)


def _trials(results: Results) -> Section:
    columns = {
        "trial": "Trial",
        "split_hash": "Split",
        "run": "Run",
        "steps": "Steps",
        "seconds": "Seconds",
        "validation_dice": "Validation",
        "test_dice": "Test",
        "masked_error": "Error in masks",
    }
    rows = [{name: getattr(trial, name) for name in columns} for trial in results.trials]
    table = Table(
        name="all-trials",
        caption=f"Every finished trial ({len(rows)})",
        columns=columns,
        rows=rows,
        folded=True,
        note="Trials that train the same share a run.",
    )
    return Section("trials", "Trials", tables=(table,))


def _missing(results: Results, key: str) -> str:
    if results.experiment(key) is None:
        return "Not part of this study."
    others = [trial for trial in results.trials if trial.experiment == key]
    return "Not finished yet." if others else "No trial is finished yet."


def _there(figures: Iterable[Markup | None]) -> tuple[Markup, ...]:
    return tuple(figure for figure in figures if figure is not None)


_HOME = re.compile(r"(/home/|/Users/|[A-Za-z]:\\Users\\)[^/\\\s'\"]+")


def without_home(text: str) -> str:
    """Return text in which every home folder is "~": it names a person."""
    return _HOME.sub("~", text.replace(str(Path.home()), "~"))
