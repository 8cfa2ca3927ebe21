"""Where labels are saved, and under which names: the same for the button and napari's own save."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ssl_muscle.scans.naming import (
    NIFTI,
    NNUNET_IMAGES,
    PREDICTION_ENDING,
    as_file_name,
    label_map_name,
)
from napari_ssl_muscle.viewer.layers.scan_layers import KEY, LayerInfo, plain_geometry

if TYPE_CHECKING:
    from napari_ssl_muscle.scans.geometry import Geometry
    from napari_ssl_muscle.scans.muscles import MuscleTable


def proposed_path(info: LayerInfo | None, layer_name: str) -> Path:
    """Return where a labels layer would be saved: beside its scan, as NAME_dseg.nii.gz.

    Labels that were saved before go to the same place again. Never proposed is the file of the
    ground truth: a prediction beside it is called NAME_prediction.nii.gz. Scans of an nnU-Net
    folder get theirs in a folder "predictions" beside it.

    Parameters
    ----------
    info
        What is known of the layer; without it, or for a sample that has no file, the user's home
        folder is proposed.
    layer_name
        Used where there is no scan.
    """
    if info is not None and info.role == "prediction" and info.path is not None:
        return info.path
    scan = info.scan.file if info is not None else None
    if scan is None:
        word = info.scan.name if info is not None else layer_name
        return Path.home() / label_map_name(as_file_name(word))
    folder = scan.path.parent
    if folder.name in NNUNET_IMAGES:
        # nnU-Net takes whatever lies there for an image.
        folder = folder.parent / "predictions"
    from napari_ssl_muscle.scans.cohort import label_files_of

    taken = {path.resolve() for path in label_files_of(scan.path)}
    path = folder / label_map_name(scan.name)
    other = folder / f"{scan.name}{PREDICTION_ENDING}{NIFTI[0]}"
    return other if path.resolve() in taken else path


def save_labels(
    path: Path, labels: np.ndarray, geometry: Geometry, table: MuscleTable | None
) -> list[Path]:
    """Write labels as .nii.gz with an ITK-SNAP and a BIDS table beside it.

    Parameters
    ----------
    path
        The .nii.gz file.
    labels
        Canonical (z, y, x) label values.
    geometry
        Of the scan: its shape and affine are what is written.
    table
        The muscles; values that it does not name are written as "label 7".

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    BadInput
        If they cannot be written.
    """
    from napari_ssl_muscle.scans.muscles import MuscleTable
    from napari_ssl_muscle.scans.volume import save_label_map

    return save_label_map(path, labels, geometry, table or MuscleTable(()))


def grid_of(meta: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[Geometry, LayerInfo | None]:
    """Return the geometry in which a layer of this state and shape is saved.

    A layer that a scan was opened with knows its scan's. One that was drawn anew takes that of
    the scan in the viewer that lies in the same place; without one, its own scale and translate.

    Parameters
    ----------
    meta
        The layer's state as napari hands it to writers.
    shape
        Of its array.
    """
    info = meta.get("metadata", {}).get(KEY)
    if isinstance(info, LayerInfo) and info.scan.geometry.canonical_shape == shape:
        return info.scan.geometry, info
    scale = tuple(meta.get("scale", (1.0,) * len(shape)))
    translate = tuple(meta.get("translate", (0.0,) * len(shape)))
    for known in _infos_in_view():
        geometry = known.scan.geometry
        if (
            geometry.canonical_shape == shape
            and np.allclose(geometry.spacing, scale)
            and np.allclose(known.scan.placement["translate"], translate)
        ):
            return geometry, known
    return plain_geometry(shape, scale, meta.get("units")), None


def _infos_in_view() -> list[LayerInfo]:
    import napari

    viewer = napari.current_viewer()
    infos = [layer.metadata.get(KEY) for layer in viewer.layers] if viewer is not None else []
    return [info for info in infos if isinstance(info, LayerInfo)]
