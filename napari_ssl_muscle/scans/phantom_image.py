"""From tissues to a magnitude image: contrast, texture, blur, coil sensitivity and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_ssl_muscle.scans.phantom_anatomy import LENGTH, NOBODY, Sections, along
from napari_ssl_muscle.scans.phantom_layout import (
    ARTERY,
    DEEP_ARTERY,
    FEMUR,
    MUSCLES,
    NERVE,
    TENDON,
    VEIN,
)
from napari_ssl_muscle.scans.phantom_noise import Floats, generator, sample, smooth_field
from napari_ssl_muscle.scans.phantom_settings import Contrast
from napari_ssl_muscle.scans.phantom_subject import Leg, Subject


@dataclass(frozen=True)
class Look:
    """Signal of each tissue relative to muscle, and the scanner's own marks, in one session."""

    fat: float
    marrow: float
    skin: float
    cortex: float
    fascia: float
    artery: float
    vein: float
    nerve: float
    tendon: float
    gain: float
    """Scanner units of muscle."""
    noise: float
    """Standard deviation of the noise relative to muscle."""
    blur: float
    """Deviation of the in-plane blur in pixels."""
    bias: float
    """Strength of the bias field: standard deviation of its logarithm."""
    glow: float
    """How much brighter the skin's side is than the middle, as with surface coils."""


def draw_look(seed: int, subject: int, session: int, contrast: Contrast) -> Look:
    """Draw the contrast: mostly the session's protocol, a little of the single scan.

    Spoiled gradient- and spin-echo T1 images of thighs show fat at 1.7 to 3 times the signal
    of muscle; in water images of Dixon scans a rest of 10 to 25 % stays.
    """
    protocol = generator(seed, "protocol", session)
    scan = generator(seed, "scan", subject, session)
    if contrast == "t1":
        fat = protocol.uniform(1.65, 2.9)
        marrow = fat * protocol.uniform(0.85, 1.0)
        skin, fascia = protocol.uniform(0.7, 1.1), protocol.uniform(0.35, 0.6)
    else:
        fat = protocol.uniform(0.1, 0.25)
        marrow = fat * protocol.uniform(0.8, 1.2)
        skin, fascia = protocol.uniform(0.45, 0.75), protocol.uniform(0.15, 0.3)
    # Inflow makes arteries bright in gradient echoes; in spin echoes they are black.
    bright = protocol.random() < 0.5
    flow = scan.uniform(0.8, 1.2, 2)
    jitter = scan.normal(1.0, 0.05, 4)
    return Look(
        fat=float(fat * jitter[0]),
        marrow=float(marrow * jitter[0]),
        skin=float(skin * jitter[1]),
        cortex=float(protocol.uniform(0.05, 0.15)),
        fascia=float(fascia),
        artery=float((1.7 if bright else 0.15) * flow[0]),
        vein=float((1.35 if bright else 0.45) * flow[1]),
        nerve=float(0.85 * jitter[2]),
        tendon=float(protocol.uniform(0.2, 0.35)),
        gain=float(protocol.uniform(180.0, 520.0) * jitter[3]),
        noise=float(protocol.uniform(0.035, 0.075) * scan.uniform(0.85, 1.2)),
        blur=float(protocol.uniform(0.35, 0.6)),
        bias=float(protocol.uniform(0.06, 0.16)),
        glow=float(protocol.uniform(0.0, 0.35)),
    )


