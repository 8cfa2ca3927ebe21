"""Judging labels of the window against ground truth: what runs in the thread, and its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.events import Emit, Progress, ShouldStop, Started, StoppedByUser
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
    from napari_ssl_muscle.evaluation.error_map import ErrorLocation, Errors
    from napari_ssl_muscle.evaluation.evaluate import CaseResult
    from napari_ssl_muscle.evaluation.provenance import Provenance
    from napari_ssl_muscle.evaluation.report import EvaluationReport
    from napari_ssl_muscle.scans.geometry import Geometry


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
class EvaluationRequest:
    """What the thread needs of a couple; arrays are copies where the user may draw on."""

    name: str
    layer_names: tuple[str, str]
    prediction: np.ndarray
    reference: np.ndarray
    infos: tuple[LayerInfo | None, LayerInfo | None]
    geometry: Geometry
    origin: Provenance | None
    corrected: bool | None


@dataclass(frozen=True, eq=False)
class EvaluatedPair:
    """What was found for one couple.

    Attributes
    ----------
    couple
        Its layers.
    name
        Whose they are.
    case
        The figures.
    errors
        The wrong voxels.
    picture
        All of them, as an array of the labels' shape.
    places
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
    """What an evaluation brings: the report, and one finding for each couple that has figures."""

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


def ask(pair: LabelPair) -> EvaluationRequest:
    """Return the request for a couple.

    Raises
    ------
    BadInput
        If the two layers do not lie on one grid.
    """
    one, other = pair.prediction, pair.reference
    infos = (info_of(one), info_of(other))
    difference = _difference(one, other, infos)
    if difference is not None:
        raise BadInput(
            f"'{one.name}' and '{other.name}' do not lie on the same grid ({difference}); "
            "compare labels of one scan."
        )
    known = infos[1] or infos[0]
    origin, corrected = origin_of_labels(one)
    return EvaluationRequest(
        name=pair.name,
        layer_names=(one.name, other.name),
        prediction=one.data.copy(),
        reference=other.data.copy(),
        infos=infos,
        geometry=known.scan.geometry
        if known is not None
        else plain_geometry(one.data.shape, one.scale),
        origin=origin,
        corrected=corrected,
    )


def is_untouched(layer: Any) -> bool:
    """Whether nobody, man or model, has put anything into a labels layer."""
    info = info_of(layer)
    return (info is None or info.provenance is None) and not layer.data.any()


def evaluate(
    pairs: Sequence[LabelPair],
    requests: Sequence[EvaluationRequest],
    notes: Sequence[str],
    options: dict[str, bool],
    emit: Emit,
    stop: ShouldStop,
) -> EvaluationAnswer:
    """Compare; runs in a thread.

    Of several couples, one that cannot be compared is left out and said in a note.

    Raises
    ------
    BadInput
        If there is only one couple and it cannot be compared, or none of several can.
    StoppedByUser
        If `stop` said so.
    """
    from napari_ssl_muscle.evaluation.provenance import combine
    from napari_ssl_muscle.evaluation.report import EvaluationReport

    emit(Started(action="evaluating", device="CPU", total=len(requests)))
    findings: list[EvaluatedPair] = []
    refused: list[str] = []
    origins = []
    for done, (pair, request) in enumerate(zip(pairs, requests, strict=True)):
        if stop():
            raise StoppedByUser
        emit(Progress(done=done, total=len(requests), text=request.name))
        try:
            findings.append(_find(pair, request, options))
            origins.append(request.origin)
        except BadInput as problem:
            if len(requests) == 1:
                raise
            refused.append(f"{request.name} is left out: {problem}")
    if not findings:
        raise BadInput(refused[0])
    provenance, said = combine(origins)
    report = EvaluationReport(
        tuple(finding.case for finding in findings), provenance, (*notes, *refused, *said)
    )
    return EvaluationAnswer(report, tuple(findings))


def _find(pair: LabelPair, request: EvaluationRequest, options: dict[str, bool]) -> EvaluatedPair:
    from napari_ssl_muscle.evaluation.alignment import align
    from napari_ssl_muscle.evaluation.error_map import error_locations, find_errors
    from napari_ssl_muscle.evaluation.evaluate import evaluate_aligned
    from napari_ssl_muscle.evaluation.pairing import Pair

    files = [
        info.path if info is not None and info.path is not None else Path(name)
        for info, name in zip(request.infos, request.layer_names, strict=True)
    ]
    prediction, reference = (_solid(a) for a in (request.prediction, request.reference))
    aligned = align(
        prediction,
        reference,
        (f"'{request.layer_names[0]}'", f"'{request.layer_names[1]}'"),
        prediction_table=request.infos[0].table if request.infos[0] is not None else None,
        reference_table=request.infos[1].table if request.infos[1] is not None else None,
        geometry=request.geometry,
        **options,
    )
    case = evaluate_aligned(Pair(case_name_of(request.name, request.infos[0]), *files), aligned)
    errors = find_errors(aligned)
    return EvaluatedPair(
        pair,
        request.name,
        replace(case, corrected_by_hand=request.corrected),
        errors,
        errors.picture().reshape(request.prediction.shape),
        tuple(error_locations(aligned)),
    )


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


def _solid(labels: np.ndarray) -> np.ndarray:
    """Return labels (y, x) as a volume of one slice."""
    return labels.reshape((1,) * (3 - labels.ndim) + labels.shape)


def _difference(
    one: Any, other: Any, infos: tuple[LayerInfo | None, LayerInfo | None]
) -> str | None:
    if one.data.shape != other.data.shape:
        return f"{times(one.data.shape)} voxels against {times(other.data.shape)}"
    if one.data.ndim not in (2, 3):
        return f"{one.data.ndim} axes instead of three"
    if infos[0] is None or infos[1] is None:
        return None
    return infos[0].scan.geometry.differs_from(infos[1].scan.geometry)
