"""From a leg's shape to its tissues on a grid: which muscle a point belongs to, and how deep.

Every muscle is a chain of discs with an additively weighted distance f (negative inside). A
point belongs to the muscle of least f. Its margin is a soft minimum of the others' f, the
fascia and the bone, minus its own f, so that outlines are smooth and corners round. What is left
between margins and sheaths is fat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ssl_muscle.phantom.atlas import MUSCLES
from napari_ssl_muscle.phantom.leg_shape import ANGLES, LegShape, leg_shape
from napari_ssl_muscle.phantom.random_fields import Floats, sample
from napari_ssl_muscle.phantom.subject import SIDES, Array, Leg, Pose, Subject

CORNER_MM = 1.4
"""Roundness of corners: scale in mm of the soft minimum."""
BEND_MM = 2.6
"""Typical displacement in mm by which the outlines deviate from the drawn ones."""
SHEATH_MM = 0.5
"""By how much, in standard mm, muscles lie closer to fascia and bone than to each other."""
NO_MUSCLE = 255


@dataclass(frozen=True, eq=False)
class Sections:
    """One leg on the image grid, cut out: arrays (z, y, x), lengths in mm of the image."""

    box: tuple[slice, slice, slice]
    """Where the arrays lie in the image."""
    u: Floats
    v: Floats
    """Place in the leg's frame, standard mm."""
    bent: tuple[Floats, Floats]
    """The same place before outlines were bent and fitted to the fascia."""
    s: Floats
    """Level of every slice, 0 to 1; shape (z,)."""
    owner: NDArray[np.uint8]
    """Index into `MUSCLES`, or `NO_MUSCLE` where there is none."""
    margin: Floats
    """How far the owner wins over all else, standard mm: about twice the way to the boundary."""
    shared: Floats
    """Share of muscle, rather than fat or bone, in what lies beyond the boundary, 0 to 1."""
    in_skin: Floats
    in_fascia: Floats
    in_bone: Floats
    """Distance to the surface, positive inside."""
    bundle_shift: tuple[Floats, ...]
    """Displacement (z, 2) of what lies in each of `BUNDLES`, standard mm."""
    saphenous: Floats
    """Great saphenous vein under the skin: u, v and radius in standard mm; shape (z, 3)."""
    cortex: Floats
    """Thickness of the cortical bone; shape (z,)."""
    scale: float
    """Image mm of one standard mm."""


