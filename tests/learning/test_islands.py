"""Small pieces far from their muscle are errors; real parts of a muscle are not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_ssl_muscle.learning.data.muscle_classes import LEFT, RIGHT
from napari_ssl_muscle.learning.islands import drop_islands

THIN = (3.0, 1.0, 1.0)
THICK = (24.0, 1.0, 1.0)


def one_leg(classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.where(classes > 0, RIGHT, 0).astype(np.uint8)


def test_islands_go_and_muscles_stay() -> None:
    classes = np.zeros((5, 40, 40), dtype=np.uint8)
    classes[:, 5:15, 5:15] = 1  # 500 voxels
    classes[2, 30:34, 30:34] = 1  # an island
    classes[0, 20:33, 20:30] = 1  # 130 voxels: too many for an error
    classes[1:3, 30:36, 5:11] = 2  # another muscle, small but the largest of its own
    wanted = classes.copy()
    wanted[2, 30:34, 30:34] = 0
    assert drop_islands(classes, one_leg(classes), THIN) == 16
    assert np.array_equal(classes, wanted)


def test_a_piece_that_touches_by_a_corner_belongs() -> None:
    classes = np.zeros((3, 20, 20), dtype=np.uint8)
    classes[0, :10, :10] = 1
    classes[1, 10:12, 10:12] = 1
    assert drop_islands(classes, one_leg(classes), THIN) == 0


@pytest.mark.parametrize(("spacing", "dropped"), [(THICK, 0), (THIN, 25)])
def test_thick_slices_may_shift(spacing: tuple[float, float, float], dropped: int) -> None:
    classes = np.zeros((4, 60, 60), dtype=np.uint8)
    classes[0:2, 5:25, 5:25] = 1
    classes[2, 30:35, 20:25] = 1  # 6 mm beyond the slice below
    assert drop_islands(classes, one_leg(classes), spacing) == dropped


def test_each_leg_is_looked_at_by_itself() -> None:
    classes = np.zeros((3, 20, 60), dtype=np.uint8)
    classes[:, :15, :15] = 1  # a sound leg
    classes[:, :4, 40:44] = 1  # a wasted one
    classes[0, 15:17, 55:57] = 1  # an island in it
    legs = one_leg(classes)
    legs[..., 30:][classes[..., 30:] > 0] = LEFT
    assert drop_islands(classes, legs, THIN) == 4
    assert classes[:, :4, 40:44].all()


def test_nothing_labelled_is_fine() -> None:
    classes = np.zeros((3, 20, 20), dtype=np.uint8)
    assert drop_islands(classes, classes.copy(), THIN) == 0
