"""Which stored axis becomes which canonical one, and in which direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import nibabel as nib
import numpy as np
import numpy.typing as npt

Affine = npt.NDArray[np.float64]
Shape3 = tuple[int, int, int]

# World axes of RAS+ by number: 0 right, 1 anterior, 2 superior. A lower rank is nearer to z.
_RANK = {2: 0, 1: 1, 0: 2}
# The direction in which a canonical axis grows, by world axis; a slice's rows grow downwards.
_DIRECTION = {2: "S", 1: "P", 0: "L"}

ASSUMED = "its voxels are taken as 1 × 1 × 1 mm, and left and right are unknown"

# Below this determinant of the unit axes, two of them are nearly parallel: no real scan.
_FLAT = 1e-3
# Directions are rounded before axes are chosen, so that the last bits of two headers of the same
# grid (float32 matrix against quaternion) never decide an axis at exactly 45 degrees.
_DECIMALS = 5


def is_usable(affine: Affine) -> bool:
    """Whether an affine is finite and can be inverted without nonsense."""
    if not np.isfinite(affine).all():
        return False
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if (lengths <= 0).any():
        return False
    return bool(abs(np.linalg.det(affine[:3, :3] / lengths)) > _FLAT)


def with_slice_thickness(shape: Shape3, affine: Affine) -> Affine | None:
    """Mend the affine of a single slice that only lacks its thickness.

    Two-dimensional files often leave the size of the third axis at 0, which makes the matrix
    singular although the plane is known.

    Returns
    -------
    The affine with a normal of 1 mm on the axis of length 1, or None if that does not help.
    """
    if not np.isfinite(affine).all():
        return None
    for axis in (2, 1, 0):
        if shape[axis] == 1 and not affine[:3, axis].any():
            mended = affine.copy()
            first, second = (affine[:3, other] for other in range(3) if other != axis)
            normal = np.cross(first, second)
            length = np.linalg.norm(normal)
            if length > 0:
                mended[:3, axis] = normal / length
            return mended if is_usable(mended) else None
    return None


def is_mendable(affine: Affine, shape: tuple[int, ...]) -> bool:
    """Whether an affine is usable, or lacks only the thickness of a single slice."""
    x, y, *rest = shape
    return is_usable(affine) or (
        with_slice_thickness((x, y, rest[0] if rest else 1), affine) is not None
    )


def affine_problem(affine: Affine, shape: tuple[int, ...], name: str) -> str | None:
    """Say what keeps an affine from being used as it is, or None."""
    if is_usable(affine):
        return None
    if not np.isfinite(affine).all():
        return f"{name} has an affine with values that are not finite: {ASSUMED}."
    if is_mendable(affine, shape):
        return f"{name} has a single slice without a thickness: 1 mm is assumed."
    return f"{name} has a singular affine: {ASSUMED}."


@dataclass(frozen=True)
class AxisMap:
    """Stored axes in the order `(z, y, x)`, whether each is reversed, and where each points."""

    axes: Shape3
    reverse: tuple[bool, bool, bool]
    codes: tuple[str, str, str]

    def to_canonical(self, stored: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """View `(X, Y, Z)` as `(z, y, x)`."""
        return stored.transpose(self.axes)[self._steps]

    def to_stored(self, canonical: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """View `(z, y, x)` as `(X, Y, Z)`."""
        return canonical[self._steps].transpose(np.argsort(self.axes))

    @property
    def _steps(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if reverse else 1) for reverse in self.reverse)

    def index_matrix(self, shape: Shape3) -> Affine:
        """4 × 4: canonical index → stored index, for a stored shape."""
        matrix = np.zeros((4, 4))
        matrix[3, 3] = 1
        for canonical, (stored, reverse) in enumerate(zip(self.axes, self.reverse, strict=True)):
            matrix[stored, canonical] = -1 if reverse else 1
            matrix[stored, 3] = shape[stored] - 1 if reverse else 0
        return matrix


def axis_map(shape: Shape3, affine: Affine) -> AxisMap:
    """Find the canonical order and directions for a usable affine.

    Oblique axes go to the nearest world axis. Volumes become axial; a single slice keeps its own
    plane, whatever that is, with z across it.
    """
    rotation = np.eye(4)
    rotation[:3, :3] = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    find: Any = nib.orientations.io_orientation  # untyped in nibabel
    nearest = find(np.round(rotation, _DECIMALS))
    world = [int(axis) for axis in nearest[:, 0]]
    grows: list[Literal[-1, 1]] = [1 if sign > 0 else -1 for sign in nearest[:, 1]]
    order = sorted(range(3), key=lambda axis: _RANK[world[axis]])
    through = next((axis for axis in order if shape[axis] == 1), None)
    if through is not None:
        order.remove(through)
        order.insert(0, through)
    codes, reverse = [], []
    for place, axis in enumerate(order):
        code = "I" if place > 0 and world[axis] == 2 else _DIRECTION[world[axis]]
        codes.append(code)
        reverse.append((code in "RAS") != (grows[axis] > 0))
    z, y, x = order
    return AxisMap((z, y, x), (reverse[0], reverse[1], reverse[2]), (codes[0], codes[1], codes[2]))
