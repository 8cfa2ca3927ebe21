"""Volume and cross-sectional area per muscle and side: no reference needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.evaluation.sides import legs
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import MuscleTable, table_beside
from napari_ssl_muscle.scans.muscles.names import split_side
from napari_ssl_muscle.scans.muscles.table import table_by_values
from napari_ssl_muscle.scans.name_parts import subject_and_session
from napari_ssl_muscle.scans.naming import case_name
from napari_ssl_muscle.scans.volume import open_label_map

OBLIQUE = 10.0
"""Degrees between the slices and the patient's axial plane from which a note is made: the area in
the plane of the slice is then over 1.5 % larger than that of the axial section."""


@dataclass(frozen=True)
class Measure:
    """Size of one muscle, in one leg where legs are told apart.

    Attributes
    ----------
    muscle
        Its standard name, without a side.
    side
        "left" or "right" of the patient; "first leg" or "second leg" where the affine does not
        tell; "single leg"; "" where nothing is known of legs.
    value
        Its label value.
    volume_ml
        In mL.
    voxels
        Number of voxels.
    csa_mm2
        Area in mm² in the plane of each slice, from the lowest slice to the highest.
    """

    muscle: str
    side: str
    value: int
    volume_ml: float
    csa_mm2: tuple[float, ...]
    voxels: int = 0

    @property
    def _there(self) -> npt.NDArray[np.intp]:
        return np.flatnonzero(self.csa_mm2)

    @property
    def slices(self) -> int:
        """Number of slices that show the muscle."""
        return int(self._there.size)

    @property
    def first_slice(self) -> int:
        """Index of the lowest slice that shows it."""
        return int(self._there[0])

    @property
    def last_slice(self) -> int:
        """Index of the highest slice that shows it."""
        return int(self._there[-1])

    @property
    def mean_csa_mm2(self) -> float:
        """Mean area over the slices that show it."""
        return float(np.asarray(self.csa_mm2)[self._there].mean())

    @property
    def max_csa_mm2(self) -> float:
        """Largest area."""
        return float(max(self.csa_mm2))

    @property
    def max_csa_slice(self) -> int:
        """Index of the slice with the largest area."""
        return int(np.argmax(self.csa_mm2))


@dataclass(frozen=True, eq=False)
class Measurement:
    """All muscles of one label map.

    Attributes
    ----------
    name, subject, session
        Whose label map it is, from the file's name; session None where it says none.
    spacing
        Voxel size (dz, dy, dx) in mm.
    table
        What the label values mean.
    measures
        One entry for each muscle and side that is there, in the order of the table.
    notes
        Sentences that belong to the figures.
    spacing_known
        False if the size of a voxel is not known: only numbers of voxels mean anything then.
    """

    name: str
    subject: str
    session: str | None
    spacing: tuple[float, float, float]
    table: MuscleTable
    measures: tuple[Measure, ...]
    notes: tuple[str, ...]
    spacing_known: bool = True


def measure(
    labels: npt.NDArray[np.integer], table: MuscleTable, geometry: Geometry, name: str = ""
) -> Measurement:
    """Measure every muscle of a label array.

    Left and right come from the muscles' names where the table has sides, else from the affine
    and the gap between the legs (see `sides.sides`).

    Parameters
    ----------
    labels
        Array (z, y, x) of label values in the canonical view.
    table
        What the values mean.
    geometry
        Of the scan.
    name
        Name of the case; subject and session are taken from it.

    Raises
    ------
    BadInput
        If `labels` holds a value that the table does not name.
    """
    table.require_known(labels, name or "The label map")
    dz, dy, dx = geometry.spacing
    notes = list(geometry.notes)
    found = legs(labels, table, geometry)
    if found.note:
        notes.append(found.note)
    measures, absent = [], []
    for muscle in table.muscles:
        standard, own_side = split_side(muscle.name)
        here = labels == muscle.value
        if not here.any():
            absent.append(muscle.name)
            continue
        for k, leg in enumerate(found.names, 1):
            voxels = (here & (found.index == k)).sum(axis=(1, 2))
            if voxels.any():
                area = voxels * dy * dx
                measures.append(
                    Measure(
                        muscle=standard,
                        side=own_side or leg,
                        value=muscle.value,
                        volume_ml=float(area.sum() * dz / 1000.0),
                        csa_mm2=tuple(float(a) for a in area),
                        voxels=int(voxels.sum()),
                    )
                )
    if not geometry.spacing_known:
        notes.append(
            "The size of a voxel is not known, so voxels are given instead of mL and mm²; write "
            "the voxel size into the file's header."
        )
    if absent:
        notes.append(f"Not in the label map: {', '.join(absent)}.")
    if (tilt := _tilt(geometry)) >= OBLIQUE:
        notes.append(
            f"The slices are tilted by {tilt:.0f}° against the axial plane; areas are those in "
            "the plane of the slices."
        )
    subject, session = subject_and_session(name)
    return Measurement(
        name,
        subject,
        session,
        geometry.spacing,
        table,
        tuple(measures),
        tuple(notes),
        geometry.spacing_known,
    )


@dataclass(frozen=True, eq=False)
class LabelsToMeasure:
    """Labels that need not be on disk.

    Attributes
    ----------
    case
        Name of the case; subject and session are taken from it.
    title, name
        What to call it in progress, and in a problem's sentence.
    read
        Returns the label values, canonical ``(z, y, x)``.
    geometry
        Of the scan.
    table
        What the values mean; without it they stand for themselves.
    notes
        Sentences that belong to the figures; looked at when the labels have been read.
    """

    case: str
    title: str
    name: str
    read: Callable[[], npt.NDArray[np.integer]]
    geometry: Geometry
    table: MuscleTable | None
    notes: Sequence[str] = ()


def open_labels(path: Path, table: MuscleTable | None = None) -> LabelsToMeasure:
    """Open a label map (header and table only); without a table the one beside the file serves.

    Raises
    ------
    BadInput
        If the file or its table cannot be read.
    """
    opened = open_label_map(path)
    case = case_name(path)
    table = table or table_beside(path)
    return LabelsToMeasure(
        case, case, str(path), opened.read, opened.geometry, table, notes=opened.notes
    )


def measure_labels(
    given: Sequence[LabelsToMeasure], progress: Callable[[int, int, str], None] | None = None
) -> list[Measurement]:
    """Measure labels, for the shell command and the window.

    Parameters
    ----------
    given
        What to measure.
    progress
        Called before each with how many are done, how many there are, and its title; what it
        raises ends the work.

    Raises
    ------
    BadInput
        If a label map cannot be read, or holds a value that its table does not name.
    """
    found = []
    for number, one in enumerate(given):
        if progress is not None:
            progress(number, len(given), one.title)
        labels = one.read()
        table = one.table or table_by_values(labels)
        table.require_known(labels, one.name)
        result = measure(labels, table, one.geometry, one.case)
        notes = tuple(dict.fromkeys([*one.notes, *result.notes]))
        found.append(replace(result, notes=notes))
    return found


def _tilt(geometry: Geometry) -> float:
    """Return the angle between slices and axial plane in degrees; 0 where it is unknown."""
    if geometry.problem or not geometry.oriented:
        return 0.0
    axes = geometry.canonical_affine[:3, :3]
    normal = np.cross(axes[:, 1], axes[:, 2])
    upright = abs(normal[2]) / np.linalg.norm(normal)
    return float(np.degrees(np.arccos(min(upright, 1.0))))
