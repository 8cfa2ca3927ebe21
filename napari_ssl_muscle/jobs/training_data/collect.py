"""What a fine-tuning learns from: labels of a cohort, accepted slices of a study, or both."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.recipe import require_network, start_card
from napari_ssl_muscle.jobs.settings import LabelledJob
from napari_ssl_muscle.jobs.training_data.accepted import (
    AcceptedLabels,
    accepted_cases,
    add_accepted,
    choose_study_muscles,
    common_with_study,
    study_case,
    study_note,
    unsaved_slices,
)
from napari_ssl_muscle.jobs.training_data.labelled import (
    accepted_slices,
    choose_channels,
    choose_muscles,
    labelled_cases,
    labelled_slices,
    leave_out_absent,
)
from napari_ssl_muscle.jobs.training_data.split_choice import choose_split, persons_apart
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.data.muscle_classes import in_order_of
from napari_ssl_muscle.learning.models.card import ModelCard
from napari_ssl_muscle.scans.cohort import open_cohort, table_of
from napari_ssl_muscle.scans.muscles import MuscleTable, standard_name
from napari_ssl_muscle.scans.name_parts import likely_persons
from napari_ssl_muscle.scans.split import Split
from napari_ssl_muscle.study.study import Study


@dataclass(frozen=True)
class TrainingData:
    """Labelled cases, what is learned from them, and what is set apart.

    Attributes
    ----------
    cases
        The labelled cases.
    table, muscles
        What label values mean, and the muscles to learn.
    channels
        Image channels to learn from, in the order of each case's scans.
    corrected
        Subjects with accepted slices in the study.
    notes, warnings
        Sentences that the user should read.
    card
        Of the model to start from.
    slices
        Case → labelled slices that can train.
    persons
        Groups of subjects whose names look like those of one person.
    subjects_told
        Whether it was told whose scans the cases are (BIDS names, `subjects.tsv`).
    split
        What is set apart; None where learning sets a block of slices apart, or nothing.
    """

    cases: list[TrainingCase]
    table: MuscleTable
    muscles: MuscleTable
    channels: list[str]
    corrected: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    card: ModelCard | None = None
    slices: dict[str, list[int]] = field(default_factory=dict)
    persons: tuple[tuple[str, ...], ...] = ()
    subjects_told: bool = False
    split: Split | None = None


def collect(job: LabelledJob) -> TrainingData:
    """Check and collect what a job learns from.

    Raises
    ------
    BadInput
        If cohort, study, labels, muscles, channels, model or split cannot be used.
    """
    card = start_card(job)
    require_network(job, card)  # before any scan is opened
    study = None if job.study is None else Study.read(job.study)
    if job.cohort is None:
        assert study is not None
        data = _from_study(job, study, card)
    else:
        data = _from_cohort(job, study, card)
    if card is not None and card.task == "segmentation":
        data = replace(data, muscles=in_order_of(data.muscles, card.classes))
    slices = labelled_slices(data.cases, data.table, data.muscles)
    split = choose_split(
        job, data.cases, slices, data.corrected, data.persons, told=data.subjects_told
    )
    known = [standard_name(name) for name in card.table.names] if card else []
    muscles, said = leave_out_absent(data.cases, data.muscles, job.muscles, known)
    warnings = (*data.warnings, *said, *persons_apart(split, data.persons))
    return replace(data, card=card, muscles=muscles, slices=slices, split=split, warnings=warnings)


def _from_cohort(job: LabelledJob, study: Study | None, card: ModelCard | None) -> TrainingData:
    assert job.cohort is not None
    cohort = open_cohort(job.cohort)
    table = cohort.table or table_of(cohort)
    muscles = choose_muscles(table, job.muscles)
    channels = choose_channels(cohort, job.channels, card.channels if card else ())
    cases, left_out = labelled_cases(
        cohort,
        channels,
        volume=job.volume,
        subjects=job.train_on,
        empty=accepted_slices(job.accepted_empty, cohort),
    )
    data = TrainingData(
        cases,
        table,
        muscles,
        channels,
        warnings=(*cohort.problems, *left_out),
        persons=tuple(cohort.persons.values()),
        subjects_told=cohort.subjects_told,
    )
    if study is None:
        return data
    muscles, unknown = common_with_study(muscles, study, job.muscles)
    accepted = accepted_cases(study)
    cases, left_out = add_accepted(
        cohort, cases, study, accepted, table=table, channels=channels, volume=job.volume
    )
    corrected = (case.subject for case in cases if isinstance(case.labels, AcceptedLabels))
    return replace(
        data,
        cases=cases,
        muscles=muscles,
        corrected=frozenset(corrected),
        notes=(study_note(accepted, study.folder),),
        warnings=(*data.warnings, *unknown, *left_out, *unsaved_slices(accepted)),
    )


def _from_study(job: LabelledJob, study: Study, card: ModelCard | None) -> TrainingData:
    accepted = accepted_cases(study)
    muscles = choose_study_muscles(study.table, job.muscles, card)
    channels = job.channels or (card.channels if card else [accepted[0].channel or "image"])
    if len(channels) != 1:
        raise BadInput(
            f"The scans of the study {study.folder} have one image each, and the channels to "
            f"learn from are {', '.join(channels)}; give the COHORT that has them as well, or "
            "start from another model."
        )
    cases = [study_case(case, study.table) for case in accepted]
    return TrainingData(
        cases,
        study.table,
        muscles,
        list(channels),
        corrected=frozenset(case.subject for case in cases),
        notes=(study_note(accepted, study.folder),),
        warnings=unsaved_slices(accepted),
        persons=tuple(likely_persons(case.subject for case in cases).values()),
    )
