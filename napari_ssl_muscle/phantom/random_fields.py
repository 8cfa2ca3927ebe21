"""Random numbers that depend on names and not on order, and smooth random fields."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]


def generator(seed: int, *names: int | str) -> np.random.Generator:
    """Return the generator for a cohort's seed and names such as `"pose", subject, session`.

    It does not depend on what was drawn before.
    """
    words = [zlib.crc32(name.encode()) if isinstance(name, str) else name for name in names]
    return np.random.default_rng([seed, *words])


def texture(random: np.random.Generator, shape: tuple[int, int, int], smooth: float) -> Floats:
    """Smooth periodic noise of zero mean and unit deviation.

    `shape` is one period in cells, `smooth` the deviation of the Gaussian filter in cells.
    """
    field = ndimage.gaussian_filter(
        random.standard_normal(shape, dtype=np.float32), smooth, mode="wrap"
    )
    field -= field.mean()
    return np.asarray(field / field.std(), dtype=np.float32)


def sample(field: Floats, *coordinates: NDArray[np.floating]) -> Floats:
    """Interpolate a periodic field linearly.

    `coordinates` are places in cells for each axis of `field`, all of one shape; `field` is one
    period.
    """
    places = np.stack([np.asarray(axis, dtype=np.float32) for axis in coordinates])
    return np.asarray(
        ndimage.map_coordinates(field, places, order=1, mode="grid-wrap"), dtype=np.float32
    )


def smooth_field(
    random: np.random.Generator, shape: tuple[int, ...], knots: tuple[int, ...]
) -> Floats:
    """Smooth random field on a grid: cubic interpolation between normal numbers at knots.

    `knots` is their number along each axis, evenly spread from end to end. The result is float32
    of `shape`, with about zero mean and unit deviation.
    """
    field = random.standard_normal(knots)
    for axis, (points, many) in enumerate(zip(shape, knots, strict=True)):
        field = np.moveaxis(
            np.tensordot(_cubic_weights(points, many), field, axes=(1, axis)), 0, axis
        )
    return field.astype(np.float32)


def _cubic_weights(points: int, knots: int) -> NDArray[np.float64]:
    """Weights (points, knots) of Catmull-Rom interpolation; the outermost knot is repeated."""
    place = np.linspace(0.0, knots - 1.0, points) if points > 1 else np.array([(knots - 1) / 2])
    left = np.clip(np.floor(place).astype(int), 0, max(knots - 2, 0))
    t = place - left
    parts = (
        -0.5 * t**3 + t**2 - 0.5 * t,
        1.5 * t**3 - 2.5 * t**2 + 1.0,
        -1.5 * t**3 + 2.0 * t**2 + 0.5 * t,
        0.5 * t**3 - 0.5 * t**2,
    )
    weights = np.zeros((points, knots))
    for step, part in zip((-1, 0, 1, 2), parts, strict=True):
        np.add.at(weights, (np.arange(points), np.clip(left + step, 0, knots - 1)), part)
    return weights