def sections(
    subject: Subject,
    leg: Leg,
    pose: Pose,
    scale: float,
    levels: Array,
    grid: tuple[Array, Array],
    alone: bool,
) -> Sections:
    """Evaluate one leg on the image grid.

    Parameters
    ----------
    scale
        Image mm of one standard mm in the cross-section.
    levels
        Level of every slice, 0 to 1.
    grid
        Coordinates in mm of the pixels, first along y (towards the back), then along x (towards
        the patient's left), zero in the middle of the image.
    alone
        Whether this is the only leg; then it lies in the middle.
    """
    turn = leg.rotation + pose.turn[leg.side]
    along_leg = leg_shape(subject, leg, levels, turn)
    lateral = SIDES[leg.side]
    wide = pose.flatten[leg.side]
    stretch = np.array([scale * wide, scale / wide])
    medial = along_leg.fascia[:, ANGLES // 2] * stretch[0] + along_leg.fat_thickness[:, ANGLES // 2]
    gap = subject.spread + (subject.gap - subject.spread) * levels**0.8
    aside_mm = np.zeros_like(gap) if alone else lateral * (medial + gap / 2)
    centre_x: Array = pose.centre[0] + aside_mm
    centre_y = pose.centre[1] + pose.tilt * (levels - 0.5)
    midline = None if alone else pose.centre[0]
    box_y, box_x = _box(along_leg, stretch, centre_x, centre_y, grid, lateral, midline)
    y, x = grid[0][box_y], grid[1][box_x]
    shape = (len(levels), len(y), len(x))
    cosine, sine = np.cos(turn), np.sin(turn)
    found = Sections(
        box=(slice(0, len(levels)), box_y, box_x),
        u=np.zeros(shape, np.float32),
        v=np.zeros(shape, np.float32),
        bent=(np.zeros(shape, np.float32), np.zeros(shape, np.float32)),
        s=levels.astype(np.float32),
        owner=np.full(shape, NO_MUSCLE, np.uint8),
        margin=np.zeros(shape, np.float32),
        shared=np.zeros(shape, np.float32),
        in_skin=np.zeros(shape, np.float32),
        in_fascia=np.zeros(shape, np.float32),
        in_bone=np.zeros(shape, np.float32),
        bundle_shift=along_leg.bundle_shift,
        saphenous=_saphenous(along_leg, scale, levels),
        cortex=(along_leg.femur[:, 4] * scale).astype(np.float32),
        scale=scale,
    )
    for z in range(len(levels)):
        aside = (lateral * (x - centre_x[z]))[None, :]
        ahead = -(y - centre_y[z])[:, None]
        # Outward rotation turns the front of the leg to the lateral side.
        u = ((cosine * aside - sine * ahead) / stretch[0]).astype(np.float32)
        v = ((sine * aside + cosine * ahead) / stretch[1]).astype(np.float32)
        found.u[z], found.v[z] = u, v
        found.bent[0][z], found.bent[1][z] = u, v
        radius = np.hypot(u, v)
        place = np.arctan2(v, u) * np.float32(ANGLES / (2 * np.pi))
        fascia = _around(along_leg.fascia[z], place)
        # Muscles follow the subject's own outline: the more, the nearer to the fascia they lie.
        inner = 1 / (1 + _around(along_leg.outline[z], place) * np.minimum(radius / fascia, 1) ** 2)
        found.in_fascia[z] = (fascia - radius) * np.float32(scale)
        skin = found.in_fascia[z] + _around(along_leg.fat_thickness[z], place)
        if midline is not None:
            # Pressed thighs flatten each other at the midline.
            crease = lateral * (x - midline)[None, :] - 0.3 * subject.skin
            skin = _soft_minimum(skin, crease.astype(np.float32), 6.0)
        found.in_skin[z] = skin
        found.in_bone[z] = _in_bone(along_leg.femur[z], u, v) * np.float32(scale)
        _pack(found, along_leg, leg, z, inner)
    return found


def _saphenous(along_leg: LegShape, scale: float, levels: Array) -> Floats:
    """Place of the vein: from the inner side of the knee to the front of the groin."""
    angle = np.pi * (1.08 - 0.3 * levels)
    column = np.rint(angle / (2 * np.pi) * ANGLES).astype(int)
    slices = np.arange(len(levels))
    fat_thickness = along_leg.fat_thickness[slices, column] / scale
    radius = along_leg.fascia[slices, column] + 0.35 * fat_thickness
    width = np.minimum(1.9, 0.3 * fat_thickness)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), width], axis=1).astype(
        np.float32
    )


def _box(
    along_leg: LegShape,
    stretch: Array,
    centre_x: Array,
    centre_y: Array,
    grid: tuple[Array, Array],
    lateral: float,
    midline: float | None,
) -> tuple[slice, slice]:
    """Rows and columns that hold the leg; with two legs each keeps to its half."""
    reach = (along_leg.fascia * stretch.max() + along_leg.fat_thickness).max(axis=1) + 4.0
    y, x = grid
    rows = (y >= (centre_y - reach).min()) & (y <= (centre_y + reach).max())
    columns = (x >= np.min(centre_x - reach)) & (x <= np.max(centre_x + reach))
    if midline is not None:
        columns &= lateral * (x - midline) > -5.0
    return _span(rows), _span(columns)


def _span(inside: NDArray[np.bool_]) -> slice:
    places = np.flatnonzero(inside)
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 1)


def _around(table: Array, place: Floats) -> Floats:
    """Linear interpolation in a closed table at places counted in entries."""
    low = np.floor(place)
    share = place - low
    index = low.astype(np.int32) % ANGLES
    values = table.astype(np.float32)
    return np.asarray(values[index] * (1 - share) + values[(index + 1) % ANGLES] * share)


