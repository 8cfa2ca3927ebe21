"""What the scanner does: thick slices, chemical shift, blur, uneven coils, noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_ssl_muscle.phantom.random_fields import Floats, smooth_field

SLICE_MM = (4.0, 26.0)
"""Range of slice thicknesses; never more than the distance of the slices."""


@dataclass(frozen=True)
class Protocol:
    """How one image is acquired.

    Attributes
    ----------
    thickness
        Of the slices in mm.
    chemical_shift
        Of fat against water along y and x, in pixels.
    blur
        Standard deviation of the in-plane blur in pixels.
    bias
        Strength of the bias field: standard deviation of its logarithm.
    coil_gain
        How much brighter the skin's side is than the middle, as with surface coils.
    fall_off
        Loss of signal towards the ends of the coil along the leg.
    noise
        Standard deviation of the noise in each channel, relative to the image's bright tissue.
    gain
        Scanner units of the image's bright tissue.
    """

    thickness: float
    chemical_shift: tuple[float, float]
    blur: float
    bias: float
    coil_gain: float
    fall_off: float
    noise: float
    gain: float


def draw_protocol(dz: float, random: np.random.Generator) -> Protocol:
    """Draw how an image is acquired whose slices lie `dz` mm apart."""
    thickness = min(float(random.uniform(*SLICE_MM)), dz)
    shift = random.uniform(-2.0, 2.0) if random.random() < 0.5 else 0.0
    along_y = random.random() < 0.5
    return Protocol(
        thickness=thickness,
        chemical_shift=(shift, 0.0) if along_y else (0.0, shift),
        blur=float(random.uniform(0.2, 0.8)),
        bias=float(random.uniform(0.03, 0.25)),
        coil_gain=float(random.uniform(0.0, 0.7) if random.random() < 0.5 else 0.0),
        fall_off=float(random.uniform(0.0, 0.7) if random.random() < 0.4 else 0.0),
        noise=float(np.exp(random.uniform(np.log(0.006), np.log(0.06)))),
        gain=float(random.uniform(150.0, 900.0)),
    )


def average_over_slice(signal: Floats, drift: Floats, thickness: float, pixel: float) -> Floats:
    """Partial volume along the leg: the mean over a slice's thickness.

    Parameters
    ----------
    signal
        (z, y, x) in the middle of each slice.
    drift
        (2, z, y, x): mm along y and x by which tissue moves from one mm to the next along the leg.
    thickness, pixel
        In mm.
    """
    rows, columns = np.mgrid[: signal.shape[1], : signal.shape[2]].astype(np.float32)
    mean = signal / 3
    for part in (-1 / 3, 1 / 3):  # the middles of the slice's outer thirds
        way = part * thickness / pixel
        for z, section in enumerate(signal):
            places = np.stack([rows - way * drift[0, z], columns - way * drift[1, z]])
            mean[z] += ndimage.map_coordinates(section, places, order=1, mode="nearest") / 3
    return np.asarray(mean, dtype=np.float32)


def shift_fat(fat: Floats, protocol: Protocol) -> Floats:
    """Move the fat signal along the readout, as its lower frequency does."""
    if protocol.chemical_shift == (0.0, 0.0):
        return fat
    moved = ndimage.shift(fat, (0.0, *protocol.chemical_shift), order=1, mode="nearest")
    return np.asarray(moved, dtype=np.float32)


def acquire(
    signal: Floats, cover: Floats, protocol: Protocol, random: np.random.Generator
) -> Floats:
    """Blur, shade and add Rician noise.

    Parameters
    ----------
    signal
        Noise-free magnitude (z, y, x), zero in air.
    cover
        Share of body in every pixel.

    Returns
    -------
    float32 magnitude image in whole scanner units.
    """
    body = signal[cover > 0.5]
    bright = float(np.percentile(body, 95)) if body.size else 1.0
    image = ndimage.gaussian_filter(signal / max(bright, 1e-3), (0, protocol.blur, protocol.blur))
    shading = protocol.bias * smooth_field(random, image.shape, (3, 4, 4))
    if protocol.coil_gain:
        inner = ndimage.uniform_filter(cover, (0, 31, 31))
        shading -= protocol.coil_gain * (inner - 0.7)
    ends = np.abs(np.linspace(-1.0, 1.0, len(image))) ** 3
    shading -= protocol.fall_off * ends[:, None, None].astype(np.float32)
    image *= np.exp(shading)
    real = image + protocol.noise * random.standard_normal(image.shape, dtype=np.float32)
    imaginary = protocol.noise * random.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(np.rint(np.hypot(real, imaginary) * protocol.gain), np.float32)
