"""Layers of results in the grid."""

from typing import Any

import numpy as np

from napari_ssl_muscle.viewer.layers.grid import is_wide
from napari_ssl_muscle.viewer.train.picture_grid import PictureGrid, inside_masks


def test_pictures_replace_those_before_and_share_their_contrast(layers_only: Any) -> None:
    grid = PictureGrid(layers_only)
    images = np.linspace(0, 1, 2 * 4 * 4, dtype=np.float32).reshape(2, 4, 4)
    names = ("Original", "Reconstruction", "Error")
    for _ in range(2):
        grid.show_pictures(dict.fromkeys(names, images), {"Error"}, {"scale": (1, 1, 1)}, (1, 3))
        assert [layer.name for layer in layers_only.layers] == list(names)
    grid.present["Original"].contrast_limits = (0.1, 0.4)
    assert tuple(grid.present["Reconstruction"].contrast_limits) == (0.1, 0.4)
    assert tuple(grid.present["Error"].contrast_limits) != (0.1, 0.4)
    layers_only.layers.remove(grid.present["Reconstruction"])
    assert list(grid.present) == ["Original", "Error"]


def test_outside_the_masks_the_original_is_shown_without_error() -> None:
    holes, original = np.array([True, False]), np.array([1.0, 2.0])
    restored, error = inside_masks(holes, original, np.array([5.0, 6.0]), np.array([4.0, 4.0]))
    assert restored.tolist() == [5, 2]
    assert error.tolist() == [4, 0]


def test_pictures_a_third_wider_than_high_go_below_each_other() -> None:
    assert is_wide(100, 131)
    assert not is_wide(100, 129)
