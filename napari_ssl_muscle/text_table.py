"""Plain text for the screen: aligned tables, numbers, counts and sizes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def number(value: float | None, digits: int) -> str:
    """Return a number with so many digits after the point; "–" for None, "inf" if infinite."""
    if value is None:
        return "–"
    return f"{value:.{digits}f}" if math.isfinite(value) else "inf"


def counted(count: int, noun: str) -> str:
    """Return a number of things: "1 scan", "3 scans"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def times(lengths: Iterable[float], form: str = "") -> str:
    """Return lengths along axes, each in the format `form`: "256 × 256 × 64"."""
    return " × ".join(format(length, form) for length in lengths)


def muscle_title(muscle: str, side: str) -> str:
    """Return a muscle's name with its side, if there is one: "soleus, left"."""
    return f"{muscle}, {side}" if side else muscle


def aligned(rows: Sequence[Sequence[str]], width: int = 100) -> str:
    """Return rows as a table: first column to the left, the others to the right.

    Parameters
    ----------
    rows
        Cells; the first row is the heading. All rows have the same length.
    width
        Columns that do not fit into so many characters go into further tables below, each with
        the first column again.
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    blocks: list[list[int]] = [[]]
    used = widths[0]
    for i in range(1, len(widths)):
        if blocks[-1] and used + widths[i] + 2 > width:
            blocks.append([])
            used = widths[0]
        blocks[-1].append(i)
        used += widths[i] + 2
    return "\n\n".join(
        "\n".join(
            "  ".join([row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in block)]).rstrip()
            for row in rows
        )
        for block in blocks
    )
