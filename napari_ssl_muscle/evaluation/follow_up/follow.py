"""From measured visits to change: visits aligned along the leg, and compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from napari_ssl_muscle.evaluation.follow_up.error import VolumeError, error_of_repeats
from napari_ssl_muscle.evaluation.follow_up.leg_alignment import (
    LegProfile,
    Placed,
    common_part,
    place,
)
from napari_ssl_muscle.evaluation.follow_up.visits import Visit
from napari_ssl_muscle.evaluation.measures.figures import Measure, Measurement
from napari_ssl_muscle.evaluation.statistics import mean_over_subjects


@dataclass(frozen=True)
class MuscleVisit:
    """One muscle of one side in one scan.

    Attributes
    ----------
    visit
        Whose, and when.
    measure
        Its figures in this scan.
    placed
        Where the scan lies on the leg of the subject's first one.
    common_ml
        Volume in the part of the leg that all scans of the subject show; None where they could
        not be aligned.
    compared
        What changes are computed from: "whole muscle" where every scan holds it all, else
        "common part"; "" where nothing can be compared.
    compared_ml
        That volume; None where nothing can be compared.
    change_ml, change_percent
        From the mean of the scans of the first visit; None at the first visit.
    half_width_percent
        Half the 95 % interval of `change_percent`; None where the error is not known.
    step_ml, step_percent
        From the mean of the scans of the visit before.
    z
        Against the normative table; None without one.
    """

    visit: Visit
    measure: Measure
    placed: Placed
    common_ml: float | None = None
    compared: str = ""
    compared_ml: float | None = None
    change_ml: float | None = None
    change_percent: float | None = None
    half_width_percent: float | None = None
    step_ml: float | None = None
    step_percent: float | None = None
    z: float | None = None


@dataclass(frozen=True)
class Change:
    """Change of one muscle of one subject and side from its first to its last visit.

    Attributes
    ----------
    months
        Between the two; None where only the order is known.
    first_ml, last_ml
        Compared volumes; the mean of repeated scans.
    ml, percent
        Last less first.
    half_width_percent
        Half the 95 % interval of `percent`, from `error`; None without one.
    compared
        As in `MuscleVisit`.
    detected
        Whether the change is larger than what repeated scans show without any; None without
        repeated scans.
    """

    subject: str
    muscle: str
    side: str
    months: float | None
    first_ml: float
    last_ml: float
    half_width_percent: float | None
    compared: str
    detected: bool | None

    @property
    def ml(self) -> float:
        """Last less first, in mL."""
        return self.last_ml - self.first_ml

    @property
    def percent(self) -> float:
        """The change in per cent of the first."""
        return 100.0 * self.ml / self.first_ml


@dataclass(frozen=True)
class GroupChange:
    """Mean change of a muscle over the subjects, in per cent, with its 95 % t interval."""

    muscle: str
    side: str
    subjects: int
    percent: float
    low: float | None
    high: float | None


@dataclass(frozen=True, eq=False)
class FollowUp:
    """Everything that a follow-up found.

    Attributes
    ----------
    visits
        Every scan, sorted by subject and time.
    rows
        A row for each muscle, side and scan.
    changes
        First to last visit, of subjects with several.
    group
        Means of `changes` over the subjects.
    errors
        Muscle → error of its volume; empty where it is not known.
    notes
        Sentences that belong to the figures.
    """

    visits: Sequence[Visit]
    measurements: Sequence[Measurement]
    rows: Sequence[MuscleVisit]
    changes: Sequence[Change]
    group: Sequence[GroupChange]
    errors: Mapping[str, VolumeError] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def in_months(self) -> bool:
        """Whether it is known how far the visits are apart."""
        return bool(self.visits) and all(visit.month is not None for visit in self.visits)


def follow(
    visits: Sequence[Visit],
    measurements: Sequence[Measurement],
    segmentation: Mapping[str, VolumeError] | None = None,
) -> FollowUp:
    """Align the visits of each subject and compare its muscles.

    Parameters
    ----------
    visits
        Sorted by subject and time.
    measurements
        Of each visit, in the same order.
    segmentation
        Error of the segmentation, for muscles of which there are no repeated scans.
    """
    rows: list[MuscleVisit] = []
    notes: list[str] = []
    for subject in dict.fromkeys(visit.subject for visit in visits):
        own = [(v, m) for v, m in zip(visits, measurements, strict=True) if v.subject == subject]
        for side in dict.fromkeys(one.side for _, m in own for one in m.measures):
            rows += _one_leg(own, side, notes)
    order = {visit.case: k for k, visit in enumerate(visits)}
    rows.sort(key=lambda row: order[row.visit.case])
    repeated: dict[str, list[list[float]]] = {}
    for group in _groups(rows).values():
        repeated.setdefault(group[0].measure.muscle, []).append(_compared(group))
    errors = {**(segmentation or {}), **error_of_repeats(repeated)}
    rows = [row for group in _legs_over_time(rows) for row in _with_change(group, errors)]
    rows.sort(key=lambda row: order[row.visit.case])
    changes = [c for group in _legs_over_time(rows) if (c := _change(group, errors)) is not None]
    return FollowUp(visits, measurements, rows, changes, _group(changes), errors, notes)


def _one_leg(
    scans: Sequence[tuple[Visit, Measurement]], side: str, notes: list[str]
) -> list[MuscleVisit]:
    """Align one leg's scans, and find what of each muscle can be compared."""
    shown = [(v, m, {x.muscle: x for x in m.measures if x.side == side}) for v, m in scans]
    shown = [entry for entry in shown if entry[2]]
    profiles = [_profile(measures.values(), m) for _, m, measures in shown]
    placed = [Placed(0.0, 1.0, profiles[0].ends_mm[1] - profiles[0].ends_mm[0])]
    placed += [place(profiles[0], other) for other in profiles[1:]]
    subject, leg = shown[0][0].subject, f" {side}" if side else ""
    lost = [v.session for (v, _, _), where in zip(shown, placed, strict=True) if not where.aligned]
    if lost:
        notes.append(
            f"{subject}{leg}: the cross-sections of {', '.join(lost)} do not fit those of the "
            "first visit, so only muscles that every scan holds whole are compared."
        )
    if len({round(m.spacing[0], 2) for _, m, _ in shown}) > 1:
        notes.append(f"{subject}: its scans have slices of different thickness.")
    part = None if lost else common_part(profiles, placed)
    if part is not None and part[1] <= part[0]:
        part = None
    rows = []
    for (visit, _, measures), profile, where in zip(shown, profiles, placed, strict=True):
        for muscle, measure in measures.items():
            everywhere = [m.get(muscle) for _, _, m in shown]
            whole = all(one is not None and one.coverage == "whole" for one in everywhere)
            common = None
            if part is not None:
                ends = (part[0] - where.shift_mm, part[1] - where.shift_mm)
                common = profile.volume_ml(muscle, ends)
            compared = "whole muscle" if whole else "common part" if common else ""
            rows.append(
                MuscleVisit(
                    visit,
                    measure,
                    where,
                    common,
                    compared,
                    measure.volume_ml if whole else common or None,
                )
            )
    return rows


