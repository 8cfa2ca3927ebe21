"""One figure of a benchmark, and how the scripts hand theirs to `run.py`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """A figure with its unit.

    Attributes
    ----------
    what
        What was measured, in words.
    value, unit
        The figure.
    aim
        What it should be: "≤ 10" or "" where there is no aim.
    """

    what: str
    value: float
    unit: str
    aim: str = ""


def print_figures(figures: list[Figure]) -> None:
    """Print the figures for `run.py`, as the last line of the script's output."""
    print(json.dumps([asdict(figure) for figure in figures], ensure_ascii=False))
