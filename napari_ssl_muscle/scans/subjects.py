"""What the user says of scans: a table beside the cohort, written by hand or by the window.

`subjects.tsv` has a line for each scan, with tabs between the columns. `scan` is the case's name as
`ssl-muscle inspect` lists it, the file's, or the file's path below the cohort; the others say what
its name and place do not, or say wrongly, and are empty or `n/a` where there is nothing to say.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import write_text
from napari_ssl_muscle.scans.layouts import Case
from napari_ssl_muscle.scans.muscles.table_files import read_text
from napari_ssl_muscle.scans.name_parts import SIDE_WORDS, likely_persons, side_and_station
from napari_ssl_muscle.scans.naming import SUBJECTS_TABLE, stem_of

_SHOWN = 4
_NOTHING = ("", "n/a")


@dataclass(frozen=True)
class Told:
    """What the table says of a scan; None where it says nothing.

    Attributes
    ----------
    subject, session
        Whose it is, and from which visit.
    channel
        Which kind of image it is: water, fat, T1w, ….
    side
        The leg that it shows: left, right or both.
    station
        The part of the body that it shows: thigh, calf, ….
    """

    subject: str | None = None
    session: str | None = None
    channel: str | None = None
    side: str | None = None
    station: str | None = None

    def over(self, other: Told) -> Told:
        """Return what this says, and where it says nothing what the other does."""
        return Told(*(getattr(self, name) or getattr(other, name) for name in TOLD))


TOLD = tuple(field.name for field in fields(Told))
"""What can be told of a scan: columns of the table beside `scan`."""


def read_subjects(folder: Path) -> dict[str, Told]:
    """Read the table beside a cohort: scan → what it says; empty without a table.

    Raises
    ------
    BadInput
        If it cannot be read, lacks a column, or says two things of one scan.
    """
    path = folder / SUBJECTS_TABLE
    found: dict[str, Told] = {}
    for number, row in enumerate(_read_rows(path)[1], start=2):
        scan = (row["scan"] or "").strip()
        given = {name: (row.get(name) or "").strip() for name in TOLD}
        told = Told(**{name: value for name, value in given.items() if value not in _NOTHING})
        if not scan or told == Told():
            raise BadInput(
                f"Line {number} of {path} names no scan or no subject; write both, or what else "
                "is to be said of the scan."
            )
        if told.side is not None:
            told = replace(told, side=_side(told.side, path, number))
        if found.setdefault(scan, told) != told:
            raise BadInput(f"{path} says two things of {scan}; correct line {number}.")
    return found


def write_told(folder: Path, changes: Mapping[str, Told]) -> Path:
    """Write what is said of scans into the table beside a cohort; return its path.

    The other lines and columns stay as they are. What nothing is said of any more has no line.

    Parameters
    ----------
    changes
        Scan → all that is to be said of it.

    Raises
    ------
    BadInput
        If the table is there and cannot be used, or cannot be written.
    """
    read_subjects(folder)
    path = folder / SUBJECTS_TABLE
    columns, rows = _read_rows(path)
    columns = columns or ["scan", "subject", "session"]
    kept = [row for row in rows if (row["scan"] or "").strip() not in changes]
    for scan, told in changes.items():
        said = {name: value for name in TOLD if (value := getattr(told, name)) is not None}
        if said:
            before = next((row for row in rows if (row["scan"] or "").strip() == scan), {})
            own = {name: value for name, value in before.items() if name not in TOLD}
            kept.append({**own, "scan": scan, **said})
    columns += [name for name in TOLD if name not in columns and any(row.get(name) for row in kept)]
    lines = [columns, *([_cell(row.get(name)) for name in columns] for row in kept)]
    write_text(path, "".join("\t".join(line) + "\n" for line in lines))
    return path


def tell_subjects(
    cases: Iterable[Case], told: Mapping[str, Told], folder: Path
) -> tuple[list[Case], list[str]]:
    """Give cases what a table says of them.

    Images of one case that are said to be of different persons, visits, legs or stations become
    cases of their own; images of one person, visit, leg and station whose different channels are
    told become one.

    Returns
    -------
    The cases, and sentences about lines that name no scan, and channels that come twice.
    """
    used: set[str] = set()
    problems: list[str] = []
    changed: list[Case] = []
    joinable: list[bool] = []
    for given in cases:
        side, station = side_and_station(given.name)
        case = replace(given, side=given.side or side, station=given.station or station)
        of_case = _said((case.name, *_names(case.labels, folder)), told, used)
        said = {
            channel: _said(_names(path, folder), told, used).over(of_case)
            for channel, path in case.images.items()
        }
        if len(case.images) > 1:  # the name of a case is none of a single image
            own = {c: _said(_names(p, folder), told, used) for c, p in case.images.items()}
            said = {c: replace(one, channel=own[c].channel) for c, one in said.items()}
        for part in _apart(case, said, problems):
            changed.append(part)
            joinable.append(bool(part.images) and all(said[c].channel for c in said))
    unknown = [name for name in told if name not in used]
    if unknown:
        problems.append(
            f"{folder / SUBJECTS_TABLE} names {', '.join(unknown)}, and there is no such scan."
        )
    return _joined(changed, joinable), problems


def name_of_scan(path: Path, folder: Path, cases: Iterable[Case]) -> str:
    """Return what the table calls an image: its file's name, or its path if others have that."""
    same = sum(other.name == path.name for case in cases for other in case.images.values())
    return path.name if same < 2 else path.relative_to(folder).as_posix()


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


