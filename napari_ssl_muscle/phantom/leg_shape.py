"""Everything about a leg that depends only on the level: chains of discs, femur, fascia, fat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from napari_ssl_muscle.phantom.atlas import (
    BUNDLES,
    FASCIA,
    FEMUR,
    LEVELS,
    MUSCLES,
    REACH,
    SUBCUTANEOUS,
)
from napari_ssl_muscle.phantom.random_fields import Floats
from napari_ssl_muscle.phantom.subject import Array, Leg, Subject

ANGLES = 512
"""Directions in which the radius of the fascia and the fat are tabulated."""


@dataclass(frozen=True, eq=False)
class LegShape:
    """All that changes along the leg, at the level of every slice."""

    start: Array
    step: Array
    """Segments (z, segments, 3): u, v, radius at the start, and from there to the end."""
    bundle_shift: tuple[Floats, ...]
    """Displacement (z, 2) of each bundle, standard mm."""
    first: NDArray[np.intp]
    """First segment of each muscle and bundle."""
    femur: Array
    reach: Array
    fascia: Array
    """Radius (z, ANGLES) of the compartment in standard mm."""
    outline: Array
    """Relative deviation (z, ANGLES) of this radius from the standard leg's."""
    fat_thickness: Array
    """Thickness (z, ANGLES) of skin and subcutaneous fat in mm."""


def along(values: object, s: Array) -> Array:
    """Values given at `LEVELS` (first axis), at the levels `s`."""
    table = np.asarray(values, dtype=float)
    return np.asarray(PchipInterpolator(LEVELS, table, axis=0)(s), dtype=float)


def leg_shape(subject: Subject, leg: Leg, s: Array, turn: float) -> LegShape:
    """Evaluate everything of one leg that depends only on the level.

    `s` is the level of every slice, 0 to 1; `turn` the leg's outward rotation as it lies, in
    radians.
    """
    starts: list[Array] = []
    steps: list[Array] = []
    first: list[int] = []
    bundle_shift: list[Floats] = []
    offset = leg.femur
    for index, part in enumerate((*MUSCLES, *BUNDLES)):
        chain = along(part.chain, s)
        chain[..., :2] += leg.shift[index] + np.cos(np.pi * s)[:, None, None] * leg.drift[index]
        if part.around_bone or index >= len(MUSCLES):
            chain[..., :2] += 0.7 * offset
        if index >= len(MUSCLES):
            bundle_shift.append(
                (chain - along(part.chain, s))[..., :2].mean(axis=1).astype(np.float32)
            )
        # Growth fades where the muscle ends, so that it still ends.
        fade = np.clip(chain[..., 2] / 4.0, 0.0, 1.0)
        chain[..., 2] += fade * leg.growth[index]
        chain[..., 2] = np.where(chain[..., 2] > 0, chain[..., 2], 4.0 * chain[..., 2])
        first.append(sum(len(block) for block in starts))
        starts.append(np.moveaxis(chain[:, :-1], 1, 0))
        steps.append(np.moveaxis(np.diff(chain, axis=1), 1, 0))
    femur = along(FEMUR, s)
    femur[:, :2] += offset
    femur[:, 2:4] *= subject.bone
    angle = np.linspace(0.0, 2 * np.pi, ANGLES, endpoint=False)
    cosine, sine = np.cos(angle), np.sin(angle)
    width, depth = along(FASCIA, s).T
    power = 2.15
    fascia = (
        (np.abs(cosine) / width[:, None]) ** power + (np.abs(sine) / depth[:, None]) ** power
    ) ** (-1 / power)
    outline = _fourier(leg.outline, angle, s)
    fat_thickness = along(SUBCUTANEOUS, s) @ np.stack(
        [
            np.clip(cosine, 0, None) ** 2,
            np.clip(sine, 0, None) ** 2,
            np.clip(-cosine, 0, None) ** 2,
            np.clip(-sine, 0, None) ** 2,
        ]
    )
    fat_thickness *= subject.fat * np.clip(1.0 + _fourier(leg.fat_thickness, angle, s), 0.4, 1.8)
    fascia *= 1.0 + outline
    fat_thickness = (
        _flattened(fascia, np.maximum(fat_thickness, 2.5), np.sin(turn - angle)) + subject.skin
    )
    return LegShape(
        start=np.moveaxis(np.concatenate(starts), 0, 1),
        step=np.moveaxis(np.concatenate(steps), 0, 1),
        bundle_shift=tuple(bundle_shift),
        first=np.asarray(first, dtype=np.intp),
        femur=femur,
        reach=along(REACH, s) * subject.lean**-0.5,
        fascia=fascia,
        outline=outline,
        fat_thickness=fat_thickness,
    )


def _flattened(fascia: Array, fat_thickness: Array, down: Array) -> Array:
    """Flatten the thigh where it lies on the table: there the fat gives way.

    `down` is the share of every direction that points to the table.
    """
    body = fascia + fat_thickness
    table = 0.95 * body[:, [int(down.argmax())]]
    under = np.maximum(table / np.clip(down, 1e-3, None) - fascia, 0.3 * fat_thickness)
    # Round off where the skin leaves the table.
    return np.asarray(2.0 - 5.0 * np.logaddexp(-under / 5.0, -fat_thickness / 5.0)).clip(2.5)


def _fourier(terms: Array, angle: Array, s: Array) -> Array:
    """Sum of waves (z, angles) whose strengths run from the first to the second row of terms."""
    orders = np.arange(1, terms.shape[1] + 1)[:, None] * angle
    low, high = (row[:, 0] @ np.cos(orders) + row[:, 1] @ np.sin(orders) for row in terms)
    return np.asarray((1 - s)[:, None] * low + s[:, None] * high)
