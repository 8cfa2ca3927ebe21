"""Scans in, label maps out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import FileSet, require_whole_set
from napari_ssl_muscle.scans.formats.dicom.headers import is_dicom
from napari_ssl_muscle.scans.formats.dicom.volumes import NamedVolume, volume_of
from napari_ssl_muscle.scans.formats.nifti import (
    count_volumes,
    load_header,
    misnamed,
    read_voxels,
)
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable, itksnap_text, table_mark, tsv_text
from napari_ssl_muscle.scans.naming import is_image, label_files, stem_of
from napari_ssl_muscle.scans.voxel_values import finite_values, looks_like_labels, whole_values
from napari_ssl_muscle.text_table import times

_SMALL = 4096
_PACKED = 0.15  # bytes per voxel; label maps take about 0.01, MRI over 0.5


@dataclass(frozen=True)
class ImageFile:
    """An image of which only the header has been read.

    Parameters
    ----------
    notes
        Sentences about the file that the user should read: how its header was understood, and,
        once its voxels have been read, how they were.
    """

    path: Path
    geometry: Geometry
    notes: list[str] = field(default_factory=list, compare=False, repr=False, kw_only=True)

    @property
    def name(self) -> str:
        """File name without the suffix of its format."""
        return stem_of(self.path)

    @property
    def content_notes(self) -> list[str]:
        """The notes without those about the geometry, which a scan and its labels share."""
        return [note for note in self.notes if note not in self.geometry.notes]

    def _note(self, *sentences: str | None) -> None:
        self.notes.extend(text for text in sentences if text and text not in self.notes)


@dataclass(frozen=True)
class Scan(ImageFile):
    """A scan of which only the header has been read.

    Parameters
    ----------
    volume
        Which volume of a 4D file, from 0; None where there is only one.
    volumes
        How many volumes the file has.
    dicom
        The DICOM volume that it is; `path` is the file of its first slice then. None for others.
    """

    volume: int | None = None
    volumes: int = 1
    dicom: NamedVolume | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """File name without the suffix; of a DICOM volume its series' number and contrast."""
        return super().name if self.dicom is None else self.dicom.name

    def read(self) -> npt.NDArray[np.float32]:
        """Read the voxels.

        Returns
        -------
        float32 `(z, y, x)` in the canonical view, C-contiguous, with the header's scaling.

        Raises
        ------
        BadInput
            If the file is cut short, has values that are not finite all over the body, or is empty.
        """
        stored = self._read_stored()
        with np.errstate(over="ignore"):  # what overflows is found as infinite below
            values = np.ascontiguousarray(self.geometry.to_canonical(stored), dtype=np.float32)
        values, note = finite_values(values, self.path)
        self._note(note)
        low, high = values.min(), values.max()
        if low == high:
            raise BadInput(
                f"{self.path} is an empty image: every voxel is {low:g}; export the scan again."
            )
        return values

    def _read_stored(self) -> npt.NDArray[Any]:
        if self.dicom is None:
            return read_voxels(self.path, self.geometry.shape, self.volume)
        from napari_ssl_muscle.scans.formats.dicom.voxels import read_series

        return read_series(self.dicom.series)

    def holds_labels(self) -> bool:
        """Whether the file looks like a label map; of most scans only its size is looked at.

        Labels in patches pack to a fraction of what noise does. A file that cannot be read holds
        none.
        """
        if self.dicom is not None:
            return False
        size = self.path.stat().st_size
        packed = self.path.name.lower().endswith(".gz") and size > _SMALL
        if packed and size > _PACKED * np.prod(self.geometry.shape) * self.volumes:
            return False
        try:
            return self.volumes == 1 and looks_like_labels(self.read())
        except BadInput:
            return False


@dataclass(frozen=True)
class LabelMap(ImageFile):
    """A label map of which only the header has been read."""

    def read(self) -> npt.NDArray[np.int32]:
        """Read the label values.

        Returns
        -------
        int32 `(z, y, x)` in the canonical view, C-contiguous. A map without any label is all 0.

        Raises
        ------
        BadInput
            If the file is cut short, or holds values that are negative or no whole numbers.
        """
        stored = self.geometry.to_canonical(read_voxels(self.path, self.geometry.shape, None))
        values, note = whole_values(stored, self.path)
        self._note(note)
        return values


