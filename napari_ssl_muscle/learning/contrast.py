"""Is a scan like those that a model learned from? Its contrast and spacing, in numbers.

A scan's contrast is described by the quantiles of its intensities inside the body, after they
were brought to zero mean and unit deviation: gain and offset do not matter, but whether fat is
bright or dark does. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_ssl_muscle.learning.cards import ModelCard
from napari_ssl_muscle.learning.cases import LabelledCase
from napari_ssl_muscle.scans.body import body_mask

LEVELS = np.linspace(0.05, 0.95, 19)
"""Quantiles of a profile; the tails are left to noise and vessels."""

MOST = 24
"""Profiles kept on a card: enough to describe a cohort, few enough to stay small."""

FAR = 0.35
"""Mean distance between profiles, in standard deviations, from which a warning is given. Measured:
water images of different patients are 0.05 to 0.2 apart, a fat image is 0.5 or more from them."""

COARSER = 1.5
"""A pixel this many times the model's own is too coarse for it, and warned about."""


def profile(volume: NDArray[np.float32]) -> list[float]:
    """Return the standardised intensity quantiles (at `LEVELS`) inside the body.

    Parameters
    ----------
    volume
        ``(z, y, x)``.
    """
    inside = volume[body_mask(volume)]
    if inside.size == 0:
        inside = volume.ravel()
    inside = inside.astype(np.float64)
    deviation = inside.std() or 1.0
    return [round(float(q), 4) for q in np.quantile((inside - inside.mean()) / deviation, LEVELS)]


def profiles(cases: Sequence[LabelledCase]) -> list[list[float]]:
    """Return the profiles of the first channel of some cases, evenly chosen, for a model card."""
    step = max(1, -(-len(cases) // MOST))
    return [profile(case.scans[0].read()) for case in cases[::step]]


def far_from_training(
    card: ModelCard, channels: NDArray[np.float32], spacing: tuple[float, float, float]
) -> list[str]:
    """Say in sentences where a scan is far from what the model learned from.

    Parameters
    ----------
    card
        The model's card; a card without profiles gives no warning.
    channels
        ``(c, z, y, x)``; the first channel is compared.
    spacing
        ``(dz, dy, dx)`` in mm.
    """
    notes = []
    if card.intensity_quantiles:
        here = np.array(profile(channels[0]))
        distance = min(np.abs(here - np.array(p)).mean() for p in card.intensity_quantiles)
        if distance > FAR:
            notes.append(
                f"The contrast of this scan is far from what '{card.name}' learned from "
                f"({card.contrast or 'see its card'}); look at the labels closely."
            )
    in_plane = max(spacing[1:])
    pixel = card.slices.spacing or (max(card.spacing[1:]) if card.spacing else None)
    if pixel is not None and in_plane > COARSER * pixel:
        notes.append(
            f"This scan's pixels ({in_plane:.2g} mm) are much coarser than those that "
            f"'{card.name}' works on ({pixel:.2g} mm); look at the labels closely."
        )
    elif card.slices.spacing is None and card.spacing is not None:
        ratio = in_plane / max(card.spacing[1:])
        if not 1 / COARSER <= ratio <= COARSER:
            notes.append(
                f"This scan's pixels ({in_plane:.2g} mm) differ much from those that "
                f"'{card.name}' learned from ({max(card.spacing[1:]):.2g} mm)."
            )
    return notes
