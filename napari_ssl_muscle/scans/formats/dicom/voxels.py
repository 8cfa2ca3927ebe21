"""The voxels of a DICOM volume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.formats.dicom.library import pydicom
from napari_ssl_muscle.scans.formats.dicom.series import Series


def read_series(series: Series) -> npt.NDArray[Any]:
    """Read the voxels of a volume, with the scanner's rescaling applied.

    Returns
    -------
    (columns, rows, slices), as `Series.affine` counts: int16 or int32 where no rescaling gives
    fractions, else float32.

    Raises
    ------
    BadInput
        If the volume has a `problem`, a file is cut short or has vanished, or its compression
        cannot be read here.
    """
    if series.problem is not None:
        raise BadInput(f"{series.describe()}: {series.problem}; export the series again.")
    volume: npt.NDArray[Any] | None = None
    opened: tuple[Path, Any] | None = None
    for z, frame in enumerate(series.frames):
        if opened is None or opened[0] != frame.path:
            opened = (frame.path, _open(frame.path))
        plane = _plane(frame.path, opened[1], frame.index)
        if plane.shape != series.shape[1::-1]:
            raise BadInput(f"{frame.path} has changed its size since it was listed; list again.")
        if volume is None:
            volume = np.empty(series.shape, plane.dtype)
        elif volume.dtype != plane.dtype:
            volume = volume.astype(np.promote_types(volume.dtype, plane.dtype), copy=False)
        volume[:, :, z] = plane.T
    assert volume is not None
    if volume.dtype == np.int32 and volume.min() >= -(2**15) and volume.max() < 2**15:
        return volume.astype(np.int16)
    return volume


def _open(path: Path) -> Any:
    try:
        return pydicom().dcmread(path, force=True)
    except FileNotFoundError:
        raise BadInput(f"{path} has gone since it was listed; list the folder again.") from None
    except Exception as error:  # pydicom raises whatever a broken element led to
        raise BadInput(f"{path} cannot be read ({error}); copy or export it again.") from error


def _plane(path: Path, data: Any, index: int | None) -> npt.NDArray[Any]:
    """Read one frame as int32 (rows, columns), or float32 where it is rescaled to fractions."""
    library = pydicom()
    try:
        raw = library.pixels.pixel_array(data, index=index or 0)
    except NotImplementedError:
        raise BadInput(_unreadable(library, path, data)) from None
    except Exception as error:
        syntax = getattr(getattr(data, "file_meta", None), "TransferSyntaxUID", None)
        if syntax is not None and syntax.is_compressed:
            raise BadInput(_unreadable(library, path, data)) from error
        raise BadInput(
            f"{path} is cut short or damaged: its pixels cannot be read; copy or export it again."
        ) from error
    slope, intercept = _rescaling(data, index)
    if slope == 1 and float(intercept).is_integer():
        return np.asarray(raw, np.int32) + np.int32(intercept)
    return (np.asarray(raw, np.float64) * slope + intercept).astype(np.float32)


def _rescaling(data: Any, index: int | None) -> tuple[float, float]:
    """Return slope and intercept of the modality (PS3.3 C.11.1), of the frame where it has one."""
    holders = [data]
    if index is not None:
        own = data.PerFrameFunctionalGroupsSequence[index]
        shared = (data.get("SharedFunctionalGroupsSequence") or [{}])[0]
        for group in (own, shared):
            holders = [*(group.get("PixelValueTransformationSequence") or []), *holders]
    for holder in holders:
        slope = holder.get("RescaleSlope")
        if slope is not None:
            return float(slope), float(holder.get("RescaleIntercept") or 0)
    return 1.0, 0.0


def _unreadable(library: Any, path: Path, data: Any) -> str:
    syntax = getattr(getattr(data, "file_meta", None), "TransferSyntaxUID", None)
    name = "an unknown compression" if syntax is None else str(library.uid.UID(syntax).name)
    return (
        f"{path} is compressed as {name}, which cannot be read here or is damaged; "
        "export the series uncompressed."
    )
