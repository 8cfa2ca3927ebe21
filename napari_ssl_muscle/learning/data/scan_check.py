"""Whether a scan, and what a model made of it, are like those that the model learned from.

Thresholds were set on thighs of ten people (three Dixon scans of patients, seven others), without
looking at scans of calves and feet.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_ssl_muscle.learning.data.contrast import COARSER, FAR, profile
from napari_ssl_muscle.learning.data.scan_traits import PredictionTraits, ScanTraits, scan_traits
from napari_ssl_muscle.learning.models.card import ModelCard
from napari_ssl_muscle.phantom.settings import PhantomSettings

THIN, THICK = 0.6, 2.0
"""Leg cross-sections against the smallest and the largest of the training from which a leg is too
thin (a calf has half of a thigh's) or too thick."""

OBLONG = 1.5
"""The same for the ratio of a cross-section's axes: a foot is over twice as long as wide."""

LONG = 1.6
"""The same for the length along the leg: a whole leg is more than twice a thigh."""

GROWS, SHRINKS = 1.1, 0.95
"""A leg whose cross-section shrinks upwards is not the part that always grew in the training."""

UNSURE = 0.06
"""How far the confidence may lie below the lowest one on training scans. On seven other people's
thighs that were labelled to a usual share of the leg it was at most 0.05 below."""

FEW, MANY = 0.6, 2.2
"""The labelled share of the legs against that on training scans. Where the model failed on another
contrast it was 0.35 to 0.6 of the least; a healthy thigh has up to twice a patient's."""

MIXED = 0.35
"""Total variation between the muscles' shares of what was labelled and the nearest of the training;
0.2 to 0.25 between a patient and a healthy person."""

ISLANDS = 0.25
"""Share of the prediction in islands; on thighs at most 0.1."""

LABEL_MAP = "it looks like a label map, with few values in even areas, not like an image"

LABEL_VALUES = 64
"""Most different values of an image that may be a label map."""

FLAT = 0.7
"""Share of neighbouring voxels that are equal in a label map; noise forbids that in images."""


def headline(card: ModelCard, findings: Sequence[str]) -> str:
    """Return one line on all findings, the worst one in words; empty for none."""
    if not findings:
        return ""
    if LABEL_MAP in findings:
        return "This looks like a label map, not like a scan: open the scan that it belongs to."
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return (
        f"This scan is unlike the training scans of '{card.name}', so look at the labels "
        f"closely: {findings[0]}{more}."
    )


def differences_from_training(
    card: ModelCard, channels: NDArray[np.float32], spacing: tuple[float, float, float]
) -> list[str]:
    """Return how a scan differs from what a model learned from, the worst first.

    Parameters
    ----------
    card
        The model's. What it does not carry is not compared.
    channels
        ``(c, z, y, x)``; the first channel is compared.
    spacing
        ``(dz, dy, dx)`` in mm.

    Returns
    -------
    Phrases without a full stop.
    """
    volume = channels[0]
    found = []
    if looks_like_labels(volume):
        found.append(LABEL_MAP)
    if card.synthetic_only and not is_phantom(volume.shape, spacing):
        found.append(
            "the model knows synthetic legs only, and its labels of a patient are worth nothing"
        )
    if card.contrast_profiles:
        here = np.array(profile(volume, spacing))
        if min(np.abs(here - np.array(p)).mean() for p in card.contrast_profiles) > FAR:
            found.append(f"its contrast is far from theirs ({card.contrast or 'see the card'})")
    if card.scan_traits and (traits := scan_traits(volume, spacing)) is not None:
        found += _compare(traits, card.scan_traits)
        found += _compare_legs(traits, card)
    found += _compare_pixels(card, spacing)
    return found


def differences_of_prediction(
    card: ModelCard, traits: PredictionTraits, islands: float
) -> list[str]:
    """Return how a prediction differs from those on the training scans, the worst first.

    Parameters
    ----------
    card
        The model's; older ones say nothing of predictions.
    traits
        Of the prediction.
    islands
        Share of it that were islands.
    """
    found = []
    known = card.prediction_traits
    if known:
        least = min(each.share for each in known)
        if traits.share < FEW * least:
            found.append(
                f"only {traits.share:.0%} of the legs were labelled, and {least:.0%} or more there"
            )
        elif traits.share > MANY * max(each.share for each in known):
            most = max(each.share for each in known)
            found.append(f"{traits.share:.0%} of the legs were labelled, at most {most:.0%} there")
        lowest = min(each.confidence for each in known)
        if traits.share > 0 and traits.confidence < lowest - UNSURE:
            found.append(
                f"the model is less sure of its labels ({traits.confidence:.2f}, there "
                f"{lowest:.2f} or more)"
            )
        same = [k.muscles for k in known if len(k.muscles) == len(traits.muscles)]
        if traits.share > 0 and same:
            here = np.array(traits.muscles)
            if min(np.abs(here - np.array(each)).sum() / 2 for each in same) > MIXED:
                found.append("the muscles' volumes are in other proportions")
    if islands > ISLANDS:
        found.append(f"{islands:.0%} of what was labelled lay in islands")
    return found


def looks_like_labels(volume: NDArray[np.float32]) -> bool:
    """Whether a volume ``(z, y, x)`` holds few whole numbers in areas of one value."""
    step = max(1, volume.shape[0] // 12)
    seen = volume[::step]
    if not np.array_equal(seen, np.round(seen)):
        return False
    if not 2 <= len(np.unique(seen)) <= LABEL_VALUES:
        return False
    inside = seen[..., 1:] != 0
    equal = seen[..., 1:] == seen[..., :-1]
    return bool(inside.any() and equal[inside].mean() > FLAT)


def is_phantom(shape: Sequence[int], spacing: tuple[float, float, float]) -> bool:
    """Whether a grid is that of the leg phantom, whose slices have round sides in mm."""
    sides = (shape[1] * spacing[1], shape[2] * spacing[2])
    usual = {PhantomSettings(legs=legs).side for legs in (1, 2)}
    square = any(abs(sides[0] - side) + abs(sides[1] - side) < 0.01 for side in usual)
    return square and shape[0] * spacing[0] <= PhantomSettings().coverage + 0.01


def _compare(here: ScanTraits, known: Sequence[ScanTraits]) -> list[str]:
    found = []
    if here.aspect > OBLONG * max(each.aspect for each in known):
        found.append(f"its cross-sections are {here.aspect:.1f} times as long as wide")
    least, most = (limit(each.area for each in known) for limit in (min, max))
    if not THIN * least <= here.area <= THICK * most:
        there = f"{least:.0f}" if round(least) == round(most) else f"{least:.0f} to {most:.0f}"
        found.append(f"its legs have a cross-section of {here.area:.0f} cm², there {there} cm²")
    if here.length > LONG * max(each.length for each in known):
        longest = max(each.length for each in known)
        found.append(f"it covers {here.length:.0f} mm of the leg, there at most {longest:.0f} mm")
    if here.taper < SHRINKS and min(each.taper for each in known) > GROWS:
        found.append("the leg becomes thinner upwards, which it did not there")
    return found


def _compare_legs(here: ScanTraits, card: ModelCard) -> list[str]:
    """Compare the number of legs, which a model that cuts legs out does not mind."""
    known = {each.legs for each in card.scan_traits}
    if card.slices.crop == "leg" or here.legs is None or None in known or here.legs in known:
        return []
    return ["it shows one leg, there two" if here.legs == 1 else "it shows two legs, there one"]


def _compare_pixels(card: ModelCard, spacing: tuple[float, float, float]) -> list[str]:
    in_plane = max(spacing[1:])
    pixel = card.slices.spacing or (max(card.spacing[1:]) if card.spacing else None)
    if pixel is not None and in_plane > COARSER * pixel:
        return [
            f"its pixels ({in_plane:.2g} mm) are much coarser than those that the model works on "
            f"({pixel:.2g} mm)"
        ]
    if card.slices.spacing is None and card.spacing is not None:
        learned = max(card.spacing[1:])
        if not 1 / COARSER <= in_plane / learned <= COARSER:
            return [f"its pixels ({in_plane:.2g} mm) differ much from theirs ({learned:.2g} mm)"]
    return []
