"""The contrast of a scan in a few numbers: kept on model cards, to be compared with.

A scan's contrast is described by how bright the leg is at some depths under the skin, after its
intensities were brought to zero mean and unit deviation inside the body: gain and offset do not
matter, but whether fat (which lies outside) or muscle (inside) is bright does. A histogram cannot
tell the two apart, because how much fat there is differs more between patients. Nothing here
imports torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.scans.body_mask import body_mask

DEPTHS = (2.0, 5.0, 8.0, 12.0, 17.0, 24.0, 32.0, 45.0)
"""Edges in mm of the bands under the skin. The first 2 mm are skin and partial volume."""

PIXEL = 2.0
"""Pixel size in mm at which depths are measured; finer ones change nothing and cost time."""

SLICES = 12
"""Slices looked at, evenly chosen."""

MOST = 24
"""Profiles kept on a card: enough to describe a cohort, few enough to stay small."""

FAR = 0.45
"""Mean distance between profiles, in standard deviations, from which a warning is given.

Measured on Dixon scans of three patients: water images are 0.11 to 0.18 from each other, fat
images 0.15 to 0.19, and a water image is 0.54 to 0.89 from a fat image.
"""

COARSER = 1.5
"""A pixel this many times the model's own is too coarse for it, and warned about."""


def profile(volume: NDArray[np.float32], spacing: tuple[float, float, float]) -> list[float]:
    """Return the mean standardised intensity in each of the bands of `DEPTHS` under the skin.

    A band that a thin limb lacks takes the value of the one above.

    Parameters
    ----------
    volume
        ``(z, y, x)``.
    spacing
        ``(dz, dy, dx)`` in mm.
    """
    from scipy.ndimage import distance_transform_edt

    chosen = np.linspace(0, len(volume) - 1, min(SLICES, len(volume))).round().astype(int)
    step = max(1, round(PIXEL / min(spacing[1:])))
    body = body_mask(volume)[chosen, ::step, ::step]
    seen = volume[chosen, ::step, ::step].astype(np.float64)
    if not body.any():
        body = np.ones_like(body)
    # With a border of air: a body that the image cuts off is measured from the edge, as such
    # bodies were in training.
    depth = np.stack(
        [
            distance_transform_edt(
                np.pad(slice_, 1), sampling=(spacing[1] * step, spacing[2] * step)
            )[1:-1, 1:-1]
            for slice_ in body
        ]
    )
    inside = seen[body]
    seen = (seen - inside.mean()) / (inside.std() or 1.0)
    means: list[float] = []
    for upper, lower in itertools.pairwise(DEPTHS):
        band = seen[body & (depth >= upper) & (depth < lower)]
        last = means[-1] if means else 0.0
        means.append(round(float(band.mean()), 4) if band.size else last)
    return means


def profiles(cases: Sequence[TrainingCase]) -> list[list[float]]:
    """Return the profiles of the first channel of some cases, evenly chosen, for a model card."""
    step = max(1, -(-len(cases) // MOST))
    return [profile(case.scans[0].read(), case.scans[0].geometry.spacing) for case in cases[::step]]
