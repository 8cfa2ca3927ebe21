"""How bright each tissue is: its water and its fat signal, and what a scan makes of the two.

Signals are relative to the water of muscle. All contrasts but "random" are made of the same two
components (Dixon 1984, Radiology 153:189):

    water W, fat F, in-phase |W + F|, opposed-phase |W − F|, T1-weighted |W + F| with bright fat

with a little of the other component in the water and the fat image, as separation leaves it. In
the opposed-phase image pixels that hold both are dark, so that fat around muscle gets its black
outline by itself. "random" gives every tissue a brightness of its own (domain randomisation,
Billot et al. 2023, arXiv:2107.09559), in which nothing but shape says what is what.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ssl_muscle.synthesis.settings import Contrast, Floats

Signal = tuple[float, float]
"""Water and fat signal of a tissue."""


@dataclass(frozen=True)
class Palette:
    """Signals of the tissues in one scan, and how much of the other component each image keeps."""

    muscle: Signal
    fat: Signal
    marrow: Signal
    cortex: Signal
    skin: Signal
    fascia: Signal
    artery: Signal
    vein: Signal
    nerve: Signal
    rest: float = 0.0
    """Share of fat in the water image, or of water in the fat image."""


def draw_palette(contrast: Contrast, random: np.random.Generator) -> Palette:
    """Draw the signals of one scan.

    Spoiled gradient- and spin-echo T1 images of thighs show fat at 1.6 to 3 times the signal of
    muscle; water images of Dixon scans keep a rest of it of up to about 0.4, fat images of water
    up to about 0.25, more where T2* decays meanwhile.
    """
    if contrast == "random":
        levels = [(float(level), 0.0) for level in random.uniform(0.05, 1.5, 9)]
        muscle, fat, marrow, cortex, skin, fascia, artery, vein, nerve = levels
        return Palette(muscle, fat, marrow, cortex, skin, fascia, artery, vein, nerve)
    bright = {"t1": (1.6, 3.2), "water": (0.7, 1.3), "fat": (0.8, 1.2)}.get(contrast, (0.5, 1.5))
    fatty = float(random.uniform(*bright))
    rest = {"water": 0.45, "fat": 0.25}.get(contrast, 0.0) * random.beta(1.2, 1.6)
    wet = random.uniform(0.0, 0.12)  # water in fat tissue
    flow = random.uniform(0.0, 1.8, 2)  # blood is black in spin echoes, bright where it flows in
    return Palette(
        muscle=(1.0, 0.0),
        fat=(wet, fatty),
        marrow=(wet, fatty * random.uniform(0.75, 1.1)),
        cortex=(random.uniform(0.02, 0.12), 0.0),
        skin=(random.uniform(0.25, 0.9), random.uniform(0.0, 0.15)),
        fascia=(random.uniform(0.05, 0.45), 0.0),
        artery=(flow[0], 0.0),
        vein=(flow[1], 0.0),
        nerve=(random.uniform(0.5, 0.95), 0.15 * fatty),
        rest=float(rest),
    )


def combine(water: Floats, fat: Floats, contrast: Contrast, rest: float) -> Floats:
    """Magnitude that a scan of this contrast shows of the two components."""
    match contrast:
        case "water":
            shown = water + np.float32(rest) * fat
        case "fat":
            shown = fat + np.float32(rest) * water
        case "opposed-phase":
            shown = water - fat
        case _:
            shown = water + fat
    return np.asarray(np.abs(shown), np.float32)
