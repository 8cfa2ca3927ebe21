"""Dice: per muscle in 3D, and aggregated over batches of slices as the study reports it.

What is called Dice elsewhere, side by side on the same labels, is in `dice_variants`.

Everything is counted first (voxels of each class in each slice, in prediction, reference and
both), so that figures over a whole cohort need no volume in memory but the current one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

BATCH = 10
"""Slices in a batch of the batch-aggregate Dice, fixed so that figures can be compared."""


@dataclass(frozen=True, eq=False)
class SliceCounts:
    """Voxels per slice and class; add two of them to go on counting in the next scan.

    `classes` has the background (0) first; the other three are arrays (slices, classes): voxels of
    the class in both, in the prediction, in the reference.
    """

    classes: tuple[int, ...]
    both: npt.NDArray[np.int64]
    prediction: npt.NDArray[np.int64]
    reference: npt.NDArray[np.int64]

    def __add__(self, other: SliceCounts) -> SliceCounts:
        if self.classes != other.classes:
            raise ValueError(f"counts of other classes: {self.classes} and {other.classes}")
        return SliceCounts(
            self.classes,
            np.concatenate([self.both, other.both]),
            np.concatenate([self.prediction, other.prediction]),
            np.concatenate([self.reference, other.reference]),
        )


@dataclass(frozen=True)
class BatchDice:
    """Batch-aggregate Dice: mean over classes in a batch of slices, then mean over batches.

    Attributes
    ----------
    foreground
        Over the foreground classes; None if none of them is in the prediction or the reference.
    background
        Of the background alone; it is near 1 whenever muscles are small, so it is never mixed in.
        None without any slice.
    batches, skipped
        Batches in all, and how many of them held no foreground class and were not counted.
    """

    foreground: float | None
    background: float | None
    batches: int
    skipped: int


def count_slices(
    prediction: npt.NDArray[np.integer],
    reference: npt.NDArray[np.integer],
    classes: Sequence[int],
) -> SliceCounts:
    """Count the voxels that Dice is made of.

    Parameters
    ----------
    prediction, reference
        Arrays (n, y, x) of class indices on the same grid; 0 is background.
    classes
        Foreground class indices. Background is counted too. Voxels of any other class belong to
        no counted class.

    Raises
    ------
    ValueError
        If the shapes differ, or `classes` holds 0 or an index twice.
    """
    check_shapes(prediction, reference)
    wanted = (0, *(int(c) for c in classes))
    if len(set(wanted)) != len(wanted) or min(wanted) < 0:
        raise ValueError(f"foreground classes must be different and above 0, not {list(classes)}")
    size = max(int(prediction.max(initial=0)), int(reference.max(initial=0)), max(wanted)) + 1
    counts = np.zeros((3, len(prediction), len(wanted)), np.int64)
    for z, (p, r) in enumerate(zip(prediction, reference, strict=True)):
        for row, values in enumerate((p[p == r], p.ravel(), r.ravel())):
            counts[row, z] = np.bincount(values, minlength=size)[list(wanted)]
    return SliceCounts(wanted, *counts)


def dice_of_counts(counts: SliceCounts, batch: int = BATCH) -> BatchDice:
    """Return Dice aggregated over batches of consecutive slices.

    In a batch, a class scores 2·Σ|P∩R| / Σ(|P| + |R|), summed over all slices of the batch. The
    batch scores the mean over the foreground classes that are in its prediction or reference (a
    class in neither is not counted; a missed or an invented one scores 0). The result is the mean
    over batches; the last one may be smaller and counts like the others. The order of the slices
    and the batch size both matter, which is why the size is fixed at 10: it is the study's batch.
    """
    scores = class_scores(counts, batch)
    foreground = mean_of_present(mean_of_present(scores[:, 1:]))
    return BatchDice(
        foreground=_or_none(foreground),
        background=_or_none(mean_of_present(scores[:, 0])),
        batches=len(scores),
        skipped=int(np.isnan(scores[:, 1:]).all(axis=1).sum()),
    )


def class_scores(counts: SliceCounts, batch: int) -> npt.NDArray[np.float64]:
    """Return the Dice of each class in each batch of consecutive slices.

    Voxels are summed over the slices of a batch before the division.

    Returns
    -------
    array
        (batches, classes), the background first; NaN for a class in neither prediction nor
        reference.

    Raises
    ------
    ValueError
        If a batch holds no slice.
    """
    if batch < 1:
        raise ValueError(f"a batch holds at least one slice, not {batch}")
    if not len(counts.both):
        return np.empty((0, len(counts.classes)))
    starts = np.arange(0, len(counts.both), batch)
    both = np.add.reduceat(counts.both, starts)
    total = np.add.reduceat(counts.prediction + counts.reference, starts)
    return np.where(total > 0, 2.0 * both / np.maximum(total, 1), np.nan)


def mean_of_present(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the mean along the last axis over what is not NaN; NaN where there is nothing."""
    present = ~np.isnan(scores)
    count = present.sum(axis=-1)
    total = np.where(present, scores, 0.0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def dice_per_class(
    prediction: npt.NDArray[np.integer],
    reference: npt.NDArray[np.integer],
    classes: Sequence[int],
) -> dict[int, float | None]:
    """Return class → Dice over the whole arrays (3D Dice when they are one volume).

    It is 0 for a missed or an invented class, None for a class in neither. Parameters and errors
    as of `count_slices`.
    """
    counts = count_slices(prediction, reference, classes)
    whole = class_scores(counts, max(len(counts.both), 1))
    return {
        c: _or_none(whole[0, i]) if len(whole) else None
        for i, c in enumerate(counts.classes)
        if c != 0
    }


def mean_dice(dice: dict[int, float | None]) -> float | None:
    """Return the mean over the classes that count; None if none does."""
    counted = [value for value in dice.values() if value is not None]
    return float(np.mean(counted)) if counted else None


def check_shapes(prediction: npt.NDArray[Any], reference: npt.NDArray[Any]) -> None:
    """Refuse two arrays that are not (z, y, x) of one shape, with a ValueError."""
    if prediction.ndim != 3 or prediction.shape != reference.shape:
        raise ValueError(
            f"prediction {prediction.shape} and reference {reference.shape} "
            "must be (z, y, x) arrays of one shape"
        )


def _or_none(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
