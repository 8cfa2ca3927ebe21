"""What the values of a label map mean, and which muscles two tables have in common."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.pairing import SUFFIXES, case_name
from napari_ssl_muscle.scans.formats.nifti import stem_of
from napari_ssl_muscle.scans.muscles import (
    Muscle,
    MuscleTable,
    present_values,
    read_table,
    side_of,
    standard_name,
)


def table_beside(path: Path) -> MuscleTable | None:
    """Return the muscle table that lies beside a label map, or None.

    Looked for, in this order: a table of the label map's own name (`NAME.label`, `NAME.tsv`), and
    in its folder and the one above it `dataset.json` (nnU-Net), `dseg.tsv` (BIDS), and an ITK-SNAP
    `.label` file if there is exactly one that is not another label map's own.

    Parameters
    ----------
    path
        The label map.

    Raises
    ------
    BadInput
        If a table is there and cannot be read.
    """
    stem = stem_of(path)
    for name in dict.fromkeys((stem, case_name(path))):
        for suffix in (".label", ".tsv"):
            if (own := path.parent / f"{name}{suffix}").is_file():
                return read_table(own)
    for folder in (path.parent, path.parent.parent):
        for common in ("dataset.json", "dseg.tsv"):
            if (table := folder / common).is_file():
                return read_table(table)
        shared = [
            table
            for table in sorted(folder.glob("*.label"))
            if not any((folder / f"{table.stem}{ending}").exists() for ending in SUFFIXES)
        ]
        if len(shared) == 1:
            return read_table(shared[0])
    return None


def table_by_values(*labels: npt.NDArray[np.integer]) -> MuscleTable:
    """Return a table that names every value in some arrays after itself: "label 1", "label 2"."""
    found = sorted({value for values in labels for value in present_values(values)} - {0})
    return MuscleTable(tuple(Muscle(value, f"label {value}") for value in found))


def split_side(name: str) -> tuple[str, str]:
    """Return a muscle's standard name without its side, and the side ("left", "right" or "")."""
    standard = standard_name(name)
    side = side_of(standard)
    return (standard.removesuffix(f" {side}"), side) if side else (standard, "")


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

    Parameters
    ----------
    prediction, reference
        The tables of the two label maps.

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
