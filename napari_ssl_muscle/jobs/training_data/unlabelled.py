"""From folders to the scans that a pretraining learns from; labels are not looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.scans.cohort import Case, Cohort
from napari_ssl_muscle.scans.volume import Scan, open_scan


@dataclass
class UnlabelledCases:
    """The scans that take part, and what the user should read about it.

    Attributes
    ----------
    cases
        One for each image (or each set of channels), without labels. The images of one subject
        carry the same subject, whatever they show, so that no split parts them.
    unusable
        Why a scan was left out, one sentence each.
    notes, warnings
        Sentences; what is unusable is among the warnings.
    """

    cases: list[TrainingCase] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def subjects(self) -> int:
        """How many subjects the scans are of."""
        return len({case.subject for case in self.cases})


def unlabelled_cases(
    cohorts: Sequence[Cohort],
    *,
    channels: Sequence[str] | None = None,
    volume: int | None = None,
    leave_out: Sequence[str] = (),
    held_out: Mapping[str, frozenset[int]] | None = None,
) -> UnlabelledCases:
    """Open the headers of every scan of some cohorts.

    A scan that cannot be used is left out with a warning: among many unlabelled scans one is
    dispensable. A file that is found twice counts once.

    Parameters
    ----------
    cohorts
        Where the scans are. A subject of one name is taken for one person in all of them.
    channels
        Learn from these together; None takes every image by itself.
    volume
        Which volume of 4D scans.
    leave_out
        Subjects whose scans take no part.
    held_out
        Case → slices (canonical z) that take no part.

    Raises
    ------
    BadInput
        If no scan is left, or a subject or channel that is named is in none of the cohorts.
    """
    found = UnlabelledCases()
    _check_names(cohorts, channels, leave_out)
    subjects = _subjects(cohorts, found)
    left_out = {subject for (_, name), subject in subjects.items() if name in leave_out} | set(
        leave_out
    )
    excluded = {
        path.resolve()
        for cohort, case in _cases(cohorts)
        if subjects[cohort.folder, case.subject] in left_out
        for path in case.images.values()
    }
    seen: set[tuple[Path, ...]] = set()
    for cohort, case in _cases(cohorts):
        for name, paths in _inputs(case, channels):
            files = tuple(path.resolve() for path in paths)
            if files in seen or excluded.intersection(files):
                continue
            seen.add(files)
            scans = _open(paths, volume, found)
            if scans is not None:
                unseen = (held_out or {}).get(case.name, frozenset())
                subject = subjects[cohort.folder, case.subject]
                found.cases.append(TrainingCase(name, subject, scans, held_out=unseen))
    if not found.cases:
        if found.unusable:
            raise BadInput(found.unusable[0])
        what = f" with the channels {', '.join(channels)} together" if channels else ""
        raise BadInput(
            f"No scan{what} is left to pretrain on in {cohorts[0].folder}"
            + (f" and {len(cohorts) - 1} more folder(s)" if cohorts[1:] else "")
            + "; leave fewer subjects out or add scans."
        )
    if excluded:
        found.notes.append(
            f"Left out, with {len(excluded)} image(s): {', '.join(sorted(left_out))}."
        )
    found.notes.append(f"{len(found.cases)} image(s) of {found.subjects} subject(s).")
    return found


def _cases(cohorts: Sequence[Cohort]) -> Iterator[tuple[Cohort, Case]]:
    return ((cohort, case) for cohort in cohorts for case in cohort.cases)


def _check_names(
    cohorts: Sequence[Cohort], channels: Sequence[str] | None, leave_out: Sequence[str]
) -> None:
    there = sorted({name for cohort in cohorts for name in cohort.channels})
    missing = [name for name in channels or () if name not in there]
    if missing:
        raise BadInput(f"No scan has a channel {missing[0]}; there is {', '.join(there)}.")
    subjects = sorted({name for cohort in cohorts for name in cohort.subjects})
    unknown = [name for name in leave_out if name not in subjects]
    if unknown:
        raise BadInput(
            f"There is no subject {unknown[0]} to leave out; there is {', '.join(subjects)}."
        )


def _inputs(case: Case, channels: Sequence[str] | None) -> Iterator[tuple[str, tuple[Path, ...]]]:
    """Yield a name and the files of each input that a case gives."""
    if channels is not None:
        if all(name in case.images for name in channels):
            yield case.name, tuple(case.images[name] for name in channels)
        return
    for channel, path in case.images.items():
        yield (f"{case.name} ({channel})" if len(case.images) > 1 else case.name), (path,)


def _open(
    paths: tuple[Path, ...], volume: int | None, found: UnlabelledCases
) -> tuple[Scan, ...] | None:
    try:
        scans = tuple(open_scan(path, volume) for path in paths)
    except BadInput as error:
        found.unusable.append(str(error))
        found.warnings.append(f"{error} It is left out.")
        return None
    for scan in scans:
        if scan.holds_labels():
            found.unusable.append(f"{scan.path} looks like a label map, not a scan.")
            found.warnings.append(f"{found.unusable[-1]} It is left out.")
            return None
    found.warnings += [note for scan in scans for note in scan.notes]
    return scans


def _subjects(cohorts: Sequence[Cohort], found: UnlabelledCases) -> dict[tuple[Path, str], str]:
    """Return (folder, subject) → the subject that it counts as.

    In a flat folder every file is a subject of its own unless its name says otherwise; but two
    echoes or contrasts of one visit show the same anatomy. Those that lie on exactly the same
    grid and position are taken for one subject's, unless all of the folder's scans do, as after
    a registration to one space.
    """
    counted = {(cohort.folder, case.subject): case.subject for cohort, case in _cases(cohorts)}
    for cohort in cohorts:
        for person in cohort.persons.values():
            found.notes.append(
                f"{', '.join(person)} look like one person: they count as one subject."
            )
            counted.update({(cohort.folder, name): person[0] for name in person})
    for cohort in cohorts:
        if cohort.layout != "flat":
            continue
        grids: dict[bytes, list[str]] = {}
        for case in cohort.cases:
            for path in case.images.values():
                if (grid := _grid(path)) is not None:
                    grids.setdefault(grid, []).append(case.subject)
        if len(grids) < 2:
            continue
        for names in grids.values():
            together = sorted({counted[cohort.folder, name] for name in names})
            if len(together) > 1:
                found.notes.append(
                    f"{', '.join(together)} lie on the same grid and count as one subject."
                )
                for key, subject in counted.items():
                    if key[0] == cohort.folder and subject in together:
                        counted[key] = together[0]
    return counted


def _grid(path: Path) -> bytes | None:
    try:
        geometry = open_scan(path, volume=0).geometry
    except BadInput:
        return None
    if geometry.problem is not None:
        return None
    # Adding zero makes one number of 0 and -0.
    numbers = [*geometry.shape, *(np.round(geometry.affine, 3) + 0.0).ravel()]
    return np.array(numbers, dtype=np.float64).tobytes()
