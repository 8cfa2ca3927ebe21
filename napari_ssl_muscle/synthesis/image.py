"""A label map in, a synthetic image with its labels out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_ssl_muscle.scans.muscles import MuscleTable, split_side
from napari_ssl_muscle.synthesis.acquisition import (
    acquire,
    average_over_slice,
    draw_protocol,
    shift_fat,
)
from napari_ssl_muscle.synthesis.anatomy import derive
from napari_ssl_muscle.synthesis.contrast import combine, draw_palette
from napari_ssl_muscle.synthesis.pose import place
from napari_ssl_muscle.synthesis.settings import Labels, SynthesisSettings, SyntheticImage
from napari_ssl_muscle.synthesis.tissues import draw_composition, render

VASTI = ("vastus lateralis", "vastus intermedius", "vastus medialis")
"""The muscles around the femur."""

BEHIND = ("biceps femoris", "biceps femoris long head", "semitendinosus", "semimembranosus")
"""The muscles behind it. Maps without any of them give a poorer outline."""


def synthesise(
    labels: Labels,
    spacing: tuple[float, float, float],
    table: MuscleTable,
    settings: SynthesisSettings,
    random: np.random.Generator,
) -> SyntheticImage:
    """Draw an image from a label map.

    Parameters
    ----------
    labels
        Class indices of `table` (z, y, x) in the canonical view.
    spacing
        (dz, dy, dx) in mm.
    table
        Names of the muscles, by which femur, vessels and nerve find their place.
    random
        Decides everything that `settings` does not.

    Raises
    ------
    BadInput
        If nothing is labelled.
    """
    landmarks = {split_side(name)[0]: number for number, name in enumerate(table.names, 1)}
    vasti = _numbers(table, VASTI)
    behind = bool(_numbers(table, BEHIND))
    placement = place(labels, spacing, settings.legs, random)
    dz, pixel, _ = placement.spacing
    palette = draw_palette(settings.contrast, random)
    person = draw_composition(tuple(range(1, len(table.muscles) + 1)), random)
    protocol = draw_protocol(dz, random)
    water, fat, cover = (np.zeros(placement.shape, np.float32) for _ in range(3))
    drawn_labels = np.zeros(placement.shape, np.uint8)
    for leg in placement.legs:
        anatomy = derive(leg, placement, vasti, random, behind=behind)
        parts = render(anatomy, person, palette, landmarks, (dz, pixel), placement.levels, random)
        thick = [average_over_slice(p, anatomy.drift, protocol.thickness, pixel) for p in parts]
        box = (slice(None), *leg.box)
        mine = thick[2] > cover[box]  # where two legs touch, each pixel is of the one it shows more
        for whole, part in zip((water, fat, cover), thick, strict=True):
            whole[box] = np.where(mine, part, whole[box])
        drawn_labels[box] = np.where(leg.labels > 0, leg.labels, drawn_labels[box])
    shown = combine(water, shift_fat(fat, protocol), settings.contrast, palette.rest)
    image = acquire(shown, cover, protocol, random)
    return SyntheticImage(image, drawn_labels, placement.spacing)


def _numbers(table: MuscleTable, names: Sequence[str]) -> tuple[int, ...]:
    return tuple(
        number for number, name in enumerate(table.names, 1) if split_side(name)[0] in names
    )
