"""Which leg a label belongs to: from the affine and the gap between the legs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.scans.body_mask import gap_between_legs
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.scans.muscles.names import split_side

PAIRED = 0.65
"""Two legs show the same muscles in like shares; what lies on either side of a space between the
muscles of one leg does not. On label maps of 14 thighs the shares agree by 0.82 to 1 between two
legs (all muscles, single ones, or one leg labelled in a few slices only), and by 0 to 0.5 where one
or two muscles of a single leg were cut in two."""

ASTRIDE = 0.2
"""A connected piece of a slice with more than this share of it beyond the dividing column is cut
there (the legs touch); with less it belongs as a whole to the leg that holds its larger part (the
legs stand askew)."""


@dataclass(frozen=True, eq=False)
class Sides:
    """The leg of every labelled voxel.

    Attributes
    ----------
    index
        uint8 array (z, y, x): 0 where there is no label, k in the leg called `names[k - 1]`.
    names
        ("left", "right") of the patient; ("first leg", "second leg"), in the order of x, where
        the affine does not tell left from right; ("single leg",) where there is only one, which
        is never guessed to be the left or the right one; ("",) where legs are not told apart
        at all; empty without any label.
    note
        A sentence for the user where sides are not left and right, else None.
    """

    index: npt.NDArray[np.uint8]
    names: tuple[str, ...]
    note: str | None


def sides(labels: npt.NDArray[np.integer], spacing: Sequence[float], sided: bool) -> Sides:
    """Separate the two legs of a label array.

    Parameters
    ----------
    labels
        Array (z, y, x) in the canonical view: x runs from the patient's right to the left.
    spacing
        Voxel size (dz, dy, dx) in mm.
    sided
        Whether the affine tells left from right.

    Returns
    -------
    With index 1 for the patient's left leg and 2 for the right one, where they are known.
    """
    mask = labels != 0
    if not mask.any():
        return Sides(np.zeros(labels.shape, np.uint8), (), None)
    column = gap_between_legs(mask, (spacing[0], spacing[1], spacing[2]))
    if column is not None:
        beyond = beyond_column(mask, column)
        if _paired(labels, mask, beyond) >= PAIRED:
            return _two_legs(mask, beyond, sided)
    return Sides(
        mask.astype(np.uint8),
        ("single leg",),
        "The labels show one leg only; whether it is the left or the right one is not guessed.",
    )


def legs(labels: npt.NDArray[np.integer], table: MuscleTable, geometry: Geometry) -> Sides:
    """Separate the legs of a label map, unless its table does so itself.

    Parameters
    ----------
    labels
        Array (z, y, x) in the canonical view.
    table
        What the values mean. If it tells left and right muscles apart, there is nothing to find.
    geometry
        Of the scan. In a single sagittal slice legs do not lie side by side.

    Returns
    -------
    As from `sides`; with the one name "" where the legs are not told apart here.
    """
    together = Sides((labels != 0).astype(np.uint8), ("",), None)
    if any(split_side(name)[1] for name in table.names):
        return together
    if geometry.codes[2] not in "LR":
        return replace(
            together, note="The slice is seen from the side, so legs are not told apart."
        )
    return sides(labels, geometry.spacing, geometry.sided)


def beyond_column(mask: npt.NDArray[np.bool_], column: int) -> npt.NDArray[np.bool_]:
    """Return which voxels belong to the leg of larger x, piece by piece in each slice.

    Parameters
    ----------
    mask
        Boolean (z, y, x): where any muscle is labelled.
    column
        The first one beyond the middle between the legs.

    Returns
    -------
    Boolean (z, y, x). Outside of the mask it says only on which side of the column a voxel lies.
    """
    from scipy import ndimage  # heavy: only when sides are asked for

    beyond = np.zeros_like(mask)
    beyond[..., column:] = True
    for shown, far in zip(mask, beyond, strict=True):
        pieces, count = ndimage.label(shown, structure=np.ones((3, 3)))
        size = np.bincount(pieces.ravel(), minlength=count + 1)
        over = np.bincount(pieces[:, column:].ravel(), minlength=count + 1)
        share = over / np.maximum(size, 1)
        whole = (share > 0) & (share < 1) & (np.minimum(share, 1 - share) <= ASTRIDE)
        whole[0] = False
        move = whole[pieces]
        far[move] = share[pieces[move]] > 0.5
    return beyond


def _two_legs(mask: npt.NDArray[np.bool_], beyond: npt.NDArray[np.bool_], sided: bool) -> Sides:
    if sided:  # beyond the column, towards larger x, lies the patient's left leg
        index = np.where(beyond, 1, 2) * mask
        return Sides(index.astype(np.uint8), ("left", "right"), None)
    index = np.where(beyond, 2, 1) * mask
    return Sides(
        index.astype(np.uint8),
        ("first leg", "second leg"),
        "The affine does not tell left from right; the legs are called first and second leg from "
        "the left of the picture to its right.",
    )


def _paired(
    labels: npt.NDArray[np.integer],
    mask: npt.NDArray[np.bool_],
    beyond: npt.NDArray[np.bool_],
) -> float:
    """Return how far the muscles of both sides agree in their shares of their leg, from 0 to 1.

    Shares, not sizes, so that a wasted leg still pairs with a sound one; slice by slice, so that
    it does not matter in how many slices either leg is labelled.
    """
    depth = len(labels)
    found, muscle = np.unique(labels[mask], return_inverse=True)
    place = np.nonzero(mask)[0] * found.size + muscle
    far = beyond[mask]
    there, here = (
        np.bincount(place[side], minlength=depth * found.size).reshape(depth, -1)
        for side in (far, ~far)
    )
    shown = there.any(axis=1) & here.any(axis=1)
    if not shown.any():  # the legs are labelled in different slices
        there, here = there.sum(axis=0, keepdims=True), here.sum(axis=0, keepdims=True)
        shown = there.any(axis=1) & here.any(axis=1)
    there, here = there[shown], here[shown]
    size = there.sum(axis=1) + here.sum(axis=1)
    agreement = np.minimum(
        there / there.sum(axis=1, keepdims=True), here / here.sum(axis=1, keepdims=True)
    ).sum(axis=1)
    return float((agreement * size).sum() / size.sum()) if size.size else 0.0
