"""Masked squares as published: inside the image, until the share is first reached."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.pretext.masking import (
    describe_masks,
    draw_masks,
    draw_squares,
    make_corruption,
    mean_distance_to_visible,
)
from napari_ssl_muscle.learning.settings import PretextSettings, preset


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(20, 70),
    columns=st.integers(20, 70),
    kernel=st.integers(1, 20),
    percent=st.floats(0.5, 100),
    seed=st.integers(0, 2**32),
)
def test_share_is_first_reached(
    rows: int, columns: int, kernel: int, percent: float, seed: int
) -> None:
    mask = draw_squares((rows, columns), kernel, percent, np.random.default_rng(seed))
    target = rows * columns * percent / 100
    assert target - 1e-6 <= mask.sum() < target + kernel**2


def test_a_last_corner_that_one_square_reaches_is_reached() -> None:
    for seed in range(20):
        assert draw_squares((64, 64), 2, 100, np.random.default_rng(seed)).all()


def test_what_no_allowed_square_reaches_stays_visible() -> None:
    body = np.zeros((32, 32), dtype=bool)
    body[10:20, 10:20] = True
    body[0, 0] = True  # no square of 8 pixels inside the image has its centre here
    mask = draw_squares((32, 32), 8, 100, np.random.default_rng(0), body=body)
    assert mask[10:20, 10:20].all()
    assert not mask[0, 0]


@settings(max_examples=40, deadline=None)
@given(kernel=st.integers(1, 20), percent=st.floats(0.5, 100), seed=st.integers(0, 2**32))
def test_exact_meets_the_share_to_the_pixel(kernel: int, percent: float, seed: int) -> None:
    mask = draw_squares((40, 30), kernel, percent, np.random.default_rng(seed), exact=True)
    assert mask.sum() == np.ceil(1200 * percent / 100 - 1e-9)


def test_a_single_square_is_whole() -> None:
    mask = draw_squares((50, 60), 8, 1, np.random.default_rng(0))
    rows, columns = np.nonzero(mask)
    assert mask.sum() == 64
    assert np.ptp(rows) == np.ptp(columns) == 7


def test_squares_reach_every_corner() -> None:
    """Positions are uniform over all places inside the image, the borders included."""
    rng = np.random.default_rng(0)
    seen = np.zeros((24, 24), dtype=int)
    for _ in range(600):
        seen += draw_squares((24, 24), 8, 1, rng)
    assert seen.min() > 0


def test_same_seed_same_mask() -> None:
    first, again, other = (
        draw_squares((40, 40), 8, 25, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_inside_the_body_the_share_is_of_the_body() -> None:
    y, x = np.mgrid[:80, :80]
    body = (y - 40) ** 2 + (x - 40) ** 2 < 25**2
    mask = draw_squares((80, 80), 8, 40, np.random.default_rng(0), body=body)
    assert 0.40 <= (mask & body).sum() / body.sum() < 0.40 + 64 / body.sum()
    # Centres lie in tissue, so no square is further from it than half its diagonal.
    far = (y - 40) ** 2 + (x - 40) ** 2 > (25 + 6) ** 2
    assert not (mask & far).any()


def test_an_image_without_body_stays_whole() -> None:
    empty = np.zeros((40, 40), dtype=bool)
    assert not draw_squares((40, 40), 8, 50, np.random.default_rng(0), body=empty).any()


@pytest.mark.parametrize("percent", [0, -1, 100.5])
def test_senseless_percentage(percent: float) -> None:
    with pytest.raises(BadInput, match="percentage must be above 0"):
        draw_squares((40, 40), 8, percent, np.random.default_rng(0))


def test_square_larger_than_the_image() -> None:
    with pytest.raises(BadInput, match="does not fit into an image of 40 × 30"):
        draw_squares((40, 30), 31, 10, np.random.default_rng(0))


def test_distance_by_hand() -> None:
    mask = np.zeros((9, 9), dtype=bool)
    mask[3:6, 3:6] = True  # eight pixels at distance 1, the middle one at 2
    assert mean_distance_to_visible(mask) == pytest.approx((8 * 1 + 2) / 9)
    assert mean_distance_to_visible(np.zeros((5, 5), dtype=bool)) == 0
    assert mean_distance_to_visible(np.ones((5, 5), dtype=bool)) == float("inf")


def test_holes_take_the_fill_and_the_rest_stays() -> None:
    images = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    for fill in (0.5, None):
        pretext = PretextSettings(kernel_size=8, mask_percent=25, fill=fill, inside_body=False)
        corrupt = make_corruption(pretext)
        holed, holes = corrupt(images, None, torch.Generator().manual_seed(1))
        assert torch.equal(holed[~holes], images[~holes])
        for image, hole, whole in zip(holed, holes, images, strict=True):
            wanted = fill if fill is not None else float(whole.min())
            assert torch.allclose(image[hole], torch.tensor(wanted))
    assert not torch.equal(holes[0], holes[1])


@pytest.mark.parametrize("name", ["quick", "recommended"])
@pytest.mark.parametrize("diameter", [130, 170])
def test_the_usual_masks_of_a_leg_are_not_called_copying(name: str, diameter: float) -> None:
    recipe = preset(name)
    size, pixel = recipe.slices.size, recipe.slices.spacing
    assert size is not None
    assert pixel is not None
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    leg = np.broadcast_to(np.hypot(y, x) * pixel < diameter / 2, (8, size, size))
    masks = draw_masks(8, (size, size), recipe.pretext, np.random.default_rng(0), leg)
    described = describe_masks(masks, leg, recipe.pretext)
    assert described.warning == ""
