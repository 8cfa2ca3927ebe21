"""Measured against true figures: bias and limits of agreement (Bland & Altman 1986)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.follow_up.error import NORMAL_95
from napari_ssl_muscle.evaluation.follow_up.follow import FollowUp
from napari_ssl_muscle.scans.muscles import standard_name
from napari_ssl_muscle.scans.muscles.table_files import read_text

KEYS = ("participant_id", "session_id", "muscle", "side")
VOLUME, FAT, FACTOR = "volume_ml", "fat_percent", "intended_factor"


@dataclass(frozen=True)
class Agreement:
    """How far measured figures lie from true ones.

    Attributes
    ----------
    figure, unit
        What is compared.
    true, measured
        Values, pair by pair.
    """

    figure: str
    unit: str
    true: Sequence[float]
    measured: Sequence[float]

    @property
    def differences(self) -> Sequence[float]:
        """Measured less true."""
        return [m - t for m, t in zip(self.measured, self.true, strict=True)]

    @property
    def bias(self) -> float:
        """Mean difference."""
        return float(np.mean(self.differences))

    @property
    def limits(self) -> tuple[float, float]:
        """Limits of agreement: bias ± 1.96 SD of the differences."""
        spread = NORMAL_95 * float(np.std(self.differences, ddof=1))
        return self.bias - spread, self.bias + spread


def read_reference(path: Path) -> dict[tuple[str, str, str, str], dict[str, float]]:
    """Read true figures: subject, session, muscle, side → figures.

    The table that a phantom cohort comes with (`derivatives/labels/true_volumes.tsv`), or one of
    one's own with the columns `KEYS` and at least one of volume_ml and fat_percent.

    Raises
    ------
    BadInput
        If it cannot be read or is no such table.
    """
    wanted = f"the columns {', '.join(KEYS)} and {VOLUME} or {FAT}, with tabs between them"
    try:
        rows = list(csv.DictReader(read_text(path).splitlines(), delimiter="\t"))
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror or error}); give a table with {wanted}."
        ) from error
    if not rows or not set(KEYS) <= set(rows[0]) or not {VOLUME, FAT} & set(rows[0]):
        raise BadInput(f"{path} is no table of true figures: it needs {wanted}.")
    found = {}
    for row in rows:
        figures = {
            name: float(row[name])
            for name in (VOLUME, FAT, FACTOR)
            if row.get(name) not in (None, "", "n/a")
        }
        key = (row[KEYS[0]], row[KEYS[1]], standard_name(row["muscle"]), row["side"])
        found[key] = figures
    return found


def agreements(
    found: FollowUp, reference: dict[tuple[str, str, str, str], dict[str, float]]
) -> list[Agreement]:
    """Compare volumes, fat fractions and changes with true ones, where at least two are known.

    The true change is that of the intended factor where the table has one (what the muscle as a
    whole did, wherever the scan lies), else that of the true volumes.
    """
    pairs: dict[tuple[str, str], list[tuple[float, float]]] = {}
    start: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in found.rows:
        visit, measure = row.visit, row.measure
        leg = (measure.muscle, measure.side)
        true = reference.get((visit.subject, visit.session, *leg))
        if true is None:
            continue
        first = start.setdefault((visit.subject, *leg), true)
        if VOLUME in true:
            pairs.setdefault(("Volume", "mL"), []).append((true[VOLUME], measure.volume_ml))
        if FAT in true and measure.fat_percent is not None:
            entry = (true[FAT], measure.fat_percent)
            pairs.setdefault(("Fat fraction", "%"), []).append(entry)
        by = FACTOR if FACTOR in true else VOLUME
        if row.change_percent is not None and first.get(by) and by in true:
            entry = (100.0 * (true[by] / first[by] - 1.0), row.change_percent)
            pairs.setdefault(("Change since the first visit", "%"), []).append(entry)
    if not pairs:
        raise BadInput(
            "The table of true figures names none of the subjects, sessions and muscles that were "
            "measured; check its columns participant_id and session_id."
        )
    return [
        Agreement(figure, unit, [t for t, _ in values], [m for _, m in values])
        for (figure, unit), values in pairs.items()
        if len(values) > 1
    ]
