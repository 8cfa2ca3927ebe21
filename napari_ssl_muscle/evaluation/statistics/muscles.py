"""One muscle over several subjects, and one subject over its muscles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from napari_ssl_muscle.evaluation.muscle_metrics import CaseResult, MuscleResult


@dataclass(frozen=True)
class MuscleSummary:
    """One muscle over several subjects, whose sessions are averaged first.

    Attributes
    ----------
    subjects
        In how many subjects it was counted.
    dice
        Mean Dice over them; None if there is none.
    hd95_mm, msd_mm
        Means of the finite distances; None if there is none. `missed` and `invented` say how many
        infinite ones are not in them.
    volume_pred_ml, volume_ref_ml, difference_ml
        Means over all subjects.
    missed, invented, absent
        In how many cases it was missed, invented, or absent in both (and so not counted).
    """

    muscle: str
    side: str
    subjects: int
    dice: float | None
    hd95_mm: float | None
    msd_mm: float | None
    volume_pred_ml: float
    volume_ref_ml: float
    difference_ml: float
    missed: int
    invented: int
    absent: int


def summarise(cases: Sequence[CaseResult]) -> list[MuscleSummary]:
    """Return one summary for each muscle and side, in the order in which they first come."""
    groups: dict[tuple[str, str], list[tuple[str, MuscleResult]]] = {}
    for case in cases:
        for result in case.muscles:
            key = (result.muscle, result.side)
            groups.setdefault(key, []).append((case.pair.subject, result))
    return [_summary(muscle, side, found) for (muscle, side), found in groups.items()]


def _summary(muscle: str, side: str, found: Sequence[tuple[str, MuscleResult]]) -> MuscleSummary:
    def mean(field: str) -> float | None:
        values = subject_means((subject, getattr(result, field)) for subject, result in found)
        return fmean(values.values()) if values else None

    statuses = [result.status for _, result in found]
    return MuscleSummary(
        muscle=muscle,
        side=side,
        subjects=len({s for s, result in found if result.dice is not None}),
        dice=mean("dice"),
        hd95_mm=mean("hd95_mm"),
        msd_mm=mean("msd_mm"),
        volume_pred_ml=mean("volume_pred_ml") or 0.0,
        volume_ref_ml=mean("volume_ref_ml") or 0.0,
        difference_ml=mean("difference_ml") or 0.0,
        missed=statuses.count("missed"),
        invented=statuses.count("invented"),
        absent=statuses.count("absent in both"),
    )


def subject_means(values: Iterable[tuple[str, float | None]]) -> dict[str, float]:
    """Return subject → mean of its values, without those that are None or infinite."""
    groups: dict[str, list[float]] = {}
    for subject, value in values:
        if value is not None and math.isfinite(value):
            groups.setdefault(subject, []).append(value)
    return {subject: fmean(several) for subject, several in groups.items()}


def dice_by_subject(cases: Sequence[CaseResult]) -> dict[str, float]:
    """Return subject → mean Dice over its muscles, and then over its sessions."""
    return subject_means((case.pair.subject, case.mean_dice) for case in cases)
