"""Which leg a predicted voxel lies in, from the scan: what gives a muscle its side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_ssl_muscle.evaluation.sides import beyond_column
from napari_ssl_muscle.learning.data.muscle_classes import LEFT, RIGHT, MuscleClasses
from napari_ssl_muscle.learning.data.slices import Frame
from napari_ssl_muscle.learning.settings import SliceSettings
from napari_ssl_muscle.scans.body_mask import body_mask, gap_between_legs
from napari_ssl_muscle.scans.geometry import Geometry

OFF_CENTRE = 30.0
"""mm from the isocentre from which a leg that is alone in a scan is taken for that side's."""


def dividing_column(
    frames: Sequence[Frame],
    channels: NDArray[np.float32],
    spacing: tuple[float, float, float],
    settings: SliceSettings,
) -> int | None:
    """Return the first column of the leg at larger x, or None where there is one leg only.

    Parameters
    ----------
    frames
        Those of the scan.
    channels
        ``(c, z, y, x)``.
    spacing
        ``(dz, dy, dx)`` in mm.
    settings
        The model's. Where it cuts legs out, the frames tell.
    """
    if settings.crop == "leg":
        return frames[1].own_x.start if len(frames) == 2 else None
    return gap_between_legs(body_mask(channels[0]), spacing, outlines=True)


def find_legs(
    classes: NDArray[np.uint8], column: int | None, lone: int = RIGHT
) -> NDArray[np.uint8]:
    """Return the leg of each voxel ``(z, y, x)``: `LEFT`, `RIGHT`, or 0 where there is no label.

    A connected piece of a slice that reaches a little over the column belongs to the leg that
    holds most of it.

    Parameters
    ----------
    classes
        Class indices of both legs ``(z, y, x)``, canonical: the patient's left is at larger x.
    column
        From `dividing_column`.
    lone
        What a leg that is alone is taken for.
    """
    mask = classes > 0
    if column is None:
        return np.where(mask, lone, 0).astype(np.uint8)
    legs = np.where(beyond_column(mask, column), LEFT, RIGHT)
    return np.where(mask, legs, 0).astype(np.uint8)


def lone_leg(
    frame: Frame, geometry: Geometry | None, looks_left: bool | None, classes: MuscleClasses
) -> tuple[int, str]:
    """Decide which leg it is that is alone in a scan, and say why.

    Parameters
    ----------
    frame
        The leg's.
    geometry
        The scan's; None where it is not known.
    looks_left
        Whether the model was surer of it as a left leg; None if it cannot tell.
    classes
        What the model knows. If its table names one side only, it is that one.

    Returns
    -------
    `LEFT` or `RIGHT`, and a sentence for the user.
    """
    x = _position(frame, geometry)
    if len(classes.sides) == 1:
        leg, why = (LEFT if classes.sides[0] == "left" else RIGHT), "the model knows no other"
    elif x is not None and abs(x) > OFF_CENTRE:
        leg = LEFT if x < 0 else RIGHT
        why = "it lies on that side of the scanner's centre"
    elif looks_left is not None:
        leg, why = (LEFT if looks_left else RIGHT), "it looks more like one to the model"
    else:
        leg, why = RIGHT, "nothing tells its side"
    side = "left" if leg == LEFT else "right"
    return leg, (
        f"The scan shows one leg only; its muscles are named those of the {side} leg, because "
        f"{why}. Check it."
    )


def _position(frame: Frame, geometry: Geometry | None) -> float | None:
    """Return where the middle of a frame lies along right (above 0) and left, in mm."""
    if geometry is None or not geometry.sided:
        return None
    middle = [
        (geometry.canonical_shape[0] - 1) / 2,
        (frame.y.start + frame.y.stop - 1) / 2,
        (frame.x.start + frame.x.stop - 1) / 2,
        1.0,
    ]
    return float((geometry.canonical_affine @ np.array(middle))[0])
