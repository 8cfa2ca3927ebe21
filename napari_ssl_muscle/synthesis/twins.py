"""Label maps that are of one person: found by how well they overlap, whatever they are called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ssl_muscle.evaluation.dice import dice_per_class, mean_dice
from napari_ssl_muscle.evaluation.sides import sides
from napari_ssl_muscle.synthesis.settings import TWIN_DICE, Floats, Labels

_GRID, _PIXEL_MM = 54, 4.0
_STEP_MM, _FARTHEST_MM = 4.0, 60.0
_OVERLAP = 0.5
"""Share of the shorter map's slices that have to lie beside slices of the other."""


@dataclass(frozen=True, eq=False)
class Signature:
    """A map on a coarse grid, by which it is compared.

    Attributes
    ----------
    legs
        Class indices (z, y, x) of each leg, right one first where there are two; each slice is
        moved so that the middle of its muscles lies in the middle of the grid.
    heights
        (z,): mm along the leg.
    """

    legs: tuple[Labels, ...]
    heights: Floats


@dataclass(frozen=True)
class Twins:
    """Two maps, by their numbers in the list that was given, and their mean Dice when aligned."""

    first: int
    second: int
    dice: float


def signature(labels: Labels, spacing: tuple[float, float, float]) -> Signature:
    """Bring a map (z, y, x) of class indices to the coarse grid; spacing (dz, dy, dx) in mm."""
    shown = np.flatnonzero(labels.any(axis=(1, 2)))
    every = max(1, int(0.5 * _PIXEL_MM / spacing[1]))
    labels = labels[shown, ::every, ::every]
    spacing = (spacing[0], every * spacing[1], every * spacing[2])
    index = sides(labels, spacing, True).index
    legs = []
    offsets = (np.arange(_GRID) - (_GRID - 1) / 2) * _PIXEL_MM
    for number in (2, 1):
        if not (index == number).any():
            continue
        coarse = np.zeros((len(labels), _GRID, _GRID), np.uint8)
        for z in range(len(labels)):
            places = np.argwhere(index[z] == number)
            if not places.size:
                continue
            middle = places.mean(axis=0)
            rows, columns = (
                np.rint(middle[axis] + offsets / spacing[axis + 1]).astype(int) for axis in (0, 1)
            )
            inside = np.ix_(
                (rows >= 0) & (rows < labels.shape[1]), (columns >= 0) & (columns < labels.shape[2])
            )
            rows, columns = (
                rows.clip(0, labels.shape[1] - 1),
                columns.clip(0, labels.shape[2] - 1),
            )
            around = np.ix_(rows, columns)
            taken = np.where(index[z][around] == number, labels[z][around], 0)
            coarse[z][inside] = taken[inside]
        legs.append(coarse)
    return Signature(tuple(legs), (shown * spacing[0]).astype(np.float32))


def likeness(one: Signature, other: Signature, classes: Sequence[int]) -> float:
    """Mean Dice of the muscles of two maps, at the shift along the leg that makes it highest.

    Both legs are compared together, or the one leg of a map with each leg of the other.
    """
    if len(one.legs) == len(other.legs):
        pairs = [(np.stack(one.legs), np.stack(other.legs))]
    else:
        pairs = [(a[None], b[None]) for a in one.legs for b in other.legs]
    best = 0.0
    heights = other.heights - other.heights.mean() + one.heights.mean()
    for shift in np.arange(-_FARTHEST_MM, _FARTHEST_MM + 1, _STEP_MM):
        beside = _beside(one.heights, heights + shift)
        if beside is None:
            continue
        mine, theirs = beside
        for a, b in pairs:
            found = dice_per_class(
                a[:, mine].reshape(-1, _GRID, _GRID),
                b[:, theirs].reshape(-1, _GRID, _GRID),
                classes,
            )
            best = max(best, mean_dice(found) or 0.0)
    return best


def find_twins(
    maps: Sequence[Signature],
    classes: Sequence[int],
    *,
    among: Sequence[int] | None = None,
    dice: float = TWIN_DICE,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Twins]:
    """Find the pairs whose muscles overlap by more than `dice`, the likest ones first.

    Parameters
    ----------
    among
        Only pairs with one of these numbers; None for all pairs.
    progress
        Called before each pair with how many are done, and how many there are.
    """
    pairs = [
        (first, second)
        for first in range(len(maps))
        for second in range(first + 1, len(maps))
        if among is None or first in among or second in among
    ]
    found = []
    for done, (first, second) in enumerate(pairs):
        progress(done, len(pairs))
        likely = likeness(maps[first], maps[second], classes)
        if likely > dice:
            found.append(Twins(first, second, likely))
    return sorted(found, key=lambda pair: -pair.dice)


def people(count: int, twins: Sequence[Twins]) -> list[int]:
    """Return for each of `count` maps the lowest number of a map of the same person."""
    person = list(range(count))
    for pair in twins:
        one, other = person[pair.first], person[pair.second]
        person = [min(one, other) if number in (one, other) else number for number in person]
    return person


def _beside(one: Floats, other: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
    """Slices that lie beside each other: of the map with thicker slices each one, if any does."""
    if len(one) > len(other):
        swapped = _beside(other, one)
        return None if swapped is None else (swapped[1], swapped[0])
    away = np.abs(one[:, None] - other[None, :])
    nearest = away.argmin(axis=1)
    gap = float(np.median(np.diff(other))) if len(other) > 1 else _STEP_MM
    near = away.min(axis=1) <= max(gap / 2, _STEP_MM / 2) + 1e-3
    if near.sum() < _OVERLAP * len(one):
        return None
    return np.flatnonzero(near), nearest[near]