def _profile(measures: Iterable[Measure], of: Measurement) -> LegProfile:
    areas = {m.muscle: m.csa_mm2 for m in measures}
    there = np.flatnonzero(np.sum([np.asarray(area) for area in areas.values()], axis=0))
    return LegProfile(areas, of.spacing[0], (int(there[0]), int(there[-1])))


Key = tuple[str, str, str]


def _legs_over_time(rows: Sequence[MuscleVisit]) -> list[list[MuscleVisit]]:
    found: dict[Key, list[MuscleVisit]] = {}
    for row in rows:
        key = (row.visit.subject, row.measure.muscle, row.measure.side)
        found.setdefault(key, []).append(row)
    return list(found.values())


def _groups(rows: Sequence[MuscleVisit]) -> dict[tuple[str, str, str, int], list[MuscleVisit]]:
    """Return the scans of one visit together."""
    found: dict[tuple[str, str, str, int], list[MuscleVisit]] = {}
    for row in rows:
        key = (row.visit.subject, row.measure.muscle, row.measure.side, row.visit.number)
        found.setdefault(key, []).append(row)
    return found


def _compared(rows: Sequence[MuscleVisit]) -> list[float]:
    return [row.compared_ml for row in rows if row.compared_ml]


def _with_change(rows: list[MuscleVisit], errors: Mapping[str, VolumeError]) -> list[MuscleVisit]:
    """Add the changes of one muscle's scans, which are sorted by time."""
    by_number = {group[0].visit.number: _compared(group) for group in _groups(rows).values()}
    first = min(by_number)
    before = dict(zip(sorted(by_number)[1:], sorted(by_number), strict=False))
    error = errors.get(rows[0].measure.muscle)
    found = []
    for row in rows:
        number, volume = row.visit.number, row.compared_ml
        if number == first or not volume or not by_number[first]:
            found.append(row)
            continue
        start, last = by_number[first], by_number[before[number]]
        mean, previous = float(np.mean(start)), float(np.mean(last)) if last else None
        found.append(
            replace(
                row,
                change_ml=volume - mean,
                change_percent=100.0 * (volume / mean - 1.0),
                half_width_percent=_half_width(error, len(start), 1),
                step_ml=None if previous is None else volume - previous,
                step_percent=None if previous is None else 100.0 * (volume / previous - 1.0),
            )
        )
    return found


def _half_width(error: VolumeError | None, first: int, last: int) -> float | None:
    """Half the 95 % interval of a difference between means of so many scans, in per cent."""
    if error is None:
        return None
    return float(error.change_percent * ((1.0 / first + 1.0 / last) / 2.0) ** 0.5)


def _change(rows: Sequence[MuscleVisit], errors: Mapping[str, VolumeError]) -> Change | None:
    groups = {g[0].visit.number: g for g in _groups(rows).values() if _compared(g)}
    if len(groups) < 2:
        return None
    first, last = groups[min(groups)], groups[max(groups)]
    start, end = _compared(first), _compared(last)
    months = (first[0].visit.month, last[0].visit.month)
    error = errors.get(first[0].measure.muscle)
    half = _half_width(error, len(start), len(end))
    first_ml, last_ml = float(np.mean(start)), float(np.mean(end))
    percent = 100.0 * (last_ml / first_ml - 1.0)
    repeats = error is not None and error.source == "repeated scans"
    return Change(
        subject=first[0].visit.subject,
        muscle=first[0].measure.muscle,
        side=first[0].measure.side,
        months=None if None in months else (months[1] or 0.0) - (months[0] or 0.0),
        first_ml=first_ml,
        last_ml=last_ml,
        half_width_percent=half,
        compared=first[0].compared,
        detected=abs(percent) > half if repeats and half is not None else None,
    )


def _group(changes: Sequence[Change]) -> list[GroupChange]:
    found = []
    for muscle, side in dict.fromkeys((c.muscle, c.side) for c in changes):
        values = {c.subject: [c.percent] for c in changes if (c.muscle, c.side) == (muscle, side)}
        if len(values) < 2:
            (only,) = values.values()
            found.append(GroupChange(muscle, side, 1, only[0], None, None))
            continue
        mean = mean_over_subjects(values)
        found.append(GroupChange(muscle, side, mean.n, mean.mean, *mean.t))
    return found
