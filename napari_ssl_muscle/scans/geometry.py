"""One geometry for all scans: stored axes and affine on one side, the canonical view on the other.

Whatever orientation a file is stored in, work happens in arrays `(z, y, x)`: z runs from inferior
to superior, y from anterior to posterior and x from the patient's right to left, so that a slice
drawn with row 0 on top looks as radiologists expect. What goes out again has the stored shape and
the stored affine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import nibabel as nib
import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.scans.formats.nifti_space import implausible, space_of
from napari_ssl_muscle.scans.orientation import (
    AxisMap,
    affine_problem,
    axis_map,
    is_mendable,
    is_usable,
    with_slice_thickness,
)
from napari_ssl_muscle.text_table import times

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where the voxels of a stored image lie, and how it is turned into the canonical view.

    Parameters
    ----------
    shape
        Spatial shape as stored: `(X, Y)`, `(X, Y, 1)`, `(1, Y, Z)` or `(X, Y, Z)`.
    affine
        Stored voxel index → mm in RAS+ world coordinates, 4 × 4, in mm whatever unit the file
        has. Where a file has none that can be used: its bare voxel sizes on the diagonal (the
        identity if it has not even those).
    problem
        A sentence if the affine is missing, singular or not finite, else None. Found by itself
        where it is not given.
    oriented
        False if the file does not say which axis points where.
    spacing_known
        False if the size of a voxel is not known, so that nothing can be given in mm or mL.
    remarks
        Sentences about what was chosen where the file contradicts itself.
    header
        The NIfTI header that the geometry was read from, reduced to its spatial fields; lets a
        label map be saved with the same qform and sform bit for bit.
    """

    shape: tuple[int, ...]
    affine: npt.NDArray[np.float64]
    problem: str | None = None
    oriented: bool = True
    spacing_known: bool = True
    remarks: tuple[str, ...] = ()
    header: nib.Nifti1Header | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4):
            raise ValueError(f"an affine is 4 × 4, not {affine.shape}")
        if len(self.shape) not in (2, 3) or min(self.shape) < 1:
            raise ValueError(f"a spatial shape has two or three axes, not {self.shape}")
        affine.setflags(write=False)
        object.__setattr__(self, "shape", tuple(int(length) for length in self.shape))
        object.__setattr__(self, "affine", affine)
        if self.problem is None:
            problem = affine_problem(affine, self.shape, "The scan")
            object.__setattr__(self, "problem", problem)
        if not is_mendable(affine, self.shape):
            object.__setattr__(self, "spacing_known", False)

    @classmethod
    def from_image(cls, image: nib.spatialimages.SpatialImage, name: str) -> Geometry:
        """Read the geometry from an image's header; voxels are not touched.

        Parameters
        ----------
        image
            Any image of nibabel's; axes after the third are not spatial and are left out.
        name
            What to call the scan in the sentence of `problem`.
        """
        shape = tuple(int(length) for length in image.shape[:3])
        header = _spatial_header(image)
        if header is not None:
            space = space_of(header, shape, name)
            return cls(
                shape,
                space.affine,
                problem=space.problem,
                oriented=space.oriented,
                spacing_known=space.spacing_known,
                remarks=space.notes,
                header=header,
            )
        if isinstance(image.header, nib.AnalyzeHeader):
            # nibabel gives it an affine by convention; the file itself tells no directions.
            zooms: Any = image.header.get_zooms  # untyped in nibabel
            sizes = np.asarray(zooms()[:3], dtype=np.float64)
            affine = np.diag([*np.pad(sizes, (0, 3 - len(sizes)), constant_values=1.0), 1.0])
            said = (
                f"{name} is an Analyze file, which has voxel sizes and no directions: left and "
                "right are unknown."
            )
            return cls(shape, affine, problem=said, oriented=False)
        affine = np.asarray(
            image.affine if image.affine is not None else image.header.get_best_affine()
        )
        remarks = implausible(np.linalg.norm(affine[:3, :3], axis=0), shape, name)
        problem = affine_problem(affine, shape, name)
        return cls(shape, affine, problem=problem, remarks=remarks)

    @property
    def unit_stated(self) -> bool:
        """Whether the file says its unit of length, or its format always has mm."""
        return self.header is None or bool(int(self.header["xyzt_units"]) & 0b111)

    @property
    def notes(self) -> tuple[str, ...]:
        """Everything that has to be said about it: the problem first, then the remarks."""
        return (*([self.problem] if self.problem else []), *self.remarks)

    @property
    def _shape3(self) -> tuple[int, int, int]:
        x, y, *rest = self.shape
        return (x, y, rest[0] if rest else 1)

    @cached_property
    def _working_affine(self) -> npt.NDArray[np.float64]:
        """The affine that the canonical view is made with: always invertible."""
        if is_usable(self.affine):
            return self.affine
        mended = with_slice_thickness(self._shape3, self.affine)
        return np.eye(4) if mended is None else mended

    @cached_property
    def _map(self) -> AxisMap:
        return axis_map(self._shape3, self._working_affine)

    @property
    def codes(self) -> tuple[str, str, str]:
        """Directions of growing canonical z, y and x: `("S", "P", "L")` unless a single slice.

        A single slice is seen in its own plane: a sagittal one is `("L", "I", "P")`.
        """
        return self._map.codes

    @property
    def sided(self) -> bool:
        """Whether canonical x is known to run from the patient's right to left."""
        return self.oriented and is_mendable(self.affine, self.shape) and self.codes[2] == "L"

    @property
    def canonical_shape(self) -> tuple[int, int, int]:
        """Length of `(z, y, x)` in voxels."""
        z, y, x = (self._shape3[axis] for axis in self._map.axes)
        return (z, y, x)

    @cached_property
    def canonical_affine(self) -> npt.NDArray[np.float64]:
        """4 × 4: canonical index `(z, y, x)` → mm in RAS+ world coordinates."""
        return self._working_affine @ self._map.index_matrix(self._shape3)

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size `(dz, dy, dx)` in mm."""
        dz, dy, dx = np.linalg.norm(self.canonical_affine[:3, :3], axis=0)
        return (float(dz), float(dy), float(dx))

    @cached_property
    def origin(self) -> tuple[float, float, float]:
        """Place of canonical voxel `(0, 0, 0)` in mm along the directions of `codes`.

        Growing numbers go superior, posterior and left, so that it serves as the `translate` of
        a layer whose axes are `(z, y, x)`.
        """
        world = self.canonical_affine[:3, 3]
        z, y, x = (
            float(world["RLAPSI".index(code) // 2]) * (1.0 if code in "RAS" else -1.0)
            for code in self.codes
        )
        return (z, y, x)

    def to_canonical(self, stored: Array) -> Array:
        """View a stored array `self.shape` as `(z, y, x)`; nothing is copied or resampled."""
        if stored.shape != self.shape:
            raise ValueError(f"the stored array is {stored.shape}, not {self.shape}")
        return self._map.to_canonical(stored.reshape(self._shape3))

    def to_stored(self, canonical: Array) -> Array:
        """Turn an array `(z, y, x)` back: the exact inverse of `to_canonical`."""
        if canonical.shape != self.canonical_shape:
            raise ValueError(f"the array is {canonical.shape}, not {self.canonical_shape}")
        return self._map.to_stored(canonical).reshape(self.shape)

    def place_of(self, part: Geometry, *, atol_mm: float = 0.1) -> tuple[int, int, int] | None:
        """Return where a part of this grid begins, if another geometry is one, voxel by voxel.

        Parameters
        ----------
        part
            The geometry that may be a part.
        atol_mm
            As in `differs_from`.

        Returns
        -------
        Canonical index `(z, y, x)`, or None.
        """
        if not (self.oriented and part.oriented) or self.codes != part.codes:
            return None
        # Part's canonical index -> this one's: only a shift by whole voxels will do.
        step = np.linalg.inv(self.canonical_affine) @ part.canonical_affine
        start = np.rint(step[:3, 3])
        shift = np.eye(4)
        shift[:3, 3] = start
        last = np.array(part.canonical_shape) - 1
        corners = np.array([[*(last * np.array(at)), 1.0] for at in np.ndindex(2, 2, 2)])
        apart = corners @ (self.canonical_affine @ (step - shift))[:3].T
        inside = (start >= 0).all() and (start + last < self.canonical_shape).all()
        if not inside or float(np.linalg.norm(apart, axis=1).max()) > atol_mm:
            return None
        z, y, x = (int(at) for at in start)
        return (z, y, x)

    def differs_from(self, other: Geometry, *, atol_mm: float = 0.1) -> str | None:
        """Return how another geometry differs, or None if both are the same grid.

        Two files are the same grid if their canonical voxels lie at the same places, however
        each of them stores its axes.

        Parameters
        ----------
        other
            The geometry to compare with.
        atol_mm
            Largest distance in mm between corner voxels that still counts as the same place;
            the default is far under a voxel and far over the rounding of a header.
        """
        if self.canonical_shape != other.canonical_shape:
            return (
                f"{times(self.canonical_shape[::-1])} voxels against "
                f"{times(other.canonical_shape[::-1])}"
            )
        if self.oriented != other.oriented:
            return "only one of them has an affine"
        corners = np.array(
            [
                [z, y, x, 1.0]
                for z in (0, self.canonical_shape[0] - 1)
                for y in (0, self.canonical_shape[1] - 1)
                for x in (0, self.canonical_shape[2] - 1)
            ]
        )
        apart = corners @ (self.canonical_affine - other.canonical_affine)[:3].T
        farthest = float(np.linalg.norm(apart, axis=1).max())
        if farthest <= atol_mm:
            return None
        if not np.allclose(self.spacing, other.spacing, rtol=1e-3):
            return f"voxels of {_mm(self.spacing)} against {_mm(other.spacing)}"
        return f"their voxels lie up to {farthest:.3g} mm apart"


def _spatial_header(image: nib.spatialimages.SpatialImage) -> nib.Nifti1Header | None:
    """Copy only what says where voxels lie: no name, description or intent of the original."""
    source = image.header
    if not isinstance(source, nib.Nifti1Header):
        return None
    kind: Any = nib.Nifti2Header if isinstance(source, nib.Nifti2Header) else nib.Nifti1Header
    header = kind()
    header.set_data_shape(image.shape[:3])
    fields = ("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d")
    for name in (*fields, "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"):
        header[name] = source[name]
    header["pixdim"][:4] = source["pixdim"][:4]
    header["xyzt_units"] = int(source["xyzt_units"]) & 0b111  # length; no time in a label map
    return cast("nib.Nifti1Header", header)


def _mm(spacing: tuple[float, float, float]) -> str:
    dz, dy, dx = spacing
    return f"{dx:.3g} × {dy:.3g} × {dz:.3g} mm"
