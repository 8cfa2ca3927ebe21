"""The figures of a follow-up as tables: tidy, wide, and one of changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_ssl_muscle.evaluation.follow_up.follow import Change, FollowUp, MuscleVisit

TIDY: Mapping[str, str] = {
    "subject": "Subject",
    "session": "Session",
    "case": "Case",
    "visit": "Visit",
    "month": "Months since the first visit",
    "muscle": "Muscle",
    "side": "Side",
    "volume_ml": "Volume (mL)",
    "coverage": "Coverage",
    "length_mm": "Length seen (mm)",
    "mean_csa_mm2": "Mean cross-section (mm²)",
    "max_csa_mm2": "Largest cross-section (mm²)",
    "asymmetry_percent": "Left − right (% of the mean)",
    "fat_percent": "Fat fraction (%)",
    "fat_free_volume_ml": "Fat-free volume (mL)",
    "fat_erosion_mm": "Erosion before the fat fraction (mm)",
    "fat_source": "Fat fraction from",
    "common_volume_ml": "Volume of the common part (mL)",
    "compared": "Compared",
    "compared_volume_ml": "Compared volume (mL)",
    "shift_mm": "Lower end above the first visit's (mm)",
    "overlap_mm": "Overlap with the first visit (mm)",
    "profile_fit": "Fit of the profiles (0 to 1)",
    "change_ml": "Change from the first visit (mL)",
    "change_percent": "Change from the first visit (%)",
    "change_low_percent": "95 % interval from (%)",
    "change_high_percent": "95 % interval to (%)",
    "interval_from": "Interval from",
    "change_from_previous_ml": "Change from the visit before (mL)",
    "change_from_previous_percent": "Change from the visit before (%)",
    "z_score": "z score of the volume",
}
"""Columns of `follow_up.csv`, a row for each muscle, side and scan, with their headings."""

CHANGES: Mapping[str, str] = {
    "subject": "Subject",
    "muscle": "Muscle",
    "side": "Side",
    "months": "Months",
    "first_volume_ml": "First (mL)",
    "last_volume_ml": "Last (mL)",
    "change_ml": "Change (mL)",
    "change_percent": "Change (%)",
    "change_low_percent": "95 % interval from (%)",
    "change_high_percent": "95 % interval to (%)",
    "interval_from": "Interval from",
    "detected": "Beyond the smallest detectable change",
    "compared": "Compared",
}
"""Columns of `changes.csv`, a row for each subject, muscle and side."""

_WIDE = ("volume_ml", "compared_volume_ml", "fat_percent", "max_csa_mm2", "change_percent")


@dataclass(frozen=True)
class Sheet:
    """A table with a name.

    Attributes
    ----------
    columns
        Name in `rows` and in the CSV → heading with its unit.
    """

    name: str
    columns: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]


def tidy(found: FollowUp) -> Sheet:
    """Return one row for each muscle, side and scan."""
    return Sheet("follow_up", TIDY, [_tidy_row(found, row) for row in found.rows])


def changes(found: FollowUp) -> Sheet:
    """Return one row for each subject, muscle and side: first against last visit."""
    return Sheet("changes", CHANGES, [_change_row(found, change) for change in found.changes])


def wide(found: FollowUp) -> Sheet:
    """Return one row for each subject, with columns such as `gracilis_left_ses-2_volume_ml`."""
    columns: dict[str, str] = {"subject": "Subject"}
    rows: dict[str, dict[str, Any]] = {}
    for row in tidy(found).rows:
        mine = rows.setdefault(row["subject"], {"subject": row["subject"]})
        session = row["session"] or f"visit-{row['visit']}"
        where = [part for part in (row["muscle"], row["side"], session) if part]
        for figure in _WIDE:
            if row[figure] is None:
                continue
            name = f"{'_'.join(where)}_{figure}".replace(" ", "_")
            columns[name] = f"{', '.join(where)}: {TIDY[figure]}"
            mine[name] = row[figure]
    filled = [{name: row.get(name) for name in columns} for row in rows.values()]
    return Sheet("follow_up_wide", columns, filled)


def interval(percent: float, half: float | None) -> tuple[float | None, float | None]:
    """Return the ends of an interval about a change; None without one."""
    return (None, None) if half is None else (percent - half, percent + half)


def _tidy_row(found: FollowUp, row: MuscleVisit) -> dict[str, Any]:
    measure, visit = row.measure, row.visit
    low, high = interval(row.change_percent or 0.0, row.half_width_percent)
    return {
        "subject": visit.subject,
        "session": visit.session,
        "case": visit.case,
        "visit": visit.number,
        "month": visit.month,
        "muscle": measure.muscle,
        "side": measure.side,
        "volume_ml": measure.volume_ml,
        "coverage": measure.coverage,
        "length_mm": measure.length_mm,
        "mean_csa_mm2": measure.mean_csa_mm2,
        "max_csa_mm2": measure.max_csa_mm2,
        "asymmetry_percent": measure.asymmetry_percent,
        "fat_percent": measure.fat_percent,
        "fat_free_volume_ml": measure.fat_free_volume_ml,
        "fat_erosion_mm": None if measure.fat is None else measure.fat.erosion_mm,
        "fat_source": None if measure.fat is None else measure.fat.source,
        "common_volume_ml": row.common_ml,
        "compared": row.compared,
        "compared_volume_ml": row.compared_ml,
        "shift_mm": row.placed.shift_mm,
        "overlap_mm": row.placed.overlap_mm,
        "profile_fit": row.placed.fit,
        "change_ml": row.change_ml,
        "change_percent": row.change_percent,
        "change_low_percent": low,
        "change_high_percent": high,
        "interval_from": _source(found, measure.muscle, row.half_width_percent),
        "change_from_previous_ml": row.step_ml,
        "change_from_previous_percent": row.step_percent,
        "z_score": row.z,
    }


def _change_row(found: FollowUp, change: Change) -> dict[str, Any]:
    low, high = interval(change.percent, change.half_width_percent)
    return {
        "subject": change.subject,
        "muscle": change.muscle,
        "side": change.side,
        "months": change.months,
        "first_volume_ml": change.first_ml,
        "last_volume_ml": change.last_ml,
        "change_ml": change.ml,
        "change_percent": change.percent,
        "change_low_percent": low,
        "change_high_percent": high,
        "interval_from": _source(found, change.muscle, change.half_width_percent),
        "detected": None if change.detected is None else ("yes" if change.detected else "no"),
        "compared": change.compared,
    }


def _source(found: FollowUp, muscle: str, half: float | None) -> str | None:
    return None if half is None else found.errors[muscle].source