def paint(
    found: Sections, leg: Leg, subject: Subject, thresholds: NDArray[np.float64], look: Look,
    pixel: float, infiltration: NDArray[np.float64],
) -> tuple[Floats, Floats]:  # fmt: skip
    """Draw one leg without noise, each surface softened over one pixel (partial volume).

    Parameters
    ----------
    found
        The leg on the image grid.
    leg, subject
        Its textures and proportions.
    thresholds
        Margin in mm from which on a point is muscle, for each of `MUSCLES`.
    look
        Signals.
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
    signal = np.full(found.u.shape, look.fat, np.float32)
    body = found.in_skin > -pixel
    u, v, height = found.u[body], found.v[body], depth_z[body]

    # Fat: fine lobules, and thin septa of connective tissue where the noise crosses zero.
    lobes = sample(leg.grain, height / 9.0, v / 2.6, u / 2.6)
    sheets = sample(leg.grain, height / 30.0 + 7.0, v / 7.0, u / 4.0)
    fat = look.fat * (1.0 + 0.035 * lobes)
    fat += (look.fascia - look.fat) * 0.30 * np.exp(-((sheets / 0.07) ** 2))
    signal[body] = fat

    muscle, tissue = _muscle(found, leg, thresholds, look, pixel, infiltration)
    _over(signal, muscle, tissue)

    line = np.clip(0.55 - np.abs(found.in_fascia) / pixel, 0.0, 0.55)
    _over(signal, line, look.fascia)
    skin = inside(found.in_skin) * inside(subject.skin - found.in_skin)
    _over(signal, skin, look.skin)

    for discs, value in (
        (TENDON, look.tendon),
        (VEIN, look.vein),
        (ARTERY, look.artery),
        (DEEP_ARTERY, look.artery),
    ):
        _disc(signal, found, discs, value, pixel)
    _nerve(signal, found, leg, look, pixel)

    _over(signal, inside(found.in_bone), look.cortex)
    core = found.in_bone - found.cortex[:, None, None]
    marrow = look.marrow * (
        1.0 + 0.04 * sample(leg.grain, depth_z / 8.0, found.v / 1.6, found.u / 1.6)
    )
    _over(signal, inside(core), marrow)
    return signal, cover


def _over(signal: Floats, share: NDArray[np.floating], value: Floats | float) -> None:
    """Lay a tissue over what is there, in place."""
    signal += share * (value - signal)


def _muscle(
    found: Sections, leg: Leg, thresholds: NDArray[np.float64], look: Look, pixel: float,
    infiltration: NDArray[np.float64],
) -> tuple[Floats, Floats]:  # fmt: skip
    """Share of muscle in every pixel, and its signal with streaks and marbling."""
    share = np.zeros(found.u.shape, np.float32)
    tissue = np.ones(found.u.shape, np.float32)
    somebody = found.owner != NOBODY
    owner = found.owner[somebody]
    u, v = found.u[somebody], found.v[somebody]
    height = np.broadcast_to((found.s * LENGTH)[:, None, None], found.u.shape)[somebody]
    level = np.broadcast_to(np.arange(len(found.s))[:, None, None], found.u.shape)[somebody]

    border = thresholds.astype(np.float32)[owner]
    margin = found.margin[somebody]
    # The margin grows by about 2 mm per mm of depth; the neighbour's begins at its mirror image.
    own = np.clip(0.5 + 0.5 * (margin - border) / pixel, 0.0, 1.0)
    other = np.clip(0.5 - 0.5 * (margin + border) / pixel, 0.0, 1.0)
    share[somebody] = own + other * found.shared[somebody]

    # Coordinates across and along the fibre bundles as the section shows them.
    femur = along(FEMUR, found.s.astype(float)).astype(np.float32)[:, :2] + leg.femur.astype(
        np.float32
    )
    around = np.array([part.around_bone for part in MUSCLES])[owner]
    du, dv = u - femur[level, 0], v - femur[level, 1]
    turn = np.array([_slant(index) for index in range(len(MUSCLES))], np.float32)[owner]
    first = np.where(around, np.arctan2(dv, du) * 34.0, np.cos(turn) * u + np.sin(turn) * v)
    second = np.where(around, np.hypot(du, dv), np.cos(turn) * v - np.sin(turn) * u)

    noise = sample(leg.grain, height / 34.0 + 3.0 * owner, second / 7.0, first / 2.8)
    patches = sample(leg.grain, height / 16.0, v / 6.0 + 5.0 * owner, u / 6.0)
    fraction = infiltration.astype(np.float32)[owner]
    # Streaks: thin lines of fat where the noise crosses zero, thicker and denser in bad muscles.
    width = 0.05 + 0.5 * fraction
    streaks = np.exp(-((noise / width) ** 2)) * np.clip(0.35 + 0.3 * patches + fraction, 0.0, 1.0)
    marbling = 1.0 / (1.0 + np.exp(-(0.6 * noise + patches - _quantile(fraction)) / 0.22))
    fatty = np.clip(0.55 * streaks + marbling, 0.0, 0.95)
    tone = leg.tone.astype(np.float32)[owner] * (1.0 + 0.03 * patches)
    tissue[somebody] = tone + (look.fat - tone) * fatty
    return share, tissue


def _quantile(fraction: Floats) -> Floats:
    """Height of the marbling noise that about this fraction of the muscle exceeds."""
    # The sum of both noises has deviation 1.17; logistic approximation of the normal quantile.
    safe = np.clip(fraction, 1e-3, 0.95)
    return np.asarray(1.17 * np.log((1 - safe) / safe) / 1.702 + 0.35 * (safe < 0.1), np.float32)


def _slant(index: int) -> float:
    """Direction of the streaks of a muscle in the section, in radians."""
    return float((0.9 + 1.7 * index) % np.pi)


def _disc(signal: Floats, found: Sections, discs: object, value: float, pixel: float) -> None:
    """Lay one round structure over the signal."""
    _over(signal, _round(found, discs, pixel), value)


def _round(found: Sections, discs: object, pixel: float) -> Floats:
    table = along(discs, found.s.astype(float)).astype(np.float32)[:, :, None, None]
    distance = np.hypot(found.u - table[:, 0], found.v - table[:, 1])
    share = np.clip(0.5 + (table[:, 2] - distance) * found.scale / pixel, 0.0, 1.0)
    return np.asarray(share * (table[:, 2] > 0), dtype=np.float32)


def _nerve(signal: Floats, found: Sections, leg: Leg, look: Look, pixel: float) -> None:
    """Sciatic nerve: grey fascicles in fat."""
    share = _round(found, NERVE, pixel)
    inside = share > 0
    height = np.broadcast_to((found.s * LENGTH)[:, None, None], found.u.shape)[inside]
    spots = sample(leg.grain, height / 40.0, found.v[inside] / 1.1, found.u[inside] / 1.1)
    share[inside] *= np.clip(0.75 + 0.35 * spots, 0.1, 1.0)
    _over(signal, share, look.nerve)


def expose(
    signal: Floats, cover: Floats, look: Look, random: np.random.Generator, noise: float
) -> Floats:
    """Blur, shade and add Rician noise.

    Parameters
    ----------
    signal
        Noise-free signal (z, y, x) relative to muscle, zero in air.
    cover
        Share of body in every pixel.
    look
        The scanner's marks.
    random
        Source of the numbers.
    noise
        Factor on the noise.

    Returns
    -------
    float32 magnitude image, whole numbers of scanner units.
    """
    blurred = np.empty_like(signal)
    for z, section in enumerate(signal):
        ndimage.gaussian_filter(section, look.blur, output=blurred[z])
    shading = look.bias * smooth_field(random, signal.shape, (4, 4, 4))
    if look.glow:
        inner = ndimage.uniform_filter(cover[:, ::4, ::4], (1, 9, 9))
        inner = np.repeat(np.repeat(inner, 4, axis=1), 4, axis=2)
        inner = ndimage.uniform_filter(inner[:, : signal.shape[1], : signal.shape[2]], (1, 9, 9))
        shading -= look.glow * (inner - 0.7)
    blurred *= np.exp(shading)
    if noise:
        deviation = np.float32(look.noise * noise)
        real = blurred + deviation * random.standard_normal(signal.shape, dtype=np.float32)
        imaginary = deviation * random.standard_normal(signal.shape, dtype=np.float32)
        blurred = np.hypot(real, imaginary)
    return np.asarray(np.rint(blurred * np.float32(look.gain)), np.float32)
