"""New labels of an open scan: into which layer they go, as one undo step."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_ssl_muscle.viewer.layers.changes import find_changes
from napari_ssl_muscle.viewer.layers.prediction_history import history_of
from napari_ssl_muscle.viewer.layers.scan_layers import (
    OpenScan,
    info_of,
    label_data,
    layers_of,
    show_table,
)
from napari_ssl_muscle.viewer.segment.worker import SegmentAnswer, SegmentRequest
from napari_ssl_muscle.viewer.session import session_of


def prediction_layers(viewer: Any, scan: OpenScan) -> list[Any]:
    """Return the scan's prediction layers: first the one whose corrections are kept."""
    there = layers_of(viewer, scan, "prediction")
    kept = session_of(viewer).corrections.of(there[0]) if there else None
    return sorted(there, key=lambda layer: kept is None or layer is not kept.layer)


def prediction_layer(viewer: Any, scan: OpenScan) -> Any:
    """Return the first of the scan's prediction layers; None if there is none."""
    return next(iter(prediction_layers(viewer, scan)), None)


def show_labels(
    viewer: Any, request: SegmentRequest, answer: SegmentAnswer, *, keep_drawn: bool
) -> tuple[Any, int]:
    """Write new labels into a prediction layer of their scan, or into a new one.

    Parameters
    ----------
    viewer
        The napari viewer.
    request, answer
        What was asked for, and what came out.
    keep_drawn
        Leave alone what a person has drawn or accepted.

    Returns
    -------
    layer, spared
        The layer, and how many voxels stay as they were drawn although the model says otherwise.
    """
    found, changes = answer.found, answer.changes
    there = prediction_layers(viewer, request.scan)
    layer = next((one for one in there if _takes(one, answer)), None)
    if layer is None:
        # Other muscles than those of the old labels, or no layer to write into: a new one,
        # empty at first, so that here, too, one undo takes the prediction back.
        empty = answer.labels * 0
        data, meta, _ = label_data(request.scan, "prediction", empty, table=found.table)
        layer = viewer.add_labels(data.astype(answer.labels.dtype), **meta)
        # Not so empty if the scan has a study: its labels are put there at once.
        changes = None
    else:
        show_table(layer, found.table)
    if changes is None or layer.data is not request.current:
        # Another layer, or other data in it, than when the work began.
        changes = find_changes(layer.data, answer.labels)
    spared = history_of(layer).predict(
        changes,
        keep_drawn=keep_drawn,
        confidence=found.confidence,
        made_by=found.provenance,
    )
    info = info_of(layer)
    if info is not None:
        info.provenance = found.provenance
    return layer, spared


def _takes(layer: Any, answer: SegmentAnswer) -> bool:
    """Whether a prediction layer can take these labels.

    Its type must hold their values, and what is in it must mean the same muscles; an empty layer
    takes any.
    """
    if layer.data.shape != answer.labels.shape:
        return False
    if int(answer.labels.max(initial=0)) > np.iinfo(layer.data.dtype).max:
        return False
    info = info_of(layer)
    if info is None or info.table is None:
        return not layer.data.any()
    old, new = (
        {muscle.value: muscle.name for muscle in table.muscles}
        for table in (info.table, answer.found.table)
    )
    return old == new or not layer.data.any()
