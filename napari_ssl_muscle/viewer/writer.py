"""napari's own save for labels: the same files as the form's "Save labels"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_ssl_muscle.scans.naming import with_nifti_suffix
from napari_ssl_muscle.viewer.layers.placement import moved_sentence, was_moved
from napari_ssl_muscle.viewer.segment.saving import grid_of, save_labels


def write_labels(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a labels layer as NIfTI with its muscle table.

    Parameters
    ----------
    path
        Where to; anything but .nii.gz at its end becomes that.
    data
        Labels (z, y, x) or (y, x).
    meta
        The layer's state.

    Returns
    -------
    list of str
        The files that were written: NAME.nii.gz, NAME.label (ITK-SNAP), NAME.tsv (BIDS).

    Raises
    ------
    BadInput
        If they cannot be written, or the layer has more than three axes.
    """
    from napari_ssl_muscle.errors import BadInput

    labels = np.asarray(data)
    if labels.ndim == 2:
        labels = labels[np.newaxis]
        for name in ("scale", "translate"):
            if name in meta:
                meta = {**meta, name: (float(name == "scale"), *meta[name])}
    if labels.ndim != 3:
        raise BadInput(
            f"The layer '{meta.get('name', 'labels')}' has {labels.ndim} axes; "
            "only labels of one volume can be saved as NIfTI."
        )
    geometry, info = grid_of(meta, labels.shape)
    if info is not None and info.scan.corner is None and was_moved(meta, info.scan.placement):
        raise BadInput(moved_sentence(str(meta.get("name", "labels"))))
    # Another layer's scan may lend its place, but not its muscle names.
    own = meta.get("metadata", {}).get("ssl_muscle") is info
    table = info.table if info is not None and own else None
    return [
        str(file) for file in save_labels(with_nifti_suffix(Path(path)), labels, geometry, table)
    ]
