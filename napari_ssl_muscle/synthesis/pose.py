"""The legs of a label map, placed in a new field of view: turned, scaled, bent, mirrored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.sides import sides
from napari_ssl_muscle.phantom.random_fields import smooth_field
from napari_ssl_muscle.synthesis.settings import Floats, Labels, Legs

SHOWN = 0.1
"""Slices with less than this share of the labelled area of the fullest slice are left out: too
little muscle is labelled there to say where the thigh's outline runs."""

MOST_SLICES = 16
"""In an image. A map with more slices gives every n-th, or a part of its length."""

PIXEL_MM = (1.2, 1.8)
"""Range of the in-plane pixel: a little finer than the images that networks are trained on here."""

FAT_MM = (3.0, 40.0)
"""Range of the mean thickness of subcutaneous fat. Its logarithm is even over the range, as thin
layers are more frequent."""


@dataclass(frozen=True, eq=False)
class PlacedLeg:
    """One leg on the grid of the image.

    Attributes
    ----------
    labels
        (z, y, x) within `box`.
    box
        Rows and columns of the image; they hold the leg with its fat, as far as it is in view.
    lateral
        1 where x grows away from the body's midline, else −1.
    midline
        Column within the box, in pixels, beyond which lies the other leg; None for a single leg.
    """

    labels: Labels
    box: tuple[slice, slice]
    lateral: int
    midline: float | None


@dataclass(frozen=True, eq=False)
class Placement:
    """The legs of an image and its grid.

    Attributes
    ----------
    legs
        One or two.
    shape
        (z, y, x) of the image.
    spacing
        (dz, dy, dx) in mm.
    levels
        (z,): place of every slice along the labelled part of the thigh; 0 distal, 1 proximal.
    fat_mm
        Mean thickness of the subcutaneous fat.
    """

    legs: tuple[PlacedLeg, ...]
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    levels: Floats
    fat_mm: float


def place(
    labels: Labels, spacing: tuple[float, float, float], legs: Legs, random: np.random.Generator
) -> Placement:
    """Draw pose, pixel and field of view.

    Parameters
    ----------
    labels
        Class indices (z, y, x) in the canonical view, 0 where there is no muscle.
    spacing
        (dz, dy, dx) in mm.
    legs
        Which legs to show.

    Raises
    ------
    BadInput
        If nothing is labelled.
    """
    slices, step = _slices(labels, spacing[0], random)
    area = (labels > 0).sum(axis=(1, 2))
    labelled = np.flatnonzero(area >= SHOWN * area.max())
    levels = (slices - labelled[0]) / max(labelled[-1] - labelled[0], 1)
    cut = labels[slices]
    leg_of = sides(cut, spacing, True).index
    numbers = [number for number in (2, 1) if (leg_of == number).any()]  # in the order of x
    if len(numbers) == 2 and (legs == "one" or (legs == "any" and random.random() < 0.25)):
        numbers = [numbers[random.integers(2)]]
    mirrored = random.random() < 0.5
    fat_mm = float(np.exp(random.uniform(*np.log(FAT_MM))))
    pixel = float(random.uniform(*PIXEL_MM))
    size = random.uniform(0.92, 1.1) * random.uniform(0.95, 1.05, 2)
    apart = random.uniform(-4.0, 12.0)
    turn = random.uniform(-0.12, 0.12)

    extents = []
    for number in numbers:
        y, x = (np.flatnonzero((leg_of == number).any(axis=axes)) for axes in ((0, 2), (0, 1)))
        low = np.array([y[0], x[0]]) * spacing[1:]
        high = np.array([y[-1], x[-1]]) * spacing[1:]
        extents.append(((low + high) / 2, (high - low) / 2))
    middle = np.mean([centre for centre, _ in extents], axis=0)
    sign = -1.0 if mirrored else 1.0
    centres, halves = [], []
    for centre, half in extents:
        aside = centre - middle
        aside[1] = sign * (aside[1] + np.sign(aside[1]) * apart)
        centres.append(aside * size)
        halves.append(np.maximum(half, 0.9 * half.max()) * size + 1.6 * fat_mm + 8.0)
    rows, columns = _grid(np.array(centres), np.array(halves), pixel, random)

    inner = _midline(extents, centres, size, numbers)
    placed = []
    for place_, (number, centre, half) in enumerate(zip(numbers, centres, halves, strict=True)):
        lateral = (
            int(np.sign(centre[1])) if len(numbers) == 2 else (1 if random.random() < 0.5 else -1)
        )
        box_y, box_x = _within(rows, centre[0], half[0]), _within(columns, centre[1], half[1])
        y, x = rows[box_y] - centre[0], columns[box_x] - centre[1]
        angle = lateral * turn + random.uniform(-0.06, 0.06)
        bend = [
            random.uniform(0.0, 3.0)
            * smooth_field(random, (len(slices), y.size, x.size), (3, 5, 5))
            for _ in range(2)
        ]
        v = (np.cos(angle) * y[:, None] + np.sin(angle) * x[None, :]) / size[0]
        u = (np.cos(angle) * x[None, :] - np.sin(angle) * y[:, None]) / size[1]
        source_y = (v[None] + bend[0] + extents[place_][0][0]) / spacing[1]
        source_x = (sign * (u[None] + bend[1]) + extents[place_][0][1]) / spacing[2]
        taken = _nearest(np.where(leg_of == number, cut, 0), source_y, source_x)
        midline = None if inner is None else float((inner - columns[box_x][0]) / pixel)
        placed.append(PlacedLeg(taken, (box_y, box_x), lateral, midline))
    shape = (len(slices), rows.size, columns.size)
    return Placement(
        tuple(placed), shape, (step * spacing[0], pixel, pixel), levels.astype(np.float32), fat_mm
    )


