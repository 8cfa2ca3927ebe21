"""Where a NIfTI header says that the voxels lie, when its statements contradict each other.

A header says it up to three times: with a matrix (sform), with a rotation and voxel sizes (qform),
and with the bare voxel sizes (pixdim), in a unit of length of its own (xyzt_units). As NIfTI has it
the sform comes first; one that cannot be used gives way to the qform, and that to the voxel sizes.
Whatever is chosen against another statement is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.scans.orientation import ASSUMED, affine_problem, is_mendable
from napari_ssl_muscle.text_table import times

Affine = npt.NDArray[np.float64]
Sizes = npt.NDArray[np.float64]

FINEST, COARSEST = 0.01, 200.0
"""Voxel sizes in mm that no MRI of a person goes below or above: finer than any microscopy coil,
and farther apart than slices of one leg are placed."""

# https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields/nifti1fields_pages/xyzt_units.html
_UNITS = {1: ("m", 1000.0), 2: ("mm", 1.0), 3: ("µm", 0.001)}
_SIZES_AGREE = 0.01  # relative; headers round to float32, converters to two or three digits


@dataclass(frozen=True)
class HeaderSpace:
    """What is used of a header.

    Parameters
    ----------
    affine
        Stored voxel index → mm.
    oriented
        Whether it is known which axis points where.
    spacing_known
        Whether voxel sizes are known.
    problem
        A sentence, where the geometry had to be guessed in part.
    notes
        Sentences about what was chosen against another statement of the header.
    """

    affine: Affine
    oriented: bool
    spacing_known: bool
    problem: str | None
    notes: tuple[str, ...]


def space_of(header: nib.Nifti1Header, shape: tuple[int, ...], name: str) -> HeaderSpace:
    """Choose among the statements of a header.

    Parameters
    ----------
    header
        Of the file.
    shape
        Its spatial shape as stored: two or three lengths.
    name
        What to call the file in sentences.
    """
    notes: list[str] = []
    sform, qform = _sform(header), _qform(header)
    sizes = _sizes(header, len(shape))
    usable = {
        kind: affine
        for kind, affine in (("sform", sform), ("qform", qform))
        if affine is not None and is_mendable(affine, shape)
    }
    factor = _unit(header, [*(map(_lengths, usable.values())), sizes], shape, name, notes)
    if not usable:
        return _from_sizes(header, sform if sform is not None else qform, sizes, factor, name)
    kind, affine = next(iter(usable.items()))
    other = usable.get("qform") if kind == "sform" else None
    if kind == "sform" and other is not None and _only_qform_possible(affine, other, factor, shape):
        kind, affine, other = "qform", other, affine
        notes.append(
            f"{name} has an sform with voxels of {_mm(other, factor)}, which no MRI has; "
            f"its qform is used instead: {_mm(affine, factor)}."
        )
    elif other is not None:
        notes += _differences(name, affine, other, shape, factor)
    elif kind == "qform" and sform is not None:
        notes.append(
            f"{name} has an sform that cannot be used ({_fault(sform)}); "
            f"its qform is used instead: {_mm(affine, factor)}."
        )
    elif kind == "sform" and sizes is not None and not _agree(_lengths(affine), sizes, shape):
        notes.append(_other_sizes(name, "sform", affine, "voxel sizes (pixdim)", sizes, factor))
    scaled = affine.copy()
    scaled[:3] *= factor
    notes += implausible(_lengths(scaled), shape, name)
    return HeaderSpace(scaled, True, True, affine_problem(scaled, shape, name), tuple(notes))


def implausible(sizes: Sizes, shape: tuple[int, ...], name: str) -> tuple[str, ...]:
    """Say that voxel sizes (mm, one for each stored axis) are none of an MRI, if they are not."""
    if _possible(sizes, shape):
        return ()
    return (
        f"{name} has voxels of {times(sizes, '.3g')} mm, which no MRI has: volumes and distances "
        "in mm are as wrong as its header; export the scan again.",
    )


def _sform(header: nib.Nifti1Header) -> Affine | None:
    if header["sform_code"] <= 0:
        return None
    rows = [np.asarray(header[row], dtype=np.float64) for row in ("srow_x", "srow_y", "srow_z")]
    return np.array([*rows, [0.0, 0.0, 0.0, 1.0]])


def _qform(header: nib.Nifti1Header) -> Affine | None:
    if header["qform_code"] <= 0:
        return None
    read: Any = header.get_qform  # untyped in nibabel
    try:
        return np.asarray(read(), dtype=np.float64)
    except (ValueError, nib.spatialimages.HeaderDataError):
        return None  # a quaternion longer than one, or a voxel size below zero


def _sizes(header: nib.Nifti1Header, axes: int) -> Sizes | None:
    sizes = np.abs(np.asarray(header["pixdim"][1:4], dtype=np.float64))
    if not np.isfinite(sizes).all() or (sizes[:axes] <= 0).any():
        return None
    return np.where(sizes > 0, sizes, 1.0)


def _unit(
    header: nib.Nifti1Header,
    sizes: list[Sizes | None],
    shape: tuple[int, ...],
    name: str,
    notes: list[str],
) -> float:
    """Return how many mm the header's unit of length has; say it where it is not plainly mm.

    A unit that makes all sizes impossible, where another one makes them those of a scan, is
    taken for an error of the program that wrote the file.
    """
    stated = int(header["xyzt_units"]) & 0b111
    unit, factor = _UNITS.get(stated, ("mm", 1.0))
    there = [one for one in sizes if one is not None]
    if there and not any(_possible(one * factor, shape) for one in there):
        for by in (1.0, 1000.0, 0.001):
            # A header that says mm is believed: what else it should mean is anybody's guess.
            if stated != 2 and any(_possible(one * by, shape) for one in there):
                says = f"says {unit}" if stated in _UNITS else "names no unit of length"
                notes.append(
                    f"{name} {says}, which would make its voxels "
                    f"{times(there[0] * factor, '.3g')} mm; they are taken as "
                    f"{times(there[0] * by, '.3g')} mm."
                )
                return by
    elif factor != 1.0 and there:
        notes.append(
            f"{name} gives lengths in {unit}; its voxels are {times(there[0] * factor, '.3g')} mm."
        )
    return factor


def _along(sizes: Sizes, shape: tuple[int, ...]) -> Sizes:
    """Sizes on the axes that hold more than one voxel: the others need not be known."""
    return sizes[: len(shape)][np.array(shape) > 1]


def _possible(sizes: Sizes, shape: tuple[int, ...]) -> bool:
    there = _along(sizes, shape)
    return bool(((there >= FINEST) & (there <= COARSEST)).all())


def _only_qform_possible(
    sform: Affine, qform: Affine, factor: float, shape: tuple[int, ...]
) -> bool:
    """Whether only the qform's voxels can be those of an MRI."""
    return _possible(_lengths(qform) * factor, shape) and not _possible(
        _lengths(sform) * factor, shape
    )