@dataclass(frozen=True)
class PaddedLabels(LabelMap):
    """A label map that covers a part of its scan, voxel by voxel, and is read on the scan's grid.

    Parameters
    ----------
    geometry
        The scan's.
    part
        The label map as it is in the file.
    start
        Canonical index `(z, y, x)` of the scan at which the part begins.
    """

    part: LabelMap
    start: tuple[int, int, int]

    def read(self) -> npt.NDArray[np.int32]:
        """Read the label values, 0 where the file has no voxels."""
        values = np.zeros(self.geometry.canonical_shape, np.int32)
        inner = self.part.read()
        here = tuple(slice(at, at + n) for at, n in zip(self.start, inner.shape, strict=True))
        values[here] = inner
        self._note(*self.part.notes)
        return values


def open_scan(path: Path, volume: int | None = None) -> Scan:
    """Open a scan; only its header is read.

    Parameters
    ----------
    path
        A NIfTI image of two to four dimensions (or another format of nibabel's), or a DICOM file:
        the whole volume that it is a slice of.
    volume
        Which volume of a 4D image or a multi-frame file, from 0.

    Raises
    ------
    BadInput
        If the file is missing, unreadable, no image, of five dimensions or more, in colour or
        complex; if it is 4D and no volume is chosen; or if there is no such volume.
    """
    path = Path(path)
    if not is_image(path) and is_dicom(path):
        return scan_of_dicom(volume_of(path, volume))
    image = load_header(path)
    volumes = count_volumes(image)
    if volume is not None and not 0 <= volume < volumes:
        there = "only volume 0" if volumes == 1 else f"volumes 0 to {volumes - 1}"
        raise BadInput(f"{path} has no volume {volume}; it has {there}.")
    if volumes > 1 and volume is None:
        raise BadInput(
            f"{path} holds {volumes} volumes; choose one with --volume 0 to {volumes - 1}."
        )
    geometry = Geometry.from_image(image, path.name)
    return Scan(
        path,
        geometry,
        volume if volumes > 1 else None,
        volumes,
        notes=_sentences(misnamed(path), *geometry.notes),
    )


def scan_of_dicom(volume: NamedVolume) -> Scan:
    """Return a DICOM volume as a scan; nothing is read.

    Raises
    ------
    BadInput
        If the volume cannot be used; the sentence says why.
    """
    series = volume.series
    if series.problem is not None or series.affine is None:
        raise BadInput(
            f"{series.describe()} in {volume.path.parent} cannot be used: {series.problem}."
        )
    said = series.objection
    index = volume.index if volume.count > 1 else None
    return Scan(
        volume.path,
        Geometry(series.shape, series.affine),
        index,
        volume.count,
        volume,
        notes=_sentences(f"{volume.name} is {said}." if said is not None else None),
    )


def open_label_map(path: Path) -> LabelMap:
    """Open a label map; only its header is read.

    Raises
    ------
    BadInput
        If the file is missing, unreadable or no image, or holds more than one volume.
    """
    path = Path(path)
    require_whole_set(path)
    image = load_header(path)
    if count_volumes(image) > 1:
        raise BadInput(
            f"{path} holds {count_volumes(image)} volumes; a label map holds one, "
            "with a value for each muscle."
        )
    geometry = Geometry.from_image(image, path.name)
    return LabelMap(path, geometry, notes=_sentences(misnamed(path), *geometry.notes))


