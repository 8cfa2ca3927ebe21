"""Which split a training uses: what validates and tests, and what a pretraining leaves out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.settings import LabelledJob
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.scans.split import (
    Split,
    case_and_slice,
    check_no_leak,
    read_split,
    slice_name,
    split_by_slice,
    split_by_subject,
)
from napari_ssl_muscle.study.study import Study

FEWEST_SUBJECTS = 3
"""Labelled subjects from which whole subjects are set apart: to train, validate and test."""


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
        there = set(subjects) if split.unit == "subject" else set(slice_names(slices))
        if not there & set(split.train):
            raise BadInput(
                f"None of what {job.split_file} trains on ({', '.join(split.train[:5])}) is "
                f"labelled in {job.cohort or job.study}; give the split of this cohort."
            )
        return split
    if job.split == "slice":
        return split_by_slice(slice_names(slices), seed=job.split_seed)
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


def slice_names(slices: Mapping[str, Collection[int]]) -> list[str]:
    """Return the names of slices in a split."""
    return [slice_name(case, z) for case, there in slices.items() for z in there]


def subjects_of_test_set(split: Split | None, there: Collection[str]) -> list[str]:
    """Return the test subjects of a split that have scans here."""
    if split is None or split.unit != "subject":
        return []
    return [name for name in split.test if name in there]


def slices_of_test_set(split: Split | None) -> dict[str, frozenset[int]]:
    """Return case → test slices of a split by slice."""
    slices: dict[str, frozenset[int]] = {}
    if split is not None and split.unit == "slice":
        for member in split.test:
            case, z = case_and_slice(member)
            slices[case] = slices.get(case, frozenset()) | {int(z)}
    return slices
