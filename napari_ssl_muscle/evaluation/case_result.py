"""What one prediction is against its reference: the figures of a case."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_ssl_muscle.evaluation.alignment import Aligned
from napari_ssl_muscle.evaluation.dice import BatchDice, SliceCounts, count_slices, dice_of_counts
from napari_ssl_muscle.evaluation.muscle_metrics import MuscleResult, compare
from napari_ssl_muscle.evaluation.pairing import Pair
from napari_ssl_muscle.scans.muscles.names import split_side


@dataclass(frozen=True, eq=False)
class CaseResult:
    """One case: a prediction against its reference.

    Attributes
    ----------
    pair
        The two files and the case's name.
    muscles
        One result for each muscle (and side, where legs are told apart).
    counts
        Voxels per slice and muscle, for the batch-aggregate Dice of several cases together.
    names
        The muscles that `counts` counts, after the background.
    slices_compared, slices
        How many slices were compared, of how many.
    notes
        Sentences that belong to the figures.
    corrected_by_hand
        Whether the labels were changed after the model made them; None if that is not known.
    """

    pair: Pair
    muscles: tuple[MuscleResult, ...]
    counts: SliceCounts
    names: tuple[str, ...]
    slices_compared: int
    slices: int
    notes: tuple[str, ...]
    corrected_by_hand: bool | None = None

    @property
    def batch_dice(self) -> BatchDice:
        """Batch-aggregate Dice over the compared slices of this case."""
        return dice_of_counts(self.counts)

    @property
    def mean_dice(self) -> float | None:
        """Mean over the muscles that count; None if none does."""
        counted = [m.dice for m in self.muscles if m.dice is not None]
        return float(np.mean(counted)) if counted else None


def case_result(pair: Pair, aligned: Aligned, corrected: bool | None = None) -> CaseResult:
    """Compare two label arrays that were brought to the muscles they have in common."""
    ours, theirs = aligned.prediction, aligned.reference
    compared, table = aligned.compared, aligned.common.table
    # Slices are counted as they are compared: the order along the leg, without the others.
    counts = count_slices(ours[compared], theirs[compared], table.values)
    results = []
    for number, leg in enumerate(aligned.legs, 1):
        here = aligned.in_leg(number)
        for result in compare(
            ours * here, theirs * here, table, aligned.geometry.spacing, compared
        ):
            muscle, side = split_side(result.muscle)
            results.append(replace(result, muscle=muscle, side=side or leg))
    return CaseResult(
        pair=pair,
        muscles=tuple(results),
        counts=counts,
        names=tuple(table.names),
        slices_compared=int(compared.sum()),
        slices=len(compared),
        notes=aligned.notes,
        corrected_by_hand=corrected,
    )