def on_grid_of(scan: ImageFile, labels: LabelMap) -> LabelMap:
    """Return labels whose voxels are those of the scan.

    A label map that was cut to a part of the scan, as Slicer exports it, is filled up with 0.

    Raises
    ------
    BadInput
        If the labels lie on another grid; naming both files and what differs.
    """
    difference = scan.geometry.differs_from(labels.geometry)
    if difference is None:
        return labels
    start = scan.geometry.place_of(labels.geometry)
    if start is None:
        raise BadInput(
            f"{scan.path} and {labels.path} do not lie on the same grid ({difference}); "
            "give labels that were drawn on this scan."
        )
    said = (
        f"{labels.path.name} covers {times(labels.geometry.canonical_shape[::-1])} of the "
        f"{times(scan.geometry.canonical_shape[::-1])} voxels of {scan.path.name}; the rest is "
        "taken as background."
    )
    return PaddedLabels(labels.path, scan.geometry, labels, start, notes=[*labels.notes, said])


def check_same_grid(scan: ImageFile, labels: LabelMap) -> None:
    """Refuse labels that cannot be brought to the voxels of the scan; see `on_grid_of`."""
    on_grid_of(scan, labels)


def _sentences(*given: str | None) -> list[str]:
    return [text for text in given if text]


def save_label_map(
    path: Path,
    labels: npt.NDArray[np.integer[Any]],
    geometry: Geometry,
    table: MuscleTable,
    about: Callable[[Mapping[str, str]], tuple[str, str]] | None = None,
) -> list[Path]:
    """Write a label map on the grid of a scan, and its muscle table beside it.

    Parameters
    ----------
    path
        Where to; `.nii.gz` is added where it names no NIfTI file.
    labels
        Label values `(z, y, x)` in the canonical view.
    geometry
        The scan's. The file gets exactly its shape and affine: of a NIfTI scan qform, sform and
        voxel sizes bit for bit. No text of the scan's header is copied.
    table
        What the values mean. Values that it lacks are kept and named by their number.
    about
        Takes the hashes of the files (name → hash); returns name and text of one more file of the
        folder that is written together with them.

    Returns
    -------
    The files written together: the image, `NAME.label` (ITK-SNAP) and `NAME.tsv` (BIDS).

    Raises
    ------
    BadInput
        If the folder cannot be written to.
    """
    if labels.dtype.kind not in "iub" or (labels.size and labels.min() < 0):
        raise ValueError("labels are whole numbers from 0")
    stored = geometry.to_stored(labels.astype(_label_type(labels), copy=False))
    image = _image_on(geometry, stored)
    extra = tuple(Muscle(value, f"label {value}") for value in table.unknown_values(labels))
    full = MuscleTable(table.muscles + extra)
    image.header["descrip"] = table_mark(full)
    paths = label_files(path)
    with FileSet(paths[0].parent) as files:
        hashes = {
            paths[0].name: files.write(paths[0].name, lambda part: nib.save(image, part)),
            paths[1].name: files.write_text(paths[1].name, itksnap_text(full, table_mark(full))),
            paths[2].name: files.write_text(paths[2].name, tsv_text(full)),
        }
        if about is not None:
            files.write_text(*about(hashes))
    return paths


def _label_type(labels: npt.NDArray[np.integer[Any]]) -> type[np.unsignedinteger[Any]]:
    highest = int(labels.max()) if labels.size else 0
    if highest <= np.iinfo(np.uint8).max:
        return np.uint8
    return np.uint16 if highest <= np.iinfo(np.uint16).max else np.uint32


def _image_on(geometry: Geometry, stored: npt.NDArray[Any]) -> nib.Nifti1Image:
    """Make a NIfTI image with the geometry's own qform and sform."""
    header: Any = geometry.header  # nibabel's methods are untyped
    if header is not None:
        header = header.copy()
    else:
        new_header: Any = nib.Nifti1Header
        header = new_header()
        header.set_data_shape(geometry.shape)
        header.set_xyzt_units("mm")
        if geometry.oriented:
            header.set_sform(geometry.affine, code="scanner")
        if geometry.problem is None:
            # A quaternion cannot hold a sheared or singular matrix; the sform comes first anyway.
            header.set_qform(geometry.affine, code="scanner", strip_shears=True)
    header.set_data_dtype(stored.dtype)
    header.set_intent("label")
    kind: Any = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    # Without an affine nibabel leaves the header's qform and sform as they are.
    image: nib.Nifti1Image = kind(stored, None, header)
    return image
