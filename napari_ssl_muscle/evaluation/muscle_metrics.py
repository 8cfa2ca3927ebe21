"""A prediction against a reference, muscle by muscle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.evaluation.dice import check_shapes
from napari_ssl_muscle.evaluation.surface_distance import surface_distances
from napari_ssl_muscle.scans.muscles import MuscleTable

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


def labelled_slices(reference: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Return which slices of `reference` (z, y, x) carry any label, as booleans (z,).

    The others are taken as unlabelled, not as background: nobody has looked at them.
    """
    return np.asarray((reference != 0).any(axis=(1, 2)))


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
