"""Whose scans they are: a table beside the cohort in which the user says so.

`subjects.tsv` has a line for each scan, with tabs between the columns `scan` (the case's name as
`ssl-muscle inspect` lists it, or the file's), `subject` and, if wanted, `session`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.layouts import Case
from napari_ssl_muscle.scans.muscles.table_files import read_text
from napari_ssl_muscle.scans.name_parts import likely_persons
from napari_ssl_muscle.scans.naming import SUBJECTS_TABLE, stem_of

_SHOWN = 4


@dataclass(frozen=True)
class Told:
    """Subject and session of a scan, as the table has them; session None if it says none."""

    subject: str
    session: str | None


def read_subjects(folder: Path) -> dict[str, Told]:
    """Read the table beside a cohort: scan → whose it is; empty without a table.

    Raises
    ------
    BadInput
        If it cannot be read, lacks a column, or says two things of one scan.
    """
    path = folder / SUBJECTS_TABLE
    if not path.is_file():
        return {}
    try:
        text = read_text(path)
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror or error}); change its permissions."
        ) from error
    rows = csv.DictReader(text.splitlines(), delimiter="\t")
    if not {"scan", "subject"} <= set(rows.fieldnames or ()):
        raise BadInput(
            f"{path} is no table of subjects: its first line must name the columns scan, subject "
            "and, if wanted, session, with tabs between them."
        )
    found: dict[str, Told] = {}
    for number, row in enumerate(rows, start=2):
        scan, subject = (row["scan"] or "").strip(), (row["subject"] or "").strip()
        session = (row.get("session") or "").strip()
        if not scan or not subject:
            raise BadInput(f"Line {number} of {path} names no scan or no subject; write both.")
        told = Told(subject, None if session in ("", "n/a") else session)
        if found.setdefault(scan, told) != told:
            raise BadInput(f"{path} says two things of {scan}; correct line {number}.")
    return found


def tell_subjects(
    cases: Iterable[Case], told: Mapping[str, Told], folder: Path
) -> tuple[list[Case], list[str]]:
    """Give cases the subjects that a table names; sentences say which lines name no scan."""
    used: set[str] = set()
    changed = []
    for case in cases:
        files = [path for path in (*case.images.values(), case.labels) if path is not None]
        names = [case.name, *(f.name for f in files), *(stem_of(f) for f in files)]
        name = next((name for name in names if name in told), None)
        if name is None:
            changed.append(case)
            continue
        used.update(name for name in names if name in told)
        whose = told[name]
        changed.append(
            replace(
                case,
                subject=whose.subject,
                session=whose.session or case.session,
                subject_known=True,
            )
        )
    unknown = [name for name in told if name not in used]
    if not unknown:
        return changed, []
    return changed, [
        f"{folder / SUBJECTS_TABLE} names {', '.join(unknown)}, and there is no such scan."
    ]


def guessed_persons(cases: Iterable[Case]) -> dict[str, tuple[str, ...]]:
    """Return person → subjects, where names of several subjects look like those of one person."""
    return likely_persons(case.subject for case in cases if not case.subject_known)


def one_person(groups: Iterable[Sequence[str]], folder: Path) -> list[str]:
    """Say which subjects look like one person, and how to tell the program; none for no group."""
    said = [" and ".join(names) for names in groups]
    if not said:
        return []
    shown = "; ".join(said[:_SHOWN]) + (f"; {len(said) - _SHOWN} more" if said[_SHOWN:] else "")
    each = " each" if len(said) > 1 else ""
    return [
        f"By their names these look like scans of one person{each}: {shown}. They are kept in one "
        f"set of a split; say whose they are in {folder / SUBJECTS_TABLE} (columns scan, subject, "
        "session) to be sure."
    ]
