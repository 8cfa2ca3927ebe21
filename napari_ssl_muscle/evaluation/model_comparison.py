"""Two models on exactly the same held-out slices, muscle by muscle."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.evaluation.alignment import common_muscles
from napari_ssl_muscle.evaluation.muscle_metrics import compare
from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.text_table import aligned, muscle_title, number

FEW = 3
"""Subjects under which a comparison says little about other people."""

FEWEST_SLICES = 4
"""Held-out slices from which the figures may name the better model."""

UNCHANGED = 0.99
"""Mean Dice from which the old model's labels were accepted nearly as they were."""

NOT_ENOUGH = "not enough held-out slices to compare"


def not_enough(count: int) -> str:
    """Say how many held-out slices there are, and how many it takes to compare models."""
    there = {0: "there is none", 1: "there is 1"}.get(count, f"there are {count}")
    return f"{NOT_ENOUGH}: {there}, and {FEWEST_SLICES} are needed."


@dataclass(frozen=True, eq=False)
class Predicted:
    """A model's labels ``(z, y, x)`` of a scan, and what the values mean."""

    labels: npt.NDArray[np.integer]
    table: MuscleTable


@dataclass(frozen=True, eq=False)
class HeldOutScan:
    """One scan with held-out slices.

    Attributes
    ----------
    name, subject
        Of the scan.
    reference
        Accepted label values ``(z, y, x)``.
    table
        What the reference's values mean.
    slices
        The canonical z to compare on; every other slice is left out.
    spacing
        ``(dz, dy, dx)`` in mm.
    old, new
        The two models' labels of this scan.
    """

    name: str
    subject: str
    reference: npt.NDArray[np.integer]
    table: MuscleTable
    slices: frozenset[int]
    spacing: tuple[float, float, float]
    old: Predicted
    new: Predicted


@dataclass(frozen=True)
class ModelComparison:
    """Dice of two models on the same slices.

    Attributes
    ----------
    muscles
        Muscle → Dice of the old and the new model; None where a muscle is absent in both labels.
    slices
        Scan → the slices compared.
    notes
        Sentences that belong to the figures.
    """

    muscles: dict[str, tuple[float | None, float | None]]
    slices: dict[str, tuple[int, ...]]
    notes: tuple[str, ...]

    @property
    def means(self) -> tuple[float | None, float | None]:
        """Mean Dice of each model over the muscles that count for both."""
        old = [a for a, b in self.muscles.values() if a is not None and b is not None]
        new = [b for a, b in self.muscles.values() if a is not None and b is not None]
        return (statistics.fmean(old), statistics.fmean(new)) if old else (None, None)

    @property
    def count(self) -> int:
        """How many slices were compared."""
        return sum(map(len, self.slices.values()))

    @property
    def enough(self) -> bool:
        """Whether so many slices were compared that one model may be called better."""
        return self.count >= FEWEST_SLICES

    @property
    def better(self) -> str | None:
        """Which model has the larger mean: "old", "new"; None if neither, or too few slices."""
        old, new = self.means
        if not self.enough or old is None or new is None or old == new:
            return None
        return "new" if new > old else "old"

    def to_text(self, old: str = "old", new: str = "new") -> str:
        """Return the table for the screen, with the models' names as headings."""
        rows = [["Dice", old, new, "difference"]]
        for name, values in [*self.muscles.items(), ("mean", self.means)]:
            before, after = values
            known = before is not None and after is not None
            change = f"{after - before:+.3f}" if known else "–"  # type: ignore[operator]
            rows.append([muscle_title(name, ""), number(before, 3), number(after, 3), change])
        return "\n".join([aligned(rows), "", *self.notes])


def compare_models(scans: Sequence[HeldOutScan]) -> ModelComparison | None:
    """Compare two models on held-out slices.

    A scan's Dice of a muscle sums over all its held-out slices. Scans are averaged within a
    subject, and subjects with equal weight. A muscle that neither label map has counts nowhere; a
    missed or invented one counts 0. Muscles that the reference or one model does not know are
    left out, and named.

    Returns
    -------
    ModelComparison or None
        None if there is no held-out slice: not enough to compare.

    Raises
    ------
    BadInput
        If a model and the reference have no muscle in common.
    """
    scans = [scan for scan in scans if scan.slices]
    if not scans:
        return None
    found: tuple[dict[str, dict[str, list[float]]], ...] = ({}, {})
    seen: list[list[str]] = [[], []]
    for scan in scans:
        compared = np.isin(np.arange(len(scan.reference)), list(scan.slices))
        for model, predicted in enumerate((scan.old, scan.new)):
            common = common_muscles(predicted.table, scan.table)
            seen[model] += [name for name in common.table.names if name not in seen[model]]
            for result in compare(
                common.prediction(predicted.labels),
                common.reference(scan.reference),
                common.table,
                scan.spacing,
                compared,
            ):
                if result.dice is not None:
                    subjects = found[model].setdefault(result.muscle, {})
                    subjects.setdefault(scan.subject, []).append(result.dice)
    names = [name for name in seen[1] if name in seen[0]]
    notes = [
        f"Only the {which} model knows, so not compared: {', '.join(only)}."
        for which, here, there in (("old", 0, 1), ("new", 1, 0))
        if (only := [name for name in seen[here] if name not in seen[there]])
    ]
    slices = {scan.name: tuple(sorted(scan.slices)) for scan in scans}
    count = sum(map(len, slices.values()))
    people = len({scan.subject for scan in scans})
    text = f"Compared on {count} held-out {'slice' if count == 1 else 'slices'} of {people} "
    text += f"{'subject' if people == 1 else 'subjects'}, on which this study never trains"
    few = "; so few subjects say little about others" if people < FEW else ""
    notes.insert(0, f"{text}{few}.")
    if count < FEWEST_SLICES:
        notes.insert(0, f"There are {not_enough(count)} So the figures say little.")
    muscles = {name: (_mean(found[0].get(name)), _mean(found[1].get(name))) for name in names}
    outcome = ModelComparison(muscles, slices, tuple(notes))
    old = outcome.means[0]
    if old is not None and old >= UNCHANGED:
        text = "These slices were accepted nearly as the old model labelled them, which favours it."
        outcome = replace(outcome, notes=(*notes, text))
    return outcome


def _mean(subjects: dict[str, list[float]] | None) -> float | None:
    if not subjects:
        return None
    return statistics.fmean(statistics.fmean(values) for values in subjects.values())
