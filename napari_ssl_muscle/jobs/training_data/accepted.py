"""What a training takes from a study: accepted slices only, and never one that is held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.training_data.labelled import (
    choose_muscles,
    open_channels,
    without_channels,
)
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.data.muscle_classes import paired
from napari_ssl_muscle.learning.models.card import ModelCard
from napari_ssl_muscle.scans.cohort import Case, Cohort
from napari_ssl_muscle.scans.muscles import MuscleTable, split_side, standard_name
from napari_ssl_muscle.scans.volume import (
    LabelMap,
    Scan,
    check_same_grid,
    open_label_map,
    open_scan,
)
from napari_ssl_muscle.study.scan_reference import fingerprint
from napari_ssl_muscle.study.study import Study
from napari_ssl_muscle.study.training_cases import StudyCase, training_cases


@dataclass(frozen=True)
class AcceptedLabels(LabelMap):
    """The label map of a study's case, in which only accepted slices carry labels.

    Attributes
    ----------
    slices
        The slices that are accepted now; the file may hold more from before.
    stored
        What the values in the file mean.
    target
        What the values that are read shall mean; None leaves them.
    """

    slices: frozenset[int]
    stored: MuscleTable
    target: MuscleTable | None = None

    def read(self) -> npt.NDArray[np.int32]:
        """Read the label values, as `LabelMap.read` does.

        Raises
        ------
        BadInput
            Also if a value is not in the study's table.
        """
        values = super().read()
        self.stored.require_known(values, str(self.path))
        values[[z for z in range(len(values)) if z not in self.slices]] = 0
        if self.target is None or self.target == self.stored:
            return values
        lookup = np.zeros(max((0, *self.stored.values)) + 1, np.int32)
        for muscle in self.stored.muscles:
            lookup[muscle.value] = _value_of(self.target, muscle.name) or 0
        return lookup[values]


def accepted_cases(study: Study) -> list[StudyCase]:
    """Return the cases of a study with accepted slices.

    Raises
    ------
    BadInput
        If there are none, or a scan has gone or changed.
    """
    found = training_cases(study)
    if not found:
        raise BadInput(
            f"The study {study.folder} has no accepted slice yet; "
            "correct and accept at least one slice, and save it."
        )
    return found


def study_case(
    case: StudyCase,
    stored: MuscleTable,
    target: MuscleTable | None = None,
    *,
    held_out: bool = False,
) -> TrainingCase:
    """Return a case of a study as learning takes it.

    Parameters
    ----------
    case
        From `training_cases`.
    stored, target
        As in `AcceptedLabels`.
    held_out
        Let the labels of held-out slices be read, to compare models with them.
    """
    depth = case.scan.geometry.canonical_shape[0]
    file = open_label_map(case.labels)
    slices = case.accepted - case.accepted_empty
    if not held_out:
        slices -= case.held_out
    labels = AcceptedLabels(file.path, file.geometry, slices, stored, target)
    check_same_grid(case.scan, labels)
    never = case.held_out | (frozenset(range(depth)) - case.accepted)
    return TrainingCase(
        case.name, case.subject, (case.scan,), labels, case.accepted_empty, held_out=never
    )


def choose_study_muscles(
    table: MuscleTable, asked: Sequence[str] | None, card: ModelCard | None
) -> MuscleTable:
    """Return the muscles to learn from a study alone.

    Those asked for; else those of the model to start from, if the study's table has all of them
    (its last layer can then go on learning); else the usual ones of the table.

    Raises
    ------
    BadInput
        If a muscle that is asked for is not in the table.
    """
    if asked is None and card is not None and card.task == "segmentation":
        known = {standard_name(name) for name in table.names}
        if all(standard_name(name) in known for name in card.table.names):
            return table.select(card.table.names)
        wanted = {standard_name(name) for name in card.muscle_names}
        both = [muscle.name for muscle in table.muscles if split_side(muscle.name)[0] in wanted]
        if paired(table) and {split_side(name)[0] for name in both} == wanted:
            return table.select(both)  # of either side, which one class of the model stands for
    return choose_muscles(table, asked)


def common_with_study(
    chosen: MuscleTable, study: Study, asked: Sequence[str] | None
) -> tuple[MuscleTable, list[str]]:
    """Return those of a cohort's muscles that the study's table has as well, and what to say.

    A muscle that the study does not know is drawn nowhere in it, and would be learned as
    background.

    Raises
    ------
    BadInput
        If there is none, or one that was asked for by name is missing.
    """
    missing = [name for name in chosen.names if _value_of(study.table, name) is None]
    kept = tuple(muscle for muscle in chosen.muscles if muscle.name not in missing)
    if not kept or (missing and asked is not None):
        raise BadInput(
            f"The study {study.folder} does not know {', '.join(missing)}; it has "
            f"{', '.join(study.table.names)}. Choose common ones with --muscles."
        )
    notes = [f"Not learned, because the study does not know it: {name}." for name in missing]
    return MuscleTable(kept, chosen.ignored), notes


def add_accepted(
    cohort: Cohort,
    labelled: Sequence[TrainingCase],
    study: Study,
    accepted: Sequence[StudyCase],
    *,
    table: MuscleTable,
    channels: Sequence[str],
    volume: int | None = None,
) -> tuple[list[TrainingCase], list[str]]:
    """Put a study's accepted slices beside the labels of a cohort.

    A scan that is in both (under whatever name) is one case: accepted slices take the place of
    the cohort's labels, and held-out slices train with neither.

    Parameters
    ----------
    cohort, labelled
        The cohort and its cases that train.
    study, accepted
        The study and its cases, from `accepted_cases`.
    table
        What label values mean in the cohort.
    channels, volume
        The image channels that are learned from, and which volume of the cohort's 4D scans.

    Returns
    -------
    The cases of both, and sentences about those that were left out.

    Raises
    ------
    BadInput
        If a scan cannot be used, or lacks channels.
    """
    cases = list(labelled)
    notes = []
    for found in accepted:
        made = study_case(found, study.table, table)
        same = _same_scan(found, cohort)
        if same is None:
            if len(channels) != 1:
                raise BadInput(
                    f"The scan {found.scan.path} of the study {study.folder} is one image and not "
                    f"in {cohort.folder}, and the channels to learn from are "
                    f"{', '.join(channels)}; choose one with --channels."
                )
            if made.name in {case.name for case in cohort.cases}:
                made = replace(made, name=f"{made.name} (study)")
            cases.append(made)
            continue
        never = found.held_out | found.accepted
        cases = [
            replace(case, held_out=case.held_out | never) if case.name == same.name else case
            for case in cases
        ]
        if (missing := without_channels(found.name, same, channels)) is not None:
            notes.append(missing)
            continue
        assert made.labels is not None
        scans, _ = open_channels(same, channels, volume, made.labels)
        cases.append(replace(made, name=same.name, subject=same.subject, scans=scans))
    return cases, notes


def study_note(cases: Sequence[StudyCase], folder: Path) -> str:
    """Say how many accepted slices of a study train."""
    training = sum(len(case.accepted - case.held_out) for case in cases)
    held_out = sum(len(case.accepted & case.held_out) for case in cases)
    return (
        f"From the study {folder.resolve().name}: {training} accepted slices train, {held_out} are "
        "held out to compare models."
    )


def unsaved_slices(cases: Sequence[StudyCase]) -> tuple[str, ...]:
    """Say which accepted slices have no label in the file of their case."""
    notes = []
    for case in cases:
        labels = open_label_map(case.labels).read()
        there = set(np.flatnonzero(labels.any(axis=(1, 2))).tolist())
        if bare := sorted(case.accepted - case.accepted_empty - there):
            notes.append(
                f"{case.name}: accepted, but without a saved label, so not used: slice "
                f"{', '.join(map(str, bare))}. Accept a slice without muscle as empty."
            )
    return tuple(notes)


def _same_scan(case: StudyCase, cohort: Cohort) -> Case | None:
    """Return the cohort's case that has this very scan, under whatever name."""
    size, digest = fingerprint(case.scan.path)
    for candidate in cohort.cases:
        for path in candidate.images.values():
            if path.is_file() and path.stat().st_size == size and fingerprint(path)[1] == digest:
                return candidate
    # Not the same file; perhaps the same scan all the same, unpacked or saved once more.
    for candidate in cohort.cases:
        if any(_same_voxels(case.scan, path) for path in candidate.images.values()):
            return candidate
    return None


def _same_voxels(scan: Scan, path: Path) -> bool:
    """Whether a file holds this scan; its voxels are read only if the grids are the same."""
    try:
        other = open_scan(path, scan.volume)
        if scan.geometry.differs_from(other.geometry) is not None:
            return False
        return np.array_equal(scan.read(), other.read())
    except BadInput:
        return False


def _value_of(table: MuscleTable, name: str) -> int | None:
    standard = standard_name(name)
    return next((m.value for m in table.muscles if standard_name(m.name) == standard), None)
