"""A synthetic thigh in the scanner: scans with known muscles, to try, teach and test with.

Any scan of a cohort can be made alone: it depends on its seed, subject and session only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.phantom.acquisition import acquire, draw_appearance
from napari_ssl_muscle.phantom.anatomy import NO_MUSCLE, Sections, sections
from napari_ssl_muscle.phantom.atlas import LABELLED, LENGTH, MUSCLES
from napari_ssl_muscle.phantom.random_fields import generator
from napari_ssl_muscle.phantom.settings import PhantomScan, PhantomSettings
from napari_ssl_muscle.phantom.subject import (
    SIDES,
    Array,
    draw_leg,
    draw_pose,
    draw_subject,
    volume_factors,
)
from napari_ssl_muscle.phantom.tissue import render


def phantom_scan(subject: int, session: int, settings: PhantomSettings) -> PhantomScan:
    """Make one scan.

    Parameters
    ----------
    subject, session
        Counted from 1. Sessions are a month apart.
    settings
        Size, seed, contrast; `subjects` and `sessions` of it play no role here.

    Raises
    ------
    BadInput
        If `subject` or `session` is below 1.
    """
    if subject < 1 or session < 1:
        raise BadInput(
            f"There is no phantom subject {subject}, session {session}; count both from 1."
        )
    seed = settings.seed
    spacing = settings.spacing
    shape = (settings.slices, settings.size, settings.size)
    levels = (np.arange(settings.slices) + 0.5) / settings.slices * settings.coverage / LENGTH
    half = (settings.size - 1) / 2 * spacing[1]
    axis: Array = np.linspace(-half, half, settings.size)
    person = draw_subject(seed, subject)
    pose = draw_pose(seed, subject, session)
    appearance = draw_appearance(seed, subject, session, settings.contrast)
    sides = list(SIDES) if settings.legs == 2 else ["right" if subject % 2 else "left"]

    factors = {side: volume_factors(seed, subject, session, side) for side in SIDES}
    # The whole section follows the muscle that gains most (or loses least); the others shrink
    # within their sheaths, and fat takes their room.
    most = max(float(factor.max()) for factor in factors.values())
    scale = person.size * most**0.5
    voxel_ml = float(np.prod(spacing)) / 1000.0
    signal = np.zeros(shape, np.float32)
    cover = np.zeros(shape, np.float32)
    labels = np.zeros(shape, np.uint8)
    volumes: dict[str, float] = {}
    intended: dict[str, float] = {}
    for side in sides:
        leg = draw_leg(seed, subject, side)
        found = sections(person, leg, pose, scale, levels, (axis, axis), len(sides) == 1)
        sheaths = np.array([part.sheath for part in MUSCLES]) * person.lean / person.size
        thresholds = _thresholds(found, sheaths, factors[side] / most)
        wasted = np.ones(len(MUSCLES))
        wasted[:LABELLED] = np.minimum(factors[side], 1.0)
        drawn, covered = render(
            found, leg, person, thresholds, appearance, spacing[1],
            np.clip(leg.fat_fraction * wasted**-1.5, 0.0, 0.6),
        )  # fmt: skip
        signal[found.box] += drawn * covered
        cover[found.box] = np.maximum(cover[found.box], covered)
        mask = _labelled(found, thresholds)
        labels[found.box][mask] = found.owner[mask] + 1
        counts = np.bincount(found.owner[mask], minlength=LABELLED)
        for index, part in enumerate(MUSCLES[:LABELLED]):
            volumes[f"{part.name} {side}"] = float(counts[index] * voxel_ml)
            intended[f"{part.name} {side}"] = float(factors[side][index])
    image = acquire(
        signal, cover, appearance, generator(seed, "noise", subject, session), settings.noise
    )
    return PhantomScan(
        image=image,
        labels=labels,
        spacing=spacing,
        affine=centred_affine(shape, spacing),
        volumes_ml=volumes,
        factors=intended,
    )


def _thresholds(found: Sections, sheaths: Array, shares: Array) -> Array:
    """Margin from which on a point is muscle, so that each keeps its share of its room."""
    thresholds = sheaths.copy()
    for index, share in enumerate(shares):
        room = found.margin[(found.owner == index) & (found.margin > sheaths[index])]
        keep = round(share * room.size)
        if keep < room.size:
            thresholds[index] = np.partition(room, room.size - keep - 1)[room.size - keep - 1]
    return thresholds


def _labelled(found: Sections, thresholds: Array) -> NDArray[np.bool_]:
    """Where the labelled muscles are."""
    border = np.full(NO_MUSCLE + 1, np.inf, np.float32)
    border[:LABELLED] = thresholds[:LABELLED]
    return np.asarray(found.margin > border[found.owner])


def centred_affine(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Array:
    """Affine of the (x, y, z) array: x to the patient's left, y to the back, z upwards.

    Parameters
    ----------
    shape
        (z, y, x).
    spacing
        (dz, dy, dx) in mm.
    """
    dz, dy, dx = spacing
    affine = np.diag([-dx, -dy, dz, 1.0])
    affine[:3, 3] = dx * (shape[2] - 1) / 2, dy * (shape[1] - 1) / 2, 0.5 * dz
    return affine
