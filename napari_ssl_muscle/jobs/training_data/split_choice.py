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
    persons: Collection[Sequence[str]] = (),
    *,
    told: bool = False,
) -> Split | None:
    """Return the split that a job asks for; None where learning sets a block of slices apart.

    Subjects that were corrected in a study train. The split of a study's first training stays:
    later ones only add subjects to those that train.

    Parameters
    ----------
    job
        What is asked for.
    cases, slices
        What there is to learn from.
    corrected
        Subjects that were corrected in a study.
    persons
        Groups of subjects that are likely one person: no split drawn here parts them.
    told
        Whether it was told whose scans the cases are, and not read from their names.

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
            return _with_training(read_split(kept), subjects, persons)
    others = [subject for subject in subjects if subject not in corrected]
    different = count_persons(others, persons)
    if job.split == "subject" and different < FEWEST_SUBJECTS:
        corrected_too = " beside those of the study" if corrected else ""
        raise BadInput(
            f"A split by subject needs {FEWEST_SUBJECTS} labelled subjects{corrected_too} and "
            f"{job.cohort or job.study} has {len(others)} ({', '.join(others) or 'none'}); use "
            "--split block, which sets slices apart instead."
        )
    if job.split in ("auto", "subject") and different >= FEWEST_SUBJECTS:
        drawn = split_by_subject(others, seed=job.split_seed, together=persons)
        return replace(_with_training(drawn, subjects, persons), subjects_told=told)
    return None


def count_persons(subjects: Collection[str], persons: Collection[Sequence[str]]) -> int:
    """Return how many persons some subjects are, likely ones counted once."""
    merged = sum(len(set(group) & set(subjects)) - 1 for group in persons if {*group} & {*subjects})
    return len(set(subjects)) - merged


def persons_apart(split: Split | None, persons: Collection[Sequence[str]]) -> list[str]:
    """Say which likely persons a split has in several sets."""
    if split is None or split.unit != "subject":
        return []
    sets = (("training", split.train), ("validation", split.validation), ("test", split.test))
    apart = []
    for group in persons:
        where = [name for name, members in sets if set(group) & set(members)]
        if len(where) > 1:
            apart.append(f"{' and '.join(group)} ({', '.join(where)})")
    if not apart:
        return []
    return [
        f"The split may leak: {'; '.join(apart)} look like scans of one person in several sets, "
        "which would make figures too good."
    ]


def _with_training(
    split: Split, subjects: Sequence[str], persons: Collection[Sequence[str]]
) -> Split:
    """Return the split with subjects that it does not know yet among those that train.

    One that is likely the person of another subject goes where that one is.
    """
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    place = {name: part for part, names in parts.items() for name in names}
    for subject in subjects:
        if subject in place:
            continue
        same = next((group for group in persons if subject in group), ())
        part = next((place[name] for name in same if name in place), "train")
        parts[part] = (*parts[part], subject)
        place[subject] = part
    train, validation, test = parts.values()
    if (train, validation, test) == (split.train, split.validation, split.test):
        return split
    return replace(split, train=train, validation=validation, test=test)


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
