"""The tables of the final models: validation and test, variants of Dice, muscles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any, get_args

from napari_ssl_muscle.evaluation.dice_variants import TITLES, dice_variants
from napari_ssl_muscle.evaluation.statistics import Score, mean_by_subject, seed_spread
from napari_ssl_muscle.experiments.published.trial import arm_title
from napari_ssl_muscle.experiments.report import published
from napari_ssl_muscle.experiments.report.results import Part, Results, TrialRow
from napari_ssl_muscle.experiments.report.table import Table

PARTS: tuple[Part, ...] = get_args(Part)

FINAL, LABELLED = "final", "labelled"
"""Keys of the experiments that compare baseline and pretrained models on test data."""

SPLITS = {False: "by subject", True: "by slice (LEAKING)"}


DIFFERENT_SUBJECTS = (
    "The columns were tested on different subjects, because each fold passes on its own best two "
    "maskings, or because trials are missing. Where pretraining is compared with the baseline "
    "below, both are means over the same subjects."
)
"""What has to be said where columns are means over different subjects."""


def mean_over_subjects(scores: Iterable[Score]) -> float | None:
    """Return the mean over subjects of their means over seeds; None without a score."""
    means = mean_by_subject(scores)
    return fmean(means.values()) if means else None


def final_table(results: Results, *, leaking: bool = False) -> Table:
    """Return validation and test Dice of the final models: a column for each arm."""
    arms = results.arms(FINAL)
    found = {
        (part, arm): results.scores(results.finetunings(FINAL, arm, leaking=leaking), part)
        for part in PARTS
        for arm in arms
    }
    means = {key: mean_over_subjects(scores) for key, scores in found.items()}
    rows: list[dict[str, Any]] = []
    for part in PARTS:
        rows.append({"row": part, **{arm: means[part, arm] for arm in arms}})
    gaps = {arm: (means["validation", arm], means["test", arm]) for arm in arms}
    rows.append(
        {
            "row": "validation − test",
            **{a: v - t if v is not None and t is not None else None for a, (v, t) in gaps.items()},
        }
    )
    spread = {arm: seed_spread(found["test", arm]) for arm in arms}
    rows.append({"row": "seeds’ standard deviation (test)", **spread})
    subjects = {key: {score.subject for score in scores} for key, scores in found.items()}
    for part in PARTS:
        rows.append({"row": f"{part} subjects"} | {a: len(subjects[part, a]) for a in arms})
    same = all(subjects["test", arm] == subjects["test", arms[0]] for arm in arms)
    return Table(
        name="final-by-slice" if leaking else "final",
        caption=f"3D Dice, mean over subjects; split {SPLITS[leaking]}",
        columns={"row": "", **{arm: arm_title(arm) for arm in arms}},
        rows=rows,
        note="" if same else DIFFERENT_SUBJECTS,
    )


def published_table(results: Results) -> Table:
    """Return the published Dice beside ours: split by slice as published, and by subject."""
    rows = []
    arms = results.arms(FINAL) or list(published.DICE["test"])
    for part in PARTS:
        for arm in arms:
            by_slice, by_subject = (
                results.finetunings(FINAL, arm, leaking=leaking) for leaking in (True, False)
            )
            rows.append(
                {
                    "part": part,
                    "arm": arm_title(arm),
                    "published": published.DICE[part].get(arm),
                    "by_slice_batch_aggregate": _variant(results, by_slice, part),
                    "by_subject_batch_aggregate": _variant(results, by_subject, part),
                    "by_subject_3d": mean_over_subjects(results.scores(by_subject, part)),
                }
            )
    return Table(
        name="published",
        caption="Published figures beside ours",
        columns={
            "part": "",
            "arm": "Start",
            "published": "Published",
            "by_slice_batch_aggregate": "Ours, split by slice (LEAKING), batch-aggregate",
            "by_subject_batch_aggregate": "Ours, split by subject, batch-aggregate",
            "by_subject_3d": "Ours, split by subject, per subject in 3D",
        },
        rows=rows,
        digits=4,
        note="Other scans and other labels than the published ones: what can be compared is the "
        "order of the columns and the gap between validation and test, not the level.",
    )


def variants_table(results: Results) -> Table:
    """Return each variant of Dice of the same predictions on test data, mean over seeds."""
    arms = results.arms(FINAL)
    found: dict[tuple[str, bool], dict[str, float | None]] = {
        (arm, leaking): _variants(results, results.finetunings(FINAL, arm, leaking=leaking), "test")
        for arm in arms
        for leaking in SPLITS
    }
    rows = [
        {"variant": title, "split": split} | {arm: found[arm, leaking].get(name) for arm in arms}
        for leaking, split in SPLITS.items()
        for name, title in TITLES.items()
    ]
    return Table(
        name="dice-variants",
        caption="What is called Dice: the same predictions on test data, scored in each variant",
        columns={
            "variant": "Variant",
            "split": "Split",
            **{arm: arm_title(arm) for arm in arms},
        },
        rows=rows,
        note="Means over seeds.",
    )


def _variants(results: Results, trials: Sequence[TrialRow], part: Part) -> dict[str, float | None]:
    """Return field of `DiceVariants` → mean over seeds, each over the subjects of all folds."""
    seeds = [
        asdict(dice_variants(dict(sorted(subjects.items()))))
        for subjects in results.counts(trials, part).values()
    ]
    means: dict[str, float | None] = {}
    for name in TITLES:
        values = [found[name] for found in seeds if found[name] is not None]
        means[name] = fmean(values) if values else None
    return means


def _variant(results: Results, trials: Sequence[TrialRow], part: Part) -> float | None:
    return _variants(results, trials, part)["batch_aggregate"]


def muscle_table(results: Results, experiment: str = FINAL) -> Table:
    """Return the Dice per muscle on test data, mean over subjects; a column for each arm."""
    arms = results.arms(experiment)
    rows = []
    for muscle in results.muscles:
        scores = {
            arm: results.scores(results.finetunings(experiment, arm), "test", muscle)
            for arm in arms
        }
        rows.append(
            {"muscle": muscle}
            | {arm: mean_over_subjects(scores[arm]) for arm in arms}
            | {f"{arm} lowest": min((s.value for s in scores[arm]), default=None) for arm in arms}
        )
    return Table(
        name="muscles",
        caption="3D Dice per muscle on test data; split by subject",
        columns={
            "muscle": "Muscle",
            **{arm: arm_title(arm) for arm in arms},
            **{f"{arm} lowest": f"{arm_title(arm)}: lowest" for arm in arms},
        },
        rows=rows,
        note="“Lowest” is the worst single subject and seed: a mean hides a muscle that one "
        "training lost altogether.",
    )
