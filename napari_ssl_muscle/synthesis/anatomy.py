"""What a label map does not say: where fascia, skin and femur are, and how muscles run.

Distances are in mm, positive inside. Arrays are (z, y, x) on the grid of one leg.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_ssl_muscle.phantom.random_fields import smooth_field
from napari_ssl_muscle.synthesis.pose import PlacedLeg, Placement
from napari_ssl_muscle.synthesis.settings import Floats, Labels, Mask

CLOSING_MM = 40.0
"""Dents between muscles up to twice as wide lie within the fascia."""

TAPER = 0.12
"""By how many mm the radius of the fascia shrinks at most from one mm to the next downwards."""

FEMUR_MM = (9.0, 24.0)
"""Smallest and largest radius of the femur: shaft and condyles."""

_FAR = 1e6
"""Distance of slices for transforms that shall stay within a slice."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """One leg.

    Attributes
    ----------
    muscles
        Muscle → share (z, y, x) of every pixel that it fills, with soft borders.
    in_fascia, in_skin, in_bone
        Distances to the fascia lata, the skin's surface and the femur's. `in_bone` is negative
        everywhere where no femur was found.
    cortex
        (z,): thickness of the cortical bone.
    drift
        (2, z, y, x): by how many mm along y and x the tissue moves from one mm to the next along
        the leg.
    """

    labels: Labels
    muscles: dict[int, Floats]
    in_fascia: Floats
    in_skin: Floats
    in_bone: Floats
    cortex: Floats
    drift: Floats


def derive(
    leg: PlacedLeg,
    placement: Placement,
    vasti: tuple[int, ...],
    random: np.random.Generator,
    *,
    behind: bool = True,
) -> Anatomy:
    """Derive the rest of a leg from its muscles.

    Parameters
    ----------
    vasti
        Class indices of the muscles that surround the femur; if there are none, all muscles are
        taken to.
    behind
        Whether muscles behind the femur are labelled, too; see `fascia`.
    """
    labels = leg.labels
    dz, pixel, _ = placement.spacing
    muscles = {
        value: ndimage.gaussian_filter((labels == value).astype(np.float32), (0, 0.6, 0.6))
        for value in (int(found) for found in np.unique(labels[labels > 0]))
    }
    in_fascia = fascia(labels > 0, dz, pixel, behind=behind)
    around = np.isin(labels, vasti) if vasti else labels > 0
    in_bone = femur(labels > 0, around, in_fascia, (dz, pixel), random)
    shaft = 1.0 - np.abs(2.0 * np.clip(placement.levels, 0.0, 1.0) - 1.0) ** 3
    cortex = 1.8 + random.uniform(1.5, 5.0) * shaft
    return Anatomy(
        labels=labels,
        muscles=muscles,
        in_fascia=in_fascia,
        in_skin=_skin(in_fascia, leg, placement, random),
        in_bone=in_bone,
        cortex=cortex.astype(np.float32),
        drift=_drift(labels, dz, pixel),
    )


def inside_distance(mask: Mask, pixel: float) -> Floats:
    """Distance within each slice to the nearest pixel that is not in `mask`; 0 outside."""
    found = ndimage.distance_transform_edt(mask, sampling=(_FAR, pixel, pixel))
    return np.asarray(np.minimum(found, 1e3), dtype=np.float32)


def fascia(muscle: Mask, dz: float, pixel: float, *, behind: bool = True) -> Floats:
    """Distance to the hull that fascia makes of the muscles: a closing, smoothed along the leg.

    What is labelled is always inside. Where the muscles behind the femur have no labels, the
    smallest circle around the others stands for the thigh.
    """
    room = int(CLOSING_MM / pixel) + 2  # or the border would count as muscle
    padded = np.pad(muscle, ((0, 0), (room, room), (room, room)))
    grown = inside_distance(~padded, pixel) < CLOSING_MM
    closed = inside_distance(grown, pixel) > CLOSING_MM
    closed |= padded
    if not behind:
        closed |= _enclosing_circles(padded)
    signed = inside_distance(closed, pixel) - inside_distance(~closed, pixel)
    signed = signed[:, room:-room, room:-room]
    # Where few muscles are left, towards knee and hip, the neighbouring slices say how thick the
    # thigh is: it does not shrink upwards, and only so fast downwards.
    fullest = int(muscle.sum(axis=(1, 2)).argmax())
    for z in range(fullest + 1, len(signed)):
        np.maximum(signed[z], signed[z - 1], out=signed[z])
    for z in range(fullest - 1, -1, -1):
        np.maximum(signed[z], signed[z + 1] - TAPER * dz, out=signed[z])
    smooth = ndimage.gaussian_filter(signed, (min(12.0 / dz, 3.0), 2.0 / pixel, 2.0 / pixel))
    return np.asarray(np.maximum(smooth, np.where(muscle, 0.5, -_FAR)), dtype=np.float32)


def _enclosing_circles(mask: Mask) -> Mask:
    """Fill the smallest circle around what each slice shows (Bădoiu and Clarkson 2003)."""
    circles = np.zeros_like(mask)
    rows, columns = np.ogrid[: mask.shape[1], : mask.shape[2]]
    for circle, section in zip(circles, mask, strict=True):
        places = np.argwhere(section).astype(float)
        if not places.size:
            continue
        centre = places.mean(axis=0)
        for step in range(1, 200):
            away = np.hypot(*(places - centre).T)
            centre += (places[away.argmax()] - centre) / (step + 1)
        radius = np.hypot(*(places - centre).T).max()
        circle[:] = np.hypot(rows - centre[0], columns - centre[1]) <= radius
    return circles


def femur(
    muscle: Mask, around: Mask, in_fascia: Floats, grid: tuple[float, float],
    random: np.random.Generator,
) -> Floats:  # fmt: skip
    """Distance to the surface of the femur: the room that the vasti leave, along a smooth axis.

    Parameters
    ----------
    around
        Where the vasti are.
    grid
        Distance of slices and pixel in mm.
    """
    dz, pixel = grid
    centres, weights = [], []
    for z in range(len(muscle)):
        down, aside, weight = _gap(muscle[z], around[z], pixel)
        centres.append((down, aside))
        weights.append(weight)
    axis = _straight_axis(np.array(centres), np.array(weights), dz)
    if axis is None:
        return np.full(muscle.shape, -_FAR, np.float32)
    away = inside_distance(~muscle & (in_fascia > 0), pixel)
    best = np.array([_roomiest(away[z], axis[z], pixel) for z in range(len(axis))])
    room = np.array(
        [away[z].ravel()[_index(best[z] / pixel, away.shape)] for z in range(len(axis))]
    )
    # Where there is room for a femur it is followed, elsewhere the line.
    axis += np.where(room > 5.0, 1.0, 0.0)[:, None] * (best - axis)
    axis = ndimage.gaussian_filter1d(axis, min(15.0 / dz, 3.0), axis=0, mode="nearest")
    radius = np.clip(0.95 * room, *FEMUR_MM)
    # Below the hip the room is that of muscles without a label; only at the knee bone fills it.
    shaft = int(muscle.sum(axis=(1, 2)).argmax())
    radius[shaft:] = np.minimum(radius[shaft:], 1.1 * np.median(radius))
    radius = ndimage.gaussian_filter1d(radius, min(20.0 / dz, 4.0), mode="nearest")
    rows, columns = (pixel * np.arange(length) for length in muscle.shape[1:])
    across = columns[None, None, :] - axis[:, 1, None, None]
    ahead = rows[None, :, None] - axis[:, 0, None, None]
    angle = np.arctan2(ahead, across)
    oval = 1.0 + random.uniform(0.0, 0.1) * np.cos(2.0 * angle + random.uniform(0, 2 * np.pi))
    depth = radius[:, None, None] * oval - np.hypot(across, ahead)
    # Muscles are as labelled; bone ends where they begin.
    free = inside_distance(~muscle, pixel) - 0.5 * pixel
    return np.asarray(np.minimum(np.minimum(depth, free), in_fascia - 3.0), dtype=np.float32)


def _index(place: NDArray[np.float64], shape: tuple[int, ...]) -> int:
    """Return the number of the pixel of a slice (y, x) nearest to a place in pixels."""
    y, x = (int(np.clip(round(p), 0, n - 1)) for p, n in zip(place, shape[1:], strict=True))
    return y * shape[2] + x


def _gap(muscle: Mask, around: Mask, pixel: float) -> tuple[float, float, float]:
    """Centre (y, x) in mm and size of the largest gap that the vasti enclose in one slice."""
    if around.sum() * pixel**2 < 300:
        return 0.0, 0.0, 0.0
    for mouth in (14.0, 24.0):  # half the width of the opening towards the linea aspera
        room = int(mouth / pixel) + 3
        padded = np.pad(around, room)
        grown = ndimage.distance_transform_edt(~padded, sampling=pixel) < mouth
        closed = ndimage.distance_transform_edt(grown, sampling=pixel) > mouth
        closed = ndimage.binary_fill_holes(closed)[room:-room, room:-room]
        free = ndimage.distance_transform_edt(closed & ~muscle, sampling=pixel)
        if free.max() >= 5.0:
            y, x = np.unravel_index(int(free.argmax()), free.shape)
            return float(y * pixel), float(x * pixel), float(min(free.max(), 15.0))
    return 0.0, 0.0, 0.0


def _straight_axis(
    centres: NDArray[np.float64], weights: NDArray[np.float64], dz: float
) -> NDArray[np.float64] | None:
    """Fit a line through the gaps along the leg; those that lie far from it hardly count.

    The shaft is bowed by a few millimetres only. Least absolute deviations, by reweighting.
    """
    if np.count_nonzero(weights) < min(3, len(centres)):
        return None
    height = dz * np.arange(len(centres))
    degree = min(1, len(centres) - 1)
    fitted, trust = centres, weights
    for _ in range(12):
        fitted = np.stack(
            [
                np.polyval(np.polyfit(height, centres[:, k], degree, w=trust), height)
                for k in (0, 1)
            ],
            axis=1,
        )
        far = np.hypot(*(centres - fitted).T)
        trust = weights / np.sqrt(np.maximum(far, 2.0))
    return fitted


def _roomiest(away: Floats, centre: NDArray[np.float64], pixel: float) -> NDArray[np.float64]:
    """Find the place near a centre (y, x in mm) that lies farthest from all muscle."""
    rows, columns = (pixel * np.arange(length) for length in away.shape)
    near = np.hypot(rows[:, None] - centre[0], columns[None, :] - centre[1])
    score = np.where(near <= 8.0, away - 0.3 * near, -np.inf)
    if not np.isfinite(score).any():
        return centre
    best = np.unravel_index(int(score.argmax()), away.shape)
    return np.array([pixel * float(index) for index in best])


def _skin(
    in_fascia: Floats, leg: PlacedLeg, placement: Placement, random: np.random.Generator
) -> Floats:
    """Distance to the skin: fat of uneven thickness around the fascia, legs that touch, a table."""
    _, pixel, _ = placement.spacing
    _, height, width = in_fascia.shape
    inside = in_fascia > 0
    count = np.maximum(inside.sum(axis=(1, 2)), 1)
    y, x = np.arange(height), np.arange(width)
    centre_y = (inside * y[:, None]).sum(axis=(1, 2)) / count
    centre_x = (inside * x[None, :]).sum(axis=(1, 2)) / count
    angle = np.arctan2(
        y[None, :, None] - centre_y[:, None, None],
        leg.lateral * (x[None, None, :] - centre_x[:, None, None]),
    )
    # Thicker behind and on the inner side, and towards the hip.
    uneven = random.uniform(0.1, 0.4) * np.cos(angle - random.uniform(0.5, 1.0) * np.pi)
    wobble = 0.15 * smooth_field(random, in_fascia.shape, (3, 6, 6))
    along = random.uniform(0.7, 0.95) + random.uniform(0.1, 0.5) * placement.levels
    thickness = placement.fat_mm * along[:, None, None] * (1.0 + uneven + wobble)
    skin = (in_fascia + np.maximum(thickness, 2.0)).astype(np.float32)

    if random.random() < 0.6:  # the table presses the back of the thigh flat
        low = np.array(
            [rows[-1] if (rows := np.flatnonzero(s.any(axis=1))).size else 0 for s in inside]
        )
        flat = low + placement.fat_mm * random.uniform(0.5, 1.0) / pixel
        skin = soft_minimum(skin, pixel * (flat.max() - y)[None, :, None].astype(np.float32), 6.0)
    if leg.midline is not None:
        crease = leg.lateral * (x - leg.midline) * pixel - random.uniform(0.0, 0.8)
        skin = soft_minimum(skin, crease[None, None, :].astype(np.float32), 5.0)
    return np.asarray(skin, dtype=np.float32)


def soft_minimum(a: Floats, b: Floats, width: float) -> Floats:
    """Smaller of two distances with a round corner of this width (polynomial blend)."""
    blend = np.clip(0.5 + 0.5 * (b - a) / width, 0.0, 1.0)
    corner = width * blend * (1 - blend)
    return np.asarray(b + (a - b) * blend - corner, dtype=np.float32)


def _drift(labels: Labels, dz: float, pixel: float) -> Floats:
    """How muscles run: the way of their centres from slice to slice, spread over what is between.

    Muscles of the thigh run at angles of up to 40° to the slices' normal.
    """
    moved = np.zeros((2, *labels.shape), np.float32)
    if len(labels) < 2:
        return moved
    for value in np.unique(labels[labels > 0]):
        mask = labels == value
        shown = np.flatnonzero(mask.any(axis=(1, 2)))
        if shown.size < 2:
            continue
        centres = np.array([np.argwhere(mask[z]).mean(axis=0) for z in shown]) * pixel
        slope = np.gradient(centres, dz * shown, axis=0).clip(-0.8, 0.8)
        for z, (down, aside) in zip(shown, slope, strict=True):
            moved[0, z][mask[z]] = down
            moved[1, z][mask[z]] = aside
    sigma = (0, 8.0 / pixel, 8.0 / pixel)
    weight = ndimage.gaussian_filter((labels > 0).astype(np.float32), sigma) + 0.05
    spread = np.stack([ndimage.gaussian_filter(part, sigma) / weight for part in moved])
    return np.asarray(spread, np.float32)
