"""From a cohort's files to the cases that learning is given, with everything checked first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.record import origin_of_file
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.scans.cohort import Case, Cohort
from napari_ssl_muscle.scans.formats.nifti import not_fetched
from napari_ssl_muscle.scans.inspection import count_voxels, coverage
from napari_ssl_muscle.scans.muscles import (
    Muscle,
    MuscleTable,
    default_table,
    split_side,
    standard_name,
)
from napari_ssl_muscle.scans.split import case_and_slice
from napari_ssl_muscle.scans.volume import (
    LabelMap,
    Scan,
    on_grid_of,
    open_label_map,
    open_scan,
)

ALL = "all"
"""What the user writes for every muscle of the table."""


def choose_channels(
    cohort: Cohort, asked: Sequence[str] | None, usual: Sequence[str] = ()
) -> list[str]:
    """Return the image channels to learn from.

    Those `asked` for, else the only one, else the `usual` ones of the model to start from.

    Raises
    ------
    BadInput
        If a channel is not there, or there are several and none was named.
    """
    there = cohort.channels
    if asked is not None:
        missing = [name for name in asked if name not in there]
        if missing:
            raise BadInput(
                f"{cohort.folder} has no channel {missing[0]}; it has {', '.join(there)}."
            )
        return list(asked)
    if len(there) == 1:
        return list(there)
    if usual and set(usual) <= set(there):
        return list(usual)
    raise BadInput(
        f"{cohort.folder} has the channels {', '.join(there)}; "
        "choose one or more of them with --channels."
    )


def choose_muscles(table: MuscleTable, asked: Sequence[str] | None) -> MuscleTable:
    """Return the muscles to learn: those asked for, or the six of thigh or calf that are there.

    Where the table distinguishes left and right, both sides of the six are taken. A table with
    none of them is taken whole.

    Raises
    ------
    BadInput
        If a muscle that is asked for is not in the table.
    """
    if asked is not None:
        return table if list(asked) == [ALL] else table.select(asked)
    chosen: list[Muscle] = []
    for usual in (default_table("thigh"), default_table("calf")):
        there = [m for m in table.muscles if split_side(m.name)[0] in usual.names]
        chosen = max(chosen, there, key=len)
    return MuscleTable(tuple(chosen), table.ignored) if chosen else table


def leave_out_absent(
    cases: Sequence[TrainingCase],
    muscles: MuscleTable,
    asked: Sequence[str] | None,
    known: Sequence[str] = (),
) -> tuple[MuscleTable, list[str]]:
    """Leave muscles out that no label map has; nothing can be learned of them but background.

    Parameters
    ----------
    cases
        With labels.
    muscles
        What shall be learned.
    asked
        The muscles that were asked for by name: these are not left out silently.
    known
        Standard names of muscles that the model to start from knows; they are kept.

    Returns
    -------
    The muscles, and sentences about those that are in no scan or in few.

    Raises
    ------
    BadInput
        If a muscle that was asked for by name is in no label map.
    """
    counts = [count_voxels(case.labels.read()) for case in cases if case.labels is not None]
    said = coverage(counts, muscles)
    # A muscle with a side is there if it was drawn on either: its sides are learned together.
    drawn = {
        split_side(muscle.name)[0]
        for muscle in muscles.muscles
        if any(count.get(muscle.value) for count in counts)
    }
    absent = [muscle for muscle in muscles.muscles if split_side(muscle.name)[0] not in drawn]
    if asked is not None and list(asked) != [ALL] and absent:
        raise BadInput(
            f"No label map has {', '.join(m.name for m in absent)}; label it in some slice, or "
            "leave it out of --muscles."
        )
    gone = [m for m in absent if standard_name(m.name) not in known]
    if not gone or len(gone) == len(muscles.muscles):
        return muscles, said
    kept = tuple(muscle for muscle in muscles.muscles if muscle not in gone)
    names = ", ".join(muscle.name for muscle in gone)
    return MuscleTable(kept, muscles.ignored), [*said, f"Not learned: {names}."]


def accepted_slices(entries: Sequence[str] | None, cohort: Cohort) -> dict[str, frozenset[int]]:
    """Return case → slices that a person accepted as empty, from entries such as "CASE:3".

    Raises
    ------
    BadInput
        If an entry is not of this form or names no case of the cohort.
    """
    found: dict[str, set[int]] = {}
    known = {case.name for case in cohort.cases}
    for entry in entries or ():
        name, number = case_and_slice(entry)
        if not number.isdecimal():
            raise BadInput(f"'{entry}' names no slice; write CASE:SLICE, such as leg-01:0.")
        if name not in known:
            raise BadInput(f"{cohort.folder} has no case {name}; it was named in '{entry}'.")
        found.setdefault(name, set()).add(int(number))
    return {name: frozenset(slices) for name, slices in found.items()}


def _only_predicted(labels: Path) -> str | None:
    """Return the model whose prediction labels are; None if a person had a hand in them.

    A model that learns from its own predictions only becomes surer of its errors.
    """
    try:
        origin, corrected = origin_of_file(labels)
    except BadInput:
        return None
    return None if origin is None or corrected else origin.model


def labelled_cases(
    cohort: Cohort,
    channels: Sequence[str],
    *,
    volume: int | None = None,
    subjects: Sequence[str] | None = None,
    empty: dict[str, frozenset[int]] | None = None,
) -> tuple[list[TrainingCase], list[str]]:
    """Open the labelled cases; headers and grids are checked.

    Parameters
    ----------
    cohort
        The scans.
    channels
        The channels to learn from, in order.
    volume
        Which volume of 4D scans.
    subjects
        Only these; None takes all.
    empty
        Case → slices accepted as empty.

    Returns
    -------
    The cases with labels and all channels, and sentences about those that were left out.

    Raises
    ------
    BadInput
        If nothing is labelled, a subject is not there, a file cannot be used, or labels lie on
        another grid than their scan.
    """
    labelled = [case for case in cohort.labelled if subjects is None or case.subject in subjects]
    known = {case.subject for case in cohort.labelled}
    unknown = [subject for subject in subjects or () if subject not in known]
    if unknown:
        raise BadInput(
            f"{cohort.folder} has no labelled subject {unknown[0]}; "
            f"it has {', '.join(sorted(known)) or 'none'}."
        )
    missing, predicted, cases = [], [], []
    for case in labelled:
        labels = case.labels_for(channels)
        if (sentence := without_channels(case.name, case, channels)) is not None:
            missing.append(sentence)
        elif labels is None:
            missing.append(
                f"{case.name} was left out: no label map belongs to its {', '.join(channels)}."
            )
        elif absent := [s for c in channels if (s := not_fetched(case.images[c]))]:
            missing.append(f"{case.name} was left out: {absent[0]}")
        elif (model := _only_predicted(labels)) is not None:
            predicted.append(
                f"{case.name} was left out: its labels are what the model {model} predicted, and "
                "nobody has corrected them."
            )
        else:
            accepted = (empty or {}).get(case.name, frozenset())
            cases.append(_open(case, labels, channels, volume, accepted))
    if not cases:
        raise BadInput(
            f"{cohort.folder} has no scan with a label map"
            + (f" and the channel {', '.join(channels)}" if labelled else "")
            + "; label at least one slice, or check the names of the files."
            + "".join(f" ({sentence.rstrip('.')}.)" for sentence in missing[:1])
        )
    return cases, [*missing, *predicted]


def without_channels(name: str, case: Case, channels: Sequence[str]) -> str | None:
    """Say that a case is left out, if it lacks one of the channels; `name` is what it is called."""
    if all(channel in case.images for channel in channels):
        return None
    return f"{name} was left out: it has no image of channel {', '.join(channels)}."


def open_channels(
    case: Case, channels: Sequence[str], volume: int | None, labels: LabelMap
) -> tuple[tuple[Scan, ...], LabelMap]:
    """Open the images of a case, one for each channel; the labels come back on their grid.

    Raises
    ------
    BadInput
        If one cannot be used, or lies on another grid than the labels.
    """
    scans = tuple(open_scan(case.images[name], volume) for name in channels)
    for scan in scans:
        labels = on_grid_of(scan, labels)
    return scans, labels


def _open(
    case: Case,
    file: Path,
    channels: Sequence[str],
    volume: int | None,
    empty: frozenset[int],
) -> TrainingCase:
    labels = open_label_map(file)
    scans, labels = open_channels(case, channels, volume, labels)
    depth = labels.geometry.canonical_shape[0]
    outside = [z for z in empty if z >= depth]
    if outside:
        raise BadInput(
            f"{case.name} has no slice {outside[0]} to accept as empty; it has {depth}, from 0."
        )
    return TrainingCase(case.name, case.subject, scans, labels, empty)


def labelled_slices(
    cases: Sequence[TrainingCase], table: MuscleTable, chosen: MuscleTable
) -> dict[str, list[int]]:
    """Read the label maps and return case → slices that can train.

    Parameters
    ----------
    cases
        With labels.
    table
        Every value that a label map may hold.
    chosen
        The muscles to learn; a slice with none of them does not count.

    Raises
    ------
    BadInput
        If a label map holds other values, or no slice carries a label of the chosen muscles.
    """
    found: dict[str, list[int]] = {}
    for case in cases:
        assert case.labels is not None
        values = case.labels.read()
        table.require_known(values, str(case.labels.path))
        there = np.flatnonzero((chosen.encode(values) > 0).any(axis=(1, 2))).tolist()
        # A scan may come twice under one name: with a cohort's labels and with accepted slices.
        before = found.get(case.name, ())
        found[case.name] = sorted({*before, *({*there, *case.accepted_empty} - case.held_out)})
    if not any(found.values()):
        assert cases[0].labels is not None
        where = cases[0].labels.path if len(cases) == 1 else f"{len(cases)} label maps"
        raise BadInput(
            f"No slice in {where} carries a label of {', '.join(chosen.names)}; "
            "label at least one slice, or choose other muscles."
        )
    return found
