"""Pretrainings compared on the same masked images: which can be, and what is found.

Nothing here imports torch; `reconstruction` does the work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.models.card import ModelCard
from napari_ssl_muscle.learning.settings import PretextSettings, SliceSettings


def check_comparable(cards: Sequence[ModelCard]) -> None:
    """Refuse models that do not restore the same images.

    Raises
    ------
    BadInput
        If one is no pretraining, or they see slices or channels differently; what differs is
        named.
    """
    for card in cards:
        if card.task != "inpainting":
            raise BadInput(
                f"The model {card.name} is no pretraining: it restores no images; "
                "choose a run of ssl-muscle pretrain."
            )
    first = cards[0]
    for other in cards[1:]:
        different = [
            f"{name} {getattr(first.slices, name)} and {getattr(other.slices, name)}"
            for name in SliceSettings.model_fields
            if getattr(first.slices, name) != getattr(other.slices, name)
        ]
        if len(first.channels) != len(other.channels):
            different.append(f"{len(first.channels)} and {len(other.channels)} channel(s)")
        if different:
            raise BadInput(
                f"{first.name} and {other.name} see different images ({'; '.join(different)}), "
                "so their errors do not compare; choose runs with the same slice settings."
            )


def pretext_of(card: ModelCard) -> PretextSettings:
    """Return the pretext settings that a model was trained with."""
    return card.recipe.pretext if card.recipe is not None else PretextSettings()


@dataclass(frozen=True)
class Reconstruction:
    """What one run made of the images.

    Attributes
    ----------
    images, errors
        Float32 ``(n, rows, columns)``, first channel: what the network gave, and its absolute
        difference from the original, both over the whole image.
    masked_error, image_error
        Mean squared error of each image ``(n,)`` over all channels, inside the mask (NaN where
        nothing was masked) and over the whole image.
    """

    name: str
    images: NDArray[np.float32]
    errors: NDArray[np.float32]
    masked_error: NDArray[np.float64]
    image_error: NDArray[np.float64]


@dataclass(frozen=True)
class ReconstructionComparison:
    """The same images, the same masks, and every run's reconstruction.

    Attributes
    ----------
    slices, legs
        Of each image ``(n,)``: the canonical z, and which crop of the slice it is (0 is the one
        at the smaller x).
    original, masked
        Float32 ``(n, rows, columns)``, first channel, zero mean and unit deviation.
    masked_pixels
        Pixels in the mask of each image ``(n,)``.
    constant_error
        Mean squared error inside the mask ``(n,)`` of a constant (the image's mean), which is what
        a network that has learned nothing reaches.
    runs
        In the order of the models.
    """

    slices: NDArray[np.int64]
    legs: NDArray[np.int64]
    original: NDArray[np.float32]
    masked: NDArray[np.float32]
    holes: NDArray[np.bool_]
    masked_pixels: NDArray[np.int64]
    constant_error: NDArray[np.float64]
    runs: tuple[Reconstruction, ...]


@dataclass(frozen=True, eq=False)
class ScanToRestore:
    """Slices of a scan that several runs restore.

    Attributes
    ----------
    name
        Shown meanwhile.
    read
        Returns the channels ``(c, z, y, x)`` float32, canonical axes.
    spacing
        ``(dz, dy, dx)`` in mm.
    left
        What a leg that is alone in the scan is taken for.
    slices
        Canonical z.
    """

    name: str
    read: Callable[[], NDArray[np.float32]]
    spacing: tuple[float, float, float]
    left: bool
    slices: Sequence[int]


@dataclass(frozen=True, eq=False)
class ReconstructionErrors:
    """Mean squared errors inside the masks: of each run, and of a constant in the last column.

    Attributes
    ----------
    overall
        Over all masked pixels, ``(runs + 1,)``.
    by_part
        Of each comparison alone, ``(comparisons, runs + 1)``; NaN where nothing was masked.
    """

    overall: NDArray[np.float64]
    by_part: NDArray[np.float64]


def masked_errors(found: Sequence[ReconstructionComparison]) -> ReconstructionErrors:
    """Return the errors of comparisons of the same runs, together and one by one."""
    columns = [[*(run.masked_error for run in one.runs), one.constant_error] for one in found]
    pixels = np.concatenate([one.masked_pixels for one in found])
    overall = [mean_error(np.concatenate(c), pixels) for c in zip(*columns, strict=True)]
    by_part = [
        [mean_error(column, one.masked_pixels) for column in of_one]
        for of_one, one in zip(columns, found, strict=True)
    ]
    return ReconstructionErrors(np.array(overall), np.array(by_part))


def middle_slices(depth: int, count: int) -> list[int]:
    """Return the middles of equal parts: the outermost slices often show next to nothing."""
    return [(2 * k + 1) * depth // (2 * count) for k in range(count)]


def mean_error(errors: NDArray[np.float64], pixels: NDArray[np.int64]) -> float:
    """Return the mean over all masked pixels of all images, as a validation does; NaN for none."""
    there = pixels > 0
    return float(np.average(errors[there], weights=pixels[there])) if there.any() else float("nan")
