"""Small pieces far from their muscle are errors; real parts of a muscle are not."""

import numpy as np

from napari_ssl_muscle.learning.predict import drop_islands


def test_specks_go_and_muscles_stay() -> None:
    classes = np.zeros((5, 40, 40), dtype=np.uint8)
    classes[:, 5:15, 5:15] = 1  # 500 voxels
    classes[2, 30:34, 30:34] = 1  # 16 voxels: under a twentieth
    classes[0, 20:26, 20:25] = 1  # 30 voxels: a part of its own
    classes[1:3, 30:36, 5:11] = 2  # another muscle, small but the largest of its own
    wanted = classes.copy()
    wanted[2, 30:34, 30:34] = 0
    drop_islands(classes)
    assert np.array_equal(classes, wanted)


def test_a_piece_that_touches_by_a_corner_belongs() -> None:
    classes = np.zeros((3, 20, 20), dtype=np.uint8)
    classes[0, :10, :10] = 1
    classes[1, 10:12, 10:12] = 1
    wanted = classes.copy()
    drop_islands(classes)
    assert np.array_equal(classes, wanted)


def test_nothing_labelled_is_fine() -> None:
    classes = np.zeros((3, 20, 20), dtype=np.uint8)
    drop_islands(classes)
    assert not classes.any()
