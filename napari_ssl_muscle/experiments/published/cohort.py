"""The cohort of a study: what is in it, and who trains, validates and tests."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.published.plan import CohortSummary, Fold
from napari_ssl_muscle.files import file_hash
from napari_ssl_muscle.jobs.settings import ExperimentsJob
from napari_ssl_muscle.jobs.training_data.labelled import (
    choose_channels,
    choose_muscles,
    labelled_cases,
    labelled_slices,
)
from napari_ssl_muscle.jobs.training_data.split_choice import slice_names
from napari_ssl_muscle.learning.data.case import FEWEST, TrainingCase, middle_block
from napari_ssl_muscle.scans.cohort import Cohort, open_cohort, table_of
from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.scans.split import Split, split_by_slice, split_by_subject
from napari_ssl_muscle.scans.volume import open_scan

SPLIT_FROM = 8
"""Labelled subjects from which they are split 75, 12.5 and 12.5 %: one each validates and tests."""

SUBJECTS, SLICES = "subjects", "slices"
"""Names of the folds with the published shares, by subject and by slice."""


@dataclass(frozen=True)
class LabelledCohort:
    """The labelled scans of a cohort, opened and checked.

    `slices` is case → labelled slices, `warnings` are sentences about what is left out.
    """

    cohort: Cohort
    cases: list[TrainingCase]
    muscles: MuscleTable
    channels: list[str]
    slices: dict[str, list[int]]
    warnings: tuple[str, ...]

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects with labelled slices, sorted."""
        return tuple(sorted({case.subject for case in self.cases if self.slices[case.name]}))

    @property
    def persons(self) -> list[tuple[str, ...]]:
        """The subjects by person: those whose names look like one person's are together."""
        of = {name: group for group in self.cohort.persons.values() for name in group}
        same = (tuple(s for s in self.subjects if s in of.get(n, (n,))) for n in self.subjects)
        return list(dict.fromkeys(same))


def open_labelled(job: ExperimentsJob) -> LabelledCohort:
    """Open the labelled scans that a job names.

    Raises
    ------
    BadInput
        If nothing is labelled, or muscles, channels or files cannot be used.
    """
    cohort = open_cohort(job.cohort)
    table = cohort.table or table_of(cohort)
    muscles = choose_muscles(table, job.muscles)
    channels = choose_channels(cohort, job.channels)
    cases, left_out = labelled_cases(cohort, channels)
    slices = labelled_slices(cases, table, muscles)
    return LabelledCohort(cohort, cases, muscles, channels, slices, (*cohort.problems, *left_out))


def folds_of(
    found: LabelledCohort, *, by_subject: bool, most: int | None = None
) -> tuple[Fold, ...]:
    """Return the folds: by subject, and the published split by slice, which leaks.

    Subjects that are likely one person stay in one set and count once.

    Parameters
    ----------
    found
        The labelled scans.
    by_subject
        Split the subjects 75, 12.5 and 12.5 % even if there are few.
    most
        Where subjects test in turn: the largest number of folds; each then tests several. None
        for a fold for each subject.

    Raises
    ------
    BadInput
        If there are fewer subjects, or labelled slices, than that needs.
    """
    persons, folder = found.persons, found.cohort.folder
    needed = 3 if by_subject else 2
    if len(persons) < needed:
        raise BadInput(
            f"The experiments need at least {needed} labelled subjects, to train"
            f"{', to validate' if by_subject else ''} and to test, and {folder} has "
            f"{len(persons)} ({', '.join('/'.join(names) for names in persons) or 'none'}); "
            "label more scans."
        )
    if by_subject or len(persons) >= SPLIT_FROM:
        folds = [_fold(SUBJECTS, split_by_subject(found.subjects, together=persons))]
    else:
        count = min(most or len(persons), len(persons))
        in_turn = [tuple(chain.from_iterable(persons[k::count])) for k in range(count)]
        folds = [_in_turn(found, tested) for tested in in_turn]
    return (*folds, _fold(SLICES, split_by_slice(slice_names(found.slices))))


def _fold(name: str, split: Split) -> Fold:
    return Fold(
        name=name,
        unit=split.unit,
        train=split.train,
        validation=split.validation,
        test=split.test,
    )


def _in_turn(found: LabelledCohort, tested: tuple[str, ...]) -> Fold:
    """Return the fold in which some subjects test and slices of the others validate."""
    blocks = {
        case.name: tuple(middle_block(found.slices[case.name]))
        for case in found.cases
        if case.subject not in tested
    }
    blocks = {name: block for name, block in blocks.items() if block}
    train = tuple(name for name in found.subjects if name not in tested)
    if not blocks:
        raise BadInput(
            f"Where {' and '.join(tested)} {'tests' if len(tested) == 1 else 'test'}, slices of "
            f"{', '.join(train)} select the settings, and that takes {FEWEST} labelled slices in "
            "one of their scans; label more slices."
        )
    name = f"test-{'+'.join(tested)}"
    return Fold(name=name, unit="subject", train=train, test=tested, held_out=blocks)


def split_of(fold: Fold) -> Split | None:
    """Return the split of a fold as trainings read it; None where slices are held out."""
    if fold.held_out:
        return None
    shares = [len(part) for part in (fold.train, fold.validation, fold.test)]
    total = sum(shares)
    return Split(
        fold.unit,
        fold.train,
        fold.validation,
        fold.test,
        0,
        (shares[0] / total, shares[1] / total, shares[2] / total),
    )


def summary_of(found: LabelledCohort) -> CohortSummary:
    """Return what the plan says of the cohort; reads every label map and every header."""
    content = [
        [case.name, case.subject, found.slices[case.name], file_hash(case.labels.path)]
        for case in found.cases
        if case.labels is not None
    ]
    text = json.dumps(content, ensure_ascii=True)
    images = [path for case in found.cohort.cases for path in case.images.values()]
    shapes = _shapes(images)
    return CohortSummary(
        folder=os.path.normpath(found.cohort.folder.absolute()),
        labelled_subjects=found.subjects,
        labelled_slices=sum(map(len, found.slices.values())),
        subjects=len(found.cohort.subjects),
        images=len(images),
        slices=sum(shape[0] for shape in shapes),
        rows=max(shape[1] for shape in shapes),
        columns=max(shape[2] for shape in shapes),
        muscles=found.muscles.names,
        channels=tuple(found.channels),
        labels_hash=hashlib.sha256(text.encode()).hexdigest()[:12],
    )


def _shapes(images: Sequence[Path]) -> list[tuple[int, int, int]]:
    """Return slices, rows and columns of each image that can be opened."""
    shapes = []
    for path in images:
        try:
            shapes.append(open_scan(path, volume=0).geometry.canonical_shape)
        except BadInput:  # a pretraining leaves it out, with a warning
            continue
    return shapes
