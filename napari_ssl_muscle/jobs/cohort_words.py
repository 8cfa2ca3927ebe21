"""What is in a cohort, in words: for `ssl-muscle inspect` and the window."""

from __future__ import annotations

from collections.abc import Sequence

from napari_ssl_muscle.scans.cohort import CaseReport, Cohort
from napari_ssl_muscle.text_table import aligned

_LAYOUTS = {"bids": "BIDS", "nnunet": "nnU-Net raw", "flat": "images side by side"}


def cohort_in_words(cohort: Cohort, reports: Sequence[CaseReport], width: int = 100) -> str:
    """Return what a cohort holds: a head, one line for each case, its muscles, its problems.

    Parameters
    ----------
    cohort
        The cohort.
    reports
        From `scans.cohort.inspect`.
    width
        Characters in a line.
    """
    head = [
        f"{cohort.folder} ({_LAYOUTS[cohort.layout]})",
        f"{_count(len(cohort.subjects), 'subject')}, {_count(len(cohort.cases), 'case')}, "
        f"{len(cohort.labelled)} labelled; channels: {', '.join(cohort.channels)}",
    ]
    if cohort.table is not None:
        muscles = ", ".join(f"{muscle.value} {muscle.name}" for muscle in cohort.table.muscles)
        head.append(f"Muscle table: {muscles}")
    rows = [["case", "subject", "voxels", "mm", "volumes", "labelled slices", "muscles"]]
    rows += [_row(report) for report in reports]
    problems = [*cohort.problems, *(text for report in reports for text in report.problems)]
    said = [f"- {text}" for text in dict.fromkeys(problems)]
    parts = ["\n".join(head), aligned(rows, width)]
    parts.append("\n".join(["Problems:", *said]) if said else "No problems were found.")
    return "\n\n".join(parts)


def _row(report: CaseReport) -> list[str]:
    return [
        report.case.name,
        report.case.subject,
        _times(report.shape, "d") if report.shape else "?",
        _times(report.spacing, ".3g") if report.spacing else "?",
        str(report.volumes),
        "none" if report.labelled_slices is None else str(report.labelled_slices),
        str(len(report.muscles)),
    ]


def _times(zyx: tuple[float, float, float], form: str) -> str:
    """Write ``(z, y, x)`` as people do: columns × rows × slices."""
    return " × ".join(format(value, form) for value in reversed(zyx))


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
