"""What a trained model makes of its own scans, for its card: others are told from these."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.data.image_cache import read_channels
from napari_ssl_muscle.learning.events import ShouldStop, StoppedByUser, never_stop
from napari_ssl_muscle.learning.models.model_file import load_model, replace_card
from napari_ssl_muscle.learning.predict import segment_volume
from napari_ssl_muscle.learning.settings import TrainingSettings

MOST_SCANS, MOST_SLICES = 12, 10
"""Scans that are looked at, and slices of each, evenly chosen."""

MOST_SECONDS = 30.0
"""Never longer than this: what was found until then is noted."""

SHARE = 0.08
"""Share of a training's minutes that is left for it, up to `MOST_SECONDS`."""


def seconds_for(settings: TrainingSettings) -> float:
    """Return how long it may take at the end of a training, within the training's minutes."""
    if settings.minutes is None or settings.steps is not None:
        return MOST_SECONDS
    return min(MOST_SECONDS, SHARE * 60 * settings.minutes)


def describe_predictions(
    path: Path,
    cases: Sequence[TrainingCase],
    settings: TrainingSettings,
    *,
    stop: ShouldStop = never_stop,
    seconds: float = MOST_SECONDS,
) -> None:
    """Note on a model's card what it makes of its own scans.

    Parameters
    ----------
    path
        The model; its weights stay as they are.
    cases
        Scans that it learned from, or better those that only selected its weights.
    settings
        On what device, with how many threads.
    stop
        Asked between batches; what was found until then is noted.
    seconds
        The longest that it may take.
    """
    end = time.monotonic() + seconds
    model = load_model(path)
    known: dict[str, object] = {"contrast_profiles": [], "scan_traits": [], "prediction_traits": []}
    # Without these it is not compared with itself, which would take as long again.
    plain = replace(model, card=model.card.model_copy(update=known))
    found = []

    def is_over() -> bool:
        return stop() or time.monotonic() >= end

    for case in evenly(cases, MOST_SCANS):
        try:
            if is_over():
                break
            channels = read_channels(case)
            step = max(1, -(-channels.shape[1] // MOST_SLICES))
            dz, dy, dx = case.scans[0].geometry.spacing
            result = segment_volume(
                plain,
                np.ascontiguousarray(channels[:, ::step]),
                (dz * step, dy, dx),
                device=settings.device,
                thread_count=settings.threads,
                stop=is_over,
            )
        except StoppedByUser:
            break
        if result.traits is not None and result.traits.share > 0:
            found.append(result.traits)
    if found:
        replace_card(path, model.card.model_copy(update={"prediction_traits": found}))


def evenly(cases: Sequence[TrainingCase], most: int) -> list[TrainingCase]:
    """Return at most so many cases, spread over all of them."""
    if len(cases) <= most:
        return list(cases)
    return [cases[round(i * (len(cases) - 1) / (most - 1))] for i in range(most)]
