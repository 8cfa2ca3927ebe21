"""Fine-tune: check the cohort, choose muscles and split, and hand all of it to learning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_ssl_muscle.jobs.cases import (
    accepted_slices,
    choose_channels,
    choose_muscles,
    labelled_cases,
    labelled_slices,
)
from napari_ssl_muscle.jobs.folders import SPLIT
from napari_ssl_muscle.jobs.run import Outcome, Work
from napari_ssl_muscle.jobs.settings import FinetuneJob
from napari_ssl_muscle.jobs.starting import recipe_from
from napari_ssl_muscle.learning.cards import find_model, read_card
from napari_ssl_muscle.learning.cases import LabelledCase
from napari_ssl_muscle.learning.events import Emit, Note, ShouldStop
from napari_ssl_muscle.scans.cohort import open_cohort, table_of
from napari_ssl_muscle.scans.errors import BadInput
from napari_ssl_muscle.scans.split import (
    Split,
    check_no_leak,
    read_split,
    split_by_slice,
    split_by_subject,
    write_split,
)

FEWEST_SUBJECTS = 3
"""Labelled subjects from which whole subjects are set apart: to train, validate and test."""


def prepare(job: FinetuneJob) -> Work:
    """Check cohort, labels, muscles, channels, model and split; return the work.

    Raises
    ------
    BadInput
        If any of them cannot be used.
    """
    cohort = open_cohort(job.cohort)
    card = None if job.init is None else read_card(find_model(job.init))
    recipe, notes = recipe_from(job, card)
    table = cohort.table or table_of(cohort)
    chosen = choose_muscles(table, job.muscles)
    channels = choose_channels(cohort, job.channels, card.channels if card else ())
    cases, left_out = labelled_cases(
        cohort,
        table,
        channels,
        volume=job.volume,
        subjects=job.train_on,
        empty=accepted_slices(job.accepted_empty, cohort),
    )
    slices = labelled_slices(cases, table, chosen)
    split = choose_split(job, cases, slices)
    warnings = [*cohort.problems, *left_out]

    def work(emit: Emit, stop: ShouldStop) -> Outcome:
        # Here, because it imports torch: a request that is refused does not wait for it.
        from napari_ssl_muscle.learning.finetune import finetune

        for text in warnings:
            emit(Note(text=text, warning=True))
        for text in notes:
            emit(Note(text=text))
        if split is not None:
            write_split(job.out / SPLIT, split)
        result = finetune(
            cases,
            chosen,
            recipe,
            out=job.out,
            init=job.init,
            freeze_mode=job.freeze,
            split=split,
            validation="none" if job.split == "none" else "auto",
            channels=channels,
            emit=emit,
            stop=stop,
            resume=job.resume,
        )
        return Outcome(_result(job, result.model, result.metrics), result.stopped)

    return work


def choose_split(
    job: FinetuneJob, cases: Sequence[LabelledCase], slices: dict[str, list[int]]
) -> Split | None:
    """Return the split that a job asks for; None where learning sets a block of slices apart.

    Raises
    ------
    BadInput
        If there are too few subjects for a split by subject, the split's file is broken, would
        leak, or leaves nothing to train on.
    """
    subjects = list(dict.fromkeys(case.subject for case in cases))
    if job.split_file is not None:
        split = read_split(job.split_file)
        if job.split != "slice":  # the published split leaks, and has to be asked for by name
            check_no_leak(split, {case.name: case.subject for case in cases})
        there = set(subjects) if split.unit == "subject" else set(_slice_names(slices))
        if not there & set(split.train):
            raise BadInput(
                f"None of what {job.split_file} trains on ({', '.join(split.train[:5])}) is "
                f"labelled in {job.cohort}; give the split of this cohort."
            )
        return split
    if job.split == "slice":
        return split_by_slice(_slice_names(slices), seed=job.split_seed)
    if job.split == "subject" and len(subjects) < FEWEST_SUBJECTS:
        raise BadInput(
            f"A split by subject needs {FEWEST_SUBJECTS} labelled subjects and {job.cohort} has "
            f"{len(subjects)} ({', '.join(subjects)}); use --split block, "
            "which sets slices apart instead."
        )
    if job.split == "subject" or (job.split == "auto" and len(subjects) >= FEWEST_SUBJECTS):
        return split_by_subject(subjects, seed=job.split_seed)
    return None


def _slice_names(slices: dict[str, list[int]]) -> list[str]:
    return [f"{case}:{z}" for case, there in slices.items() for z in there]


def _result(job: FinetuneJob, model: Any, metrics: dict[str, float]) -> dict[str, Any]:
    lines = [f"Dice {value:.3f}  {name}" for name, value in metrics.items()]
    return {
        "text": "\n".join(lines),
        "files": [str(model)],
        "model": str(model),
        "metrics": metrics,
        "out": str(job.out),
    }
