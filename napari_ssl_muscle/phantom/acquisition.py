"""What the scanner does to the leg: contrast, blur, coil sensitivity and noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from napari_ssl_muscle.phantom.random_fields import Floats, generator, smooth_field
from napari_ssl_muscle.phantom.settings import Contrast


@dataclass(frozen=True)
class Appearance:
    """Signal of each tissue relative to muscle, and blur, bias and noise, in one session."""

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
    coil_gain: float
    """How much brighter the skin's side is than the middle, as with surface coils."""
    muscle: float = 1.0
    """Signal of muscle: 0 in a fat image."""


def draw_appearance(seed: int, subject: int, session: int, contrast: Contrast) -> Appearance:
    """Draw the contrast: mostly the session's protocol, a little of the single scan.

    Spoiled gradient- and spin-echo T1 images of thighs show fat at 1.7 to 3 times the signal
    of muscle; in water images of Dixon scans a rest of 12 to 32 % stays.
    """
    protocol = generator(seed, "protocol", session)
    scan = generator(seed, "scan", subject, session)
    if contrast == "t1":
        fat = protocol.uniform(1.65, 2.9)
        marrow = fat * protocol.uniform(0.85, 1.0)
        skin, fascia = protocol.uniform(0.7, 1.1), protocol.uniform(0.35, 0.6)
    else:
        fat = protocol.uniform(0.12, 0.32)
        marrow = fat * protocol.uniform(0.9, 1.5)
        skin, fascia = protocol.uniform(0.45, 0.75), protocol.uniform(0.15, 0.3)
    # Inflow makes arteries bright in gradient echoes; in spin echoes they are black.
    bright = protocol.random() < 0.5
    flow = scan.uniform(0.8, 1.2, 2)
    jitter = scan.normal(1.0, 0.05, 4)
    return Appearance(
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
        noise=float(protocol.uniform(0.03, 0.07) * scan.uniform(0.85, 1.2)),
        blur=float(protocol.uniform(0.35, 0.6)),
        bias=float(protocol.uniform(0.07, 0.2)),
        coil_gain=float(protocol.uniform(0.0, 0.35)),
    )


def dixon_pair(drawn: Appearance) -> tuple[Appearance, Appearance]:
    """Return the appearance of the water and of the fat image of one scan.

    Fat and muscle have the same signal, so that fat / (water + fat) is the share of fat, and
    water is perfectly parted from fat. Marrow is a little less than all fat.
    """
    marrow = 0.9
    water = replace(drawn, fat=0.0, marrow=1.0 - marrow, fascia=0.25, cortex=0.05)
    nothing = dict.fromkeys(
        ("skin", "cortex", "fascia", "artery", "vein", "nerve", "tendon", "muscle"), 0.0
    )
    return water, replace(drawn, fat=1.0, marrow=marrow, **nothing)


def acquire(
    signal: Floats,
    cover: Floats,
    appearance: Appearance,
    random: np.random.Generator,
    noise: float,
    noise_random: np.random.Generator | None = None,
) -> Floats:
    """Blur, shade and add Rician noise.

    Parameters
    ----------
    signal
        Noise-free signal (z, y, x) relative to muscle, zero in air.
    cover
        Share of body in every pixel.
    random
        For the shading, and for the noise.
    noise
        Factor on the noise.
    noise_random
        For the noise, where that is another one: images of one acquisition are shaded alike.

    Returns
    -------
    float32 magnitude image, whole numbers of scanner units.
    """
    blurred = np.empty_like(signal)
    for z, section in enumerate(signal):
        ndimage.gaussian_filter(section, appearance.blur, output=blurred[z])
    shading = appearance.bias * smooth_field(random, signal.shape, (4, 4, 4))
    if appearance.coil_gain:
        inner = ndimage.uniform_filter(cover[:, ::4, ::4], (1, 9, 9))
        inner = np.repeat(np.repeat(inner, 4, axis=1), 4, axis=2)
        inner = ndimage.uniform_filter(inner[:, : signal.shape[1], : signal.shape[2]], (1, 9, 9))
        shading -= appearance.coil_gain * (inner - 0.7)
    blurred *= np.exp(shading)
    if noise:
        random = noise_random or random
        deviation = np.float32(appearance.noise * noise)
        real = blurred + deviation * random.standard_normal(signal.shape, dtype=np.float32)
        imaginary = deviation * random.standard_normal(signal.shape, dtype=np.float32)
        blurred = np.hypot(real, imaginary)
    return np.asarray(np.rint(blurred * np.float32(appearance.gain)), np.float32)
