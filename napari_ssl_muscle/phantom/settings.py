"""What can be chosen about the synthetic leg, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.phantom.atlas import LENGTH

Contrast = Literal["t1", "water", "dixon"]


@dataclass(frozen=True)
class PhantomSettings:
    """Settings of a synthetic cohort; the defaults are about the size of the published study.

    Parameters
    ----------
    subjects, sessions
        How many subjects, and how many monthly sessions of each, `write_phantom` writes.
    slices, size
        Slices of a scan, and pixels along each side of a slice.
    seed
        Another seed gives another cohort.
    legs
        Both legs, or one (the right one of odd subjects, the left one of even subjects).
    contrast
        "t1": fat and marrow bright; "water": fat dark, as the water image of a Dixon scan;
        "dixon": the water and the fat image of one scan, with the true fat of each muscle.
    coverage
        Length of thigh in mm that the slices span, from just above the patella upwards.
    field_of_view
        Side of the slice in mm; None: 410 for two legs, 230 for one.
    noise
        Factor on every scan's own noise level; 0 switches the noise off.
    infiltration
        Per cent points by which the fat fraction of muscles grows a month, on average.
    repeats
        Scans of each session; in each but the first the person lies down again.
    placement
        Standard deviation in mm of where a scan begins along the leg, about the middle of the
        room that `coverage` leaves; 0: always just above the patella.

    Raises
    ------
    BadInput
        If a number is out of range.
    """

    subjects: int = 5
    sessions: int = 5
    slices: int = 64
    size: int = 256
    seed: int = 0
    legs: int = 2
    contrast: Contrast = "t1"
    coverage: float = LENGTH
    field_of_view: float | None = None
    noise: float = 1.0
    infiltration: float = 0.0
    repeats: int = 1
    placement: float = 0.0

    def __post_init__(self) -> None:
        least_of = {"subjects": 1, "sessions": 1, "slices": 1, "size": 32, "repeats": 1}
        for name, least in least_of.items():
            if getattr(self, name) < least:
                raise BadInput(
                    f"A phantom with {name}={getattr(self, name)} cannot be made; "
                    f"set {name} to {least} or more."
                )
        if self.seed < 0:
            raise BadInput(f"The phantom's seed is {self.seed}; choose a seed of 0 or more.")
        if self.legs not in (1, 2):
            raise BadInput(f"A phantom with legs={self.legs} cannot be made; set legs to 1 or 2.")
        if self.contrast not in get_args(Contrast):
            raise BadInput(f"The contrast {self.contrast!r} is unknown; choose t1, water or dixon.")
        if not 20.0 <= self.coverage <= LENGTH:
            raise BadInput(
                f"The phantom's thigh is {LENGTH:g} mm long; set coverage ({self.coverage:g} mm) "
                f"between 20 and {LENGTH:g}."
            )
        if not 100.0 <= self.side <= 1000.0:
            raise BadInput(
                f"A field of view of {self.side:g} mm does not suit a thigh; "
                "set field_of_view between 100 and 1000 mm."
            )
        if not 0.0 <= self.infiltration <= 20.0:
            raise BadInput(
                f"The infiltration is {self.infiltration:g} points a month; set infiltration "
                "between 0 and 20."
            )
        if not 0.0 <= self.placement <= LENGTH - self.coverage:
            raise BadInput(
                f"Scans of {self.coverage:g} mm leave {LENGTH - self.coverage:g} mm of the thigh; "
                f"set placement ({self.placement:g} mm) between 0 and that, or a smaller coverage."
            )
        if not 0.0 <= self.noise <= 20.0:
            raise BadInput(f"The noise factor is {self.noise:g}; set noise between 0 and 20.")

    @property
    def side(self) -> float:
        """Side of the slice in mm."""
        if self.field_of_view is not None:
            return self.field_of_view
        return 410.0 if self.legs == 2 else 230.0

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distances (dz, dy, dx) in mm."""
        pixel = self.side / self.size
        return self.coverage / self.slices, pixel, pixel


@dataclass(frozen=True, eq=False)
class PhantomScan:
    """One synthetic scan with its true labels.

    Parameters
    ----------
    image
        float32 (z, y, x): z inferior to superior, y anterior to posterior, x right to left. The
        water image of a Dixon scan.
    labels
        uint8 (z, y, x): 1 to 6 in the order of the default thigh table, 0 elsewhere.
    spacing
        (dz, dy, dx) in mm.
    affine
        4×4, index (x, y, z) of the transposed arrays, as they are written, to RAS in mm.
    volumes_ml
        True volume of every muscle and side ("gracilis left") in mL: its voxels in `labels`.
    factors
        Intended volume of every muscle and side, relative to the same subject's first session.
    fat_image
        The fat image of a Dixon scan, else None.
    fat_percent
        Of a Dixon scan: true fat fraction of every muscle and side in per cent, the mean over its
        voxels of fat / (water + fat) without noise; else empty.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    spacing: tuple[float, float, float]
    affine: NDArray[np.float64]
    volumes_ml: dict[str, float]
    factors: dict[str, float]
    fat_image: NDArray[np.float32] | None = None
    fat_percent: dict[str, float] = field(default_factory=dict)
