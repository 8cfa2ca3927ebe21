"""Which model the labels of a layer come from, and whether a person has changed them since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.viewer.layers.prediction_history import history_of
from napari_ssl_muscle.viewer.layers.scan_layers import info_of

if TYPE_CHECKING:
    from pathlib import Path

    from napari_ssl_muscle.evaluation.provenance import Provenance


def origin_of_labels(layer: Any) -> tuple[Provenance | None, bool | None]:
    """Return the model that made a layer's labels, and whether they were corrected by hand.

    For labels that no model wrote here, what the record beside their file says counts; without
    one, nothing is known.

    Returns
    -------
    provenance, corrected
        None where it is not known.
    """
    info = info_of(layer)
    if info is None or info.role != "prediction":
        return None, None
    origin = history_of(layer)
    drawn = bool(origin.drawn().any())
    if origin.made_by is not None:
        return origin.made_by, drawn
    made, corrected = _of_file(info.path)
    return made, None if made is None else (corrected or drawn)


def _of_file(path: Path | None) -> tuple[Provenance | None, bool | None]:
    from napari_ssl_muscle.jobs.record import origin_of_file

    if path is None or not path.exists():
        return None, None
    try:
        return origin_of_file(path)
    except BadInput:
        return None, None
