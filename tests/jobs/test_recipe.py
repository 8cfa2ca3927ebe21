"""How fast a training learns depends on what the model that it starts from knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_ssl_muscle.jobs.recipe import lower_known_rate, recipe_from
from napari_ssl_muscle.jobs.settings import FinetuneJob
from napari_ssl_muscle.learning.models.card import ModelCard
from napari_ssl_muscle.learning.settings import SliceSettings, preset
from napari_ssl_muscle.scans.muscles import MuscleTable, default_table
from tests.jobs.conftest import SMALLEST

THIGH = default_table("thigh")


def card(**changes: Any) -> ModelCard:
    values = {
        "name": "start",
        "task": "segmentation",
        "network": SMALLEST,
        "slices": SliceSettings(),
        "in_channels": 1,
        "channels": ["T1w"],
        "muscles": THIGH.to_rows(),
    }
    return ModelCard.model_validate(values | changes)


def rate(start: ModelCard | None, table: MuscleTable = THIGH, **settings: Any) -> float:
    job = FinetuneJob(cohort=Path("cohort"), out=Path("run"), init="start", **settings)
    recipe, _ = recipe_from(job, start)
    recipe, notes = lower_known_rate(recipe, job, start, table)
    lr = recipe.training.lr
    assert bool(notes) == (lr == 0.1 * preset(job.preset).training.lr)
    return lr


def test_a_model_that_knows_the_muscles_is_corrected_gently() -> None:
    assert rate(card()) == pytest.approx(6e-4)
    assert rate(card(), preset="quick") == pytest.approx(6e-4)


def test_new_muscles_a_pretraining_or_nothing_learn_at_the_full_rate() -> None:
    full = preset("recommended").training.lr
    two = THIGH.select(THIGH.names[:2])
    assert rate(card(), two) == full
    assert rate(card(task="inpainting", muscles=[])) == full
    assert rate(None) == full


def test_what_was_asked_for_and_the_published_preset_stay() -> None:
    assert rate(card(), lr=3e-3) == 3e-3
    assert rate(card(), preset="poster") == preset("poster").training.lr
