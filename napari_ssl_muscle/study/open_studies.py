"""Studies that are open in this program: only one may hold the lock, so scans share a study."""

from __future__ import annotations

from pathlib import Path

from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.study.study import Study
from napari_ssl_muscle.study.study_folder import is_study

_studies: dict[Path, tuple[Study, int]] = {}
"""Folder → study, and how many scans use it."""


def acquire_study(folder: Path, table: MuscleTable | None = None) -> Study:
    """Return the study in a folder for one more scan; `release_study` gives it back.

    Parameters
    ----------
    folder
        The study's folder.
    table
        The muscles with which it is made where there is none.

    Raises
    ------
    BadInput
        If it cannot be made or opened.
    """
    folder = folder.absolute()
    study, users = _studies.get(folder, (None, 0))
    if study is None or (table is not None and not is_study(folder)):
        make = table is not None and not is_study(folder)
        study = Study.create(folder, table) if make and table is not None else Study.open(folder)
        users = 0
    _studies[folder] = (study, users + 1)
    return study


def release_study(study: Study) -> None:
    """Take note that a scan does not use a study any more; the last one closes it."""
    folder = study.folder.absolute()
    known, users = _studies.get(folder, (None, 0))
    if known is not study:  # its folder was deleted, and another study was made in its place
        study.close()
    elif users > 1:
        _studies[folder] = (study, users - 1)
    else:
        del _studies[folder]
        study.close()
