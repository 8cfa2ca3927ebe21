"""Judging labels of the window against ground truth: what runs in the thread, and its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.events import Emit, ShouldStop, Started, report_steps
from napari_ssl_muscle.text_table import times
from napari_ssl_muscle.viewer.layers.prediction_history import origin_of_labels
from napari_ssl_muscle.viewer.layers.scan_layers import (
    LayerInfo,
    OpenScan,
    info_of,
    layers_of,
    plain_geometry,
)

if TYPE_CHECKING:
    from napari_ssl_muscle.evaluation.alignment import Aligned
    from napari_ssl_muscle.evaluation.error_map import ErrorLocation, Errors
    from napari_ssl_muscle.evaluation.evaluate import LabelsToCompare
    from napari_ssl_muscle.evaluation.muscle_metrics import CaseResult
    from napari_ssl_muscle.evaluation.report import EvaluationReport


@dataclass(frozen=True, eq=False)
class LabelPair:
    """Labels, and what they are compared with.

    Attributes
    ----------
    prediction, reference
        The labels layers.
    """

    prediction: Any
    reference: Any

    @property
    def name(self) -> str:
        """Whose they are, as the layer list says it."""
        info = info_of(self.reference) or info_of(self.prediction)
        return info.scan.name if info is not None else str(self.prediction.name)

    @property
    def scan(self) -> OpenScan | None:
        """Whose they are; None for layers that came another way."""
        info = info_of(self.reference) or info_of(self.prediction)
        return info.scan if info is not None else None


@dataclass(frozen=True, eq=False)
class EvaluatedPair:
    """What was found for one pair.

    Attributes
    ----------
    pair
        Its layers.
    name
        Whose they are.
    case
        The figures.
    errors
        The wrong voxels.
    picture
        All of them, as an array of the labels' shape.
    error_locations
        One for each result of `case`.
    """

    pair: LabelPair
    name: str
    case: CaseResult
    errors: Errors
    picture: np.ndarray
    error_locations: tuple[ErrorLocation, ...]


@dataclass(frozen=True, eq=False)
class EvaluationAnswer:
    """What an evaluation brings: the report, and one finding for each pair that has figures."""

    report: EvaluationReport
    findings: tuple[EvaluatedPair, ...]


def label_pairs_in(viewer: Any) -> list[LabelPair]:
    """Return every open scan's labels with its ground truth, in the order of opening."""
    found, seen = [], set()
    for layer in viewer.layers:
        info = info_of(layer)
        if info is None or id(info.scan) in seen:
            continue
        seen.add(id(info.scan))
        truth = layers_of(viewer, info.scan, "truth")
        mine = layers_of(viewer, info.scan, "prediction")
        if truth and mine:
            found.append(LabelPair(mine[0], truth[0]))
    return found


def labels_to_compare(pair: LabelPair) -> LabelsToCompare:
    """Return what is compared: copies of the labels, as the person may go on drawing.

    Raises
    ------
    BadInput
        If the two layers do not lie on one grid.
    """
    from napari_ssl_muscle.evaluation.evaluate import LabelsToCompare
    from napari_ssl_muscle.evaluation.pairing import Pair

    layers = pair.prediction, pair.reference
    infos = [info_of(layer) for layer in layers]
    difference = _difference(*layers)
    if difference is not None:
        raise BadInput(
            f"'{layers[0].name}' and '{layers[1].name}' do not lie on the same grid "
            f"({difference}); compare labels of one scan."
        )
    known = infos[1] or infos[0]
    files = [
        info.path if info is not None and info.path is not None else Path(layer.name)
        for info, layer in zip(infos, layers, strict=True)
    ]
    prediction, reference = (_as_volume(layer.data.copy()) for layer in layers)
    origin, corrected = origin_of_labels(pair.prediction)
    return LabelsToCompare(
        pair=Pair(case_name_of(pair.name, infos[0]), *files),
        read=lambda: (prediction, reference),
        geometry=known.scan.geometry
        if known is not None
        else plain_geometry(layers[0].data.shape, layers[0].scale, layers[0].units),
        prediction_table=infos[0].table if infos[0] is not None else None,
        reference_table=infos[1].table if infos[1] is not None else None,
        names=(f"'{layers[0].name}'", f"'{layers[1].name}'"),
        title=pair.name,
        origin=origin,
        corrected=corrected,
    )


def is_untouched(layer: Any) -> bool:
    """Whether a labels layer is empty and was never drawn in or predicted."""
    info = info_of(layer)
    return (info is None or info.provenance is None) and not layer.data.any()


def evaluate(
    pairs: Sequence[LabelPair],
    given: Sequence[LabelsToCompare],
    notes: Sequence[str],
    options: dict[str, bool],
    emit: Emit,
    stop: ShouldStop,
) -> EvaluationAnswer:
    """Compare; runs in a thread.

    Of several pairs, one that cannot be compared is left out and said in a note.

    Raises
    ------
    BadInput
        If there is only one pair and it cannot be compared, or none of several can.
    StoppedByUser
        If `stop` said so.
    """
    from napari_ssl_muscle.evaluation.error_map import error_locations, find_errors
    from napari_ssl_muscle.evaluation.evaluate import evaluate_pairs

    findings: list[EvaluatedPair] = []

    def inspect(number: int, case: CaseResult, aligned: Aligned) -> None:
        pair, errors = pairs[number], find_errors(aligned)
        picture = errors.picture()
        picture = picture.reshape(picture.shape[-pair.prediction.ndim :])
        locations = tuple(error_locations(aligned))
        findings.append(EvaluatedPair(pair, given[number].title, case, errors, picture, locations))

    emit(Started(action="evaluating", device="CPU", total=len(given)))
    report = evaluate_pairs(
        given,
        notes,
        **options,
        leave_out=True,
        inspect=inspect,
        progress=report_steps(emit, stop),
    )
    return EvaluationAnswer(report, tuple(findings))


def case_name_of(name: str, info: LayerInfo | None) -> str:
    """Return the case's name as the shell takes it from the saved labels, if it is the scan's.

    A cohort's sub-01_ses-2 may be saved as sub-01_ses-2_T1w_dseg.nii.gz.
    """
    from napari_ssl_muscle.scans.naming import case_name

    if info is not None and info.path is not None:
        stem = case_name(info.path)
        if stem.startswith(name):
            return stem
    return name


def _as_volume(labels: np.ndarray) -> np.ndarray:
    """Return labels (y, x) as a volume of one slice."""
    return labels.reshape((1,) * (3 - labels.ndim) + labels.shape)


def _difference(one: Any, other: Any) -> str | None:
    if one.data.shape != other.data.shape:
        return f"{times(one.data.shape)} voxels against {times(other.data.shape)}"
    if one.data.ndim not in (2, 3):
        return f"{one.data.ndim} axes instead of three"
    first, second = info_of(one), info_of(other)
    if first is None or second is None:
        return None
    return first.scan.geometry.differs_from(second.scan.geometry)
