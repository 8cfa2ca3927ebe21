"""Textures of one leg: noise whose grains have a size in mm and, where wanted, a direction."""

from __future__ import annotations

import numpy as np

from napari_ssl_muscle.phantom.random_fields import sample, texture
from napari_ssl_muscle.synthesis.settings import Floats, Mask


class Texture:
    """One field of periodic noise, sampled at several scales.

    Parameters
    ----------
    shape
        Of the leg, (z, y, x).
    spacing
        (dz, dy, dx) in mm.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        spacing: tuple[float, float, float],
        random: np.random.Generator,
    ) -> None:
        self._grain = texture(random, (24, 64, 64), 1.0)
        axes = [
            (step * np.arange(count)).astype(np.float32)
            for step, count in zip(spacing, shape, strict=True)
        ]
        self._places = np.meshgrid(*axes, indexing="ij")

    def noise(
        self,
        long: float,
        wide: float,
        shift: float = 0.0,
        *,
        slant: float | None = None,
        where: Mask | None = None,
    ) -> Floats:
        """Return noise of zero mean and unit deviation.

        Parameters
        ----------
        long, wide
            Size of a grain along the leg and across it, in mm.
        shift
            Another number gives another part of the noise.
        slant
            Direction in the slice, in radians, in which grains are three times as long.
        where
            Only these pixels; the result then has one axis.
        """
        z, y, x = (places if where is None else places[where] for places in self._places)
        if slant is None:
            return sample(self._grain, z / long + shift, y / wide + 3 * shift, x / wide)
        first = np.cos(slant) * x + np.sin(slant) * y
        second = np.cos(slant) * y - np.sin(slant) * x
        return sample(self._grain, z / long + shift, second / (3 * wide), first / wide)
