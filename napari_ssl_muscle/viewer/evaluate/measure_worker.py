"""Measuring labels of the window: what runs in the thread, and its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.events import Emit, ShouldStop, Started, report_steps
from napari_ssl_muscle.text_table import times
from napari_ssl_muscle.viewer.evaluate.evaluate_worker import case_name_of
from napari_ssl_muscle.viewer.layers.prediction_history import origin_of_labels
from napari_ssl_muscle.viewer.layers.scan_layers import info_of
from napari_ssl_muscle.viewer.segment.saving import grid_of

if TYPE_CHECKING:
    from napari_ssl_muscle.evaluation.measures.figures import Measurement
    from napari_ssl_muscle.evaluation.measures.measure import LabelsToMeasure
    from napari_ssl_muscle.evaluation.measures.report import MeasureReport

UNKNOWN_SIZE = (
    "This layer came without a scan: the size of its voxels is taken for {} mm, and left and right "
    "are not known."
)


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
    colours
        Of each measure's muscle, RGBA.
    """

    layer: Any
    name: str
    found: Measurement
    colours: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, eq=False)
class MeasureAnswer:
    """What a measurement brings: the report, and the figures of each layer in it."""

    report: MeasureReport
    measured: tuple[MeasuredLabels, ...]


def labels_to_measure(layer: Any) -> LabelsToMeasure:
    """Return what is measured: a copy of the labels, as the person may go on drawing.

    Raises
    ------
    BadInput
        If it is no volume or slice, or has no labels.
    """
    if layer.data.ndim not in (2, 3):
        raise BadInput(
            f"'{layer.name}' has {layer.data.ndim} axes; only labels of one scan can be measured."
        )
    from napari_ssl_muscle.evaluation.measures.measure import LabelsToMeasure

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
        {
            "metadata": layer.metadata,
            "scale": scale,
            "translate": translate,
            "units": layer.units,
        },
        labels.shape,
    )
    size = times(geometry.spacing, "g")
    assumed = known is None and geometry.spacing_known
    origin, _ = origin_of_labels(layer)
    title = info.scan.name if info is not None else layer.name
    return LabelsToMeasure(
        case=case_name_of(title, info),
        title=title,
        name=f"'{layer.name}'",
        read=lambda: labels,
        geometry=geometry,
        table=info.table if info is not None else None,
        notes=(UNKNOWN_SIZE.format(size),) if assumed else (),
        unlike_training=() if origin is None else origin.unlike_training,
    )


def measure_layers(
    layers: Sequence[Any], given: Sequence[LabelsToMeasure], emit: Emit, stop: ShouldStop
) -> MeasureAnswer:
    """Measure; runs in a thread.

    Raises
    ------
    BadInput
        If a label value is not in its layer's muscle table.
    StoppedByUser
        If `stop` said so.
    """
    from napari_ssl_muscle.evaluation.measures.measure import measure_labels
    from napari_ssl_muscle.evaluation.measures.report import MeasureReport

    emit(Started(action="measuring", device="CPU", total=len(given)))
    found = measure_labels(given, report_steps(emit, stop))
    measured = [
        MeasuredLabels(layer, one.title, result, _colours(result))
        for layer, one, result in zip(layers, given, found, strict=True)
    ]
    return MeasureAnswer(MeasureReport(found), tuple(measured))


def _colours(found: Measurement) -> tuple[tuple[float, ...], ...]:
    colours = found.table.colours()
    return tuple(tuple(float(part) for part in colours[m.value]) for m in found.measures)
