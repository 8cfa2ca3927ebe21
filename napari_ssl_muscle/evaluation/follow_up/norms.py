"""A normative table that the user supplies, and how far a subject lies from it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.follow_up.visits import Person
from napari_ssl_muscle.scans.muscles import standard_name
from napari_ssl_muscle.scans.muscles.table_files import read_text

COLUMNS = ("muscle", "sex", "age", "mean_ml", "sd_ml")


@dataclass(frozen=True)
class Norm:
    """A muscle's volume in healthy people of one sex and age band, per leg."""

    muscle: str
    sex: str
    ages: tuple[float, float]
    mean_ml: float
    sd_ml: float


@dataclass(frozen=True)
class Norms:
    """A normative table."""

    path: Path
    rows: Sequence[Norm]

    def require(self, muscles: Iterable[str]) -> None:
        """Refuse muscles that the table lacks.

        Raises
        ------
        BadInput
            Naming them.
        """
        missing = sorted(set(muscles) - {row.muscle for row in self.rows})
        if missing:
            raise BadInput(
                f"{self.path} has no norm for {', '.join(missing)}; add a line for each sex and "
                "age band, or leave --norms away."
            )

    def z(self, muscle: str, person: Person, volume_ml: float) -> float | None:
        """Return (volume − mean) / SD; None where sex or age is not known, or no band holds it."""
        if person.sex is None or person.age is None:
            return None
        for row in self.rows:
            fits = row.ages[0] <= person.age < row.ages[1] + 1
            if row.muscle == muscle and row.sex == _sex(person.sex) and fits:
                return (volume_ml - row.mean_ml) / row.sd_ml
        return None


def read_norms(path: Path) -> Norms:
    """Read a normative table: a CSV with the columns `COLUMNS`; an age is a band such as 20-29.

    Raises
    ------
    BadInput
        If it cannot be read, lacks a column, or a line makes no sense.
    """
    try:
        lines = csv.DictReader(read_text(path).splitlines())
        rows = [{k.strip().lower(): (v or "").strip() for k, v in r.items() if k} for r in lines]
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror or error}); give a CSV with the columns "
            f"{', '.join(COLUMNS)}."
        ) from error
    if not rows or not set(COLUMNS) <= set(rows[0]):
        raise BadInput(
            f"{path} is no normative table: its first line must name the columns "
            f"{', '.join(COLUMNS)}."
        )
    return Norms(path, [_norm(row, number, path) for number, row in enumerate(rows, 2)])


def _norm(row: Mapping[str, str], number: int, path: Path) -> Norm:
    band = re.fullmatch(r"(\d+)\s*[-–]\s*(\d+)", row["age"])
    try:
        mean, sd = float(row["mean_ml"]), float(row["sd_ml"])
    except ValueError:
        mean, sd = 0.0, 0.0
    if band is None or sd <= 0 or not row["muscle"] or not row["sex"]:
        raise BadInput(
            f"Line {number} of {path} is no norm: it needs a muscle, a sex, an age band such as "
            "20-29, a mean and a standard deviation above 0, both in mL."
        )
    ages = (float(band[1]), float(band[2]))
    return Norm(standard_name(row["muscle"]), _sex(row["sex"]), ages, mean, sd)


def _sex(text: str) -> str:
    """Return "f" or "m" for what people write; anything else as it is."""
    word = text.strip().lower()
    return {"female": "f", "woman": "f", "w": "f", "male": "m", "man": "m"}.get(word, word)
