"""From frames to volumes: series, echoes and contrasts told apart, slices in order of position."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.scans.formats.dicom.contrast import ANATOMY, Contrast, contrast_of
from napari_ssl_muscle.scans.formats.dicom.headers import Acquisition, Frame
from napari_ssl_muscle.text_table import counted, times

SAME_PLACE_MM = 0.01
"""Slices closer than this lie at the same place."""

UNEQUAL = 0.02
"""Largest difference between two distances between slices, as a share of the distance.

Scanners round positions to 1e-3 mm or worse; 2 % of a slice is far under what moves a volume.
"""

_SAME_DIRECTION = 1e-3

_NOT_ANATOMY: dict[Contrast, str] = {
    "phase": "a phase image, in which no muscle can be told from another",
    "map": "a map of a computed quantity, no anatomical image",
    "localiser": "a localiser: a few slices to plan the others",
    "mosaic": "a mosaic of slices",
}


@dataclass(frozen=True, eq=False)
class Series:
    """One volume of a DICOM series: one echo, one contrast, one stack of slices.

    Attributes
    ----------
    frames
        In order along the normal of the slices.
    affine
        Stored index (column, row, slice) → mm in RAS+, 4 × 4; None if it cannot be told.
    problem
        A sentence if the volume cannot be used, else None.
    """

    frames: tuple[Frame, ...]
    contrast: Contrast
    affine: npt.NDArray[np.float64] | None
    problem: str | None

    @property
    def acquisition(self) -> Acquisition:
        """What its frames share."""
        return self.frames[0].acquisition

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows and slices."""
        return (self.acquisition.columns, self.acquisition.rows, len(self.frames))

    @cached_property
    def spacing(self) -> tuple[float, float, float] | None:
        """Between columns, rows and slices, in mm."""
        if self.affine is None:
            return None
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return (float(x), float(y), float(z))

    @property
    def anatomical(self) -> bool:
        """Whether it shows anatomy, and in more slices than a localiser."""
        return self.contrast in ANATOMY and len(self.frames) >= 3

    @property
    def suggested(self) -> bool:
        """Whether a model can use it: anatomical and whole."""
        return self.problem is None and self.anatomical

    @property
    def objection(self) -> str | None:
        """Why a model cannot use it, in a few words; None if it can."""
        if self.problem is not None:
            return self.problem
        if self.contrast not in ANATOMY:
            return _NOT_ANATOMY[self.contrast]
        return None if self.anatomical else f"of only {counted(len(self.frames), 'slice')}"

    def describe(self) -> str:
        """Return its technical data in a line, without the description of the series."""
        made = self.acquisition
        parts = [f"series {made.number}", self.contrast]
        if made.echo_time is not None:
            parts.append(f"TE {made.echo_time:g} ms")
        parts.append(f"{times((made.columns, made.rows))}, {counted(len(self.frames), 'slice')}")
        if self.spacing is not None:
            parts.append(f"{times(self.spacing, '.3g')} mm")
        return ", ".join(parts)