def _from_sizes(
    header: nib.Nifti1Header,
    broken: Affine | None,
    sizes: Sizes | None,
    factor: float,
    name: str,
) -> HeaderSpace:
    """Use the bare voxel sizes, NIfTI's "method 1": without an orientation."""
    stated = int(header["xyzt_units"]) & 0b111 in _UNITS
    # Sizes of 1 without a unit are what a header holds that nobody filled in.
    known = sizes is not None and (stated or not np.array_equal(sizes, np.ones(3)))
    affine = np.eye(4)
    if known and sizes is not None:
        affine[:3, :3] = np.diag(sizes * factor)
    lacks = "no affine" if broken is None else f"an affine that cannot be used ({_fault(broken)})"
    done = (
        f"its voxel sizes are used ({_mm(affine)}), but left and right are unknown"
        if known
        else ASSUMED
    )
    return HeaderSpace(affine, False, known, f"{name} has {lacks}: {done}.", ())


def _differences(
    name: str, sform: Affine, qform: Affine, shape: tuple[int, ...], factor: float
) -> list[str]:
    """Say how the qform contradicts the sform that is used."""
    ours, theirs = _lengths(sform), _lengths(qform)
    if not _agree(ours, theirs, shape):
        return [_other_sizes(name, "sform", sform, "qform", theirs, factor)]
    if np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0:
        return [
            f"{name} has an sform and a qform that are mirror images of each other; the sform is "
            "used, and with the qform left and right would be exchanged."
        ]
    lengths = [length - 1 for length in (*shape, 1)[:3]]
    corners = np.array([[*(lengths * np.array(at)), 1.0] for at in np.ndindex(2, 2, 2)])
    apart = float(np.linalg.norm(corners @ (sform - qform)[:3].T, axis=1).max())
    # Half a voxel: less is rounding, and the quaternion rounds more than the matrix.
    if apart <= max(0.5 * float(ours.max()), 1e-3):
        return []
    return [
        f"{name} has an sform and a qform whose voxels lie up to {apart * factor:.3g} mm apart; "
        "the sform is used."
    ]


def _other_sizes(
    name: str,
    kind: str,
    used: Affine,
    other: str,
    sizes: Sizes,
    factor: float,
) -> str:
    ratio = float(np.prod(sizes) / np.prod(_lengths(used)))
    return (
        f"{name} says two things: voxels of {_mm(used, factor)} in its {kind}, which is used, and "
        f"{times(sizes * factor, '.3g')} mm in its {other}, with which volumes would be "
        f"{ratio:.3g} times as large."
    )


def _fault(affine: Affine) -> str:
    if not np.isfinite(affine).all():
        return "it has values that are not finite"
    if not affine[:3, :3].any():
        return "its rows are zero"
    return "it is singular"


def _lengths(affine: Affine) -> Sizes:
    return np.asarray(np.linalg.norm(affine[:3, :3], axis=0))


def _agree(first: Sizes, second: Sizes, shape: tuple[int, ...]) -> bool:
    return bool(np.allclose(_along(first, shape), _along(second, shape), rtol=_SIZES_AGREE))


def _mm(affine: Affine, factor: float = 1.0) -> str:
    return f"{times(_lengths(affine) * factor, '.3g')} mm"
