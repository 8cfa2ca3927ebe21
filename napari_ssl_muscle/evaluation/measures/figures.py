"""The figures of one muscle and of one label map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.evaluation.measures.fat import MuscleFat
from napari_ssl_muscle.scans.muscles import MuscleTable

Coverage = Literal["whole", "cut below", "cut above", "cut at both ends"]
"""Whether the scan holds the whole muscle; stored in tables."""


@dataclass(frozen=True)
class MeasureSettings:
    """What is chosen about the figures.

    Attributes
    ----------
    levels
        Where cross-sections are given, in per cent of the scan's length: 0 is its lower end, 100
        its upper one.
    erosion_mm
        For the fat fraction; see `fat.muscle_fat`.
    """

    levels: tuple[float, ...] = (25.0, 50.0, 75.0)
    erosion_mm: float = 0.0


USUAL = MeasureSettings()


@dataclass(frozen=True)
class Measure:
    """Size of one muscle, in one leg where legs are told apart.

    Attributes
    ----------
    muscle
        Its standard name, without a side.
    side
        "left" or "right" of the patient; "first leg" or "second leg" where the affine does not
        tell; "single leg"; "" where nothing is known of legs.
    value
        Its label value.
    volume_ml
        In mL.
    voxels
        Number of voxels.
    csa_mm2
        Area in mm² in the plane of each slice, from the lowest slice to the highest.
    slice_mm
        Distance between slices in mm.
    coverage
        Whether the scan holds the whole muscle; "cut below" is cut towards the feet. The volume
        is then that of the part which is seen.
    level_csa_mm2
        Area at each of the chosen levels, between slices by linear interpolation; None beyond the
        slices in which the leg is labelled.
    asymmetry_percent
        Left minus right volume in per cent of the mean of both; None without both sides.
    fat
        None without images that tell it.
    """

    muscle: str
    side: str
    value: int
    volume_ml: float
    csa_mm2: tuple[float, ...]
    voxels: int = 0
    slice_mm: float = 1.0
    coverage: Coverage = "whole"
    level_csa_mm2: tuple[float | None, ...] = ()
    asymmetry_percent: float | None = None
    fat: MuscleFat | None = None

    @property
    def _there(self) -> npt.NDArray[np.intp]:
        return np.flatnonzero(self.csa_mm2)

    @property
    def slices(self) -> int:
        """Number of slices that show the muscle."""
        return int(self._there.size)

    @property
    def first_slice(self) -> int:
        """Index of the lowest slice that shows it."""
        return int(self._there[0])

    @property
    def last_slice(self) -> int:
        """Index of the highest slice that shows it."""
        return int(self._there[-1])

    @property
    def mean_csa_mm2(self) -> float:
        """Mean area over the slices that show it."""
        return float(np.asarray(self.csa_mm2)[self._there].mean())

    @property
    def max_csa_mm2(self) -> float:
        """Largest area."""
        return float(max(self.csa_mm2))

    @property
    def max_csa_slice(self) -> int:
        """Index of the slice with the largest area."""
        return int(np.argmax(self.csa_mm2))

    @property
    def length_mm(self) -> float:
        """Length of leg in mm over which the muscle is seen: slices times their distance."""
        return self.slices * self.slice_mm

    @property
    def fat_percent(self) -> float | None:
        """Mean fat fraction in per cent, where it is known."""
        return None if self.fat is None else self.fat.percent

    @property
    def fat_free_volume_ml(self) -> float | None:
        """The volume times 1 − fat fraction, where that is known."""
        percent = self.fat_percent
        return None if percent is None else self.volume_ml * (1.0 - percent / 100.0)


@dataclass(frozen=True, eq=False)
class Measurement:
    """All muscles of one label map.

    Attributes
    ----------
    name, subject, session
        Whose label map it is, from the file's name; session None where it says none.
    spacing
        Voxel size (dz, dy, dx) in mm.
    table
        What the label values mean.
    measures
        One entry for each muscle and side that is there, in the order of the table.
    notes
        Sentences that belong to the figures.
    spacing_known
        False if the size of a voxel is not known: only numbers of voxels mean anything then.
    settings
        What was chosen about the figures.
    unlike_training
        How scan and labels differ from what the model that made them has learned from, as noted
        when they were made.
    """

    name: str
    subject: str
    session: str | None
    spacing: tuple[float, float, float]
    table: MuscleTable
    measures: tuple[Measure, ...]
    notes: tuple[str, ...]
    spacing_known: bool = True
    settings: MeasureSettings = USUAL
    unlike_training: tuple[str, ...] = ()

    @property
    def cut(self) -> bool:
        """Whether any muscle is only seen in part, so that totals are those of the parts seen."""
        return any(one.coverage != "whole" for one in self.measures)


def asymmetry(one: Measure, among: Sequence[Measure]) -> float | None:
    """Return left minus right volume of a muscle in per cent of the mean of both sides.

    The symmetry index of Robinson et al. 1987 (J Manipulative Physiol Ther 10:172); None without
    both sides.
    """
    volumes = {m.side: m.volume_ml for m in among if m.muscle == one.muscle}
    if "left" not in volumes or "right" not in volumes:
        return None
    left, right = volumes["left"], volumes["right"]
    return 200.0 * (left - right) / (left + right)
