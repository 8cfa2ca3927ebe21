"""What trainings and comparisons take from a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_ssl_muscle.scans.volume import Scan
from napari_ssl_muscle.study.study import Study


@dataclass(frozen=True, eq=False)
class StudyCase:
    """What a training takes from a study for one scan.

    Attributes
    ----------
    name, subject, channel
        As in `StudyScan`.
    scan
        Open, and checked to be the one that was labelled.
    labels
        Label map of the accepted slices.
    accepted, accepted_empty
        Slices accepted now; the second are those of them without muscle.
    held_out
        Slices that never train, accepted now or not.
    """

    name: str
    subject: str
    channel: str | None
    scan: Scan
    labels: Path
    accepted: frozenset[int]
    accepted_empty: frozenset[int]
    held_out: frozenset[int]


def training_cases(study: Study) -> list[StudyCase]:
    """Return every scan of a study with an accepted, saved slice.

    Raises
    ------
    BadInput
        If such a scan has gone or changed.
    """
    return [
        StudyCase(
            case,
            scan.subject,
            scan.channel,
            study.open_scan(case),
            study.labels_path(case),
            study.accepted(case),
            study.accepted_empty(case),
            study.held_out(case),
        )
        for case, scan in study.scans.items()
        if study.accepted(case) and study.labels_path(case).is_file()
    ]
