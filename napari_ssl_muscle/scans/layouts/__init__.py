"""How people lay out folders of scans: BIDS, nnU-Net raw, side by side, a folder for each patient.

Only names are looked at here; no file is opened but nnU-Net's `dataset.json`.
"""

from pathlib import Path

from napari_ssl_muscle.scans.layouts.bids import read_bids
from napari_ssl_muscle.scans.layouts.case import Case, Found, Layout
from napari_ssl_muscle.scans.layouts.nnunet import read_nnunet
from napari_ssl_muscle.scans.layouts.side_by_side import (
    LONE_CHANNEL,
    label_files_of,
    labels_of,
    read_flat,
    read_patient_folders,
)
from napari_ssl_muscle.scans.naming import NNUNET_IMAGES

__all__ = ["LONE_CHANNEL", "Case", "Found", "Layout", "label_files_of", "labels_of", "look_through"]


def look_through(folder: Path) -> Found:
    """Recognise the layout of a folder and find its cases; there may be none."""
    if any((folder / name).is_dir() for name in NNUNET_IMAGES):
        return read_nnunet(folder)
    if any(path.is_dir() for path in folder.glob("sub-*")):
        found = read_bids(folder)
        if found.cases:
            return found
    flat = read_flat(folder)
    if flat.cases:
        return flat
    found = read_patient_folders(folder)
    return found if found.cases else flat