def group_frames(frames: Iterable[Frame]) -> list[Series]:
    """Tell the volumes among frames apart.

    Returns
    -------
    Sorted by patient, study, number of the series, echo time and contrast. Every frame is in one
    of them.
    """
    groups: dict[Acquisition, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(frame.acquisition, []).append(frame)
    found = [
        series
        for group in groups.values()
        for stack in _by_orientation(group)
        for series in _volumes(stack)
    ]
    return sorted(found, key=_order)


def echo_number(volume: Series, found: Iterable[Series]) -> int | None:
    """Return a volume's place among the echoes of its series and contrast, from 1.

    Parameters
    ----------
    found
        All volumes of the series, chosen or not.

    Returns
    -------
    None if there is only one echo.
    """
    times = {
        other.acquisition.echo_time or 0.0
        for other in found
        if other.acquisition.series == volume.acquisition.series
        and other.contrast == volume.contrast
    }
    return sorted(times).index(volume.acquisition.echo_time or 0.0) + 1 if len(times) > 1 else None


def volume_hash(series: Series) -> str:
    """Return what tells a volume apart from every other, in 16 digits."""
    made, first = series.acquisition, series.frames[0]
    parts = (made.series, made.image_type, made.echo_time, first.repeats, first.position)
    # The number of slices, so that a series of which slices came later is imported again.
    return hashlib.sha256(repr((*parts, len(series.frames))).encode()).hexdigest()[:16]


def _order(series: Series) -> tuple[object, ...]:
    made = series.acquisition
    first = series.frames[0]
    return (
        made.patient,
        made.study_order,
        made.study,
        made.number,
        made.series,
        made.echo_time or 0.0,
        series.contrast,
        first.position or (),
        str(first.path),
    )


def _by_orientation(frames: Sequence[Frame]) -> list[list[Frame]]:
    stacks: list[list[Frame]] = []
    for frame in frames:
        for stack in stacks:
            if _same_direction(stack[0].orientation, frame.orientation):
                stack.append(frame)
                break
        else:
            stacks.append([frame])
    return stacks


def _same_direction(one: tuple[float, ...] | None, other: tuple[float, ...] | None) -> bool:
    if one is None or other is None:
        return one is other
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= _SAME_DIRECTION


def _volumes(frames: list[Frame]) -> list[Series]:
    """Make one volume of frames that look alike, or several where that gives whole ones.

    Repeats (dynamics) lie at the same places, stations of a moving table have gaps between them:
    both are told apart by a number, which differs within an ordinary volume on some scanners, too.
    """
    whole = _volume(frames)
    if whole.problem is None:
        return [whole]
    for which in range(len(frames[0].repeats)):
        parts: dict[int | None, list[Frame]] = {}
        for frame in frames:
            parts.setdefault(frame.repeats[which], []).append(frame)
        if len(parts) < 2 or min(map(len, parts.values())) < 2:
            continue
        volumes = [_volume(part) for _, part in sorted(parts.items(), key=lambda p: p[0] or 0)]
        if all(volume.problem is None for volume in volumes):
            return volumes
    return [whole]


def _volume(frames: list[Frame]) -> Series:
    made = frames[0].acquisition
    contrast = contrast_of(made.image_type, made.description)
    problem = _not_a_volume(frames, contrast)
    if problem is not None:
        return Series(tuple(frames), contrast, None, problem)
    assert frames[0].orientation is not None
    assert made.pixel_spacing is not None
    row, column = np.array(frames[0].orientation).reshape(2, 3)
    normal = np.cross(row, column)
    places = np.array([frame.position for frame in frames]) @ normal
    order = np.argsort(places, kind="stable")
    ordered = tuple(frames[i] for i in order)
    problem = _spacing_problem(places[order])
    if len(frames) > 1:
        first, last = np.array(ordered[0].position), np.array(ordered[-1].position)
        step = (last - first) / (len(frames) - 1)
    else:
        step = normal * (frames[0].thickness or 1.0)
    affine = np.eye(4)
    affine[:3, 0] = row * made.pixel_spacing[1]
    affine[:3, 1] = column * made.pixel_spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = ordered[0].position
    affine[:2] *= -1  # DICOM's world is LPS, NIfTI's RAS
    if problem is None and not np.isfinite(np.linalg.inv(affine)).all():
        problem = "its pixel spacing or orientation makes no sense"
    return Series(ordered, contrast, affine, problem)


def _not_a_volume(frames: Sequence[Frame], contrast: Contrast) -> str | None:
    """Say why frames cannot be put together at all, if so."""
    made = frames[0].acquisition
    if made.modality == "SEG":
        return "it holds labels (DICOM SEG), no image"
    if made.colour:
        return "it is in colour (a screen capture or a fused image)"
    if contrast == "mosaic":
        return "it is a mosaic of slices in one picture; export it from the scanner as slices"
    if made.pixel_spacing is None or min(made.pixel_spacing) <= 0:
        return "its pixels have no size in mm (a screen capture, for example)"
    if any(frame.position is None or frame.orientation is None for frame in frames):
        return "it does not say where its slices lie"
    row, column = np.array(frames[0].orientation).reshape(2, 3)
    lengths = np.linalg.norm([row, column], axis=1)
    if not np.allclose(lengths, 1, atol=0.01) or abs(float(row @ column)) > 0.01:
        return "the directions of its rows and columns make no sense"
    return None


def _spacing_problem(places: npt.NDArray[np.float64]) -> str | None:
    """Say what is wrong with the distances between slices; `places` in mm, in order."""
    steps = np.diff(places)
    if not steps.size:
        return None
    same = int(np.count_nonzero(steps < SAME_PLACE_MM))
    if same:
        return f"{counted(same, 'slice')} of {len(places)} lie at the place of another one"
    if np.ptp(steps) <= max(UNEQUAL * float(np.median(steps)), SAME_PLACE_MM):
        return None
    # Where slices are missing, every distance is a multiple of the smallest one.
    multiples = steps / steps.min()
    missing = np.rint(multiples) - 1
    if (np.abs(multiples - missing - 1) <= UNEQUAL * multiples).all() and missing.any():
        after = ", ".join(str(int(i) + 1) for i in np.flatnonzero(missing)[:5])
        return f"{counted(int(missing.sum()), 'slice')} missing (after slice {after})"
    return (
        f"the distance between its slices is not equal: {steps.min():.3g} to {steps.max():.3g} mm"
    )
