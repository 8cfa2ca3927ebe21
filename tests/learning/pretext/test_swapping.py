"""Swapped squares: every pixel of an image is still there, and only squares moved."""

import numpy as np
import pytest
import torch

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.pretext.masking import make_corruption, needs_bodies
from napari_ssl_muscle.learning.pretext.swapping import draw_pairs
from napari_ssl_muscle.learning.settings import PretextSettings

SWAPPED = PretextSettings(corruption="swapped", kernel_size=8, mask_percent=25)


def test_squares_change_places_and_all_else_stays() -> None:
    images = torch.randn(3, 2, 48, 40, generator=torch.Generator().manual_seed(0))
    corrupt = make_corruption(SWAPPED)
    swapped, changed = corrupt(images, None, torch.Generator().manual_seed(1))
    assert changed.shape == (3, 1, 48, 40)
    for before, after, there in zip(images, swapped, changed[:, 0], strict=True):
        assert torch.equal(after[:, ~there], before[:, ~there])
        assert (after[:, there] != before[:, there]).all()
        # In pairs of both channels: nothing is lost, and nothing is there twice.
        assert torch.equal(after.flatten(1).sort(dim=1)[0], before.flatten(1).sort(dim=1)[0])
        assert 0.25 <= there.float().mean() < 0.25 + 2 * 64 / (48 * 40)
    again, _ = corrupt(images, None, torch.Generator().manual_seed(1))
    assert torch.equal(swapped, again)


def test_squares_begin_in_the_body_and_never_overlap() -> None:
    body = np.zeros((64, 64), dtype=bool)
    body[20:44, 10:54] = True
    pairs = draw_pairs((64, 64), 8, 100, np.random.default_rng(0), body)
    corners = [corner for pair in pairs for corner in pair]
    assert len(corners) >= 6
    assert all(body[top + 4, left + 4] for top, left in corners)
    covered = np.zeros((64, 64), dtype=int)
    for top, left in corners:
        covered[top : top + 8, left : left + 8] += 1
    assert covered.max() == 1
    assert needs_bodies(SWAPPED)


def test_where_one_square_alone_finds_a_place_nothing_is_swapped() -> None:
    assert draw_pairs((10, 10), 8, 50, np.random.default_rng(0)) == []
    with pytest.raises(BadInput, match="A square of 11 pixels does not fit"):
        draw_pairs((10, 10), 11, 50, np.random.default_rng(0))
