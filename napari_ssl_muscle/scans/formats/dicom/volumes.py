"""DICOM volumes by file and by name: how one is found again without its list.

A volume is known by its first slice's file. A multi-frame file may hold several (echoes, water and
fat), which are counted as the volumes of a 4D file are.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.formats.dicom.headers import is_dicom
from napari_ssl_muscle.scans.formats.dicom.listing import find_series
from napari_ssl_muscle.scans.formats.dicom.series import Series, echo_number, volume_hash

_LOOKED_AT = 400
"""So many files of a folder are looked at for one of DICOM, at the most."""


@dataclass(frozen=True, eq=False)
class NamedVolume:
    """A volume with its name and its place in a file.

    Attributes
    ----------
    name
        `sub-1a2b3c_acq-5_water`: a hash of the study, the series' number and the contrast; never
        a text of the header.
    channel
        The contrast, with the echo's number where the series has several: `water`,
        `magnitude_echo-2`.
    path
        The file of its first slice.
    index, count
        Which volume of that file it is, from 0, and how many the file has.
    """

    series: Series
    name: str
    channel: str
    path: Path
    index: int
    count: int

    @property
    def together(self) -> bool:
        """Whether all slices lie in one folder, so that the file of the first finds the others."""
        return len({frame.path.parent for frame in self.series.frames}) == 1


def named(found: Sequence[Series]) -> list[NamedVolume]:
    """Name volumes, and say which volume of its file each is.

    Parameters
    ----------
    found
        All volumes that `find_series` found: names depend on those in the same folder alone.
    """
    in_file: dict[Path, list[Series]] = {}
    in_folder: dict[Path, list[Series]] = {}
    for series in found:
        in_folder.setdefault(_folder(series), []).append(series)
        for path in dict.fromkeys(frame.path for frame in series.frames):
            in_file.setdefault(path, []).append(series)
    taken: set[tuple[Path, str]] = set()
    volumes = []
    for series in found:
        path = series.frames[0].path
        echo = echo_number(series, in_folder[path.parent])
        stem, last = f"sub-{series.acquisition.study[:6] or 'unknown'}", series.contrast
        stem += f"_acq-{series.acquisition.number}" + (f"_echo-{echo}" if echo else "")
        name, repeat = f"{stem}_{last}", 1
        while (path.parent, name) in taken:
            repeat += 1
            name = f"{stem}_run-{repeat}_{last}"
        taken.add((path.parent, name))
        channel = last if echo is None else f"{last}_echo-{echo}"
        others = in_file[path]
        volumes.append(NamedVolume(series, name, channel, path, others.index(series), len(others)))
    return volumes


def volumes_with(path: Path) -> list[NamedVolume]:
    """Return the volumes that a file has a part in; the files beside it give the other parts.

    Raises
    ------
    BadInput
        If it holds no image.
    """
    path = Path(path).absolute()
    try:
        stamp = tuple(sorted(_stamps(path.parent)))
    except OSError as error:
        raise BadInput(f"{path.parent} cannot be read ({error.strerror or error}).") from error
    found = [
        volume
        for volume in _in_folder(path.parent, stamp)
        if any(frame.path == path for frame in volume.series.frames)
    ]
    if not found:
        raise BadInput(
            f"{path} holds no image that can be read (a document, or cut short or damaged); "
            "give another file of the series, or its folder."
        )
    return found


def volume_of(path: Path, index: int | None) -> NamedVolume:
    """Return a volume that a file has a part in.

    Parameters
    ----------
    index
        Which of several, from 0.

    Raises
    ------
    BadInput
        If there is none, not this one, or several and none is chosen.
    """
    found = volumes_with(path)
    if index is None and len(found) > 1:
        raise BadInput(
            f"{path} holds {len(found)} volumes; choose one with --series, --echo or --volume 0 "
            f"to {len(found) - 1}."
        )
    if not 0 <= (index or 0) < len(found):
        raise BadInput(f"{path} has no volume {index}; it has {len(found)}, from 0.")
    return found[index or 0]


def find_volume(folder: Path, wanted: str) -> NamedVolume | None:
    """Return the volume of a folder whose `volume_hash` is wanted; None if there is none."""
    try:
        found = _in_folder(folder.absolute(), tuple(sorted(_stamps(folder.absolute()))))
    except (OSError, BadInput):
        return None
    return next((volume for volume in found if volume_hash(volume.series) == wanted), None)


def holds_dicom(folder: Path) -> bool:
    """Whether there is DICOM in a folder or below it, as far as its first files say."""
    looked = 0
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and is_dicom(Path(parent, name)):
                return True
            looked += 1
            if looked >= _LOOKED_AT:
                return False
    return False


def _folder(series: Series) -> Path:
    return series.frames[0].path.parent


def _stamps(folder: Path) -> list[tuple[str, int, int]]:
    """Return what shows whether a file of a folder has changed."""
    with os.scandir(folder) as entries:
        return [
            (entry.name, entry.stat().st_size, entry.stat().st_mtime_ns)
            for entry in entries
            if entry.is_file()
        ]


@lru_cache(maxsize=8)
def _in_folder(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> list[NamedVolume]:
    """Name the volumes of a folder's own files, which `stamps` lists."""
    return named(find_series(folder, paths=[folder / name for name, *_ in stamps]).series)
