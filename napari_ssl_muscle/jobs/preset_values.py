"""The values that presets have, as a person reads them: in the shell's help and in forms."""

from __future__ import annotations

from typing import Any

from napari_ssl_muscle.jobs.fields import AUGMENT, DARKEST, SECTIONS, section_of
from napari_ssl_muscle.jobs.settings import LENGTHS
from napari_ssl_muscle.learning.settings import PRESETS, AugmentSettings, Recipe, preset
from napari_ssl_muscle.learning.training.time_estimate import DEFAULT_EPOCHS

USUAL = "recommended"
"""The preset that a job has if none is asked for."""


def preset_value(recipe: Recipe, name: str) -> str | None:
    """Return the value that a recipe has for an override; None for a length not used."""
    if name == AUGMENT:
        return "off" if recipe.augment == AugmentSettings.off() else "on"
    kind = section_of(name)
    section = next(each for each, found in SECTIONS.items() if found is kind)
    value: Any = getattr(getattr(recipe, section), name)
    if name in LENGTHS:
        if name == "epochs" and all(getattr(recipe.training, each) is None for each in LENGTHS):
            return str(DEFAULT_EPOCHS)
        return None if value is None else f"{value:g}"
    if value is None:
        return DARKEST if name == "fill" else "the scan's" if name == "spacing" else "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def describe_default(name: str) -> str:
    """Return what an override is in each preset: "8", or "8; poster: 5"."""
    found = {each: preset_value(preset(each), name) for each in (USUAL, *PRESETS)}
    if set(found.values()) == {None}:
        return "none"
    usual = found.pop(USUAL)
    others = [f"{each}: {value}" for each, value in found.items() if value not in (None, usual)]
    return "; ".join([usual or "none", *others])


def describe_length(recipe: Recipe) -> str:
    """Return how long a recipe trains: "1500 steps"."""
    found = next((name for name in LENGTHS if preset_value(recipe, name) is not None), "epochs")
    return f"{preset_value(recipe, found)} {found}"
