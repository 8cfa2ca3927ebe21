"""Volume, cross-sectional area and fat per muscle and side: no reference needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.evaluation.measures.fat import FatMap, muscle_fat
from napari_ssl_muscle.evaluation.measures.fat_images import FatImages
from napari_ssl_muscle.evaluation.measures.figures import (
    USUAL,
    Coverage,
    Measure,
    Measurement,
    MeasureSettings,
    asymmetry,
)
from napari_ssl_muscle.evaluation.sides import legs
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import MuscleTable, table_beside
from napari_ssl_muscle.scans.muscles.names import split_side
from napari_ssl_muscle.scans.muscles.table import table_by_values
from napari_ssl_muscle.scans.name_parts import subject_and_session
from napari_ssl_muscle.scans.naming import case_name
from napari_ssl_muscle.scans.volume import open_label_map
from napari_ssl_muscle.scans.voxel_size import Sizes, of_voxel_size

OBLIQUE = 10.0
"""Degrees between the slices and the patient's axial plane from which a note is made: the area in
the plane of the slice is then over 1.5 % larger than that of the axial section."""

CUT = 0.2
"""A muscle that ends in the last labelled slice, with slices beyond, counts as cut there if its
area is over this share of its largest: nothing that tapers to a tendon ends so wide."""

REPLACED = 60.0
"""Per cent of fat in most muscles from which on it is asked whether water and fat are swapped."""


def measure(
    labels: npt.NDArray[np.integer],
    table: MuscleTable,
    geometry: Geometry,
    name: str = "",
    *,
    fat: FatMap | None = None,
    settings: MeasureSettings = USUAL,
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
    fat
        Fat fraction of every voxel, of the shape of `labels`; None where it is not known.
    settings
        What is chosen about the figures.

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
    labelled = {k: np.flatnonzero((found.index == k).any(axis=(1, 2))) for k in range(1, 3)}
    measures, absent = [], []
    for muscle in table.muscles:
        standard, own_side = split_side(muscle.name)
        here = labels == muscle.value
        if not here.any():
            absent.append(muscle.name)
            continue
        for k, leg in enumerate(found.names, 1):
            mask = here & (found.index == k)
            voxels = mask.sum(axis=(1, 2))
            if voxels.any():
                area = voxels * dy * dx
                shown = (int(labelled[k][0]), int(labelled[k][-1]))
                measures.append(
                    Measure(
                        muscle=standard,
                        side=own_side or leg,
                        value=muscle.value,
                        volume_ml=float(area.sum() * dz / 1000.0),
                        csa_mm2=tuple(float(a) for a in area),
                        voxels=int(voxels.sum()),
                        slice_mm=dz,
                        coverage=_coverage(area, shown),
                        level_csa_mm2=tuple(_at_level(area, p, shown) for p in settings.levels),
                        fat=None
                        if fat is None
                        else muscle_fat(fat, mask, geometry.spacing, settings.erosion_mm),
                    )
                )
    measures = [replace(m, asymmetry_percent=asymmetry(m, measures)) for m in measures]
    notes += _notes_of(measures, fat)
    if not geometry.spacing_known:
        notes.append(
            "The size of a voxel is not known, so voxels are given instead of mL and mm²; say it "
            "with --spacing, in the window with 'Voxel size'."
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
        settings,
    )


def _coverage(area: npt.NDArray[np.floating], labelled: tuple[int, int]) -> Coverage:
    """Say whether a muscle ends within the scan.

    Parameters
    ----------
    area
        Of every slice, from the lowest to the highest.
    labelled
        The lowest and the highest slice in which any muscle of the leg is labelled: outside of
        these nothing may have been labelled at all.
    """

    def cut(at: int, end: int) -> bool:
        return bool(area[at] > 0 and (at == end or area[at] > CUT * area.max()))

    below, above = cut(labelled[0], 0), cut(labelled[1], len(area) - 1)
    if below and above:
        return "cut at both ends"
    return "cut below" if below else "cut above" if above else "whole"


def _at_level(
    area: npt.NDArray[np.floating], percent: float, labelled: tuple[int, int]
) -> float | None:
    """Return the area at a level of the scan; None beyond the labelled slices.

    Slice k lies from k to k + 1 slice distances above the scan's lower end, its area in between.
    """
    place = percent / 100.0 * len(area)
    if not labelled[0] <= place <= labelled[1] + 1:
        return None
    return float(np.interp(place - 0.5, np.arange(len(area)), area))


def _notes_of(measures: Sequence[Measure], fat: FatMap | None) -> list[str]:
    notes = []
    cut = list(dict.fromkeys(m.muscle for m in measures if m.coverage != "whole"))
    if cut:
        every = len(cut) == len({m.muscle for m in measures})
        notes.append(
            f"Cut by the end of the scan: {'every muscle' if every else ', '.join(cut)}. Volumes "
            "and totals are those of the part that is seen."
        )
    if fat is not None and fat.remark:
        notes.append(fat.remark)
    known = [m.fat_percent for m in measures if m.fat_percent is not None]
    if known and float(np.median(known)) > REPLACED:
        notes.append(
            f"Over {REPLACED:g} % of most muscles is fat: check that the water and the fat image "
            "are not swapped."
        )
    if fat is not None and len(known) < len(measures):
        notes.append("A muscle without a fat fraction has no voxel left after the erosion.")
    return notes


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
    fat
        Images of the same scan that tell where fat is.
    whose
        Subject and session, where they are known from elsewhere than the name.
    unlike_training
        As in `Measurement`.
    """

    case: str
    title: str
    name: str
    read: Callable[[], npt.NDArray[np.integer]]
    geometry: Geometry
    table: MuscleTable | None
    notes: Sequence[str] = ()
    fat: FatImages | None = None
    whose: tuple[str, str | None] | None = None
    unlike_training: tuple[str, ...] = ()


