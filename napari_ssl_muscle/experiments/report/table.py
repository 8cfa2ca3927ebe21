"""A table of the report: numbers for its CSV, and text for the page."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from napari_ssl_muscle.files import csv_text


@dataclass(frozen=True)
class Table:
    """Rows under headings.

    Attributes
    ----------
    name
        Of its CSV, without the suffix.
    caption
        What it shows.
    columns
        Name in `rows` (and in the CSV) → heading on the page.
    rows
        A value for each column: text, a number, or None for "–".
    note
        A sentence below it.
    marked
        Indices of rows that stand out: what was chosen.
    csv_columns
        Names of the columns of the CSV where they are others than those of the page.
    digits
        Of numbers with a fraction.
    folded
        Shown only when asked for, because it is long.
    """

    name: str
    caption: str
    columns: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]
    note: str = ""
    marked: frozenset[int] = frozenset()
    csv_columns: Sequence[str] = ()
    digits: int = 3
    folded: bool = False

    @property
    def csv(self) -> str:
        """The table as CSV, with all digits."""
        return csv_text(list(self.csv_columns or self.columns), self.rows)

    @property
    def csv_uri(self) -> str:
        """The CSV as a data URI, so that a page that was sent alone still has it."""
        return "data:text/csv;base64," + base64.b64encode(self.csv.encode()).decode("ascii")

    @cached_property
    def cells(self) -> list[list[str]]:
        """The rows as text."""
        return [[self._text(row[name]) for name in self.columns] for row in self.rows]

    @cached_property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers, which are set to the right."""
        return [not any(isinstance(row[name], str) for row in self.rows) for name in self.columns]

    def _text(self, value: Any) -> str:
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return "–"
        if isinstance(value, float):
            return f"{value:.{self.digits}f}".replace("-", "−")
        if isinstance(value, int):
            return f"{value:,}"
        return str(value)