def _slices(labels: Labels, dz: float, random: np.random.Generator) -> tuple[NDArray[np.intp], int]:
    """Choose slices that show enough muscle: all of a map with few, else every n-th or a part."""
    area = (labels > 0).sum(axis=(1, 2))
    if not area.any():
        raise BadInput("The label map has no labelled slice; label the muscles first.")
    shown = np.flatnonzero(area >= SHOWN * area.max())
    first, last = int(shown[0]), int(shown[-1])
    steps = [step for step in range(1, 9) if step == 1 or step * dz <= 26.0]
    step = int(random.choice(steps))
    chosen = np.arange(first + random.integers(step), last + 1, step)
    if chosen.size > MOST_SLICES:
        start = int(random.integers(chosen.size - MOST_SLICES + 1))
        chosen = chosen[start : start + MOST_SLICES]
    if not (labels[chosen] > 0).any():
        chosen, step = shown, 1
    return chosen, step


def _grid(
    centres: NDArray[np.float64],
    halves: NDArray[np.float64],
    pixel: float,
    random: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows and columns in mm: around the legs, tight or wide; a tight view cuts the fat."""
    axes = []
    for axis in (0, 1):
        low = (centres[:, axis] - halves[:, axis]).min()
        high = (centres[:, axis] + halves[:, axis]).max()
        tight = random.random() < 0.3
        room = random.uniform(-12.0, 4.0, 2) if tight else random.uniform(0.0, 50.0, 2)
        count = max(32, round((high - low + room.sum()) / pixel))
        axes.append(low - room[0] + pixel * np.arange(count))
    return axes[0], axes[1]


def _midline(
    extents: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
    centres: list[NDArray[np.float64]],
    size: NDArray[np.float64],
    numbers: list[int],
) -> float | None:
    """Place in mm along x half-way between the muscles of two legs."""
    if len(numbers) < 2:
        return None
    first, last = np.argsort([centre[1] for centre in centres])
    wide = [half[1] * size[1] for _, half in extents]
    return float((centres[first][1] + wide[first] + centres[last][1] - wide[last]) / 2)


def _within(axis: NDArray[np.float64], centre: float, half: float) -> slice:
    inside = np.flatnonzero(np.abs(axis - centre) <= half)
    return slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, 1)


def _nearest(labels: Labels, y: NDArray[np.floating], x: NDArray[np.floating]) -> Labels:
    """Look labels up at places (z, y, x) in voxels of the map; 0 beyond its edge."""
    row, column = np.rint(y).astype(np.intp), np.rint(x).astype(np.intp)
    inside = (row >= 0) & (row < labels.shape[1]) & (column >= 0) & (column < labels.shape[2])
    level = np.arange(len(labels))[:, None, None]
    found = labels[level, row.clip(0, labels.shape[1] - 1), column.clip(0, labels.shape[2] - 1)]
    return np.asarray(np.where(inside, found, 0), dtype=np.uint8)
