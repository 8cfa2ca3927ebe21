from __future__ import annotations

import numpy as np
import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.phantom.random_fields import generator
from napari_ssl_muscle.phantom.settings import PhantomScan
from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.synthesis.acquisition import average_over_slice
from napari_ssl_muscle.synthesis.contrast import combine, draw_palette
from napari_ssl_muscle.synthesis.image import synthesise
from napari_ssl_muscle.synthesis.settings import (
    CONTRASTS,
    Contrast,
    Legs,
    SynthesisSettings,
    SyntheticImage,
)

TABLE = default_table("thigh")


def draw(
    thigh: PhantomScan, contrast: Contrast, seed: int = 0, legs: Legs = "one"
) -> SyntheticImage:
    settings = SynthesisSettings(contrast, legs)
    return synthesise(thigh.labels, thigh.spacing, TABLE, settings, generator(seed, contrast))


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_an_image_of_every_contrast_fits_its_labels(thigh: PhantomScan, contrast: Contrast) -> None:
    made = draw(thigh, contrast)
    assert made.image.shape == made.labels.shape
    assert np.isfinite(made.image).all()
    assert made.image.min() >= 0
    np.testing.assert_array_equal(made.image, np.rint(made.image))
    assert set(np.unique(made.labels)) == set(range(7))
    # Muscles stand out from air, in which there is only noise.
    assert made.image[made.labels > 0].mean() > 3 * np.percentile(made.image, 5)


def test_a_seed_gives_the_same_image_again_and_another_seed_another(thigh: PhantomScan) -> None:
    one, again, other = (draw(thigh, "t1", seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.image, again.image)
    np.testing.assert_array_equal(one.labels, again.labels)
    assert one.image.shape != other.image.shape or not np.array_equal(one.image, other.image)


def test_fat_is_bright_in_fat_images_and_dark_in_water_images(thigh: PhantomScan) -> None:
    def muscle_to_brightest(contrast: Contrast) -> float:
        made = [draw(thigh, contrast, seed) for seed in range(2)]
        return float(
            np.mean([np.median(m.image[m.labels > 0]) / np.percentile(m.image, 99) for m in made])
        )

    assert muscle_to_brightest("fat") < 0.5 < muscle_to_brightest("water")


def test_both_legs_or_one(thigh: PhantomScan) -> None:
    two, one = (draw(thigh, "water", legs=legs) for legs in ("two", "one"))
    # The same muscles in about half the field of view.
    assert set(np.unique(one.labels)) == set(np.unique(two.labels))
    width = [made.image.shape[2] * made.spacing[2] for made in (two, one)]
    assert width[1] < 0.8 * width[0]


def test_a_map_without_a_label_is_refused(thigh: PhantomScan) -> None:
    empty = np.zeros_like(thigh.labels)
    with pytest.raises(BadInput, match="no labelled slice"):
        synthesise(empty, thigh.spacing, TABLE, SynthesisSettings("t1"), generator(0))


def test_water_and_fat_cancel_in_opposed_phase_and_add_in_phase() -> None:
    water, fat = np.float32([1.0, 0.5, 0.1]), np.float32([0.0, 0.5, 0.9])
    np.testing.assert_allclose(combine(water, fat, "in-phase", 0.0), [1, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(combine(water, fat, "opposed-phase", 0.0), [1, 0, 0.8], rtol=1e-6)
    np.testing.assert_allclose(combine(water, fat, "water", 0.2), [1, 0.6, 0.28], rtol=1e-6)
    np.testing.assert_allclose(combine(water, fat, "fat", 0.0), fat)


def test_fat_outshines_muscle_in_every_t1_image() -> None:
    for seed in range(20):
        assert draw_palette("t1", generator(seed)).fat[1] > 1.5


def test_thick_slices_blur_what_runs_obliquely_and_nothing_else() -> None:
    signal = np.zeros((1, 9, 9), np.float32)
    signal[0, :, :5] = 1.0
    drift = np.zeros((2, 1, 9, 9), np.float32)
    drift[1] = 0.5  # half a mm to the side for each mm along the leg
    np.testing.assert_array_equal(average_over_slice(signal, 0 * drift, 24.0, 1.0), signal)
    blurred = average_over_slice(signal, drift, 6.0, 1.0)
    np.testing.assert_allclose(blurred[0, 4], [1, 1, 1, 1, 2 / 3, 1 / 3, 0, 0, 0], atol=1e-6)
