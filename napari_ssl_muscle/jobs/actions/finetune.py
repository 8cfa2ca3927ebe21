"""Fine-tune: check cohort and study, choose muscles and split, and hand all of it to learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.recipe import lower_known_rate, recipe_from
from napari_ssl_muscle.jobs.run import Outcome, PreparedJob
from napari_ssl_muscle.jobs.run_folder import SPLIT
from napari_ssl_muscle.jobs.settings import FinetuneJob, LabelledJob
from napari_ssl_muscle.jobs.training_data.accepted import (
    AcceptedLabels,
    about,
    accepted_cases,
    choose_study_muscles,
    common_with_study,
    join,
    study_case,
    unsaved,
)
from napari_ssl_muscle.jobs.training_data.labelled import (
    accepted_slices,
    choose_channels,
    choose_muscles,
    labelled_cases,
    labelled_slices,
)
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.events import Emit, Note, ShouldStop
from napari_ssl_muscle.learning.models.card import ModelCard, find_model, read_card
from napari_ssl_muscle.scans.cohort import open_cohort, table_of
from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.scans.split import (
    Split,
    check_no_leak,
    read_split,
    split_by_slice,
    split_by_subject,
    write_split,
)
from napari_ssl_muscle.scans.volume import open_label_map
from napari_ssl_muscle.study.study import Study

FEWEST_SUBJECTS = 3
"""Labelled subjects from which whole subjects are set apart: to train, validate and test."""


def prepare(job: FinetuneJob) -> PreparedJob:
    """Check cohort, study, labels, muscles, channels, model and split; return the work.

    Raises
    ------
    BadInput
        If any of them cannot be used.
    """
    return training(job, training_data_of(job))


def training(job: FinetuneJob, data: TrainingData, *, name: str | None = None) -> PreparedJob:
    """Return the work of a job whose ground was looked at already.

    Parameters
    ----------
    job
        What is trained, and where.
    ground
        Of this job, or of one with the same labelled scans.
    name
        The new model's name; None takes the folder's.

    Raises
    ------
    BadInput
        If the model to start from is of another network than the job asks for.
    """
    recipe, notes = recipe_from(job, data.card)
    gathered, split = data.gathered, data.split
    recipe, rate = lower_known_rate(recipe, job, data.card, gathered.chosen)
    notes = [*notes, *rate, *gathered.notes]
    warnings = [*gathered.warnings, *_set_apart(split, gathered.corrected)]
    alone = job.cohort is None and job.split == "auto" and split is None

    def work(emit: Emit, stop: ShouldStop) -> Outcome:
        # Here, because it imports torch: a request that is refused does not wait for it.
        from napari_ssl_muscle.learning.finetune import finetune
        from napari_ssl_muscle.learning.training.session import RunOptions

        for text in warnings:
            emit(Note(text=text, warning=True))
        for text in notes:
            emit(Note(text=text))
        if split is not None:
            write_split(job.out / SPLIT, split)
            if job.study is not None and job.split_file is None and split.unit == "subject":
                write_split(Study.read(job.study).split_path, split)
        result = finetune(
            gathered.cases,
            gathered.chosen,
            recipe,
            RunOptions(job.out, emit, stop, init=job.init, name=name, resume=job.resume),
            freeze_mode=job.freeze,
            split=split,
            validation="none" if job.split == "none" or alone else "auto",
            channels=gathered.channels,
            described=_described(job),
        )
        return Outcome(_result(job, result.model, result.metrics), result.stopped)

    return work


def _described(job: LabelledJob) -> tuple[str, str]:
    """Return what the card calls the scans of a job, and their labels."""
    if job.study is None:
        return "the user's cohort", "the cohort's label maps"
    if job.cohort is None:
        return "a study of the user", "slices that a person accepted"
    return "the user's cohort and study", "label maps, and slices that a person accepted"


@dataclass(frozen=True)
class LabelledCases:
    """Labelled cases, what their values mean, and what is learned from them.

    `corrected` holds the subjects of the study, `notes` and `warnings` sentences.
    """

    cases: list[TrainingCase]
    table: MuscleTable
    chosen: MuscleTable
    channels: list[str]
    corrected: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingData:
    """What a training stands on.

    Attributes
    ----------
    card
        Of the model to start from.
    gathered
        The labelled cases and the muscles.
    slices
        Case → labelled slices that can train.
    split
        What is set apart; None where learning sets a block of slices apart, or nothing.
    """

    card: ModelCard | None
    gathered: LabelledCases
    slices: dict[str, list[int]]
    split: Split | None


def training_data_of(job: LabelledJob) -> TrainingData:
    """Check what a job learns from: cohort, study, labels, muscles, channels, model and split.

    Raises
    ------
    BadInput
        If any of them cannot be used.
    """
    card = None if job.init is None else read_card(find_model(job.init))
    recipe_from(job, card)
    gathered = _gather(job, card)
    slices = labelled_slices(gathered.cases, gathered.table, gathered.chosen)
    return TrainingData(
        card, gathered, slices, choose_split(job, gathered.cases, slices, gathered.corrected)
    )


def _gather(job: LabelledJob, card: ModelCard | None) -> LabelledCases:
    """Open what a job learns from: a cohort, a study, or both."""
    study = None if job.study is None else Study.read(job.study)
    if job.cohort is None:
        assert study is not None
        return _from_study(job, study, card)
    cohort = open_cohort(job.cohort)
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
    warnings = [*cohort.problems, *left_out]
    if study is None:
        return LabelledCases(cases, table, chosen, channels, warnings=tuple(warnings))
    chosen, unknown = common_with_study(chosen, study, job.muscles)
    together, more = join(cohort, cases, study, wanted=table, channels=channels, volume=job.volume)
    corrected = frozenset(
        case.subject for case in together if isinstance(case.labels, AcceptedLabels)
    )
    said = _about(study)
    return LabelledCases(
        together,
        table,
        chosen,
        channels,
        corrected,
        said.notes,
        (*warnings, *unknown, *more, *said.warnings),
    )


def _from_study(job: LabelledJob, study: Study, card: ModelCard | None) -> LabelledCases:
    found = accepted_cases(study)
    chosen = choose_study_muscles(study.table, job.muscles, card)
    channels = job.channels or (card.channels if card else [found[0].channel or "image"])
    if len(channels) != 1:
        raise BadInput(
            f"The scans of the study {study.folder} have one image each, and the channels to "
            f"learn from are {', '.join(channels)}; give the COHORT that has them as well, or "
            "start from another model."
        )
    cases = [study_case(case, study.table) for case in found]
    said = _about(study)
    corrected = frozenset(case.subject for case in cases)
    return LabelledCases(
        cases, study.table, chosen, list(channels), corrected, said.notes, said.warnings
    )


@dataclass(frozen=True)
class _Said:
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def _about(study: Study) -> _Said:
    found = accepted_cases(study)
    bare = [text for case in found for text in unsaved(case, open_label_map(case.labels).read())]
    return _Said((about(found, study.folder),), tuple(bare))


def _set_apart(split: Split | None, corrected: frozenset[str]) -> list[str]:
    """Say which corrections do not train, because their subject is set apart."""
    if split is None or split.unit != "subject":
        return []
    apart = sorted(corrected & {*split.validation, *split.test})
    return [
        f"{subject} is set apart by the split, so its accepted slices do not train."
        for subject in apart
    ]


def choose_split(
    job: LabelledJob,
    cases: Sequence[TrainingCase],
    slices: dict[str, list[int]],
    corrected: frozenset[str] = frozenset(),
) -> Split | None:
    """Return the split that a job asks for; None where learning sets a block of slices apart.

    Subjects that were corrected in a study train. The split of a study's first training stays:
    later ones only add subjects to those that train.

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
                f"labelled in {job.cohort or job.study}; give the split of this cohort."
            )
        return split
    if job.split == "slice":
        return split_by_slice(_slice_names(slices), seed=job.split_seed)
    if job.split in ("auto", "subject") and job.study is not None and job.cohort is not None:
        kept = Study.read(job.study).split_path
        if kept.is_file():
            return _with_training(read_split(kept), subjects)
    others = [subject for subject in subjects if subject not in corrected]
    if job.split == "subject" and len(others) < FEWEST_SUBJECTS:
        corrected_too = " beside those of the study" if corrected else ""
        raise BadInput(
            f"A split by subject needs {FEWEST_SUBJECTS} labelled subjects{corrected_too} and "
            f"{job.cohort or job.study} has {len(others)} ({', '.join(others) or 'none'}); use "
            "--split block, which sets slices apart instead."
        )
    if job.split in ("auto", "subject") and len(others) >= FEWEST_SUBJECTS:
        return _with_training(split_by_subject(others, seed=job.split_seed), subjects)
    return None


def _with_training(split: Split, subjects: Sequence[str]) -> Split:
    """Return the split with subjects that it does not know yet among those that train."""
    known = {*split.train, *split.validation, *split.test}
    new = [subject for subject in subjects if subject not in known]
    return replace(split, train=(*split.train, *new)) if new else split


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
