"""Figures of each muscle, of a prediction against a reference, and of a whole case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.evaluation.alignment import Aligned
from napari_ssl_muscle.evaluation.dice import (
    BatchDice,
    SliceCounts,
    check_shapes,
    count_slices,
    dice_of_counts,
)
from napari_ssl_muscle.evaluation.pairing import Pair
from napari_ssl_muscle.evaluation.surface_distance import surface_distances
from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.scans.muscles.names import split_side

Status = Literal["both", "absent in both", "missed", "invented"]

RULES: dict[str, str] = {
    "both": "In both: all figures are given.",
    "absent in both": "Absent in both: not counted in any mean; their number is given as absent.",
    "missed": "In the reference only (missed): Dice 0, distances infinite.",
    "invented": "In the prediction only (invented): Dice 0, distances infinite, "
    "and its volume is the false volume.",
}
"""How a muscle that is missing on one side or both counts, for reports."""


@dataclass(frozen=True)
class MuscleResult:
    """One muscle of one case.

    Attributes
    ----------
    dice
        3D Dice over the compared slices; 0 if missed or invented, None if absent in both.
    hd95_mm, msd_mm
        95 % Hausdorff and mean surface distance in mm; infinite if missed or invented, None if
        absent in both.
    volume_pred_ml, volume_ref_ml, difference_ml
        Volumes in the compared slices in mL; the difference is prediction minus reference.
    status
        Where the muscle is; `RULES` says what follows from it.
    worst_slice
        Index along z of the slice with most wrong voxels; None if no voxel is wrong.
    side
        "left", "right", … where legs are told apart, else "".
    """

    muscle: str
    dice: float | None
    hd95_mm: float | None
    msd_mm: float | None
    volume_pred_ml: float
    volume_ref_ml: float
    difference_ml: float
    status: Status
    worst_slice: int | None
    side: str = ""


def compare(
    prediction: npt.NDArray[np.integer],
    reference: npt.NDArray[np.integer],
    table: MuscleTable,
    spacing: Sequence[float],
    compared: npt.NDArray[np.bool_] | None = None,
) -> list[MuscleResult]:
    """Compare two label arrays muscle by muscle.

    Parameters
    ----------
    prediction, reference
        Arrays (z, y, x) of label values of `table` on the same grid; 0 is background.
    table
        The muscles to compare, in the order of the result. Other labels count as background.
    spacing
        Voxel size (dz, dy, dx) in mm.
    compared
        Boolean array (z,): the slices to look at; by default all of them. `labelled_slices` gives
        the usual choice.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    check_shapes(prediction, reference)
    if compared is None:
        compared = np.ones(len(prediction), bool)
    return [
        _compare_one(
            muscle.name, prediction == muscle.value, reference == muscle.value, spacing, compared
        )
        for muscle in table.muscles
    ]


def _compare_one(
    name: str,
    prediction: npt.NDArray[np.bool_],
    reference: npt.NDArray[np.bool_],
    spacing: Sequence[float],
    compared: npt.NDArray[np.bool_],
) -> MuscleResult:
    in_plane = (1, 2)
    predicted = int(prediction.sum(in_plane)[compared].sum())
    referred = int(reference.sum(in_plane)[compared].sum())
    wrong = np.where(compared, (prediction != reference).sum(in_plane), 0)
    both = (predicted + referred - int(wrong.sum())) // 2
    status: Status
    if predicted and referred:
        status = "both"
    elif referred:
        status = "missed"
    elif predicted:
        status = "invented"
    else:
        status = "absent in both"
    distances = surface_distances(prediction, reference, spacing, compared)
    voxel_ml = float(np.prod(spacing)) / 1000.0
    return MuscleResult(
        muscle=name,
        dice=2.0 * both / (predicted + referred) if predicted or referred else None,
        hd95_mm=distances.hd95,
        msd_mm=distances.mean,
        volume_pred_ml=predicted * voxel_ml,
        volume_ref_ml=referred * voxel_ml,
        difference_ml=(predicted - referred) * voxel_ml,
        status=status,
        worst_slice=int(wrong.argmax()) if wrong.any() else None,
    )


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
    unlike_training
        How the scan and its labels differ from what the model learned from.
    spacing_known
        False if the size of a voxel is not known: distances and volumes mean nothing then.
    """

    pair: Pair
    muscles: tuple[MuscleResult, ...]
    counts: SliceCounts
    names: tuple[str, ...]
    slices_compared: int
    slices: int
    notes: tuple[str, ...]
    corrected_by_hand: bool | None = None
    unlike_training: tuple[str, ...] = ()
    spacing_known: bool = True

    @property
    def batch_dice(self) -> BatchDice:
        """Batch-aggregate Dice over the compared slices of this case."""
        return dice_of_counts(self.counts)

    @property
    def mean_dice(self) -> float | None:
        """Mean over the muscles that count; None if none does."""
        counted = [m.dice for m in self.muscles if m.dice is not None]
        return float(np.mean(counted)) if counted else None


def case_result(
    pair: Pair,
    aligned: Aligned,
    corrected: bool | None = None,
    unlike_training: tuple[str, ...] = (),
) -> CaseResult:
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
        unlike_training=unlike_training,
        spacing_known=aligned.geometry.spacing_known,
    )
