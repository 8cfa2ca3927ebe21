"""Masks and pictures of the network's images, back in their place in the scan."""

import numpy as np
import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.data.slices import find_frames, fit, to_images
from napari_ssl_muscle.learning.pretext.mask_preview import masks_on_scan, side_by_side
from napari_ssl_muscle.learning.settings import PretextSettings, Recipe, SliceSettings

SPACING = (5.0, 2.0, 2.0)


def two_legs() -> np.ndarray:
    """Two blocks of different brightness in the air; each brighter towards larger x."""
    volume = np.random.default_rng(0).random((3, 60, 100), dtype=np.float32)
    volume[:, 10:50, 8:44] += np.linspace(100, 150, 36, dtype=np.float32)
    volume[:, 14:46, 56:92] += np.linspace(200, 250, 36, dtype=np.float32)
    return volume


def recipe(spacing: float | None = None, **pretext: object) -> Recipe:
    return Recipe(
        slices=SliceSettings(crop="leg", spacing=spacing, size=64, margin=4),
        pretext=PretextSettings(**{"kernel_size": 6, "mask_percent": 40, **pretext}),
    )


@pytest.mark.parametrize("spacing", [None, 3.0])
def test_masks_cover_the_share_of_the_body_on_the_voxels_of_the_scan(
    spacing: float | None,
) -> None:
    volume = two_legs()
    found = masks_on_scan(volume, SPACING, recipe(spacing, exact=True))
    assert found.masks.shape == volume.shape
    body = volume > 50
    for leg in (slice(0, 50), slice(50, 100)):
        share = found.masks[:, :, leg][body[:, :, leg]].mean()
        assert share == pytest.approx(0.4, abs=0.06)
    assert "(40.1 % of the body)" in found.description.coverage  # never below the share
    assert found.description.warning.startswith("That is near")
    # Squares begin in the body and reach over its edge by half a square at the most.
    assert not found.masks[:, :4].any()


def test_the_seed_draws_and_slices_differ() -> None:
    first, again, other = (
        masks_on_scan(two_legs(), SPACING, recipe(), seed=seed).masks for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first[0] != first[1]).any()


def test_squares_larger_than_the_images_are_refused() -> None:
    with pytest.raises(BadInput, match="A square of 65 pixels does not fit"):
        masks_on_scan(two_legs(), SPACING, recipe(kernel_size=65))


def test_pictures_of_both_legs_come_back_where_they_were_and_the_right_way_round() -> None:
    volume = two_legs()
    settings = recipe().slices
    frames = find_frames(volume[None], SPACING, settings)
    assert [frame.mirrored for frame in frames] == [False, True]
    images = [fit(to_images(volume[None], frame), (64, 64))[:, 0].numpy() for frame in frames]
    legs = np.repeat([0, 1], len(volume))
    canvas, place = side_by_side(np.concatenate(images), legs, frames, SPACING, fill=-9.0)
    assert place.pixel == (2.0, 2.0)
    y, x = (round(corner / 2) for corner in place.corner)
    there = volume[:, y : y + canvas.shape[1], x : x + canvas.shape[2]]
    for leg in (slice(8 - x, 44 - x), slice(56 - x, 92 - x)):
        inside = slice(14 - y, 46 - y)
        fitted = np.corrcoef(canvas[:, inside, leg].ravel(), there[:, inside, leg].ravel())
        assert fitted[0, 1] > 0.999
