"""From anatomy to signal: every tissue with its texture, softened at its surface."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ssl_muscle.phantom.acquisition import Appearance
from napari_ssl_muscle.phantom.anatomy import NO_MUSCLE, Sections
from napari_ssl_muscle.phantom.atlas import (
    ARTERY,
    DEEP_ARTERY,
    FEMUR,
    LENGTH,
    MUSCLES,
    NERVE,
    TENDON,
    VEIN,
)
from napari_ssl_muscle.phantom.leg_shape import along
from napari_ssl_muscle.phantom.random_fields import Floats, sample
from napari_ssl_muscle.phantom.subject import Leg, Subject

VESSELS, SCIATIC = 0, 1
"""Places in `BUNDLES`."""
PEAK = 2.6
"""Height of unit noise from which on there is a small vessel: half a percent of the tissue."""


def render(
    found: Sections, leg: Leg, subject: Subject, thresholds: NDArray[np.float64],
    appearance: Appearance, pixel: float, infiltration: NDArray[np.float64],
) -> tuple[Floats, Floats]:  # fmt: skip
    """Draw one leg without noise, each surface softened over one pixel (partial volume).

    Parameters
    ----------
    thresholds
        Margin in standard mm from which on a point is muscle, for each of `MUSCLES`.
    pixel
        In-plane pixel in mm.
    infiltration
        Fat fraction of each muscle.

    Returns
    -------
    signal, cover
        Signal (z, y, x) relative to muscle, and the share of every pixel that is leg.
    """

    def inside(depth: Floats) -> Floats:
        return np.asarray(np.clip(0.5 + depth / np.float32(pixel), 0.0, 1.0), np.float32)

    cover = inside(found.in_skin)
    depth_z = np.broadcast_to((found.s * LENGTH)[:, None, None], found.u.shape)
    signal = np.full(found.u.shape, appearance.fat, np.float32)
    body = found.in_skin > -pixel
    u, v, height = found.u[body], found.v[body], depth_z[body]

    # Fat: fine lobules, and thin septa of connective tissue where the noise crosses zero.
    lobes = sample(leg.grain, height / 9.0, v / 2.6, u / 2.6)
    sheets = sample(leg.grain, height / 30.0 + 7.0, v / 7.0, u / 4.0)
    fat = appearance.fat * (1.0 + 0.035 * lobes)
    fat += (appearance.fascia - appearance.fat) * 0.22 * np.exp(-((sheets / 0.07) ** 2))
    fat += (appearance.vein - fat) * np.clip(2.0 * (lobes - PEAK), 0.0, 0.7)
    signal[body] = fat

    muscle, tissue = _muscle(found, leg, thresholds, appearance, pixel, infiltration)
    _blend(signal, muscle, tissue)

    # The fascia lata is thickest on the lateral side (iliotibial tract).
    side = np.clip(found.u / (np.hypot(found.u, found.v) + 1.0), 0.0, 1.0)
    width = np.asarray(0.45 + 0.9 * side**6, np.float32)
    width[body] *= np.clip(1.0 + 0.5 * sheets, 0.2, 2.0)
    _blend(signal, _line(found.in_fascia, width, pixel), appearance.fascia)
    skin = inside(found.in_skin) * inside(subject.skin - found.in_skin)
    _blend(signal, skin, appearance.skin)

    _blend(signal, _round(found, _levels(found, TENDON), pixel, wide=16.0), appearance.tendon)
    for vein in (_levels(found, VEIN, VESSELS), found.saphenous):
        _blend(signal, _round(found, vein, pixel), appearance.vein)
    for artery in (ARTERY, DEEP_ARTERY):
        _blend(signal, _round(found, _levels(found, artery, VESSELS), pixel), appearance.artery)
    _nerve(signal, found, leg, appearance, pixel)

    _blend(signal, inside(found.in_bone), appearance.cortex)
    core = found.in_bone - found.cortex[:, None, None]
    marrow = appearance.marrow * (
        1.0 + 0.04 * sample(leg.grain, depth_z / 8.0, found.v / 1.6, found.u / 1.6)
    )
    _blend(signal, inside(core), marrow)
    return signal, cover


def _line(distance: Floats, width: Floats, pixel: float) -> Floats:
    """Share of every pixel that a thin sheet of this width (mm) covers."""
    whole = np.minimum(width / pixel, 1.0)
    covered = (0.5 * (width + pixel) - np.abs(distance)) / pixel
    return np.asarray(np.clip(covered, 0.0, whole), np.float32)


def _blend(signal: Floats, share: NDArray[np.floating], value: Floats | float) -> None:
    """Lay a tissue over what is there, in place."""
    signal += share * (value - signal)


def _muscle(
    found: Sections, leg: Leg, thresholds: NDArray[np.float64], appearance: Appearance,
    pixel: float, infiltration: NDArray[np.float64],
) -> tuple[Floats, Floats]:  # fmt: skip
    """Share of muscle in every pixel, and its signal with streaks and marbling."""
    share = np.zeros(found.u.shape, np.float32)
    tissue = np.ones(found.u.shape, np.float32)
    in_muscle = found.owner != NO_MUSCLE
    owner = found.owner[in_muscle]
    u, v = found.u[in_muscle], found.v[in_muscle]
    height = np.broadcast_to((found.s * LENGTH)[:, None, None], found.u.shape)[in_muscle]
    level = np.broadcast_to(np.arange(len(found.s))[:, None, None], found.u.shape)[in_muscle]

    border = thresholds.astype(np.float32)[owner]
    margin = found.margin[in_muscle]
    # The margin grows by about 2 mm per mm of depth; the neighbour's begins at its mirror image.
    slope = np.float32(0.5 * found.scale / pixel)
    own = np.clip(0.5 + slope * (margin - border), 0.0, 1.0)
    other = np.clip(0.5 - slope * (margin + border), 0.0, 1.0)
    share[in_muscle] = own + other * found.shared[in_muscle]

    # Coordinates across and along the fibre bundles as the section shows them.
    femur = along(FEMUR, found.s.astype(float)).astype(np.float32)[:, :2] + leg.femur.astype(
        np.float32
    )
    around = np.array([part.around_bone for part in MUSCLES])[owner]
    du, dv = u - femur[level, 0], v - femur[level, 1]
    turn = np.array([_slant(index) for index in range(len(MUSCLES))], np.float32)[owner]
    first = np.where(around, np.arctan2(dv, du) * 34.0, np.cos(turn) * u + np.sin(turn) * v)
    second = np.where(around, np.hypot(du, dv), np.cos(turn) * v - np.sin(turn) * u)

    fraction = infiltration.astype(np.float32)[owner]
    shift = 5.0 * owner.astype(np.float32)
    patches = sample(leg.grain, height / 16.0, v / 7.0 + shift, u / 7.0)
    coarse = sample(leg.grain, height / 34.0 + shift, second / 6.0, first / 3.0)
    fine = sample(
        leg.grain,
        height / 30.0 - shift,
        second / np.where(around, 2.2, 3.2),
        first / np.where(around, 1.6, 1.1),
    )
    # Streaks of perimysial fat: thin lines where the noise crosses zero, denser in bad muscles.
    streaks = np.exp(-((coarse / (0.06 + 0.25 * fraction)) ** 2))
    streaks *= np.clip(0.3 + 0.35 * patches + 1.5 * fraction, 0.0, 1.0)
    replaced = 0.75 * fine + 0.65 * coarse + 0.6 * patches - _quantile(fraction)
    marbling = 1.0 / (1.0 + np.exp(-np.clip(replaced / 0.35, -30.0, 30.0)))
    fatty = np.clip(0.5 * streaks + marbling, 0.0, 0.95)
    tone = leg.tone.astype(np.float32)[owner] * (1.0 + 0.035 * patches + 0.04 * fine)
    tone *= np.float32(appearance.muscle)
    tone += (appearance.fat - tone) * fatty
    # Small vessels, cut across: the few peaks of a noise that is long along the leg.
    peaks = sample(leg.grain, height / 45.0 - shift, v / 1.7, u / 1.7)
    tone += (appearance.vein - tone) * np.clip(2.0 * (peaks - PEAK), 0.0, 0.8)
    tissue[in_muscle] = tone
    return share, tissue


def _quantile(fraction: Floats) -> Floats:
    """Height of the marbling noise that about this fraction of the muscle exceeds."""
    # The sum of the noises has deviation 1.16; logistic approximation of the normal quantile.
    safe = np.clip(fraction, 1e-3, 0.95)
    return np.asarray(1.16 * np.log((1 - safe) / safe) / 1.702, np.float32)


def _slant(index: int) -> float:
    """Direction of the streaks of a muscle in the section, in radians."""
    return float((0.9 + 1.7 * index) % np.pi)


def _levels(found: Sections, discs: object, bundle: int | None = None) -> Floats:
    """Discs given at the drawn levels, at the level of every slice, moved with their bundle."""
    table = along(discs, found.s.astype(float)).astype(np.float32)
    if bundle is not None:
        table[:, :2] += found.bundle_shift[bundle]
    return table


def _round(found: Sections, discs: Floats, pixel: float, wide: float = 0.0) -> Floats:
    """Share of every pixel inside a disc, or a bar of rounded ends that is `wide` mm longer."""
    table = discs[:, :, None, None]
    across = np.maximum(np.abs(found.bent[0] - table[:, 0]) - np.float32(0.5 * wide), 0.0)
    distance = np.hypot(across, found.bent[1] - table[:, 1])
    share = np.clip(0.5 + (table[:, 2] - distance) * found.scale / pixel, 0.0, 1.0)
    return np.asarray(share * (table[:, 2] > 0), dtype=np.float32)


def _nerve(signal: Floats, found: Sections, leg: Leg, appearance: Appearance, pixel: float) -> None:
    """Sciatic nerve: grey fascicles in fat."""
    share = _round(found, _levels(found, NERVE, SCIATIC), pixel)
    inside = share > 0
    height = np.broadcast_to((found.s * LENGTH)[:, None, None], found.u.shape)[inside]
    spots = sample(leg.grain, height / 40.0, found.v[inside] / 1.1, found.u[inside] / 1.1)
    share[inside] *= np.clip(0.7 + 0.25 * spots, 0.3, 1.0)
    _blend(signal, share, appearance.nerve)
