"""What is in a folder, a file or a whole export of DICOM."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.formats.dicom.headers import Frame, is_dicom, read_frames
from napari_ssl_muscle.scans.formats.dicom.library import pydicom
from napari_ssl_muscle.scans.formats.dicom.series import Series, group_frames
from napari_ssl_muscle.text_table import counted


@dataclass
class Export:
    """The volumes that were found, and what was passed over.

    Attributes
    ----------
    series
        Sorted by patient, study, number of the series, echo and contrast.
    other_files
        How many files are not DICOM.
    without_image
        How many DICOM files hold no pixels (reports, documents, directories).
    damaged
        DICOM files that cannot be read.
    """

    series: list[Series] = field(default_factory=list)
    other_files: int = 0
    without_image: int = 0
    damaged: list[Path] = field(default_factory=list)

    @property
    def patients(self) -> list[str]:
        """Keys of the patients, in the order of the series."""
        return list(dict.fromkeys(series.acquisition.patient for series in self.series))

    def notes(self) -> list[str]:
        """Return sentences about what was passed over."""
        found = []
        if self.other_files:
            found.append(f"{counted(self.other_files, 'file')} passed over: not DICOM.")
        if self.without_image:
            found.append(
                f"{counted(self.without_image, 'DICOM file')} passed over: without an image "
                "(reports, documents)."
            )
        if self.damaged:
            more = f" and {len(self.damaged) - 1} more" if len(self.damaged) > 1 else ""
            found.append(
                f"{self.damaged[0]}{more} cannot be read (cut short or damaged) and is left out; "
                "copy or export it again."
            )
        return found


def find_series(
    place: Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    paths: Sequence[Path] | None = None,
) -> Export:
    """List the volumes in a DICOM file, or in a folder and all that is below it.

    Parameters
    ----------
    progress
        Called with the number of files read and of all files; may raise to end the search.
    paths
        The files to look at; by default all of the place.

    Raises
    ------
    BadInput
        If there is no such place, or no DICOM image in it.
    """
    place = Path(place)
    if not place.exists():
        raise BadInput(f"{place} does not exist; check the path.")
    pydicom()  # so that a missing library is said before a long search
    export, frames = Export(), list[Frame]()
    if paths is None:
        paths = sorted(_files(place)) if place.is_dir() else [place]
    for done, path in enumerate(paths, 1):
        if not is_dicom(path):
            export.other_files += 1
        else:
            try:
                found = read_frames(path)
            except Exception:  # pydicom raises whatever a broken element led to
                export.damaged.append(path)
            else:
                frames += found
                export.without_image += not found
        if progress is not None:
            progress(done, len(paths))
    export.series = group_frames(frames)
    if not export.series:
        notes = " ".join(export.notes())
        raise BadInput(f"There is no DICOM image in {place}. {notes}".rstrip())
    return export


def _files(folder: Path) -> Iterator[Path]:
    """All ordinary files below a folder; hidden ones and DICOMDIR, which only lists others, not."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(parent, name)
            if not name.startswith(".") and name.upper() != "DICOMDIR" and path.is_file():
                yield path
