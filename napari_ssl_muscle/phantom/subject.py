"""Who the synthetic subjects are: the shape of each leg, and how it changes from month to month."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ssl_muscle.phantom.atlas import BUNDLES, LABELLED, MUSCLES
from napari_ssl_muscle.phantom.random_fields import Floats, generator, texture

Array = NDArray[np.float64]

SIDES = {"right": -1.0, "left": 1.0}
"""Direction of "lateral" along x, which runs from the patient's right to the left."""


@dataclass(frozen=True, eq=False)
class Subject:
    """What the two legs of one subject have in common."""

    size: float
    """Cross-section relative to the standard leg (length ratio)."""
    fat: float
    """Mean thickness of the subcutaneous fat in mm, at the subject's own size."""
    lean: float
    """Factor on the fat between muscles: below 1 is lean."""
    skin: float
    """Thickness of the skin in mm."""
    bone: float
    """Femur's size relative to the standard leg, beyond `size`."""
    gap: float
    """Distance in mm between the thighs at the top; negative: pressed together."""
    spread: float
    """Distance in mm between the legs just above the knee."""


@dataclass(frozen=True, eq=False)
class Leg:
    """Shape of one leg, the same in every session."""

    side: str
    rotation: float
    """Outward rotation in radians."""
    growth: Array
    """Radius added to each muscle's and bundle's discs, mm."""
    shift: list[Array]
    """For each muscle and bundle (discs, 2): displacement of its chain, mm."""
    drift: list[Array]
    """The same, changing sign from knee to hip."""
    outline: Array
    """Fourier terms (2, 5, 2) of the fascia's radius: at knee and hip, orders 1 to 5, cos, sin."""
    femur: Array
    """Displacement u, v of the femur in mm."""
    fat_thickness: Array
    """Fourier terms (2, 4, 2) of the subcutaneous fat, orders 1 to 4."""
    fat_fraction: Array
    """Fatty infiltration of each muscle, 0 to 1."""
    tone: Array
    """Signal of each muscle relative to the others."""
    bend: tuple[Floats, Floats]
    """Periodic displacement (z, v, u) of everything inside the fascia, unit deviation."""
    grain: Floats
    """Periodic noise from which streaks and marbling are made."""


def draw_subject(seed: int, subject: int) -> Subject:
    """Draw what both legs share."""
    random = generator(seed, "subject", subject)
    fat = float(np.clip(random.lognormal(np.log(11.0), 0.42), 5.0, 24.0))
    return Subject(
        size=float(np.clip(random.normal(0.97, 0.055), 0.86, 1.06)),
        fat=fat,
        lean=float(np.clip(random.lognormal(-0.1, 0.25) * (fat / 11.0) ** 0.3, 0.5, 1.7)),
        skin=float(random.uniform(1.3, 2.1)),
        bone=float(random.normal(1.0, 0.04)),
        gap=float(random.uniform(-7.0, 7.0)),
        spread=float(random.uniform(16.0, 40.0)),
    )


def draw_leg(seed: int, subject: int, side: str) -> Leg:
    """Draw one leg: mostly the subject's own proportions, a little of its own side."""
    both = generator(seed, "thigh", subject)
    own = generator(seed, "thigh", subject, side)
    parts = len(MUSCLES) + len(BUNDLES)

    def mixed(deviation: float, shape: tuple[int, ...]) -> Array:
        return deviation * (0.92 * both.standard_normal(shape) + 0.39 * own.standard_normal(shape))

    growth = mixed(1.3, (parts,))
    growth[len(MUSCLES) :] *= 0.4
    discs = [len(part.chain[0]) for part in (*MUSCLES, *BUNDLES)]
    shift = [mixed(1.6, (1, 2)) + mixed(1.0, (many, 2)) for many in discs]
    drift = [mixed(1.4, (1, 2)) + mixed(0.8, (many, 2)) for many in discs]
    orders = np.arange(1, 6)[None, :, None]
    # Waves of higher order would make corners.
    outline = mixed(0.024, (2, 5, 2)) / orders**1.6
    fat_thickness = mixed(0.13, (2, 4, 2)) / orders[:, :4]
    infiltrated = _infiltration(both, own)
    bend_grid = (6, 24, 24)
    return Leg(
        side=side,
        rotation=float(np.deg2rad(4.0 + mixed(6.0, (1,))[0])),
        growth=growth,
        shift=shift,
        drift=drift,
        outline=outline,
        femur=mixed(2.0, (2,)),
        fat_thickness=fat_thickness,
        fat_fraction=infiltrated,
        tone=1.0 + mixed(0.03, (len(MUSCLES),)),
        bend=(texture(own, bend_grid, 1.6), texture(own, bend_grid, 1.6)),
        grain=texture(own, (40, 96, 96), 1.3),
    )


