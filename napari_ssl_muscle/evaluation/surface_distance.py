"""Distances between the surfaces of two masks, in millimetres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.evaluation.dice import check_shapes

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SurfaceDistances:
    """How far two surfaces are apart, in millimetres.

    Attributes
    ----------
    hd95
        The larger of the two 95th percentiles, prediction → reference and reference → prediction.
    mean
        Mean over all surface voxels of both (average symmetric surface distance).

    Both are infinite where exactly one mask is empty, None where both are.
    """

    hd95: float | None
    mean: float | None


def surface_distances(
    prediction: Mask,
    reference: Mask,
    spacing: Sequence[float],
    compared: npt.NDArray[np.bool_] | None = None,
) -> SurfaceDistances:
    """Return the 95 % Hausdorff and the mean surface distance of two masks.

    The surface of a mask are its voxels with a face neighbour outside the mask; distances are
    those between voxel centres, and each surface voxel counts once. That is what MONAI and medpy
    measure, too, with one difference: where the scan, or its labelled part, ends along z, the
    muscle is cut and not ended, so the cut face is no surface. In thigh scans of 16 slices those
    faces hold up to a third of a muscle's surface voxels, nearly all of them at distance zero,
    and flatter the mean distance by up to a fifth.

    Parameters
    ----------
    prediction, reference
        Boolean arrays (z, y, x) on the same grid.
    spacing
        Voxel size (dz, dy, dx) in mm.
    compared
        Boolean array (z,): the slices that are compared. What is in the others is not looked at.
        By default all of them.

    Raises
    ------
    ValueError
        If the shapes differ, or the spacing is not three lengths above zero.
    """
    check_shapes(prediction, reference)
    if len(spacing) != 3 or not all(np.isfinite(d) and d > 0 for d in spacing):
        raise ValueError(f"spacing must be three lengths above zero, not {tuple(spacing)}")
    if compared is None:
        compared = np.ones(len(prediction), bool)
    shown = compared[:, None, None]
    prediction = prediction.astype(bool) & shown
    reference = reference.astype(bool) & shown
    predicted, referred = bool(prediction.any()), bool(reference.any())
    if not predicted or not referred:
        distance = float("inf") if predicted or referred else None
        return SurfaceDistances(distance, distance)

    # Every surface voxel lies in the common box, so distances in it are those in the whole scan.
    # One slice more on either side tells a muscle that ends from one that is cut.
    box = _common_box(prediction | reference)
    first, second = (surface(mask[box], compared[box[0]]) for mask in (prediction, reference))
    there = _distances_to(second, spacing)[first]
    back = _distances_to(first, spacing)[second]
    return SurfaceDistances(
        hd95=float(max(np.percentile(there, 95), np.percentile(back, 95))),
        mean=float((there.sum() + back.sum()) / (there.size + back.size)),
    )


def surface(mask: Mask, compared: npt.NDArray[np.bool_]) -> Mask:
    """Return the voxels of `mask` (z, y, x) with a face neighbour outside it.

    In plane, what lies beyond the image is outside. Along z, a neighbouring slice that does not
    exist or is not `compared` (z,) is unknown and makes no surface.
    """
    inside = np.ones_like(mask)
    for axis in (1, 2):
        for step in (1, -1):
            inside &= _shifted(mask, step, axis, beyond=False)
    for step in (1, -1):
        unknown = ~_shifted(compared, step, 0, beyond=False)[:, None, None]
        inside &= _shifted(mask, step, 0, beyond=True) | unknown
    return mask & ~inside


def _shifted(values: npt.NDArray[np.bool_], step: int, axis: int, beyond: bool) -> Mask:
    """Return for each element its neighbour `step` further along `axis`; `beyond` at the end."""
    result = np.full_like(values, beyond)
    here = [slice(None)] * values.ndim
    there = [slice(None)] * values.ndim
    here[axis], there[axis] = (
        (slice(None, -1), slice(1, None)) if step == 1 else (slice(1, None), slice(None, -1))
    )
    result[tuple(here)] = values[tuple(there)]
    return result


def _common_box(mask: Mask) -> tuple[slice, slice, slice]:
    """Return the smallest box around `mask` (not empty), a slice longer at both ends along z."""
    spans = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        (hit,) = np.nonzero(mask.any(axis=others))
        spans.append(slice(int(hit[0]), int(hit[-1]) + 1))
    along = slice(max(spans[0].start - 1, 0), min(spans[0].stop + 1, mask.shape[0]))
    return along, spans[1], spans[2]


def _distances_to(target: Mask, spacing: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return each voxel's distance in mm to the nearest voxel of `target`."""
    from scipy import ndimage  # heavy: only when distances are asked for

    distances: npt.NDArray[np.float64] = ndimage.distance_transform_edt(
        ~target, sampling=tuple(spacing)
    )
    return distances