def _read_rows(path: Path) -> tuple[list[str], list[dict[str, str | None]]]:
    """Read columns and rows of the table; none where there is no file."""
    if not path.is_file():
        return [], []
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
            "and, if wanted, session, channel, side and station, with tabs between them."
        )
    columns = list(rows.fieldnames or ())
    return columns, [{name: row.get(name) for name in columns} for row in rows]


def _side(text: str, path: Path, number: int) -> str:
    side = SIDE_WORDS.get(text.lower())
    if side is None:
        raise BadInput(f"Line {number} of {path} has the side {text}; write left, right or both.")
    return side


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()) or "n/a"


def _names(path: Path | None, folder: Path) -> tuple[str, ...]:
    if path is None:
        return ()
    below = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
    return below, path.name, stem_of(path)


def _said(names: Iterable[str], told: Mapping[str, Told], used: set[str]) -> Told:
    found = Told()
    for name in names:
        if name in told:
            used.add(name)
            found = found.over(told[name])
    return found


def _apart(case: Case, said: Mapping[str, Told], problems: list[str]) -> list[Case]:
    """Apply what is said of a case's images; several cases if they are not of one."""

    def whose(channel: str) -> tuple[str, ...]:
        told = said[channel]
        return tuple(getattr(told, name) or "" for name in TOLD if name != "channel")

    groups = [list(group) for _, group in groupby(sorted(case.images, key=whose), whose)]
    found = []
    for channels in groups or [[]]:
        told = said[channels[0]] if channels else Told()
        names = {channel: said[channel].channel or channel for channel in case.images}
        for channel in [c for c in channels if names[c] != c]:
            if [names[other] for other in channels].count(names[channel]) > 1:
                problems.append(
                    f"Two images of {case.name} are said to be {names[channel]}; "
                    f"{case.images[channel].name} stays {channel}."
                )
                names[channel] = channel
        own = {channel: case.labels_for([channel]) for channel in channels}
        whole = len(groups) < 2
        found.append(
            replace(
                case,
                name=case.name if whole else f"{case.name}_{'_'.join(channels)}",
                subject=told.subject or case.subject,
                session=told.session or case.session,
                side=told.side or case.side,
                station=told.station or case.station,
                # In the order of the layout, which is not that of the groups.
                images={names[c]: path for c, path in case.images.items() if c in channels},
                labels=case.labels if whole else next(filter(None, own.values()), None),
                labels_by_channel=None
                if case.labels_by_channel is None
                else {names[c]: path for c, path in own.items() if path is not None},
                subject_known=case.subject_known or told.subject is not None,
            )
        )
    return found


def _joined(cases: Sequence[Case], joinable: Sequence[bool]) -> list[Case]:
    """Make one case of those whose channels are told, which are else the same, and which differ."""
    found: list[Case] = []
    places: dict[tuple[str | None, ...], int] = {}
    for case, may_join in zip(cases, joinable, strict=True):
        key = (case.subject, case.session, case.side, case.station)
        before = found[places[key]] if may_join and key in places else None
        if before is None or set(before.images) & set(case.images):
            if may_join:
                places.setdefault(key, len(found))
            found.append(case)
            continue
        by_channel = {
            channel: labels
            for one in (before, case)
            for channel in one.images
            if (labels := one.labels_for([channel])) is not None
        }
        found[places[key]] = replace(
            before,
            images={**before.images, **case.images},
            labels=before.labels or case.labels,
            labels_by_channel=by_channel,
        )
    return found
