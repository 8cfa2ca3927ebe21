"""In which order the sessions of a subject were scanned.

The order comes from a column of `subjects.tsv` beside the cohort: `date` (2024-01-31), `month` or
`order` (numbers); without one from the numbers in the sessions' names. Dates stay in that table:
what is given on are months since the subject's first session. Scans of one subject with the same
date, month or order are repeated scans of one visit. Nothing is read from headers of images.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.layouts import Case
from napari_ssl_muscle.scans.muscles.table_files import read_text
from napari_ssl_muscle.scans.naming import SUBJECTS_TABLE, stem_of

DAYS_A_MONTH = 365.25 / 12
ORDER_COLUMNS = ("date", "month", "order")
"""Columns that say when a scan was made; of several that are there, the first counts."""


@dataclass(frozen=True)
class Visit:
    """When a case was scanned.

    Attributes
    ----------
    case
        Name of the case.
    subject, session
        Whose it is; the session is "" where a subject has only one that has no name.
    number
        1 for the subject's first visit; repeated scans share a number.
    month
        Months since the subject's first visit; None where only the order is known.
    """

    case: str
    subject: str
    session: str
    number: int
    month: float | None


@dataclass(frozen=True)
class Person:
    """What the user's table says of a subject: for comparing with norms."""

    sex: str | None = None
    age: float | None = None


def read_columns(folder: Path) -> dict[str, dict[str, str]]:
    """Read `subjects.tsv` of a cohort: scan → its line; empty without a table.

    `scans.subjects.read_subjects` has checked the table before.
    """
    path = folder / SUBJECTS_TABLE
    if not path.is_file():
        return {}
    rows = csv.DictReader(read_text(path).splitlines(), delimiter="\t")
    found = {}
    for row in rows:
        line = {str(name).strip().lower(): (value or "").strip() for name, value in row.items()}
        found[line["scan"]] = {k: v for k, v in line.items() if v not in ("", "n/a")}
    return found


def order_visits(cases: Sequence[Case], folder: Path) -> list[Visit]:
    """Bring the sessions of each subject in order.

    Parameters
    ----------
    cases
        Of a cohort.
    folder
        Of the cohort, with `subjects.tsv` if there is one.

    Returns
    -------
    Sorted by subject, then by time.

    Raises
    ------
    BadInput
        If two cases claim one session, a subject has several sessions without an order, or a date,
        month or order cannot be read.
    """
    lines = read_columns(folder)
    column = next((name for name in ORDER_COLUMNS if any(name in li for li in lines.values())), "")
    by_subject: dict[str, list[Case]] = {}
    for case in cases:
        by_subject.setdefault(case.subject, []).append(case)
    visits = []
    for subject, own in sorted(by_subject.items()):
        _one_case_a_session(own)
        times = _from_table(own, lines, column, folder) if column else _from_names(own, folder)
        first = min(times.values())
        numbers = {time: k for k, time in enumerate(sorted(set(times.values())), 1)}
        per_month = {"date": DAYS_A_MONTH, "month": 1.0}.get(column)
        for case in sorted(own, key=lambda one: (times[one.name], one.session or "")):
            time = times[case.name]
            month = None if per_month is None else (time - first) / per_month
            visits.append(Visit(case.name, subject, case.session or "", numbers[time], month))
    return visits


def read_persons(cases: Sequence[Case], folder: Path) -> dict[str, Person]:
    """Return what `subjects.tsv` says of the subjects in its columns `sex` and `age`.

    Raises
    ------
    BadInput
        If an age is no number.
    """
    lines = read_columns(folder)
    persons: dict[str, Person] = {}
    for case in cases:
        line = _line_of(case, lines)
        age = line.get("age")
        if age is not None and not re.fullmatch(r"\d+(\.\d+)?", age):
            raise BadInput(
                f"{folder / SUBJECTS_TABLE} gives {case.name} the age {age!r}; write years."
            )
        persons.setdefault(
            case.subject, Person(line.get("sex"), None if age is None else float(age))
        )
    return persons


def _line_of(case: Case, lines: Mapping[str, dict[str, str]]) -> dict[str, str]:
    files = [path for path in (*case.images.values(), case.labels) if path is not None]
    names = [case.name, *(file.name for file in files), *(stem_of(file) for file in files)]
    return next((lines[name] for name in names if name in lines), {})


def _one_case_a_session(cases: Sequence[Case]) -> None:
    seen: dict[str | None, Case] = {}
    for case in cases:
        other = seen.setdefault(case.session, case)
        if other is not case:
            what = case.session or "its only session"
            raise BadInput(
                f"{other.name} and {case.name} both claim {what} of {case.subject}; give them "
                f"different sessions in {SUBJECTS_TABLE}, with the same order if one repeats the "
                "other."
            )


def _from_table(
    cases: Sequence[Case], lines: Mapping[str, dict[str, str]], column: str, folder: Path
) -> dict[str, float]:
    times = {}
    for case in cases:
        text = _line_of(case, lines).get(column)
        if text is None:
            if len(cases) == 1:
                return {case.name: 0.0}
            raise BadInput(
                f"{folder / SUBJECTS_TABLE} has a column {column} and no {column} for {case.name}; "
                "write one for every scan of its subject."
            )
        try:
            time = date.fromisoformat(text).toordinal() if column == "date" else float(text)
        except ValueError:
            wanted = "a date such as 2024-01-31" if column == "date" else "a number"
            raise BadInput(
                f"{folder / SUBJECTS_TABLE} gives {case.name} the {column} {text!r}; write "
                f"{wanted}."
            ) from None
        times[case.name] = float(time)
    return times


def _from_names(cases: Sequence[Case], folder: Path) -> dict[str, float]:
    """Order by the number in each session's name, where all have one and no two the same."""
    if len(cases) == 1:
        return {cases[0].name: 0.0}
    numbers = {}
    for case in cases:
        found = re.search(r"\d+", (case.session or "").removeprefix("ses-"))
        if found is not None:
            numbers[case.name] = float(found[0])
    if len(set(numbers.values())) < len(cases):
        sessions = ", ".join(case.session or "one without a name" for case in cases)
        raise BadInput(
            f"The sessions of {cases[0].subject} have no order ({sessions}); write a column order, "
            f"month or date into {folder / SUBJECTS_TABLE} (beside scan, subject and session)."
        )
    return numbers
