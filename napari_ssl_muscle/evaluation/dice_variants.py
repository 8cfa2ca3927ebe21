"""Variants of Dice that published studies report, from the same counts.

The same labels score differently under each; a figure means little without the name of its variant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import reduce
from operator import add

import numpy as np

from napari_ssl_muscle.evaluation.dice import BATCH, SliceCounts, class_scores, mean_of_present


@dataclass(frozen=True)
class DiceVariants:
    """The Dice of some label maps in each variant; None where no muscle is in any slice.

    Attributes
    ----------
    batch_aggregate
        As the study reports it: voxels of a class are summed over a batch of consecutive slices,
        then the mean over classes, then over batches. The study does not say whether the background
        is a class; here it is not, and a class in neither label map of a batch does not count.
    batch_aggregate_background
        The same with the background as one of the classes. It is near 1 wherever muscles are small.
    reference_repository
        The validation score of the U-Net that the study names (milesial/Pytorch-UNet, issue 516):
        the mean over slices and muscles, where a muscle in neither label map counts as 1. Its
        smoothing term of 1e-6 is left out.
    per_slice
        The mean over the muscles of a slice (in either label map), then over slices.
    per_subject
        In 3D: voxels of a muscle are summed over the subject, then the mean over muscles, then over
        subjects. What everything else here reports and selects by.
    """

    batch_aggregate: float | None
    batch_aggregate_background: float | None
    reference_repository: float | None
    per_slice: float | None
    per_subject: float | None


TITLES = {
    "batch_aggregate": f"Batch-aggregate, as published (batches of {BATCH} slices, no background)",
    "batch_aggregate_background": f"Batch-aggregate with background (batches of {BATCH} slices)",
    "reference_repository": "Reference repository (absent muscle counts as 1)",
    "per_slice": "Per slice",
    "per_subject": "Per subject in 3D",
}
"""Field of `DiceVariants` → its name in tables."""


def dice_variants(subjects: Mapping[str, SliceCounts], batch: int = BATCH) -> DiceVariants:
    """Return every variant of Dice over some subjects.

    Parameters
    ----------
    subjects
        Subject → counts of its slices, all of the same classes. Batches run over the slices of all
        subjects in this order, as a loader without shuffling would make them.
    batch
        Slices in a batch.
    """
    if not subjects:
        return DiceVariants(*(None for _ in fields(DiceVariants)))
    together = reduce(add, subjects.values())
    batches = class_scores(together, batch)
    slices = class_scores(together, 1)[:, 1:]
    whole = [class_scores(counts, max(len(counts.both), 1)) for counts in subjects.values()]
    nothing = np.isnan(slices).all()
    return DiceVariants(
        batch_aggregate=_mean(mean_of_present(batches[:, 1:])),
        batch_aggregate_background=None if nothing else _mean(mean_of_present(batches)),
        reference_repository=None if nothing else float(np.nan_to_num(slices, nan=1.0).mean()),
        per_slice=_mean(mean_of_present(slices)),
        per_subject=_mean(mean_of_present(np.concatenate(whole)[:, 1:])),
    )


def _mean(values: np.ndarray) -> float | None:
    mean = float(mean_of_present(values))
    return None if np.isnan(mean) else mean
