"""A prediction and its reference in one language: the same muscles, the same slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.sides import Sides, legs
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable, split_side, standard_name
from napari_ssl_muscle.scans.muscles.table import table_by_values


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
        The legs, where left and right are separated.
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
        Of the two, for error messages.
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
    if second.ignored:
        unseen = np.isin(reference, second.ignored)
        prediction, reference = np.where(unseen, 0, prediction), np.where(unseen, 0, reference)
    compared = labelled_slices(reference)
    if not compared.any():
        raise BadInput(
            f"{names[1]} carries no label in any slice, so there is nothing to compare with."
        )
    notes = list(geometry.notes)
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


@dataclass(frozen=True, eq=False)
class CommonMuscles:
    """What two tables have in common, and how to bring label maps of either to it.

    Attributes
    ----------
    table
        The common muscles, in the order of the reference's table, with the values 1, 2, ….
    notes
        Sentences: muscles of one table only, and sides that were given up.
    """

    table: MuscleTable
    notes: tuple[str, ...]
    _prediction: dict[int, int]
    _reference: dict[int, int]

    def prediction(self, values: npt.NDArray[np.integer]) -> npt.NDArray[np.uint16]:
        """Return a prediction's label values as values of `table`; other muscles become 0."""
        return _recode(values, self._prediction)

    def reference(self, values: npt.NDArray[np.integer]) -> npt.NDArray[np.uint16]:
        """Return a reference's label values as values of `table`; other muscles become 0."""
        return _recode(values, self._reference)

    def label_in_prediction(self, value: int) -> int:
        """Return the prediction's label value for a value of `table`; the first, if several."""
        return next(label for label, common in self._prediction.items() if common == value)


def common_muscles(prediction: MuscleTable, reference: MuscleTable) -> CommonMuscles:
    """Match two tables by standard name ("VL", "vastus_lateralis", …).

    If only one of the tables tells left and right muscles apart, its sides are given up, so that
    they are compared with the other's muscles of both legs together.

    Raises
    ------
    BadInput
        If they have no muscle in common.
    """
    notes = []
    sided = [any(split_side(m.name)[1] for m in t.muscles) for t in (prediction, reference)]
    if sided[0] != sided[1]:
        which = "prediction" if sided[0] else "reference"
        notes.append(f"Only the {which} tells left from right, so both legs are taken together.")
    classes = [_by_name(table, keep_side=all(sided)) for table in (prediction, reference)]
    names = [name for name in classes[1] if name in classes[0]]
    if not names:
        raise BadInput(
            f"Prediction ({', '.join(classes[0])}) and reference ({', '.join(classes[1])}) have no "
            "muscle in common; give the muscle table of each."
        )
    for which, here, there in (("reference", 1, 0), ("prediction", 0, 1)):
        only = [name for name in classes[here] if name not in classes[there]]
        if only:
            notes.append(f"Only the {which} knows, so not compared: {', '.join(only)}.")
    table = MuscleTable(tuple(Muscle(i, name) for i, name in enumerate(names, 1)))
    codes = [
        {value: i for i, name in enumerate(names, 1) for value in known[name]} for known in classes
    ]
    return CommonMuscles(table, tuple(notes), *codes)


def _by_name(table: MuscleTable, keep_side: bool) -> dict[str, list[int]]:
    """Return name → label values; several where sides are given up."""
    names: dict[str, list[int]] = {}
    for muscle in table.muscles:
        name = standard_name(muscle.name) if keep_side else split_side(muscle.name)[0]
        names.setdefault(name, []).append(muscle.value)
    return names


def _recode(values: npt.NDArray[np.integer], code: dict[int, int]) -> npt.NDArray[np.uint16]:
    new = np.zeros(max(int(values.max(initial=0)), max(code)) + 1, np.uint16)
    new[list(code)] = list(code.values())
    recoded: npt.NDArray[np.uint16] = new[values]
    return recoded


def labelled_slices(reference: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Return which slices of `reference` (z, y, x) carry any label, as booleans (z,).

    The others are taken as unlabelled, not as background: nobody has looked at them.
    """
    return np.asarray((reference != 0).any(axis=(1, 2)))
