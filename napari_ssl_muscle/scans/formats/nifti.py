"""Opening image files: what can go wrong, and the sentence for it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.formats import itk
from napari_ssl_muscle.text_table import times


def load_header(path: Path) -> nib.spatialimages.SpatialImage:
    """Open an image without reading its voxels, and never as a memory map.

    Raises
    ------
    BadInput
        If the file is missing, unreadable, no image, cut short, or has a size that no image has.
    """
    path = Path(path)
    if path.is_dir():
        raise BadInput(f"{path} is a folder, not an image; give a NIfTI file (.nii or .nii.gz).")
    missing = not_fetched(path)
    if missing:
        raise BadInput(missing)
    if not path.exists():
        raise BadInput(f"{path} does not exist; check the path.")
    if path.name.lower().endswith(itk.SUFFIXES):
        image: Any = itk.load(path)
        return _checked(image, path)
    with _sentences(path):
        # A memory map would keep the file from being deleted or replaced on Windows.
        image = _load_misnamed(path) if misnamed(path) else nib.load(path, mmap=False)
    return _checked(image, path)


def _checked(image: Any, path: Path) -> nib.spatialimages.SpatialImage:
    """Refuse what is no image with one value in each voxel."""
    if not isinstance(image, nib.spatialimages.SpatialImage):
        raise BadInput(f"{path} holds no voxels in space; give a NIfTI image (.nii or .nii.gz).")
    shape = image.shape
    if len(shape) < 2:
        raise BadInput(f"{path} has only {len(shape)} axis; an image needs two or three.")
    if 0 in shape:
        raise BadInput(f"{path} is empty (a size of {times(shape)}); export the scan again.")
    if any(length > 1 for length in shape[4:]):
        raise BadInput(
            f"{path} has {len(shape)} dimensions ({times(shape)}); "
            "give an image with at most four, of which the fourth counts volumes."
        )
    dtype = image.get_data_dtype()
    if dtype.fields is not None or dtype.kind not in "iufc":
        raise BadInput(f"{path} is a colour image; give one with a single value in each voxel.")
    if dtype.kind == "c":
        raise BadInput(f"{path} holds complex numbers; give its magnitude image.")
    return image


def not_fetched(path: Path) -> str | None:
    """Say that a file stands for content that is kept elsewhere and is not here, or None.

    DataLad, git-annex and Git LFS keep large files as links or short texts until they are fetched.
    """
    if path.is_symlink() and not path.exists():
        return (
            f"{path} is a link to a file that is not here; "
            "fetch it (datalad get, git annex get) or mend the link."
        )
    try:
        if not path.is_file() or path.stat().st_size > _POINTER:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    if content.startswith((b"/annex/objects/", b"version https://git-lfs")):
        return (
            f"{path} is a pointer to a file that is not here; "
            "fetch it (datalad get, git annex get, git lfs pull)."
        )
    return None


def misnamed(path: Path) -> str | None:
    """Say that a file's name and its content disagree on whether it is compressed, or None."""
    name = path.name.lower()
    if not name.endswith((".nii", ".nii.gz")):
        return None
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError:
        return None
    packed = start[:2] == _GZIP
    if packed == name.endswith(".gz") or not (packed or start in (*_NIFTI1, *_NIFTI2)):
        return None
    is_it = "is compressed" if packed else "is not compressed"
    return f"{path.name} {is_it}, although its name says otherwise; it is read as it is."


def _load_misnamed(path: Path) -> nib.spatialimages.SpatialImage:
    content = path.read_bytes()
    if content[:2] == _GZIP:
        content = gzip.decompress(content)
    kind: Any = nib.Nifti2Image if content[:4] in _NIFTI2 else nib.Nifti1Image
    image: nib.spatialimages.SpatialImage = kind.from_bytes(content)
    return image


def count_volumes(image: nib.spatialimages.SpatialImage) -> int:
    """How many volumes the fourth axis counts: 1 for an image without one."""
    return int(image.shape[3]) if len(image.shape) > 3 else 1


def read_voxels(path: Path, shape: tuple[int, ...], volume: int | None) -> npt.NDArray[Any]:
    """Read one volume with the header's scaling applied, in the stored order of axes.

    Parameters
    ----------
    shape
        Its spatial shape as stored.
    volume
        Which volume of the fourth axis, from 0; None for the only one.

    Raises
    ------
    BadInput
        If the file is cut short or damaged, or changed its size since it was opened.
    """
    image = load_header(path)
    if tuple(image.shape[:3]) != shape:
        raise BadInput(f"{path} has changed its size since it was opened; open it again.")
    with _sentences(path):
        if path.name.lower().endswith(".nii.gz") and not misnamed(path):
            # Unpacked as a whole, because only the end of the file shows whether a byte of it is
            # damaged; nibabel stops reading before that.
            kind: Any = type(image)
            image = kind.from_bytes(_unpacked(path, image))
        if len(image.shape) > 3:
            index = (slice(None),) * 3 + (volume or 0,) + (0,) * (len(image.shape) - 4)
            return np.asarray(image.dataobj[index])
        return np.asarray(image.dataobj)


def _unpacked(path: Path, image: Any) -> bytes:
    """Unpack what the header asks for, and see that the file is whole if little more comes."""
    needed = int(image.dataobj.offset) + int(np.prod(image.shape)) * image.get_data_dtype().itemsize
    with gzip.open(path) as file:
        content = file.read(needed)
        file.read(_SURPLUS)  # the checksum stands at the end
    return content


_SURPLUS = 1 << 20  # bytes that are looked at beyond what the header asks for
_POINTER = 32768  # bytes; git-annex reads no more of a file to find whether it is a pointer
_GZIP = b"\x1f\x8b"
# The header's length comes first, in either byte order: 348 bytes, or 540.
_NIFTI1 = (b"\x5c\x01\x00\x00", b"\x00\x00\x01\x5c")
_NIFTI2 = (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c")


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    """Turn the many errors of broken files into one sentence each."""
    try:
        yield
    except FileNotFoundError as error:
        raise BadInput(f"{path} (or a file that belongs to it) does not exist.") from error
    except PermissionError as error:
        raise BadInput(f"{path} may not be read; change its permissions.") from error
    except nib.filebasedimages.ImageFileError as error:
        if _is_cut_short(path):
            raise _cut_short(path) from error
        raise BadInput(
            f"{path} is not an image that can be read; give a NIfTI file (.nii or .nii.gz)."
        ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _cut_short(path) from error
    except (OSError, ValueError) as error:
        # nibabel raises these when fewer bytes come than the header promises.
        if "Expected" in str(error) or "ended before" in str(error) or _is_cut_short(path):
            raise _cut_short(path) from error
        raise BadInput(f"{path} cannot be read ({error}); copy or export it again.") from error
    except BadInput:
        raise
    except Exception as error:  # sizes below zero, infinite or enormous fail in many ways
        raise BadInput(
            f"{path} has a header that makes no sense ({error}); export it again."
        ) from error


def _cut_short(path: Path) -> BadInput:
    return BadInput(
        f"{path} is cut short or damaged: not all of its voxels can be read; "
        "copy or export it again."
    )


def _is_cut_short(path: Path) -> bool:
    """Whether a gzip file is so short that not even the header can be unpacked."""
    try:
        content = path.read_bytes() if path.stat().st_size < 1024 else b""
        if content[:2] == b"\x1f\x8b":
            gzip.decompress(content)
    except (EOFError, zlib.error):
        return True
    except OSError:
        return False
    return False
