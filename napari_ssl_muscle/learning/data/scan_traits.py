"""What a scan shows of the leg, in a few numbers: kept on model cards, to be compared with.

Lists of models read cards: nothing here imports torch, or scipy before it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FiniteFloat

if TYPE_CHECKING:
    from napari_ssl_muscle.learning.data.case import TrainingCase

MOST = 24
"""Scans described on a card."""


class ScanTraits(BaseModel):
    """Size and shape of the legs in a scan.

    Attributes
    ----------
    area
        Cross-section of a leg in cm², the median over slices.
    aspect
        Length over width of that cross-section, the median: 1 is round.
    taper
        Cross-section in the upper third of the slices over that in the lower third.
    length
        mm that the slices span along the leg.
    legs
        Legs in the scan; None on cards of older versions.
    """

    model_config = ConfigDict(frozen=True)

    area: FiniteFloat
    aspect: FiniteFloat
    taper: FiniteFloat
    length: FiniteFloat
    legs: int | None = None


class PredictionTraits(BaseModel):
    """What a model made of a scan.

    Attributes
    ----------
    confidence
        Mean probability of the chosen class over what it labelled.
    share
        Share of the legs' volume that it labelled.
    muscles
        Share of each class in what it labelled, in their order.
    """

    model_config = ConfigDict(frozen=True)

    confidence: FiniteFloat
    share: FiniteFloat
    muscles: list[FiniteFloat]


def scan_traits(
    volume: NDArray[np.float32], spacing: tuple[float, float, float]
) -> ScanTraits | None:
    """Describe the legs in a volume ``(z, y, x)``; None where no body is seen.

    Parameters
    ----------
    volume
        Of one channel.
    spacing
        ``(dz, dy, dx)`` in mm.
    """
    from napari_ssl_muscle.scans.body_mask import body_mask, gap_between_legs

    body = body_mask(volume)
    gap = gap_between_legs(body, spacing, outlines=True)
    legs = [body] if gap is None else [body[..., :gap], body[..., gap:]]
    pixel = spacing[1] * spacing[2] / 100
    areas = np.mean([leg.sum(axis=(1, 2)) * pixel for leg in legs], axis=0)
    shown = areas > 0
    if not shown.any():
        return None
    aspects = [
        aspect for leg in legs for part in leg if (aspect := _aspect(part, spacing[1:])) is not None
    ]
    seen = areas[shown]
    third = max(1, len(seen) // 3)
    return ScanTraits(
        area=round(float(np.median(seen)), 1),
        aspect=round(float(np.median(aspects)), 3) if aspects else 1.0,
        taper=round(float(seen[-third:].mean() / seen[:third].mean()), 3),
        length=round(len(volume) * spacing[0], 1),
        legs=len(legs),
    )


def traits_of(cases: Sequence[TrainingCase]) -> list[ScanTraits]:
    """Describe the first channel of some cases, evenly chosen, for a model card."""
    step = max(1, -(-len(cases) // MOST))
    found = [scan_traits(c.scans[0].read(), c.scans[0].geometry.spacing) for c in cases[::step]]
    return [traits for traits in found if traits is not None]


def _aspect(mask: NDArray[np.bool_], pixel: tuple[float, float]) -> float | None:
    """Return how oblong a cross-section is: the ratio of its principal axes."""
    places = np.argwhere(mask[::2, ::2]) * pixel
    if len(places) < 20:
        return None
    least, most = np.linalg.eigvalsh(np.cov(places.T))
    return float(np.sqrt(most / least)) if least > 0 else None


def prediction_traits(
    classes: NDArray[np.uint8], count: int, confidence: float, volume: NDArray[np.float32]
) -> PredictionTraits:
    """Describe a prediction.

    Parameters
    ----------
    classes
        Class indices ``(z, y, x)``.
    count
        Classes with the background.
    confidence
        Mean probability of the chosen class over what is labelled.
    volume
        The scan's first channel ``(z, y, x)``.
    """
    voxels = np.bincount(classes.ravel(), minlength=count)[1:]
    labelled = int(voxels.sum())
    from napari_ssl_muscle.scans.body_mask import body_mask

    body = int(body_mask(volume).sum())
    return PredictionTraits(
        confidence=round(confidence, 4),
        share=round(labelled / max(body, 1), 4),
        muscles=[round(float(each), 4) for each in voxels / max(labelled, 1)],
    )
