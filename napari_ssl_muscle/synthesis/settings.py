"""What can be chosen about synthetic images, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]

Contrast = Literal["water", "fat", "in-phase", "opposed-phase", "t1", "random"]
CONTRASTS: tuple[Contrast, ...] = get_args(Contrast)
"""The images of a Dixon scan, a T1-weighted one, and one in which no tissue keeps its order."""

Legs = Literal["any", "two", "one"]

TWIN_DICE = 0.7
"""Mean Dice of the muscles from which on two maps count as one person's."""


@dataclass(frozen=True)
class SynthesisSettings:
    """What an image is to show; all else is drawn at random.

    Attributes
    ----------
    contrast
        Of the image.
    legs
        Both legs where the map has both, one of them, or by chance (one in every four images).
    """

    contrast: Contrast
    legs: Legs = "any"


@dataclass(frozen=True, eq=False)
class SyntheticImage:
    """A synthetic image with its labels.

    Attributes
    ----------
    image
        float32 (z, y, x) in the canonical view (see `scans.geometry`): a magnitude image in whole
        scanner units.
    labels
        uint8 (z, y, x): class indices as in the map it was drawn from, on the image's grid.
    spacing
        (dz, dy, dx) in mm.
    """

    image: Floats
    labels: Labels
    spacing: tuple[float, float, float]