def _soft_minimum(a: Floats, b: Floats, width: float) -> Floats:
    """Smaller of two distances with a round corner (polynomial blend)."""
    blend = np.clip(0.5 + 0.5 * (b - a) / width, 0.0, 1.0)
    return np.asarray(b + (a - b) * blend - width * blend * (1 - blend), dtype=np.float32)


def _in_bone(femur: Array, u: Floats, v: Floats) -> Floats:
    """Depth inside the femur: an ellipse with the ridge of the linea aspera at the back."""
    across, ahead = u - np.float32(femur[0]), v - np.float32(femur[1])
    radius = np.hypot(across, ahead)
    norm = np.hypot(across / np.float32(femur[2]), ahead / np.float32(femur[3])) + 1e-6
    surface = radius / norm
    # The ridge is sharpest at midshaft, where the cortex is thickest.
    ridge = 0.5 * (femur[4] - 2.0) * np.exp(-((across / (0.35 * femur[2])) ** 2)) * (ahead < 0)
    return np.asarray(surface + ridge - radius, dtype=np.float32)


def _pack(found: Sections, along_leg: LegShape, leg: Leg, z: int, inner: Floats) -> None:
    """Find the muscle and the margin of every point of one slice inside the fascia."""
    rows, columns = np.nonzero((found.in_fascia[z] > -1.0) & (found.in_bone[z] < 1.0))
    if not rows.size:
        return
    inner = inner[rows, columns]
    # Where pressed thighs leave no room for fat, the skin holds the muscles in, too.
    wall = np.minimum(found.in_fascia[z], found.in_skin[z] - 2.5)[rows, columns]
    u, v = found.u[z][rows, columns] * inner, found.v[z][rows, columns] * inner
    depth = np.full_like(u, found.s[z] * 5.0)
    bent = [u + BEND_MM * sample(leg.bend[0], depth, v / 8.0, u / 8.0),
            v + BEND_MM * sample(leg.bend[1], depth, v / 8.0, u / 8.0)]  # fmt: skip
    found.bent[0][z][rows, columns], found.bent[1][z][rows, columns] = bent
    start = along_leg.start[z].astype(np.float32)
    step = along_leg.step[z].astype(np.float32)
    length = np.maximum((step[:, :2] ** 2).sum(axis=1), 1e-3)
    across = bent[0] - start[:, :1]
    ahead = bent[1] - start[:, 1:2]
    t = (across * (step[:, :1] / length[:, None]) + ahead * (step[:, 1:2] / length[:, None])).clip(
        0.0, 1.0
    )
    across -= t * step[:, :1]
    ahead -= t * step[:, 1:2]
    distance = np.hypot(across, ahead) - start[:, 2:] - t * step[:, 2:]
    weight = np.exp(
        np.clip(np.minimum.reduceat(distance, along_leg.first, axis=0), -25.0, 60.0) / -CORNER_MM
    )
    muscles = weight[: len(MUSCLES)]
    owner = muscles.argmax(axis=0)
    own = np.take_along_axis(muscles, owner[None], axis=0)[0]
    others = np.maximum(muscles.sum(axis=0) - own, 1e-7 * own) / own
    # Everything about packing is in standard mm, so that a leg that grows keeps its proportions.
    surface = np.float32(2.0 / (CORNER_MM * found.scale))
    close = 2.0 * SHEATH_MM / CORNER_MM
    fat = (weight[len(MUSCLES) :].sum(axis=0) + np.exp(-along_leg.reach[z] / CORNER_MM)) / own
    fat += np.exp(np.clip(-surface * wall - close, None, 30.0))
    fat += np.exp(np.clip(surface * found.in_bone[z][rows, columns] - close, None, 30.0))
    found.owner[z][rows, columns] = owner
    # Fat between muscles is nowhere of even thickness; here and there it is missing.
    uneven = 0.6 * sample(leg.grain, depth * 4.0, v / 6.0, u / 6.0)
    found.margin[z][rows, columns] = -CORNER_MM * np.log(others + fat) - uneven
    found.shared[z][rows, columns] = others / (others + fat)
