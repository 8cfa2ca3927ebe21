"""Looking into every file of a cohort: what is there, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.body_mask import body_mask
from napari_ssl_muscle.scans.cohort import Case, Cohort, open_case
from napari_ssl_muscle.scans.muscles import MuscleTable, present_values
from napari_ssl_muscle.scans.voxel_values import looks_like_labels

CHECKED = (
    "headers (sizes, units, orientation)",
    "that all voxels can be read",
    "grids of images and labels",
    "values of labels against the muscle table",
    "which muscles are labelled in which scan",
    "labels outside of the body",
    "names of scans, labels and subjects",
)
"""What `inspect` has looked at when it has read all images."""

IN_AIR = 0.2
"""Share of labelled voxels outside of the body from which labels are likely of another scan; the
outline of the body and of muscles drawn by hand differ by far less."""


@dataclass(frozen=True)
class CaseReport:
    """What a case holds.

    Parameters
    ----------
    shape
        `(z, y, x)` in voxels of the canonical view; None if no image can be opened.
    spacing
        `(dz, dy, dx)` in mm.
    volumes
        How many volumes its images hold (the largest number).
    labelled_slices
        Slices with any label; None without a usable label map.
    muscles
        Names of the muscles that are labelled, in the table's order.
    voxels
        Label value → number of voxels, without the background; empty without a usable label map.
    unit_stated
        Whether the images say their unit of length; where they do not, it is taken for mm.
    problems
        Sentences.
    """

    case: Case
    shape: tuple[int, int, int] | None
    spacing: tuple[float, float, float] | None
    volumes: int
    labelled_slices: int | None
    muscles: tuple[str, ...]
    problems: tuple[str, ...]
    voxels: Mapping[int, int] = field(default_factory=dict)
    unit_stated: bool = True


def inspect(cohort: Cohort, *, read_images: bool = True) -> list[CaseReport]:
    """Look into every file of a cohort and say what is there and what is wrong.

    The reports repeat what `cohort.problems` says of single cases.

    Parameters
    ----------
    read_images
        Whether to read all voxels of the images too, which finds damaged and empty ones and
        takes about a tenth of a second each.
    """
    return [_inspect_case(case, cohort.table, read_images) for case in cohort.cases]


def coverage(
    counts: Sequence[Mapping[int, int]], table: MuscleTable, *, rare: float = 0.5
) -> list[str]:
    """Say which muscles are labelled in no scan, or in few.

    Parameters
    ----------
    counts
        For each labelled scan: label value → number of voxels.
    table
        The muscles.
    rare
        A muscle in no more than this share of the scans is said.

    Returns
    -------
    One sentence, or none if every muscle is in more scans.
    """
    said = []
    for muscle in table.muscles:
        voxels = [count[muscle.value] for count in counts if count.get(muscle.value)]
        if not voxels:
            said.append(f"{muscle.name} is labelled in no scan")
        elif len(voxels) <= rare * len(counts):
            total = f"{sum(voxels)} voxel{'' if sum(voxels) == 1 else 's'}"
            said.append(f"{muscle.name} in {len(voxels)} of {len(counts)} ({total})")
    if not said or not counts:
        return []
    return [
        f"{', '.join(said)}; where a scan has labels, a muscle that was not drawn counts as "
        "background."
    ]


def count_voxels(values: npt.NDArray[np.integer]) -> dict[int, int]:
    """Return label value → number of voxels, without the background."""
    return {v: int(np.count_nonzero(values == v)) for v in present_values(values) if v > 0}


def _inspect_case(case: Case, table: MuscleTable | None, read_images: bool) -> CaseReport:
    scans, labels, problems = open_case(case)
    bodies = []
    if read_images:
        for scan in scans:
            try:
                volume = scan.read()
                problems += scan.notes
            except BadInput as error:
                problems.append(str(error))
                continue
            bodies.append(volume)
            if case.labels is None and looks_like_labels(volume):
                problems.append(f"{scan.path} looks like a label map without a scan.")
    slices: int | None = None
    muscles: tuple[str, ...] = ()
    voxels: dict[int, int] = {}
    if labels is not None:
        try:
            values = labels.read()
            problems += labels.content_notes
            slices = int(np.count_nonzero(values.any(axis=(1, 2))))
            muscles = _names_of(present_values(values), table)
            voxels = count_voxels(values)
            muscle = values if table is None else table.encode(values)
            problems += _in_air(bodies, muscle, case.name)
            if slices == 0:
                problems.append(f"{labels.path} has no labelled slice.")
            if table is not None:
                table.require_known(values, str(labels.path))
        except BadInput as error:
            problems.append(str(error))
    return CaseReport(
        case=case,
        shape=scans[0].geometry.canonical_shape if scans else None,
        spacing=scans[0].geometry.spacing if scans else None,
        volumes=max((scan.volumes for scan in scans), default=0),
        labelled_slices=slices,
        muscles=muscles,
        problems=tuple(dict.fromkeys(problems)),
        voxels=voxels,
        unit_stated=all(scan.geometry.unit_stated for scan in scans),
    )


def _in_air(
    images: Sequence[npt.NDArray[np.float32]], labels: npt.NDArray[np.integer], name: str
) -> list[str]:
    """Say that labels lie outside of the body, if many do, in the first of a case's images."""
    if not images or images[0].shape != labels.shape or not labels.any():
        return []
    body = body_mask(images[0])
    if not body.any():
        return []
    share = float((~body)[labels > 0].mean())
    if share < IN_AIR:
        return []
    return [
        f"{100 * share:.0f} % of the labelled voxels of {name} lie outside of the body: its labels "
        "are likely shifted, mirrored or of another scan."
    ]


def _names_of(values: Iterable[int], table: MuscleTable | None) -> tuple[str, ...]:
    there = set(values) - {0}
    if table is None:
        return tuple(f"label {value}" for value in sorted(there))
    return tuple(muscle.name for muscle in table.muscles if muscle.value in there)
