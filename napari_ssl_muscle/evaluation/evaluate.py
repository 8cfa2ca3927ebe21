"""Predictions against references, case by case, for the shell command and the window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.alignment import Aligned, align
from napari_ssl_muscle.evaluation.muscle_metrics import CaseResult, case_result
from napari_ssl_muscle.evaluation.pairing import Pair
from napari_ssl_muscle.evaluation.provenance import Provenance, combine
from napari_ssl_muscle.evaluation.report import EvaluationReport
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import MuscleTable, table_beside
from napari_ssl_muscle.scans.volume import LabelMap, on_grid_of, open_label_map
from napari_ssl_muscle.scans.voxel_size import Sizes, of_voxel_size

UNKNOWN_SIZE = (
    "The size of a voxel is not known, so no distances and volumes are given; say it with "
    "--spacing, in the window with 'Voxel size'."
)

Labels = npt.NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class LabelsToCompare:
    """A prediction and its reference on one grid; they need not be on disk.

    Attributes
    ----------
    pair
        The case's name and the two files, as they stand in the report.
    read
        Returns the label values of both, canonical ``(z, y, x)``.
    geometry
        Of both.
    prediction_table, reference_table
        What the values mean; if only one is given it serves for both, and if neither is, values
        stand for themselves.
    names
        What to call the two in a problem's sentence.
    title
        What to call the case in progress and notes.
    origin
        The model that made the prediction; None if it is not known.
    corrected
        Whether the prediction was changed since; None if it is not known.
    files
        The label maps where they are files; what reading them brought up is noted.
    """

    pair: Pair
    read: Callable[[], tuple[Labels, Labels]]
    geometry: Geometry
    prediction_table: MuscleTable | None
    reference_table: MuscleTable | None
    names: tuple[str, str]
    title: str
    origin: Provenance | None = None
    corrected: bool | None = None
    files: tuple[LabelMap, ...] = ()


def open_pair(
    pair: Pair,
    *,
    prediction_table: MuscleTable | None = None,
    reference_table: MuscleTable | None = None,
    origin: Provenance | None = None,
    corrected: bool | None = None,
    size: Sizes | None = None,
) -> LabelsToCompare:
    """Open two label maps (headers and muscle tables only).

    Where a table is not given, the one that lies beside the label map is taken; `size` is that of
    a voxel where a file does not say it.

    Raises
    ------
    BadInput
        If a file or table cannot be read, or the two do not lie on the same grid.
    """
    prediction, reference = (
        of_voxel_size(open_label_map(path), size) for path in (pair.prediction, pair.reference)
    )
    prediction, reference = _on_one_grid(prediction, reference)
    return LabelsToCompare(
        pair=pair,
        read=lambda: (prediction.read(), reference.read()),
        geometry=reference.geometry,
        prediction_table=prediction_table or table_beside(pair.prediction),
        reference_table=reference_table or table_beside(pair.reference),
        names=(str(pair.prediction), str(pair.reference)),
        title=pair.name,
        origin=origin,
        corrected=corrected,
        files=(prediction, reference),
    )


def _on_one_grid(prediction: LabelMap, reference: LabelMap) -> tuple[LabelMap, LabelMap]:
    """Bring two label maps to the larger grid, where one was cut to a part of the other's."""
    differs = prediction.geometry.differs_from(reference.geometry)
    if differs is None:
        return prediction, reference
    for whole, part in ((prediction, reference), (reference, prediction)):
        if whole.geometry.place_of(part.geometry) is not None:
            padded = on_grid_of(whole, part)
            return (whole, padded) if whole is prediction else (padded, whole)
    raise BadInput(
        f"The prediction {prediction.path} and the reference {reference.path} do not lie on "
        f"the same grid ({differs}); compare label maps of the same scan."
    )


def evaluate_pairs(
    pairs: Sequence[LabelsToCompare],
    notes: Sequence[str] = (),
    *,
    all_slices: bool = False,
    by_side: bool = False,
    leave_out: bool = False,
    inspect: Callable[[int, CaseResult, Aligned], None] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> EvaluationReport:
    """Compare predictions with their references, muscle by muscle.

    Muscles are matched by standard name.

    Parameters
    ----------
    pairs
        What to compare.
    notes
        Sentences about the whole.
    all_slices
        Compare all slices. By default only those in which the reference carries a label: the
        others are unlabelled, not background.
    by_side
        Give each leg its own results where the table itself does not.
    leave_out
        Of several cases, leave those out that cannot be compared, and say so in a note.
    inspect
        Called with the number of a pair, its figures, and the arrays that they were taken from.
    progress
        Called before each case with how many are done, how many there are, and its title; what
        it raises ends the evaluation.

    Raises
    ------
    BadInput
        If a label map cannot be read, a value is not in its table, a reference carries no label,
        or prediction and reference have no muscle in common; with `leave_out` only if that is so
        for every pair.
    """
    cases: list[CaseResult] = []
    origins: list[Provenance | None] = []
    refused: list[str] = []
    for number, pair in enumerate(pairs):
        if progress is not None:
            progress(number, len(pairs), pair.title)
        try:
            aligned = align(
                *pair.read(),
                pair.names,
                prediction_table=pair.prediction_table,
                reference_table=pair.reference_table,
                geometry=pair.geometry,
                all_slices=all_slices,
                by_side=by_side,
            )
        except BadInput as problem:
            if not leave_out or len(pairs) == 1:
                raise
            refused.append(f"{pair.title} is left out: {problem}")
            continue
        content = [*pair.geometry.notes]
        content += [note for file in pair.files for note in file.content_notes]
        if not pair.geometry.spacing_known:
            content.append(UNKNOWN_SIZE)
        aligned = replace(aligned, notes=tuple(dict.fromkeys([*aligned.notes, *content])))
        unlike = () if pair.origin is None else pair.origin.unlike_training
        cases.append(case_result(pair.pair, aligned, pair.corrected, unlike))
        origins.append(pair.origin)
        if inspect is not None:
            inspect(number, cases[-1], aligned)
    if not cases:
        raise BadInput(refused[0])
    provenance, about_models = combine(origins)
    return EvaluationReport(tuple(cases), provenance, (*notes, *refused, *about_models))
