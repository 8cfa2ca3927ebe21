"""A synthetic thigh in the scanner: scans with known muscles, to try, teach and test with.

Any scan of a cohort can be made alone: it depends on its seed, subject and session only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.phantom.acquisition import (
    Appearance,
    acquire,
    dixon_pair,
    draw_appearance,
)
from napari_ssl_muscle.phantom.anatomy import NO_MUSCLE, Sections, sections
from napari_ssl_muscle.phantom.atlas import LABELLED, LENGTH, MUSCLES
from napari_ssl_muscle.phantom.random_fields import generator
from napari_ssl_muscle.phantom.settings import PhantomScan, PhantomSettings
from napari_ssl_muscle.phantom.subject import (
    SIDES,
    Array,
    again,
    draw_leg,
    draw_pose,
    draw_subject,
    gained_fat,
    volume_factors,
)
from napari_ssl_muscle.phantom.tissue import render


def phantom_scan(
    subject: int, session: int, settings: PhantomSettings, repeat: int = 1
) -> PhantomScan:
    """Make one scan.

    Parameters
    ----------
    subject, session
        Counted from 1. Sessions are a month apart.
    settings
        Size, seed, contrast; `subjects`, `sessions` and `repeats` of it play no role here.
    repeat
        Which scan of the session, counted from 1: the same leg in another pose.

    Raises
    ------
    BadInput
        If `subject`, `session` or `repeat` is below 1.
    """
    if min(subject, session, repeat) < 1:
        raise BadInput(
            f"There is no phantom subject {subject}, session {session}, scan {repeat}; count all "
            "from 1."
        )
    seed = settings.seed
    spacing = settings.spacing
    shape = (settings.slices, settings.size, settings.size)
    levels = _levels(subject, session, settings, repeat)
    half = (settings.size - 1) / 2 * spacing[1]
    axis: Array = np.linspace(-half, half, settings.size)
    person = draw_subject(seed, subject)
    pose = draw_pose(seed, subject, session, repeat)
    sides = list(SIDES) if settings.legs == 2 else ["right" if subject % 2 else "left"]

    factors = {side: volume_factors(seed, subject, session, side) for side in SIDES}
    # The whole section follows the muscle that gains most (or loses least); the others shrink
    # within their sheaths, and fat takes their room.
    most = max(float(factor.max()) for factor in factors.values())
    scale = person.size * most**0.5
    gained = gained_fat(seed, subject, session, settings.infiltration)
    most_fat = 0.9 if settings.infiltration else 0.6
    voxel_ml = float(np.prod(spacing)) / 1000.0
    looks = _appearances(subject, session, settings)
    signals = [np.zeros(shape, np.float32) for _ in looks]
    cover = np.zeros(shape, np.float32)
    labels = np.zeros(shape, np.uint8)
    volumes: dict[str, float] = {}
    intended: dict[str, float] = {}
    fat: dict[str, float] = {}
    for side in sides:
        leg = draw_leg(seed, subject, side)
        found = sections(person, leg, pose, scale, levels, (axis, axis), len(sides) == 1)
        sheaths = np.array([part.sheath for part in MUSCLES]) * person.lean / person.size
        thresholds = _thresholds(found, sheaths, factors[side] / most)
        wasted = np.ones(len(MUSCLES))
        wasted[:LABELLED] = np.minimum(factors[side], 1.0)
        infiltrated = np.clip(leg.fat_fraction * wasted**-1.5 + gained, 0.0, most_fat)
        tissues = []
        for look, signal in zip(looks, signals, strict=True):
            drawn, covered = render(found, leg, person, thresholds, look, spacing[1], infiltrated)
            signal[found.box] += drawn * covered
            tissues.append(drawn)
        cover[found.box] = np.maximum(cover[found.box], covered)
        mask = _labelled(found, thresholds)
        owner = found.owner[mask]
        labels[found.box][mask] = owner + 1
        counts = np.bincount(owner, minlength=LABELLED)
        shares = _mean_fat(tissues, mask, owner, counts)
        for index, part in enumerate(MUSCLES[:LABELLED]):
            volumes[f"{part.name} {side}"] = float(counts[index] * voxel_ml)
            intended[f"{part.name} {side}"] = float(factors[side][index])
            if shares is not None and counts[index]:
                fat[f"{part.name} {side}"] = float(100.0 * shares[index])
    images = [
        acquire(
            signal,
            cover,
            look,
            generator(seed, "noise", subject, session, *again(repeat)),
            settings.noise,
            None if number == 0 else generator(seed, "fat", subject, session, *again(repeat)),
        )
        for number, (signal, look) in enumerate(zip(signals, looks, strict=True))
    ]
    return PhantomScan(
        image=images[0],
        labels=labels,
        spacing=spacing,
        affine=centred_affine(shape, spacing),
        volumes_ml=volumes,
        factors=intended,
        fat_image=images[1] if len(images) > 1 else None,
        fat_percent=fat,
    )


def _levels(subject: int, session: int, settings: PhantomSettings, repeat: int) -> Array:
    """Level of every slice, 0 to 1."""
    levels = (np.arange(settings.slices) + 0.5) / settings.slices * settings.coverage / LENGTH
    if not settings.placement:
        return levels
    room = LENGTH - settings.coverage
    random = generator(settings.seed, "placement", subject, session, *again(repeat))
    start = np.clip(room / 2 + random.normal(0.0, settings.placement), 0.0, room)
    return np.asarray(levels + start / LENGTH)


def _appearances(subject: int, session: int, settings: PhantomSettings) -> list[Appearance]:
    """Appearance of each image: one, or water and fat."""
    if settings.contrast != "dixon":
        return [draw_appearance(settings.seed, subject, session, settings.contrast)]
    return list(dixon_pair(draw_appearance(settings.seed, subject, session, "water")))


def _mean_fat(
    tissues: list[NDArray[np.float32]],
    mask: NDArray[np.bool_],
    owner: NDArray[np.uint8],
    counts: NDArray[np.intp],
) -> Array | None:
    """Mean share of fat in each labelled muscle; None without a fat image."""
    if len(tissues) < 2:
        return None
    water, fat = (tissue[mask].astype(np.float64) for tissue in tissues)
    share = fat / np.maximum(water + fat, 1e-6)
    return np.asarray(np.bincount(owner, share, LABELLED) / np.maximum(counts, 1))


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
