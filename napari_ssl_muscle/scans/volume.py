"""Scans in, label maps out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import write_whole
from napari_ssl_muscle.scans.formats.nifti import count_volumes, load_header, read_voxels
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable, write_itksnap, write_tsv
from napari_ssl_muscle.scans.naming import label_files, stem_of


@dataclass(frozen=True)
class Scan:
    """A scan of which only the header has been read.

    Parameters
    ----------
    volume
        Which volume of a 4D file, from 0; None where there is only one.
    volumes
        How many volumes the file has.
    """

    path: Path
    volume: int | None
    geometry: Geometry
    volumes: int

    @property
    def name(self) -> str:
        """File name without `.nii` or `.nii.gz`."""
        return stem_of(self.path)

    def read(self) -> npt.NDArray[np.float32]:
        """Read the voxels.

        Returns
        -------
        float32 `(z, y, x)` in the canonical view, C-contiguous, with the header's scaling.

        Raises
        ------
        BadInput
            If the file is cut short, or holds values that are not finite or all the same.
        """
        stored = read_voxels(self.path, self.geometry.shape, self.volume)
        with np.errstate(over="ignore"):  # what overflows is found as infinite below
            values = np.ascontiguousarray(self.geometry.to_canonical(stored), dtype=np.float32)
        low, high = values.min(), values.max()  # NaN if there is one
        if not (np.isfinite(low) and np.isfinite(high)):
            bad = int(np.count_nonzero(~np.isfinite(values)))
            raise BadInput(
                f"{self.path} holds {bad} values that are not finite (NaN or infinite); "
                "replace them and save it again."
            )
        if low == high:
            raise BadInput(
                f"{self.path} is an empty image: every voxel is {low:g}; export the scan again."
            )
        return values


@dataclass(frozen=True)
class LabelMap:
    """A label map of which only the header has been read."""

    path: Path
    geometry: Geometry

    @property
    def name(self) -> str:
        """File name without `.nii` or `.nii.gz`."""
        return stem_of(self.path)

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
        # A NaN is not equal to itself and infinity is too large, so both are caught as well.
        if stored.dtype.kind == "f" and not np.array_equal(stored, np.rint(stored)):
            raise BadInput(
                f"{self.path} is no label map: it holds values that are no whole numbers; "
                "save the labels again without resampling them."
            )
        if stored.min() < 0 or stored.max() > np.iinfo(np.int32).max:
            raise BadInput(
                f"{self.path} is no label map: its values go from {stored.min():g} to "
                f"{stored.max():g}; label values are 0 and above."
            )
        return np.ascontiguousarray(stored, dtype=np.int32)


def open_scan(path: Path, volume: int | None = None) -> Scan:
    """Open a scan; only its header is read.

    Parameters
    ----------
    path
        A NIfTI image of two to four dimensions (or another format of nibabel's).
    volume
        Which volume of a 4D image, from 0.

    Raises
    ------
    BadInput
        If the file is missing, unreadable, no image, of five dimensions or more, in colour or
        complex; if it is 4D and no volume is chosen; or if there is no such volume.
    """
    path = Path(path)
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
    return Scan(path, volume if volumes > 1 else None, geometry, volumes)


def open_label_map(path: Path) -> LabelMap:
    """Open a label map; only its header is read.

    Raises
    ------
    BadInput
        If the file is missing, unreadable or no image, or holds more than one volume.
    """
    path = Path(path)
    image = load_header(path)
    if count_volumes(image) > 1:
        raise BadInput(
            f"{path} holds {count_volumes(image)} volumes; a label map holds one, "
            "with a value for each muscle."
        )
    return LabelMap(path, Geometry.from_image(image, path.name))


def check_same_grid(scan: Scan, labels: LabelMap) -> None:
    """Refuse labels whose voxels are not those of the scan.

    Raises
    ------
    BadInput
        Naming both files and what differs.
    """
    difference = scan.geometry.differs_from(labels.geometry)
    if difference is not None:
        raise BadInput(
            f"{scan.path} and {labels.path} do not lie on the same grid ({difference}); "
            "give labels that were drawn on this scan."
        )


def save_label_map(
    path: Path,
    labels: npt.NDArray[np.integer[Any]],
    geometry: Geometry,
    table: MuscleTable,
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

    Returns
    -------
    The files written: the image, `NAME.label` (ITK-SNAP) and `NAME.tsv` (BIDS).

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
    image_path, itksnap_path, tsv_path = label_files(path)
    write_whole(image_path, lambda part: nib.save(image, part))
    write_itksnap(full, itksnap_path)
    write_tsv(full, tsv_path)
    return [image_path, itksnap_path, tsv_path]


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
