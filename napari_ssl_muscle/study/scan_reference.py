"""A scan by reference: where it lies, and enough about it to notice when it is another one."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.formats.dicom.series import volume_hash
from napari_ssl_muscle.scans.formats.dicom.volumes import find_volume
from napari_ssl_muscle.scans.volume import Scan, open_scan

_END = 65536  # bytes read at either end of a file


@dataclass(frozen=True, eq=False)
class ScanReference:
    """A scan that is not copied.

    Attributes
    ----------
    path
        Absolute path of the file when it was last seen.
    relative
        The same from the study's folder, with forward slashes; None on another drive. It comes
        first, so that scans and study can move together.
    volume
        Which volume of a 4D file, from 0.
    shape, affine
        The grid as stored.
    size, digest
        Bytes of the file, and a hash of its two ends: another file is noticed without reading it.
    series
        Of a DICOM volume, whose `path` is that of its first slice: a hash of the series' UID, by
        which it is found in its folder when files were renamed. None for others.
    """

    path: Path
    relative: str | None
    volume: int | None
    shape: tuple[int, ...]
    affine: npt.NDArray[np.float64]
    size: int
    digest: str
    series: str | None = None

    @classmethod
    def to(cls, scan: Scan, folder: Path) -> ScanReference:
        """Refer to a scan from a study's folder."""
        path = scan.path.absolute()
        try:
            relative = Path(os.path.relpath(path, folder.absolute())).as_posix()
        except ValueError:  # another drive
            relative = None
        geometry = scan.geometry
        size, digest = fingerprint(path)
        series = None if scan.dicom is None else volume_hash(scan.dicom.series)
        grid = (geometry.shape, geometry.affine)
        return cls(path, relative, scan.volume, *grid, size, digest, series)

    def find(self, folder: Path) -> Path | None:
        """Return where the file lies now; None if it is not where it was."""
        near = [] if self.relative is None else [Path(os.path.normpath(folder / self.relative))]
        places = [*near, self.path]
        found = next((path for path in places if path.is_file()), None)
        if found is None and self.series is not None:
            volumes = (find_volume(path.parent, self.series) for path in places)
            found = next((volume.path for volume in volumes if volume is not None), None)
        return found

    def open(self, folder: Path) -> Scan:
        """Open the scan, after checking that it is still the same.

        Raises
        ------
        BadInput
            If the file has gone or is another one.
        """
        path = self.find(folder)
        if path is None:
            raise BadInput(
                f"The scan {self.path} of the study {folder} is not there any more; "
                "put it back, or choose where it lies now."
            )
        scan = open_scan(path, self.volume)
        there = scan.geometry
        if there.shape != self.shape or not np.array_equal(there.affine, self.affine):
            raise BadInput(
                f"{path} has another grid than when it was added to the study {folder}, so the "
                "labels do not fit any more; put the former file back."
            )
        if not self.is_content_of(path):
            raise BadInput(
                f"{path} has changed since it was added to the study {folder}; "
                "put the former file back, or choose where it lies now."
            )
        return scan

    def is_content_of(self, path: Path) -> bool:
        """Whether a file holds the same bytes, as far as its size and both ends show."""
        try:
            return path.stat().st_size == self.size and fingerprint(path)[1] == self.digest
        except OSError:
            return False

    def to_json(self) -> dict[str, Any]:
        """Return the reference as plain data."""
        content = {
            "path": str(self.path),
            "relative": self.relative,
            "volume": self.volume,
            "shape": list(self.shape),
            "affine": self.affine.tolist(),
            "size": self.size,
            "digest": self.digest,
        }
        return content if self.series is None else {**content, "series": self.series}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ScanReference:
        """Read back what `to_json` gave; KeyError, TypeError or ValueError if it is not that."""
        return cls(
            Path(content["path"]),
            content["relative"],
            content["volume"],
            tuple(int(length) for length in content["shape"]),
            np.array(content["affine"], np.float64).reshape(4, 4),
            int(content["size"]),
            str(content["digest"]),
            content.get("series"),
        )


def fingerprint(path: Path) -> tuple[int, str]:
    """Return a file's size in bytes and a hash over its two ends.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    size = path.stat().st_size
    found = hashlib.sha256()
    with path.open("rb") as file:
        found.update(file.read(_END))
        file.seek(max(0, size - _END))
        found.update(file.read(_END))
    return size, found.hexdigest()[:16]
