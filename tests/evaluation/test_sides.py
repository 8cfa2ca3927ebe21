from pathlib import Path

import numpy as np
import pytest

from napari_ssl_muscle.evaluation.sides import sides
from napari_ssl_muscle.phantom.scan import phantom_scan
from napari_ssl_muscle.phantom.settings import PhantomSettings
from napari_ssl_muscle.scans.volume import open_label_map

SPACING = (10.0, 2.0, 2.0)

REAL = Path(__file__).parents[2].parent / "shared" / "data"
REAL_LABELS = sorted((REAL / "thigh" / "labelsTr").glob("*.nii.gz")) + sorted(
    (REAL / "thigh_anatomy").glob("*.nii.gz")
)


def disc(labels, z, y, x, radius, value):
    rows, columns = np.ogrid[: labels.shape[1], : labels.shape[2]]
    labels[z][(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = value


def two_legs(lean=0, size=1.0):
    """Two legs of two muscles each; `lean` columns to the side a slice, the left one smaller."""
    labels = np.zeros((8, 40, 110), np.int32)
    truth = np.zeros_like(labels)
    for z in range(8):
        for middle, leg, scale in ((25 + lean * z, 2, 1.0), (65 + lean * z, 1, size)):
            disc(labels, z, 12, middle, 8 * scale, 1)
            disc(labels, z, 28, middle, 6 * scale, 2)
            truth[z, :, middle - 15 : middle + 15] = leg
    return labels, truth * (labels > 0)


def test_the_patients_left_leg_lies_at_larger_x():
    labels, truth = two_legs()
    found = sides(labels, SPACING, sided=True)
    assert found.names == ("left", "right")
    assert found.note is None
    np.testing.assert_array_equal(found.index, truth)


def test_legs_that_lean_across_the_dividing_column_are_kept_whole():
    labels, truth = two_legs(lean=4)
    columns = [np.flatnonzero((truth == leg).any(axis=(0, 1))) for leg in (1, 2)]
    assert columns[0].min() < columns[1].max()  # no single column divides them
    np.testing.assert_array_equal(sides(labels, SPACING, sided=True).index, truth)


def test_legs_that_touch_are_cut_between_them():
    labels, truth = two_legs()
    labels[3, 12, 33:58] = 1
    found = sides(labels, SPACING, sided=True)
    known = truth > 0
    np.testing.assert_array_equal(found.index[known], truth[known])
    assert set(found.index[3, 12, 33:58]) == {1, 2}


def test_a_wasted_leg_or_one_labelled_in_few_slices_is_a_leg():
    labels, truth = two_legs(size=0.5)
    np.testing.assert_array_equal(sides(labels, SPACING, sided=True).index, truth)
    labels, truth = two_legs()
    unlabelled = (truth == 1) & (np.arange(8) >= 4)[:, None, None]
    labels[unlabelled] = truth[unlabelled] = 0
    np.testing.assert_array_equal(sides(labels, SPACING, sided=True).index, truth)


def test_different_muscles_on_either_side_of_a_space_are_one_leg():
    labels, truth = two_legs()
    labels[(truth == 2) & (labels == 2)] = 0
    labels[(truth == 1) & (labels == 1)] = 0
    found = sides(labels, SPACING, sided=True)
    assert found.names == ("single leg",)
    np.testing.assert_array_equal(found.index, labels > 0)
    assert "not guessed" in (found.note or "")


def test_sides_are_not_guessed_without_an_affine():
    labels, truth = two_legs()
    found = sides(labels, SPACING, sided=False)
    assert found.names == ("first leg", "second leg")
    np.testing.assert_array_equal(found.index, np.choose(truth, [0, 2, 1]))


def test_no_label_no_side():
    found = sides(np.zeros((2, 5, 5), np.int32), SPACING, sided=True)
    assert found.names == ()
    assert not found.index.any()


def test_a_single_leg_of_the_phantom():
    scan = phantom_scan(1, 1, PhantomSettings(slices=8, size=128, legs=1))
    assert sides(scan.labels, scan.spacing, sided=True).names == ("single leg",)


@pytest.mark.real
@pytest.mark.skipif(len(REAL_LABELS) < 14, reason=f"the real label maps are not in {REAL}")
@pytest.mark.parametrize("path", REAL_LABELS, ids=lambda path: path.name)
def test_real_thighs(path):
    label_map = open_label_map(path)
    labels, spacing = label_map.read(), label_map.geometry.spacing
    found = sides(labels, spacing, label_map.geometry.sided)
    assert found.names == ("left", "right")
    left, right = (found.index == 1), (found.index == 2)
    assert 0.85 < left.sum() / right.sum() < 1.15
    middles = [np.nonzero(leg)[2].mean() for leg in (left, right)]
    assert middles[0] > middles[1] + 100  # the patient's left is at larger x
    for leg in (left, right):
        assert sides(labels * leg, spacing, sided=True).names == ("single leg",)
