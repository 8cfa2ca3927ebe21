"""Fat in the voxels of a scan, and the share of it in a muscle.

Signal fractions as the images have them. They are the proton density fat fraction only where the
sequence and its reconstruction correct for T1, T2* and the spectrum of fat (Reeder et al. 2012,
J Magn Reson Imaging 36:1011).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput

Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

FatSource = Literal["water and fat", "fat fraction image", "in- and opposed-phase"]
"""Which images a fat fraction comes from; stored in tables."""

VALID_BELOW = 50.0
"""Per cent up to which magnitude images in and out of phase tell the fraction: 70 % of fat cancel
water as 30 % do."""


@dataclass(frozen=True, eq=False)
class FatMap:
    """Fat fraction of every voxel.

    Attributes
    ----------
    percent
        float32 (z, y, x), canonical; NaN where there is no signal.
    source
        Which images it comes from.
    """

    percent: Image
    source: FatSource

    @property
    def remark(self) -> str | None:
        """What has to be said beside every figure of it."""
        if self.source == "in- and opposed-phase":
            return (
                f"The fat fraction comes from magnitudes in and out of phase: valid below "
                f"{VALID_BELOW:g} %, as more fat than water looks like less."
            )
        return None


@dataclass(frozen=True)
class MuscleFat:
    """Fat of one muscle.

    Attributes
    ----------
    percent
        Mean fat fraction of its voxels; None where erosion leaves none, or none has signal.
    voxels
        How many voxels the mean is over.
    erosion_mm
        By how much the muscle was made smaller in its slices before.
    source
        Which images it comes from.
    """

    percent: float | None
    voxels: int
    erosion_mm: float
    source: FatSource


def fat_from_water_and_fat(water: Image, fat: Image) -> FatMap:
    """Return 100 F / (W + F) of the magnitudes of two images of one shape."""
    return FatMap(_percent(fat, water + fat), "water and fat")


def fat_from_phases(in_phase: Image, opposed: Image) -> FatMap:
    """Return 100 (IP − OP) / (2 IP) of two magnitude images of one shape (Dixon 1984)."""
    return FatMap(_percent(in_phase - opposed, 2 * in_phase), "in- and opposed-phase")


def fat_from_fraction(image: Image, name: str) -> FatMap:
    """Return a fat fraction image in per cent; fractions up to 1 are turned into per cent.

    Raises
    ------
    BadInput
        If its values are neither.
    """
    highest = float(np.percentile(image, 99.9))
    if not 0 < highest <= 110.0:  # noise goes a little beyond 100 %
        raise BadInput(
            f"{name} is no fat fraction image: its values go to {highest:.4g}, not to 1 or 100 %; "
            "give water and fat images instead."
        )
    factor = np.float32(1.0 if highest > 1.5 else 100.0)
    return FatMap(np.clip(image * factor, 0, 100), "fat fraction image")


def muscle_fat(
    fat: FatMap, muscle: Mask, spacing: tuple[float, float, float], erosion_mm: float = 0.0
) -> MuscleFat:
    """Return the mean fat fraction of a muscle's voxels.

    Parameters
    ----------
    fat
        Of the scan.
    muscle
        Boolean (z, y, x): the muscle.
    spacing
        (dz, dy, dx) in mm.
    erosion_mm
        Voxels whose centre lies within so many mm of the nearest voxel beyond the muscle, in the
        plane of the slice, are left out: they hold fat of the surroundings. 0 leaves out none.
    """
    inner = muscle if erosion_mm <= 0 else _eroded(muscle, spacing, erosion_mm)
    values = fat.percent[inner]
    values = values[np.isfinite(values)]
    mean = float(values.mean(dtype=np.float64)) if values.size else None
    return MuscleFat(mean, int(values.size), erosion_mm, fat.source)


def _percent(part: Image, whole: Image) -> Image:
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(whole > 0, 100.0 * part / whole, np.nan)
    return np.clip(share, 0, 100).astype(np.float32)


def _eroded(muscle: Mask, spacing: tuple[float, float, float], by_mm: float) -> Mask:
    from scipy import ndimage  # heavy: only where it is asked for

    inner = np.zeros_like(muscle)
    for z in np.flatnonzero(muscle.any(axis=(1, 2))):
        padded = np.pad(muscle[z], 1)  # what the picture cuts is an edge, too
        depth = ndimage.distance_transform_edt(padded, sampling=spacing[1:])[1:-1, 1:-1]
        inner[z] = depth > by_mm
    return inner