def open_labels(
    path: Path, table: MuscleTable | None = None, size: Sizes | None = None
) -> LabelsToMeasure:
    """Open a label map (header and table only); without a table the one beside the file serves.

    `size` is that of a voxel where the file does not say it.

    Raises
    ------
    BadInput
        If the file or its table cannot be read.
    """
    opened = of_voxel_size(open_label_map(path), size)
    case = case_name(path)
    table = table or table_beside(path)
    return LabelsToMeasure(
        case, case, str(path), opened.read, opened.geometry, table, notes=opened.notes
    )


def measure_labels(
    given: Sequence[LabelsToMeasure],
    progress: Callable[[int, int, str], None] | None = None,
    settings: MeasureSettings = USUAL,
) -> list[Measurement]:
    """Measure labels, for the shell command and the window.

    Parameters
    ----------
    given
        What to measure.
    progress
        Called before each with how many are done, how many there are, and its title; what it
        raises ends the work.
    settings
        What is chosen about the figures.

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
        fat = None if one.fat is None else one.fat.read(one.geometry)
        result = measure(labels, table, one.geometry, one.case, fat=fat, settings=settings)
        notes = tuple(dict.fromkeys([*one.notes, *result.notes]))
        subject, session = one.whose or (result.subject, result.session)
        found.append(
            replace(
                result,
                notes=notes,
                subject=subject,
                session=session,
                unlike_training=one.unlike_training,
            )
        )
    return found


def _tilt(geometry: Geometry) -> float:
    """Return the angle between slices and axial plane in degrees; 0 where it is unknown."""
    if geometry.problem or not geometry.oriented:
        return 0.0
    axes = geometry.canonical_affine[:3, :3]
    normal = np.cross(axes[:, 1], axes[:, 2])
    upright = abs(normal[2]) / np.linalg.norm(normal)
    return float(np.degrees(np.arccos(min(upright, 1.0))))
