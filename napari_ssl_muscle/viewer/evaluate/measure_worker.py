"""Measuring labels of the window: what runs in the thread, and its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.events import Emit, Progress, ShouldStop, Started, StoppedByUser
from napari_ssl_muscle.text_table import times
from napari_ssl_muscle.viewer.evaluate.evaluate_worker import case_name_of
from napari_ssl_muscle.viewer.layers.scan_layers import info_of
from napari_ssl_muscle.viewer.segment.saving import grid_of

if TYPE_CHECKING:
    from napari_ssl_muscle.evaluation.measure import Measurement
    from napari_ssl_muscle.evaluation.measure_report import MeasureReport
    from napari_ssl_muscle.scans.geometry import Geometry
    from napari_ssl_muscle.scans.muscles import MuscleTable

UNKNOWN_SIZE = (
    "This layer came without a scan: the size of its voxels is taken for {} mm, and left and right "
    "are not known."
)


@dataclass(frozen=True, eq=False)
class MeasureRequest:
    """What the thread needs of a labels layer; the array is a copy."""

    layer: Any
    name: str
    case: str
    labels: np.ndarray
    table: MuscleTable | None
    geometry: Geometry
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class MeasuredLabels:
    """One layer's figures.

    Attributes
    ----------
    layer
        The labels layer.
    name
        Whose labels they are.
    found
        The figures.
    values, colours
        For each measure the muscle's value in the labels and its colour (RGBA).
    """

    layer: Any
    name: str
    found: Measurement
    values: tuple[int, ...]
    colours: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, eq=False)
class MeasureAnswer:
    """What a measurement brings: the report, and the figures of each layer in it."""

    report: MeasureReport
    measured: tuple[MeasuredLabels, ...]


def ask(layer: Any) -> MeasureRequest:
    """Return the request for a labels layer.

    Raises
    ------
    BadInput
        If it is no volume or slice, or has no labels.
    """
    if layer.data.ndim not in (2, 3):
        raise BadInput(
            f"'{layer.name}' has {layer.data.ndim} axes; only labels of one scan can be measured."
        )
    labels = np.array(layer.data, copy=True)
    if not labels.any():
        raise BadInput(
            f"'{layer.name}' has no labels yet; press 'Segment muscles', or draw some, first."
        )
    labels = labels.reshape((1,) * (3 - labels.ndim) + labels.shape)
    info = info_of(layer)
    missing = 3 - layer.ndim
    scale = (1.0,) * missing + tuple(float(v) for v in layer.scale)
    translate = (0.0,) * missing + tuple(float(v) for v in layer.translate)
    # As it would be saved, so that the file measures the same.
    geometry, known = grid_of(
        {"metadata": layer.metadata, "scale": scale, "translate": translate}, labels.shape
    )
    size = times(geometry.spacing, "g")
    return MeasureRequest(
        layer=layer,
        name=info.scan.name if info is not None else layer.name,
        case=case_name_of(info.scan.name if info is not None else layer.name, info),
        labels=labels,
        table=info.table if info is not None else None,
        geometry=geometry,
        notes=() if known is not None else (UNKNOWN_SIZE.format(size),),
    )


def measure_layers(
    requests: Sequence[MeasureRequest], emit: Emit, stop: ShouldStop
) -> MeasureAnswer:
    """Measure; runs in a thread.

    Raises
    ------
    BadInput
        If a label value is not in its layer's muscle table.
    StoppedByUser
        If `stop` said so.
    """
    from napari_ssl_muscle.evaluation.measure import measure
    from napari_ssl_muscle.evaluation.measure_report import MeasureReport
    from napari_ssl_muscle.scans.muscles.table import table_by_values

    emit(Started(action="measuring", device="CPU", total=len(requests)))
    measured = []
    for done, request in enumerate(requests):
        if stop():
            raise StoppedByUser
        emit(Progress(done=done, total=len(requests), text=request.name))
        table = request.table or table_by_values(request.labels)
        table.require_known(request.labels, f"'{request.layer.name}'")
        found = measure(request.labels, table, request.geometry, request.case)
        found = replace(found, notes=(*request.notes, *found.notes))
        values, colours = _looks(found, table)
        measured.append(MeasuredLabels(request.layer, request.name, found, values, colours))
    return MeasureAnswer(MeasureReport([one.found for one in measured]), tuple(measured))


def _looks(
    found: Measurement, table: MuscleTable
) -> tuple[tuple[int, ...], tuple[tuple[float, ...], ...]]:
    """Return the label value and the colour of each measure's muscle."""
    from napari_ssl_muscle.scans.muscles.names import split_side

    by_name: dict[tuple[str, str], int] = {}
    for muscle in table.muscles:
        name, side = split_side(muscle.name)
        by_name.setdefault((name, side), muscle.value)
    colours = table.colours()
    values = tuple(
        by_name[(m.muscle, m.side)] if (m.muscle, m.side) in by_name else by_name[(m.muscle, "")]
        for m in found.measures
    )
    return values, tuple(tuple(float(part) for part in colours[value]) for value in values)
