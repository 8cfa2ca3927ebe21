"""Islands of a prediction: pieces of a muscle that lie apart from it and are errors.

They hold few voxels and so cost little Dice, but put HD95 above 200 mm and millilitres into the
wrong place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ssl_muscle.learning.data.muscle_classes import LEFT, RIGHT

PLAUSIBLE = 0.25
"""Share of a muscle's largest piece from which another piece is kept: a muscle may be missed in a
slice or two, and what lies beyond is then no error."""

SHIFT = 0.5
"""mm in plane for each mm between slices by which a muscle may shift from one to the next. The
sartorius, the most oblique one, crosses the thigh's front by about so much."""

LARGEST_SHIFT = 12.0
"""mm: never more than this, or neighbouring muscles' errors would count as connected."""


def drop_islands(
    classes: NDArray[np.uint8],
    legs: NDArray[np.uint8],
    spacing: tuple[float, float, float],
) -> int:
    """Set the islands of each muscle and leg to background, in place; return their voxels.

    A piece is what touches, also by a corner; the largest parts in neighbouring slices belong
    together, too, if they shifted by no more than `SHIFT`. The largest piece of a muscle in a leg
    stays, and each that holds at least `PLAUSIBLE` of it.

    Parameters
    ----------
    classes
        Class indices ``(z, y, x)``.
    legs
        Leg of each voxel ``(z, y, x)``, as from `leg_sides.find_legs`.
    spacing
        ``(dz, dy, dx)`` in mm.

    Notes
    -----
    Memory stays at a few times the box of one muscle in one leg.
    """
    from scipy import ndimage

    dropped = 0
    for leg in (LEFT, RIGHT):
        in_leg = np.where(legs == leg, classes, 0)
        windows: list[Any] = ndimage.find_objects(in_leg)  # None for a value that is not there
        for value, window in enumerate(windows, 1):
            if window is None:
                continue
            islands = _islands(in_leg[window] == value, spacing)
            classes[window][islands] = 0
            dropped += int(islands.sum())
    return dropped


def _islands(mask: NDArray[np.bool_], spacing: tuple[float, float, float]) -> NDArray[np.bool_]:
    """Return which voxels of a muscle's mask ``(z, y, x)`` belong to none of the kept pieces."""
    from scipy import ndimage

    pieces, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    if count < 2:
        return np.zeros_like(mask)
    together = _joined(mask, pieces, count, spacing)
    sizes = np.bincount(together, weights=np.bincount(pieces.ravel(), minlength=count + 1))
    small = sizes < PLAUSIBLE * sizes[together[1:]].max()
    small[together[0]] = False
    return np.asarray(small[together[pieces]])


def _joined(
    mask: NDArray[np.bool_],
    pieces: NDArray[np.signedinteger[Any]],
    count: int,
    spacing: tuple[float, float, float],
) -> NDArray[np.int32]:
    """Return for each of the pieces, and the background, the number of what it is a part of.

    The largest parts of the muscle in neighbouring slices are one, if they are no farther apart
    in plane than the muscle may have shifted.
    """
    from scipy import ndimage
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    shift = min(SHIFT * spacing[0], LARGEST_SHIFT)
    pairs: list[tuple[int, int]] = []
    before: NDArray[np.bool_] | None = None
    number = 0
    for shown, numbers in zip(mask, pieces, strict=True):
        parts, several = ndimage.label(shown, structure=np.ones((3, 3)))
        largest = parts == np.bincount(parts[shown]).argmax() if several else None
        if largest is not None:
            here = int(numbers[largest][0])
            if before is not None and here != number:
                distance = ndimage.distance_transform_edt(~largest, sampling=spacing[1:])
                if distance[before].min() <= shift:
                    pairs.append((number, here))
            number = here
        before = largest
    rows, columns = np.array(pairs, dtype=int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(pairs)), (rows, columns)), shape=(count + 1, count + 1))
    found: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return found
