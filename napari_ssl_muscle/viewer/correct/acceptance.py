"""What a slice must be to be accepted, and the study that its labels go to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.study.correction_store import CorrectionStore
from napari_ssl_muscle.viewer.layers.prediction_history import PredictionHistory


def require_acceptable(
    z: int, labels: npt.NDArray[Any], table: MuscleTable | None, *, empty: bool
) -> None:
    """Refuse a slice that is not what it would be accepted as.

    Parameters
    ----------
    z
        The slice.
    labels
        Its labels `(y, x)`.
    table
        The muscles; None if they are not known.
    empty
        Whether it is to be accepted as having no muscle.

    Raises
    ------
    BadInput
        If it has labels and would be empty, has none and would not, or has unknown values.
    """
    drawn = bool(labels.any())
    if empty and drawn:
        raise BadInput(
            f"Slice {z} has labels; erase them before it is accepted as empty, or press A "
            "to accept it as it is."
        )
    if not empty and not drawn:
        raise BadInput(f"Slice {z} has no labels; press E to accept it as having no muscle.")
    unknown = () if table is None else table.unknown_values(labels)
    if table is not None and unknown:
        known = ", ".join(f"{muscle.value} {muscle.name}" for muscle in table.muscles[:6])
        more = ", …" if len(table.muscles) > 6 else ""
        raise BadInput(
            f"Slice {z} holds label{'s' if len(unknown) > 1 else ''} "
            f"{', '.join(map(str, unknown))}, which is no muscle of this table ({known}{more}); "
            "erase it, draw with a muscle, or add it with 'Muscles…'."
        )


def require_study(
    store: CorrectionStore,
    table: MuscleTable | None,
    history: PredictionHistory,
    folder: Path | None,
) -> Path | None:
    """Make a scan's study if it is in none; return its folder if it was made now.

    Parameters
    ----------
    store, history
        Of the labels layer.
    table
        Its muscles.
    folder
        Where the study is made; by default the proposed place.

    Raises
    ------
    BadInput
        If the muscles are unknown or other ones than the study's, or it cannot be made.
    """
    study = store.study
    if study is not None:
        if table is not None and not study.table.same_labels(table):
            raise BadInput(
                f"The study {study.folder} is about other muscles than these labels, or has "
                "other values for them; save the labels to a file instead."
            )
        return None
    if table is None:
        raise BadInput(
            "It is not known which muscles these labels stand for; make a table with 'Muscles…', "
            "press 'Segment muscles', or open labels with a muscle table."
        )
    folder = folder or store.proposed_place()
    study = store.make_study(folder, table)
    if history.confidence is not None:
        study.set_prediction(store.case, history.confidence)
    return folder
