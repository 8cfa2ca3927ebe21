"""Pretraining as a whole: who validates, what the card says, and starting from a model."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import safetensors.torch

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.events import EpochEnd, Event, Note, Preview, never_stop
from napari_ssl_muscle.learning.models.card import read_card
from napari_ssl_muscle.learning.pretrain import pretrain
from napari_ssl_muscle.learning.settings import Recipe
from napari_ssl_muscle.learning.training.session import RunOptions, TrainedModel
from napari_ssl_muscle.scans.volume import open_scan


@pytest.fixture
def recipe(tiny: Recipe) -> Recipe:
    pretext = tiny.pretext.model_copy(update={"kernel_size": 8, "mask_percent": 40.0})
    return with_training(tiny.model_copy(update={"pretext": pretext}), steps=6, validate_every=3)


def with_training(recipe: Recipe, **changes: object) -> Recipe:
    training = recipe.training.model_copy(update=changes)
    return recipe.model_copy(update={"training": training})


def with_pretext(recipe: Recipe, **changes: object) -> Recipe:
    return recipe.model_copy(update={"pretext": recipe.pretext.model_copy(update=changes)})


def run(
    out: Path,
    cases: Sequence[TrainingCase],
    recipe: Recipe,
    *,
    init: str | None = None,
    **more: Any,
) -> tuple[TrainedModel, list[Event]]:
    out.mkdir()
    events: list[Event] = []
    options = RunOptions(out, events.append, never_stop, init)
    return pretrain(cases, recipe, options, **more), events


def test_a_run_leaves_model_probes_and_the_figures_of_its_best_weights(
    cases: list[TrainingCase], recipe: Recipe, tmp_path: Path
) -> None:
    result, events = run(tmp_path / "run", cases, recipe)
    epochs = [event for event in events if isinstance(event, EpochEnd)]
    best = min(epochs, key=lambda event: event.metrics["masked_error"])
    assert result.metrics.items() <= best.metrics.items()
    previews = [event for event in events if isinstance(event, Preview)]
    assert [event.step for event in previews] == [event.step for event in epochs if event.best]
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "checkpoint.safetensors",
        "model.safetensors",
        "probes.npz",
        "probes.png",
    }
    card = read_card(result.model)
    assert (card.task, card.in_channels, card.outputs) == ("inpainting", 2, 1)
    assert f"Validation: masked_error {result.metrics['masked_error']:.4f}." in card.notes
    assert any("pixels more than the 40 % asked for" in note for note in card.notes)
    assert not card.transductive
    assert card.training_subjects == ["subject-1", "subject-2", "subject-3"]


def test_the_card_says_that_test_images_took_part(
    cases: list[TrainingCase], recipe: Recipe, tmp_path: Path
) -> None:
    short = with_training(recipe, steps=1)
    result, _ = run(tmp_path / "run", cases, short, transductive=True, about=["They took part."])
    card = read_card(result.model)
    assert card.transductive
    assert "They took part." in card.notes


def test_a_broken_scan_is_left_out_with_a_warning(
    cases: list[TrainingCase], recipe: Recipe, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.nii.gz"
    nib.save(nib.Nifti1Image(np.full((9, 9, 3), np.nan, np.float32), np.eye(4)), broken)
    bad = TrainingCase("bad", "nobody", (open_scan(broken),))
    result, events = run(tmp_path / "run", [bad, *cases], with_training(recipe, steps=1))
    (warning,) = [event.text for event in events if isinstance(event, Note) and event.warning]
    assert "broken.nii.gz" in warning
    assert warning.endswith("It is left out.")
    assert "nobody" not in read_card(result.model).training_subjects
    with pytest.raises(BadInput, match=r"broken\.nii\.gz"):
        run(tmp_path / "other", [bad], recipe)


def test_squares_larger_than_the_image_are_refused_before_training(
    cases: list[TrainingCase], recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="square of 65 pixels does not fit"):
        run(tmp_path / "run", cases, with_pretext(recipe, kernel_size=65))
    assert not list((tmp_path / "run").iterdir())


def test_no_scan_at_all_is_said(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No scan was found"):
        run(tmp_path / "run", [], recipe)


@pytest.mark.parametrize("mask_channel", [True, False])
def test_it_starts_from_an_earlier_pretraining(
    cases: list[TrainingCase], recipe: Recipe, tmp_path: Path, mask_channel: bool
) -> None:
    first, _ = run(tmp_path / "first", cases, recipe)
    # So low a rate moves nothing: what comes out are the weights that it started from.
    still = with_pretext(with_training(recipe, steps=1, lr=1e-12), mask_channel=mask_channel)
    second, events = run(tmp_path / "second", cases, still, init=str(tmp_path / "first"))
    before, after = (safetensors.torch.load_file(result.model) for result in (first, second))
    same = "encoder.1.conv1.weight"
    np.testing.assert_allclose(before[same], after[same], atol=1e-8)
    np.testing.assert_allclose(before["head.weight"], after["head.weight"], atol=1e-8)
    inputs = before["encoder.0.conv1.weight"][:, : 1 + mask_channel]
    np.testing.assert_allclose(inputs, after["encoder.0.conv1.weight"], atol=1e-8)
    assert "Started from first." in read_card(second.model).notes
    said = " ".join(event.text for event in events if isinstance(event, Note))
    assert ("for 2 inputs; the last input is not used" in said) != mask_channel


def test_weights_for_the_mask_never_serve_an_image(
    cases: list[TrainingCase], recipe: Recipe, tmp_path: Path
) -> None:
    run(tmp_path / "first", cases, recipe)
    two = [replace(case, scans=case.scans * 2) for case in cases]
    still = with_training(recipe, steps=1, lr=1e-12)
    still = with_pretext(still, mask_channel=False)
    result, _ = run(
        tmp_path / "second", two, still, init=str(tmp_path / "first"), channels=["fat", "water"]
    )
    first = safetensors.torch.load_file(result.model)["encoder.0.conv1.weight"]
    assert first.shape[1] == 2
    assert float(first[:, 1].abs().max()) < 1e-8
    assert float(first[:, 0].abs().max()) > 1e-3
    assert read_card(result.model).channels == ["fat", "water"]
