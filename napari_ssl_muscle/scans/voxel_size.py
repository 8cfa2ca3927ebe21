"""The size of a voxel as the user says it, for files that do not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, TypeVar

import nibabel as nib
import numpy as np

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.formats.nifti_space import COARSEST, FINEST
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.volume import ImageFile
from napari_ssl_muscle.text_table import times

File = TypeVar("File", bound=ImageFile)
Sizes = tuple[float, float, float]
"""Of a voxel along the stored axes x, y, z in mm."""


def parse_voxel_size(text: str) -> Sizes:
    """Read `X,Y,Z` in mm; a decimal point, and commas, spaces or × between.

    Raises
    ------
    BadInput
        If it is not three sizes that an MRI has.
    """
    parts = text.replace("×", " ").replace(",", " ").replace(";", " ").split()
    try:
        x, y, z = (float(part) for part in parts)
    except ValueError:
        raise BadInput(
            f"'{text}' is no voxel size; give three lengths in mm along the axes of the image, "
            "such as 0.8,0.8,5"
        ) from None
    if not all(math.isfinite(size) and FINEST <= size <= COARSEST for size in (x, y, z)):
        raise BadInput(
            f"Voxels of {times((x, y, z), 'g')} mm are none of an MRI; give sizes from {FINEST:g} "
            f"to {COARSEST:g} mm"
        )
    return x, y, z


def with_voxel_size(geometry: Geometry, sizes: Sizes | None) -> Geometry:
    """Return a geometry with this voxel size if its own is not known, else itself.

    What is left and right stays unknown.
    """
    if sizes is None or geometry.spacing_known:
        return geometry
    header: Any = geometry.header  # nibabel's methods are untyped
    if header is None:
        kind: Any = nib.Nifti1Header
        header = kind()
        header.set_data_shape(geometry.shape)
    else:
        header = header.copy()
    header["pixdim"][1:4] = sizes
    header.set_xyzt_units("mm")
    said = f"The size of a voxel was entered by the user: {times(sizes, 'g')} mm."
    return replace(
        geometry,
        affine=np.diag([*sizes, 1.0]),
        problem=f"{said} Left and right are unknown.",
        oriented=False,
        spacing_known=True,
        header=header,
    )


def of_voxel_size(file: File, sizes: Sizes | None) -> File:
    """Return an image file with this voxel size if it does not say its own, else itself."""
    geometry = with_voxel_size(file.geometry, sizes)
    if geometry is file.geometry:
        return file
    return replace(file, geometry=geometry, notes=[*geometry.notes, *file.content_notes])
