"""A prediction and its reference in one language: the same muscles, the same slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.muscle_metrics import labelled_slices
from napari_ssl_muscle.evaluation.sides import Sides, legs
from napari_ssl_muscle.evaluation.tables import CommonMuscles, common_muscles, table_by_values
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import MuscleTable


@dataclass(frozen=True, eq=False)
class Aligned:
    """Two label arrays that can be compared voxel by voxel.

    Attributes
    ----------
    prediction, reference
        Arrays (z, y, x) of values of `common.table`; muscles that only one of the two knows are 0.
    common
        The muscles that both know.
    compared
        Boolean array (z,): the slices to look at.
    sides
        The legs, where they are told apart.
    geometry
        Of both.
    notes
        Sentences that belong to the figures.
    """

    prediction: npt.NDArray[np.uint16]
    reference: npt.NDArray[np.uint16]
    common: CommonMuscles
    compared: npt.NDArray[np.bool_]
    sides: Sides | None
    geometry: Geometry
    notes: tuple[str, ...]

    @property
    def legs(self) -> tuple[str, ...]:
        """The legs that have figures of their own; one without a name if they are together."""
        return (self.sides.names if self.sides is not None else ()) or ("",)

    def in_leg(self, number: int) -> npt.NDArray[np.bool_] | np.bool_:
        """Return where the leg `legs[number - 1]` is; everywhere if legs are together."""
        if self.sides is None or not self.sides.names:
            return np.True_
        return np.asarray(self.sides.index == number)


def align(
    prediction: npt.NDArray[np.integer],
    reference: npt.NDArray[np.integer],
    names: tuple[str, str],
    *,
    prediction_table: MuscleTable | None,
    reference_table: MuscleTable | None,
    geometry: Geometry,
    all_slices: bool = False,
    by_side: bool = False,
) -> Aligned:
    """Bring two label arrays to the muscles that they have in common.

    Parameters
    ----------
    prediction, reference
        Label values, canonical (z, y, x), on one grid.
    names
        What to call the two in a problem's sentence.
    prediction_table, reference_table
        What the values mean; if only one is given it serves for both, and if neither is, values
        stand for themselves.
    geometry
        Of both.
    all_slices
        Compare all slices; by default only those in which the reference carries a label.
    by_side
        Tell the legs apart where the table itself does not.

    Raises
    ------
    BadInput
        If a value is not in its table, the reference carries no label, or the two have no muscle
        in common.
    """
    alone = table_by_values(prediction, reference)
    first = prediction_table or reference_table or alone
    second = reference_table or prediction_table or alone
    first.require_known(prediction, names[0])
    second.require_known(reference, names[1])
    compared = labelled_slices(reference)
    if not compared.any():
        raise BadInput(
            f"{names[1]} carries no label in any slice, so there is nothing to compare with."
        )
    notes = [text for text in (geometry.problem,) if text]
    if all_slices:
        compared[:] = True
    common = common_muscles(first, second)
    notes += common.notes
    ours, theirs = common.prediction(prediction), common.reference(reference)
    sides = None
    if by_side:
        sides = legs(np.where(theirs > 0, theirs, ours), common.table, geometry)
        if sides.note:
            notes.append(sides.note)
    return Aligned(ours, theirs, common, compared, sides, geometry, tuple(notes))