def _infiltration(both: np.random.Generator, own: np.random.Generator) -> Array:
    """Fat fraction of every muscle: a little everywhere, now and then one badly replaced."""
    many = len(MUSCLES)
    level = both.lognormal(np.log(0.02), 0.5)
    fraction = level * both.lognormal(0.0, 0.35, many) * own.lognormal(0.0, 0.15, many)
    ill = both.random(many) < both.choice([0.0, 0.07, 0.25], p=[0.55, 0.35, 0.1])
    fraction = np.where(ill, both.uniform(0.08, 0.32, many), fraction)
    return np.asarray(np.clip(fraction, 0.004, 0.4))


def monthly_rates(seed: int, subject: int, side: str) -> Array:
    """Relative change of volume a month of each labelled muscle, as intended.

    A subject wastes, grows or stays as it is; each muscle follows with its own strength.
    """
    both = generator(seed, "trend", subject)
    own = generator(seed, "trend", subject, side)
    kind = both.choice(["atrophy", "growth", "stable"], p=[0.5, 0.3, 0.2])
    base = {
        "atrophy": -both.uniform(0.015, 0.04),
        "growth": both.uniform(0.01, 0.03),
        "stable": both.normal(0.0, 0.002),
    }[str(kind)]
    rates = base * both.uniform(0.55, 1.45, LABELLED) + both.normal(0.0, 0.002, LABELLED)
    return np.asarray(rates + own.normal(0.0, 0.0015, LABELLED))


def again(repeat: int) -> tuple[str | int, ...]:
    """Return what names the random numbers of a session's second scan, third scan and so on."""
    return () if repeat == 1 else ("repeat", repeat)


def gained_fat(seed: int, subject: int, session: int, points: float) -> Array:
    """Return by how much each muscle's fat fraction has grown since the first session, 0 to 1.

    Parameters
    ----------
    points
        Mean growth in per cent points a month; muscles have half to one and a half times that.
    """
    strength = generator(seed, "infiltration", subject).uniform(0.5, 1.5, len(MUSCLES))
    return np.asarray(strength * points / 100.0 * (session - 1))


def volume_factors(seed: int, subject: int, session: int, side: str) -> Array:
    """Intended volume of each labelled muscle relative to the first session."""
    return np.asarray(np.exp(monthly_rates(seed, subject, side) * (session - 1)))


@dataclass(frozen=True, eq=False)
class Pose:
    """How the subject lies in the scanner in one session."""

    centre: tuple[float, float]
    """Shift of everything along x and y, mm."""
    tilt: float
    """Shift along y from the lowest to the highest slice, mm."""
    turn: dict[str, float]
    """Additional outward rotation of each leg in radians."""
    flatten: dict[str, float]
    """Relative widening of each leg by its own weight; the depth shrinks by the same factor."""


def draw_pose(seed: int, subject: int, session: int, repeat: int = 1) -> Pose:
    """Draw the pose of one scan of a session."""
    random = generator(seed, "pose", subject, session, *again(repeat))
    return Pose(
        centre=(float(random.normal(0.0, 3.0)), float(random.normal(0.0, 5.0))),
        tilt=float(random.normal(10.0, 4.0)),
        turn={side: float(np.deg2rad(random.normal(0.0, 3.0))) for side in SIDES},
        flatten={side: float(1.0 + random.normal(0.015, 0.015)) for side in SIDES},
    )
