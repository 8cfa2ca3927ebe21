"""Where the study of a scan is proposed, and where it may be from earlier.

Scans that lie together share one study, at the top of their cohort: `muscle-study` beside the
folders of nnU-Net or beside the patients' folders, `derivatives/ssl-muscle` of a BIDS folder.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from napari_ssl_muscle.scans.naming import NNUNET_IMAGES, NNUNET_LABELS, SUFFIXES, is_visible
from napari_ssl_muscle.study.study_folder import is_study

STUDY_NAME = "muscle-study"
BIDS_STUDY = Path("derivatives") / "ssl-muscle"

_CHANNELS = 8
"""A patient's folder has no more scans than this."""

_MANY = 200
"""So many neighbours of a scan's folder are looked at, at the most."""


def study_places(scan: Path) -> list[Path]:
    """Return where a scan's study may be: first where it is proposed, then where older ones are.

    Parameters
    ----------
    scan
        The scan's file.
    """
    scan = scan.absolute()
    folder = scan.parent
    places = [_proposed(scan), folder / STUDY_NAME, folder.parent / STUDY_NAME]
    return list(dict.fromkeys(places))


def proposed_study(scan: Path) -> Path:
    """Return where a scan's study is proposed: a study that its neighbours are in comes first."""
    first, *others = study_places(scan)
    if is_study(first):
        return first
    beside = [place for place in others if place.parent == scan.absolute().parent]
    kept_out = scan.absolute().parent.name in (*NNUNET_IMAGES, *NNUNET_LABELS)
    return next((place for place in beside if is_study(place) and not kept_out), first)


def _proposed(scan: Path) -> Path:
    folder = scan.parent
    if folder.name in (*NNUNET_IMAGES, *NNUNET_LABELS):
        return folder.parent / STUDY_NAME
    for parent in scan.parents:
        is_subject = parent.name.startswith("sub-")
        if is_subject and (scan.name.startswith(parent.name) or _is_bids(parent.parent)):
            return parent.parent / BIDS_STUDY
    return (folder.parent if _is_of_one_patient(scan) else folder) / STUDY_NAME


def _is_bids(folder: Path) -> bool:
    return (folder / "dataset_description.json").is_file()


def _is_of_one_patient(scan: Path) -> bool:
    """Whether most folders beside the scan's have a scan of its name: one folder per patient."""
    if sum(is_visible(path, SUFFIXES) for path in _entries(scan.parent)) > _CHANNELS:
        return False
    folders = [
        path
        for path in _entries(scan.parent.parent)
        if path.is_dir() and path != scan.parent and path.name[0] != "."
    ]
    alike = sum((path / scan.name).is_file() for path in folders)
    return alike > 0 and 2 * alike >= len(folders) - 1  # a study may be among them


def _entries(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(folder.iterdir())[:_MANY]
    return []
