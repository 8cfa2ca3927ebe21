"""Figures of a cohort that stand far apart from the others of their muscle."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from napari_ssl_muscle.evaluation.measures.figures import Measure, Measurement

LIMIT = 3.5
"""Scores beyond this are outliers, as Iglewicz and Hoaglin advise."""

FEWEST = 5
"""Of fewer values none is called an outlier: median and deviation say too little."""

RULE = (
    f"Outliers: modified z-score above {LIMIT:g} (0.6745 × distance from the median / median "
    "absolute deviation) among the cohort's values of the same muscle and side; Iglewicz and "
    "Hoaglin 1993, How to Detect and Handle Outliers."
)

FIGURES = ("volume_ml", "mean_csa_mm2", "asymmetry_percent", "fat_percent")


@dataclass(frozen=True)
class Outlier:
    """A figure of one muscle, far from the same figure in the other label maps.

    Attributes
    ----------
    case, muscle, side
        Whose figure it is.
    figure
        One of `FIGURES`.
    value, median
        The figure, and the median of the cohort.
    score
        Modified z-score; above zero where the value is above the median.
    """

    case: str
    muscle: str
    side: str
    figure: str
    value: float
    median: float
    score: float


def outliers(found: Sequence[Measurement]) -> list[Outlier]:
    """Return the outliers of a cohort's measures, the farthest first.

    Volumes and areas of label maps whose voxel size is not known are left out.
    """
    groups: dict[tuple[str, str, str], list[tuple[str, float]]] = {}
    for measurement in found:
        for one in measurement.measures:
            for figure in FIGURES:
                value = _value(measurement, one, figure)
                if value is not None:
                    key = (one.muscle, one.side, figure)
                    groups.setdefault(key, []).append((measurement.name, value))
    said = []
    for (muscle, side, figure), values in groups.items():
        median, scores = modified_z_scores([value for _, value in values])
        said += [
            Outlier(case, muscle, side, figure, value, median, score)
            for (case, value), score in zip(values, scores, strict=True)
            if abs(score) > LIMIT
        ]
    return sorted(said, key=lambda one: -abs(one.score))


def modified_z_scores(values: Sequence[float]) -> tuple[float, list[float]]:
    """Return the median and each value's modified z-score; zeros for fewer than `FEWEST` values.

    Where more than half of the values are the same, the mean absolute deviation takes the place of
    the median one, with its own constant (Iglewicz and Hoaglin 1993).
    """
    median = statistics.median(values)
    distances = [abs(value - median) for value in values]
    scale = statistics.median(distances) / 0.6745 or statistics.fmean(distances) * 1.253314
    if len(values) < FEWEST or not scale:
        return median, [0.0] * len(values)
    return median, [(value - median) / scale for value in values]


def _value(measurement: Measurement, one: Measure, figure: str) -> float | None:
    if not measurement.spacing_known and figure in ("volume_ml", "mean_csa_mm2"):
        return None
    value: float | None = getattr(one, figure)
    return value
