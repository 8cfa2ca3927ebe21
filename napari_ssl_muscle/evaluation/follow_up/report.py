"""Report of a follow-up: CSV, JSON and text for the screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from napari_ssl_muscle.evaluation.follow_up import tables
from napari_ssl_muscle.evaluation.follow_up.agreement import Agreement
from napari_ssl_muscle.evaluation.follow_up.follow import FollowUp
from napari_ssl_muscle.evaluation.provenance import versions
from napari_ssl_muscle.evaluation.report import Report
from napari_ssl_muscle.files import csv_text
from napari_ssl_muscle.text_table import aligned, counted, muscle_title, number


@dataclass(frozen=True, eq=False)
class FollowReport(Report):
    """A follow-up, and what it was compared with.

    Attributes
    ----------
    agreements
        Against true figures, where there are any.
    """

    FILES = ("follow_up.csv", "follow_up_wide.csv", "changes.csv", "follow_up.json")
    COLUMNS = tuple(tables.TIDY)

    found: FollowUp
    agreements: Sequence[Agreement] = ()
    more_notes: Sequence[str] = ()

    @property
    def sheets(self) -> tuple[tables.Sheet, ...]:
        """The tables: tidy, wide, changes."""
        return tables.tidy(self.found), tables.wide(self.found), tables.changes(self.found)

    def rows(self) -> list[dict[str, Any]]:
        """One row for each muscle, side and scan."""
        return [dict(row) for row in tables.tidy(self.found).rows]

    def tables(self) -> tuple[str, ...]:
        """All sheets as CSV."""
        return tuple(csv_text(list(sheet.columns), sheet.rows) for sheet in self.sheets)

    def content(self) -> dict[str, Any]:
        """Versions, errors, means over the subjects, agreement, notes, rows."""
        return {
            "versions": versions(),
            "errors": {
                muscle: {
                    **asdict(error),
                    "smallest_detectable_change_percent": error.change_percent
                    if error.source == "repeated scans"
                    else None,
                }
                for muscle, error in self.found.errors.items()
            },
            "group": [asdict(one) for one in self.found.group],
            "agreement": [
                {
                    "figure": one.figure,
                    "unit": one.unit,
                    "pairs": len(one.true),
                    "bias": one.bias,
                    "limits_of_agreement": list(one.limits),
                }
                for one in self.agreements
            ],
            "notes": self.sentences(),
            "rows": self.rows(),
        }

    def sentences(self) -> list[str]:
        """Return what belongs to the figures, each sentence once, with the scans that it is of."""
        said: dict[str, list[str]] = {}
        for found in self.found.measurements:
            for note in found.notes:
                said.setdefault(note, []).append(found.name)
        every = len(self.found.measurements)
        scans = [
            note if len(names) == every else f"{', '.join(names)}: {note}"
            for note, names in said.items()
        ]
        return [*self.more_notes, *self.found.notes, *_about_errors(self.found), *scans]

    def to_text(self, width: int = 100) -> str:
        """Return the changes of each subject, the means over subjects, and notes."""
        found = self.found
        subjects = len({visit.subject for visit in found.visits})
        parts = [f"{counted(subjects, 'subject')}, {counted(len(found.visits), 'scan')}"]
        if found.changes:
            rows = [["", "first mL", "last mL", "change mL", "change %", "95 % interval", ""]]
            for change in found.changes:
                low, high = tables.interval(change.percent, change.half_width_percent)
                rows.append(
                    [
                        f"{change.subject} {muscle_title(change.muscle, change.side)}",
                        number(change.first_ml, 1),
                        number(change.last_ml, 1),
                        f"{change.ml:+.1f}",
                        f"{change.percent:+.1f}",
                        "–" if low is None or high is None else f"{low:+.1f} to {high:+.1f}",
                        "*" if change.detected else "",
                    ]
                )
            parts.append("First against last visit\n" + aligned(rows, width))
        group = [one for one in found.group if one.low is not None and one.high is not None]
        if group:
            rows = [["mean over the subjects", "subjects", "change %", "95 % interval"]]
            rows += [
                [
                    muscle_title(one.muscle, one.side),
                    str(one.subjects),
                    f"{one.percent:+.1f}",
                    f"{one.low:+.1f} to {one.high:+.1f}",
                ]
                for one in group
            ]
            parts.append(aligned(rows, width))
        if self.agreements:
            rows = [["against the truth", "pairs", "bias", "limits of agreement"]]
            for one in self.agreements:
                low, high = one.limits
                rows.append(
                    [
                        f"{one.figure}, {one.unit}",
                        str(len(one.true)),
                        f"{one.bias:+.2f}",
                        f"{low:+.2f} to {high:+.2f}",
                    ]
                )
            parts.append(aligned(rows, width))
        parts.append("\n".join(self.sentences()))
        return "\n\n".join(part for part in parts if part) + "\n"


def _about_errors(found: FollowUp) -> list[str]:
    if not found.changes:
        return []
    repeats = [e for e in found.errors.values() if e.source == "repeated scans"]
    held_out = [e for e in found.errors.values() if e.source != "repeated scans"]
    sentences = []
    if repeats:
        sentences.append(
            "Smallest detectable change from repeated scans: "
            + ", ".join(f"{e.muscle} {e.change_percent:.1f} %" for e in repeats)
            + f" ({_degrees([e.degrees for e in repeats])}). Changes beyond it are marked."
        )
    if held_out:
        sentences.append(
            "Error of the segmentation on held-out slices (no detectable change: lying down again "
            "and another scan are not in it): "
            + ", ".join(f"{e.muscle} ± {e.change_percent:.1f} %" for e in held_out)
            + "."
        )
    if not found.errors:
        sentences.append(
            "No interval of a subject's change: there are no repeated scans (two scans of one "
            "visit) and no evaluation on held-out slices was given."
        )
    parts = {change.compared for change in found.changes}
    if "common part" in parts:
        sentences.append(
            "Muscles that a scan cuts are compared in the part of the leg that all scans of the "
            "subject show; the tables have its length."
        )
    return sentences


def _degrees(given: Sequence[int]) -> str:
    low, high = min(given), max(given)
    return f"{low if low == high else f'{low} to {high}'} degrees of freedom"
