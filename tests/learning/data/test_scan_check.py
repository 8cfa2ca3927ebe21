"""Scans that a model should not be trusted on: label maps, other parts of the body, patients."""

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_ssl_muscle.learning.data.contrast import profile
from napari_ssl_muscle.learning.data.scan_check import (
    differences_from_training,
    differences_of_prediction,
    headline,
    looks_like_labels,
)
from napari_ssl_muscle.learning.data.scan_traits import (
    PredictionTraits,
    scan_traits,
)
from napari_ssl_muscle.learning.models.card import ModelCard, TrainingSource, list_models
from napari_ssl_muscle.learning.models.model_fit import ScanProperties, find_fit
from napari_ssl_muscle.learning.settings import NetworkSettings, SliceSettings
from napari_ssl_muscle.phantom.scan import phantom_scan
from napari_ssl_muscle.phantom.settings import PhantomSettings
from napari_ssl_muscle.scans.muscles import default_table

SCAN = phantom_scan(1, 1, PhantomSettings(slices=12, size=192))
VOLUME, SPACING = SCAN.image.astype(np.float32), SCAN.spacing
TRAITS = scan_traits(VOLUME, SPACING)
USUAL = PredictionTraits(confidence=0.9, share=0.2, muscles=[0.5, 0.3, 0.2])


def card(**more: object) -> ModelCard:
    return ModelCard(
        name="thigh",
        task="segmentation",
        network=NetworkSettings(),
        slices=SliceSettings(),
        in_channels=1,
        channels=["T1w"],
        muscles=default_table("thigh").to_rows(),
        contrast_profiles=[profile(VOLUME, SPACING)],
        scan_traits=[TRAITS],
        prediction_traits=[USUAL],
        **more,
    )


def found(
    volume: NDArray[np.float32] = VOLUME, spacing: tuple[float, float, float] = SPACING
) -> str:
    return "; ".join(differences_from_training(card(), volume[None], spacing))


def test_a_thigh_is_like_a_thigh() -> None:
    assert TRAITS is not None
    assert 100 < TRAITS.area < 400  # a thigh's cross-section in cm²
    assert 1 <= TRAITS.aspect < 1.4
    assert TRAITS.taper > 1.2
    other = phantom_scan(3, 1, PhantomSettings(slices=12, size=192, seed=5))
    assert found(other.image.astype(np.float32), other.spacing) == ""


@pytest.mark.parametrize(
    ("scale", "turned", "words"),
    [
        ((1, 0.5, 0.5), False, "cross-section of"),
        ((2, 1, 1), False, "mm of the leg"),
        ((1, 0.6, 1.6), False, "times as long as wide"),
        ((1, 1, 1), True, "thinner upwards"),
    ],
)
def test_other_parts_of_the_body_are_told(
    scale: tuple[float, float, float], turned: bool, words: str
) -> None:
    spacing = tuple(mm * factor for mm, factor in zip(SPACING, scale, strict=True))
    volume = VOLUME[::-1] if turned else VOLUME
    assert words in found(volume, spacing)  # type: ignore[arg-type]


def test_a_label_map_is_no_scan() -> None:
    assert looks_like_labels(SCAN.labels.astype(np.float32))
    assert "label map" in found(SCAN.labels.astype(np.float32))
    assert not looks_like_labels(np.round(VOLUME))
    few = np.random.default_rng(0).integers(0, 8, VOLUME.shape).astype(np.float32)
    assert not looks_like_labels(few)  # noise of few values


@pytest.mark.parametrize(
    ("changes", "islands", "words"),
    [
        ({}, 0.0, ""),
        ({"share": 0.05}, 0.0, "only 5% of the legs"),
        ({"share": 0.6}, 0.0, "at most 20%"),
        ({"confidence": 0.8}, 0.0, "less sure"),
        ({"muscles": [0.0, 0.1, 0.9]}, 0.0, "other proportions"),
        ({}, 0.4, "40% of what was labelled lay in islands"),
    ],
)
def test_odd_predictions_are_told(changes: dict[str, object], islands: float, words: str) -> None:
    traits = USUAL.model_copy(update=changes)
    said = "; ".join(differences_of_prediction(card(), traits, islands))
    assert words in said
    assert bool(said) == bool(words)


def test_one_line_has_the_worst_and_a_count() -> None:
    assert headline(card(), []) == ""
    line = headline(card(), ["it is a foot", "it is small", "it is odd"])
    assert "'thigh'" in line
    assert line.endswith("it is a foot (and 2 more).")


def test_a_label_map_is_called_one() -> None:
    odd = differences_from_training(card(), SCAN.labels[None].astype(np.float32), SPACING)
    assert headline(card(), odd).startswith("This looks like a label map")


def test_the_number_of_legs_counts_for_a_model_that_sees_whole_slices() -> None:
    assert TRAITS is not None
    other = [TRAITS.model_copy(update={"legs": 3 - (TRAITS.legs or 0)})]
    whole = card().model_copy(update={"scan_traits": other, "slices": SliceSettings(crop="none")})
    said = "; ".join(differences_from_training(whole, VOLUME[None], SPACING))
    assert "leg, there" in said or "legs, there" in said
    legwise = whole.model_copy(update={"slices": SliceSettings(crop="leg")})
    assert differences_from_training(legwise, VOLUME[None], SPACING) == []


def test_a_model_of_phantoms_warns_on_patients_and_is_not_kept_for_them() -> None:
    made = card(training_data=[TrainingSource(name="synthetic leg phantom")])
    assert differences_from_training(made, VOLUME[None], SPACING) == []
    patient = (SPACING[0], 0.74, 0.74)
    assert any("synthetic" in s for s in differences_from_training(made, VOLUME[None], patient))
    shipped = {model.path.stem: model for model in list_models() if model.shipped}
    kept = find_fit(ScanProperties(VOLUME, patient, shipped["phantom"], tuple(shipped.values())))
    assert kept.model == shipped["thigh-starter"]
    assert kept.headline
    by_hand = find_fit(ScanProperties(VOLUME, patient, shipped["phantom"]))
    assert by_hand.model == shipped["phantom"]
    assert "synthetic" in by_hand.headline
