"""How far a volume can be trusted: from repeated scans, or from held-out slices.

Repeated scans of one visit hold everything that changes without the muscle: lying down again,
positioning, noise, segmentation. Their standard deviation within visits gives the smallest
detectable change. Held-out slices hold the error of the segmentation alone: what it gives is called
that, and is no detectable change.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.muscles.table_files import read_text

Source = Literal["repeated scans", "segmentation error on held-out slices"]
"""What an interval rests on; stored in tables."""

NORMAL_95 = 1.959964


@dataclass(frozen=True)
class VolumeError:
    """Error of one measurement of a muscle's volume.

    Attributes
    ----------
    muscle
        Its name; both sides together.
    percent
        Standard deviation in per cent of the volume.
    degrees
        Number of independent differences that it rests on: repeated scans less visits, or cases.
    source
        Where it comes from.
    """

    muscle: str
    percent: float
    degrees: int
    source: Source

    @property
    def change_percent(self) -> float:
        """Half width in per cent of the 95 % interval of a difference of two measurements.

        1.96 √2 s: of repeated scans the smallest detectable change (Bland & Altman 1999, Stat
        Methods Med Res 8:135; de Vet et al. 2006, J Clin Epidemiol 59:1033).
        """
        return NORMAL_95 * 2**0.5 * self.percent


def error_of_repeats(groups: Mapping[str, Iterable[Sequence[float]]]) -> dict[str, VolumeError]:
    """Return the error of each muscle from volumes of repeated scans.

    Parameters
    ----------
    groups
        Muscle → for each leg of each visit that was scanned more than once its volumes.

    Returns
    -------
    Muscle → the root mean square of the deviations within visits, in per cent of their means;
    without muscles that were never repeated.
    """
    found = {}
    for muscle, several in groups.items():
        squares, degrees = 0.0, 0
        for volumes in several:
            values = np.asarray(volumes, float)
            if values.size > 1 and values.mean() > 0:
                squares += float(((values / values.mean() - 1.0) ** 2).sum())
                degrees += values.size - 1
        if degrees:
            percent = 100.0 * (squares / degrees) ** 0.5
            found[muscle] = VolumeError(muscle, percent, degrees, "repeated scans")
    return found


def error_of_segmentation(path: Path) -> dict[str, VolumeError]:
    """Return the error of each muscle from `evaluation.csv` of an evaluation on held-out slices.

    Returns
    -------
    Muscle → the standard deviation of predicted less reference volume, in per cent of the
    reference; muscles of fewer than two cases are not in it.

    Raises
    ------
    BadInput
        If the file cannot be read, or is no such table.
    """
    try:
        rows = list(csv.DictReader(read_text(path).splitlines()))
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror or error}); give the evaluation.csv that "
            "ssl-muscle evaluate wrote."
        ) from error
    columns = {"muscle", "volume_pred_ml", "volume_ref_ml"}
    if not rows or not columns <= set(rows[0]):
        raise BadInput(
            f"{path} is no table of an evaluation: it lacks the columns "
            f"{', '.join(sorted(columns))}; give the evaluation.csv that ssl-muscle evaluate wrote."
        )
    differences: dict[str, list[float]] = {}
    for row in rows:
        predicted, reference = row["volume_pred_ml"], row["volume_ref_ml"]
        if predicted and reference and float(reference) > 0:
            share = 100.0 * (float(predicted) / float(reference) - 1.0)
            differences.setdefault(row["muscle"], []).append(share)
    source: Source = "segmentation error on held-out slices"
    return {
        muscle: VolumeError(muscle, float(np.std(values, ddof=1)), len(values), source)
        for muscle, values in differences.items()
        if len(values) > 1
    }
