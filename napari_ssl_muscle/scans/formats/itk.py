"""NRRD, MetaImage and GIPL through SimpleITK, given as images of nibabel.

So everything that holds of a NIfTI image holds of them: one geometry, voxels in stored order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput

_ORIENTED_NRRD = frozenset(
    {"left-posterior-superior", "right-anterior-superior", "left-anterior-superior"}
)
_NRRD, _GIPL = (".nrrd", ".nhdr"), (".gipl", ".gipl.gz")
SUFFIXES = (*_NRRD, ".mha", ".mhd", *_GIPL)
"""Suffixes of the formats that are read here."""


def simpleitk() -> Any:
    """Return the library SimpleITK, which warns of nothing on the terminal.

    Raises
    ------
    BadInput
        If it is not installed; the sentence gives the command.
    """
    try:
        import SimpleITK as library  # noqa: N813 - the library's own name
    except ImportError:
        raise BadInput(
            "NRRD, MetaImage (.mha, .mhd) and GIPL are read with SimpleITK, which is not "
            'installed; run pip install "napari-ssl-muscle[formats]".'
        ) from None
    untyped: Any = library
    untyped.ProcessObject.SetGlobalWarningDisplay(False)
    return untyped


class _Voxels:
    """Voxels that are read when they are asked for, as nibabel's array proxies are."""

    is_proxy = True

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._path = path
        self.shape = shape
        self.ndim = len(shape)
        self.dtype = dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        library = simpleitk()
        with _sentences(self._path):
            image = library.ReadImage(str(self._path))
        array = library.GetArrayFromImage(image)
        if image.GetNumberOfComponentsPerPixel() > 1:
            # (z, y, x, component): the components count volumes.
            axes = (*range(array.ndim - 2, -1, -1), array.ndim - 1)
            array = array.transpose(axes)
        else:
            array = array.transpose()
        return np.asarray(array, dtype)

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = self.__array__()[index]
        return found


def load(path: Path) -> nib.Nifti1Image:
    """Open an image without reading its voxels.

    Returns
    -------
    An image with the file's axes and, in RAS+ mm, its directions; without directions (GIPL, a
    NRRD file that names no space) with neither qform nor sform.

    Raises
    ------
    BadInput
        If it cannot be read, or has several values in each voxel that are a colour.
    """
    library = simpleitk()
    reader = library.ImageFileReader()
    reader.SetFileName(str(path))
    with _sentences(path):
        reader.ReadImageInformation()
    shape = tuple(int(length) for length in reader.GetSize())
    components = reader.GetNumberOfComponents()
    kind = reader.GetPixelIDValue()
    plain = library.Image([1] * len(shape), kind, components if components > 1 else 0)
    dtype = library.GetArrayViewFromImage(plain).dtype
    if components > 1:
        if dtype == np.uint8 and components in (3, 4) and not _is_list(reader):
            raise BadInput(f"{path} is a colour image; give one with a single value in each voxel.")
        shape = (*shape, *(1,) * (3 - len(shape)), components)
    voxels: Any = _Voxels(path, shape, dtype)
    spacing = np.asarray(reader.GetSpacing(), np.float64)[:3]
    affine = _affine(reader, spacing) if _has_directions(reader, path) else None
    image: Any = nib.Nifti1Image(voxels, affine, dtype=dtype)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")
    zooms = image.header.get_zooms()
    image.header.set_zooms((*spacing, *zooms[len(spacing) :]))
    if affine is not None:
        image.set_sform(affine, code="scanner")
        image.set_qform(affine, code="scanner", strip_shears=True)
    opened: nib.Nifti1Image = image
    return opened


def _affine(reader: Any, spacing: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    dimension = reader.GetDimension()
    n = min(dimension, 3)
    affine = np.eye(4)
    directions = np.array(reader.GetDirection()).reshape(dimension, dimension)
    affine[:n, :n] = directions[:n, :n] * spacing
    affine[:n, 3] = reader.GetOrigin()[:n]
    affine[:2] *= -1  # ITK's world is LPS, NIfTI's RAS
    return affine


def _has_directions(reader: Any, path: Path) -> bool:
    if not path.name.lower().endswith((*_NRRD, *_GIPL)):
        return True
    return "NRRD_space" in reader.GetMetaDataKeys() and (
        reader.GetMetaData("NRRD_space") in _ORIENTED_NRRD
    )


def _is_list(reader: Any) -> bool:
    """Whether a NRRD file says that its components are a list of images."""
    key = "NRRD_kinds[pixel]"
    return key in reader.GetMetaDataKeys() and reader.GetMetaData(key) == "list"


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    """Turn the library's errors, of many lines each, into one sentence."""
    try:
        yield
    except RuntimeError as error:
        if "Unable to determine ImageIO" in str(error):
            raise BadInput(f"{path} is not an image that can be read, whatever its name.") from None
        raise BadInput(
            f"{path} is cut short or damaged, or the file with its voxels is missing; "
            "copy or export it again."
        ) from None
