"""Label maps on disk against their references, case by case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.alignment import Aligned, align
from napari_ssl_muscle.evaluation.dice import (
    BatchDice,
    SliceCounts,
    count_slices,
    dice_of_counts,
)
from napari_ssl_muscle.evaluation.muscle_metrics import MuscleResult, compare
from napari_ssl_muscle.evaluation.pairing import Pair
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import MuscleTable, table_beside
from napari_ssl_muscle.scans.muscles.names import split_side
from napari_ssl_muscle.scans.volume import LabelMap, open_label_map


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


def evaluate_case(
    pair: Pair,
    *,
    prediction_table: MuscleTable | None = None,
    reference_table: MuscleTable | None = None,
    all_slices: bool = False,
    by_side: bool = False,
) -> CaseResult:
    """Compare a prediction with its reference, muscle by muscle.

    Muscles are matched by standard name. Where a table is not given, the one that lies beside the
    label map is taken; if only one of the two has a table it serves for both, and if neither has,
    values stand for themselves.

    Parameters
    ----------
    pair
        The two label maps. They must lie on the same grid.
    prediction_table, reference_table
        What the values mean.
    all_slices
        Compare all slices. By default only those in which the reference carries a label: the
        others are unlabelled, not background.
    by_side
        Give each leg its own results where the table itself does not.

    Raises
    ------
    BadInput
        If a file cannot be read, the two differ in geometry, a value is not in its table, the
        reference carries no label, or the two have no muscle in common.
    """
    predicted, referred = _open(pair)
    return evaluate_labels(
        pair,
        predicted.read(),
        referred.read(),
        prediction_table=prediction_table or table_beside(pair.prediction),
        reference_table=reference_table or table_beside(pair.reference),
        geometry=referred.geometry,
        all_slices=all_slices,
        by_side=by_side,
    )


def evaluate_labels(
    pair: Pair,
    prediction: npt.NDArray[np.integer],
    reference: npt.NDArray[np.integer],
    *,
    prediction_table: MuscleTable | None,
    reference_table: MuscleTable | None,
    geometry: Geometry,
    all_slices: bool = False,
    by_side: bool = False,
) -> CaseResult:
    """Compare two label arrays that need not be on disk (what `evaluate_case` does with files).

    Parameters
    ----------
    pair
        What to call them.
    prediction, reference
        Label values, canonical (z, y, x), on one grid.
    prediction_table, reference_table
        What the values mean; if only one is given it serves for both, and if neither is, values
        stand for themselves.
    geometry
        Of both.
    all_slices, by_side
        As in `evaluate_case`.

    Raises
    ------
    BadInput
        If a value is not in its table, the reference carries no label, or the two have no muscle
        in common.
    """
    aligned = align(
        prediction,
        reference,
        (str(pair.prediction), str(pair.reference)),
        prediction_table=prediction_table,
        reference_table=reference_table,
        geometry=geometry,
        all_slices=all_slices,
        by_side=by_side,
    )
    return evaluate_aligned(pair, aligned)


def evaluate_aligned(pair: Pair, aligned: Aligned) -> CaseResult:
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
    )


def evaluate_cases(
    pairs: Sequence[Pair],
    *,
    prediction_table: MuscleTable | None = None,
    reference_table: MuscleTable | None = None,
    all_slices: bool = False,
    by_side: bool = False,
    progress: Callable[[int, int, CaseResult], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[CaseResult]:
    """Evaluate several cases; what does not fit together is found before the first is computed.

    Parameters
    ----------
    pairs
        From `matching.match`.
    prediction_table, reference_table, all_slices, by_side
        As in `evaluate_case`.
    progress
        Called after each case with how many are done, how many there are, and its result.
    stop
        Asked before each case; once it is true the cases done so far are returned. A caller sees
        by their number that some are missing, and then writes no report.

    Raises
    ------
    BadInput
        As in `evaluate_case`, for any of the cases.
    """
    for pair in pairs:
        _open(pair)
    results: list[CaseResult] = []
    for pair in pairs:
        if stop is not None and stop():
            break
        results.append(
            evaluate_case(
                pair,
                prediction_table=prediction_table,
                reference_table=reference_table,
                all_slices=all_slices,
                by_side=by_side,
            )
        )
        if progress is not None:
            progress(len(results), len(pairs), results[-1])
    return results


def _open(pair: Pair) -> tuple[LabelMap, LabelMap]:
    """Open both label maps (headers only); BadInput if they do not lie on the same grid."""
    prediction, reference = open_label_map(pair.prediction), open_label_map(pair.reference)
    differs = prediction.geometry.differs_from(reference.geometry)
    if differs is not None:
        raise BadInput(
            f"The prediction {pair.prediction} and the reference {pair.reference} do not lie on "
            f"the same grid ({differs}); compare label maps of the same scan."
        )
    return prediction, reference
