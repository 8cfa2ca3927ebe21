"""Body against air, one leg against two, and boxes that lose no tissue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_ssl_muscle.scans.body_mask import body_mask, gap_between_legs, leg_boxes
from napari_ssl_muscle.scans.volume import open_label_map, open_scan

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
SPACING = (10.0, 2.0, 2.0)


def leg(shape, centre_x, radius_x=30, radius_y=38, centre_y=None):
    _, y, x = np.indices(shape)
    centre_y = shape[1] / 2 if centre_y is None else centre_y
    return ((x - centre_x) / radius_x) ** 2 + ((y - centre_y) / radius_y) ** 2 <= 1


def image(mask, *, tissue=100.0, noise=3.0, ghost=0.0, seed=0):
    """Rician noise everywhere, darker muscle inside a bright rim, and a ghost around it."""
    generator = np.random.default_rng(seed)
    inside = ndimage.binary_erosion(mask, np.ones((1, 5, 5)))
    signal = np.where(mask, tissue, ghost) * np.where(inside, 0.5, 1)
    real = signal + generator.normal(0, noise, mask.shape)
    return np.hypot(real, generator.normal(0, noise, mask.shape)).astype(np.float32)


def two_legs(shape=(6, 110, 200), apart=100, **kwargs):
    middle = shape[2] / 2
    return leg(shape, middle - apart / 2, **kwargs) | leg(shape, middle + apart / 2, **kwargs)


class TestBodyMask:
    @pytest.mark.parametrize(("noise", "ghost"), [(0.5, 0), (3, 5), (8, 0), (0, 8)])
    def test_tissue_is_found_in_noise_and_ghosts(self, noise, ghost):
        there = two_legs()
        found = body_mask(image(there, noise=noise, ghost=ghost))
        assert found.dtype == bool
        assert (found & there).sum() >= 0.99 * there.sum()
        near = ndimage.binary_dilation(there, np.ones((1, 3, 3)), iterations=2)
        assert not (found & ~near).any()

    def test_marrow_and_gas_are_filled(self):
        there = two_legs()
        volume = image(there)
        volume[:, 50:58, 45:53] = 0
        assert body_mask(volume)[:, 50:58, 45:53].all()

    def test_a_pad_far_from_the_body_is_left_out(self):
        there = two_legs()
        volume = image(there)
        volume[:, 3:6, 90:110] += 100
        assert not body_mask(volume)[:, :8].any()

    def test_a_dim_slice_at_the_end_is_found_too(self):
        there = two_legs()
        volume = image(there, noise=0.5)
        volume[0] *= 0.2
        assert body_mask(volume)[0].sum() >= 0.95 * there[0].sum()

    @pytest.mark.parametrize("factor", [1e-4, 1e5])
    def test_the_unit_does_not_matter(self, factor):
        volume = image(two_legs())
        np.testing.assert_array_equal(
            body_mask(volume), body_mask((volume * factor).astype(np.float32))
        )

    def test_large_slices_come_back_in_their_own_size(self):
        there = two_legs((2, 513, 767), apart=380, radius_x=120, radius_y=150)
        found = body_mask(image(there))
        assert found.shape == there.shape
        assert (found != there).mean() < 0.02

    def test_nothing_in_the_volume(self):
        assert not body_mask(np.zeros((2, 20, 20), np.float32)).any()


class TestGap:
    @pytest.mark.parametrize("apart", [62, 70, 100, 130])
    def test_two_legs_are_divided_in_the_middle(self, apart):
        assert gap_between_legs(two_legs(apart=apart), SPACING) == pytest.approx(100, abs=2)

    @pytest.mark.parametrize("apart", [44, 50, 56])
    def test_legs_that_touch_or_overlap_are_divided_too(self, apart):
        gap = gap_between_legs(two_legs(apart=apart), SPACING, outlines=True)
        assert gap == pytest.approx(100, abs=3)

    def test_slices_through_the_pelvis_do_not_move_the_gap(self):
        mask = two_legs((6, 110, 220), apart=62)
        mask[3:] = leg((3, 110, 220), 130, radius_x=62, radius_y=45)
        assert gap_between_legs(mask, SPACING, outlines=True) == pytest.approx(110, abs=3)

    @pytest.mark.parametrize("radii", [(30, 30), (38, 30), (30, 45), (40, 27)])
    def test_one_leg_is_not_divided(self, radii):
        mask = leg((6, 110, 200), 70, *radii)
        assert gap_between_legs(mask, SPACING) is None
        assert gap_between_legs(mask, SPACING, outlines=True) is None

    def test_the_space_between_the_muscles_of_one_leg_is_no_gap(self):
        mask = leg((6, 110, 200), 80, 16, 40) | leg((6, 110, 200), 115, 14, 38)
        mask[:, 60:70, 90:105] = True
        assert gap_between_legs(mask, SPACING) is None

    def test_labels_of_two_legs_are_divided_between_the_legs(self):
        shape = (6, 110, 320)
        mask = leg(shape, 60, 16, 40) | leg(shape, 100, 16, 40)
        mask |= leg(shape, 220, 16, 40) | leg(shape, 260, 16, 40)
        assert gap_between_legs(mask, SPACING) == pytest.approx(160, abs=3)

    def test_a_wide_gap_is_divided_in_its_middle(self):
        mask = leg((6, 110, 300), 40) | leg((6, 110, 300), 240)
        assert gap_between_legs(mask, SPACING) == pytest.approx(140, abs=3)

    def test_the_spacing_decides_what_is_wide(self):
        narrow = two_legs(apart=44, radius_x=30, radius_y=38)
        assert gap_between_legs(narrow, (10.0, 2.0, 2.0), outlines=True) is not None
        assert gap_between_legs(narrow, (10.0, 4.0, 2.0), outlines=True) is None

    @pytest.mark.parametrize(
        "mask", [np.zeros((2, 9, 9), bool), np.eye(9, dtype=bool)[None] & False]
    )
    def test_nothing_to_divide(self, mask):
        assert gap_between_legs(mask, SPACING) is None

    def test_one_slice_is_enough(self):
        assert gap_between_legs(two_legs()[:1], SPACING) == pytest.approx(100, abs=2)


class TestBoxes:
    @given(
        apart=st.integers(44, 120),
        radius_x=st.integers(22, 30),
        radius_y=st.integers(25, 40),
        shift=st.integers(-15, 15),
        margin=st.sampled_from([0.0, 4.0, 8.0]),
        crop=st.sampled_from(["leg", "body", "none"]),
    )
    @settings(deadline=None, max_examples=40)
    def test_the_boxes_hold_all_of_the_body(self, apart, radius_x, radius_y, shift, margin, crop):
        shape = (3, 120, 220)
        there = leg(shape, 110 - apart / 2, radius_x, radius_y, 60 + shift)
        there |= leg(shape, 110 + apart / 2, radius_x, radius_y, 60)
        inside = np.zeros(shape, bool)
        boxes = leg_boxes(image(there), SPACING, margin, crop)
        for box in boxes:
            inside[:, box.y, box.x] = True
        assert (there & ~inside).sum() <= 0.002 * there.sum()
        if margin > 2:
            assert not (there & ~inside).any()
        assert [box.index for box in boxes] == list(range(len(boxes)))
        assert [box.x.start for box in boxes] == sorted(box.x.start for box in boxes)

    def test_a_box_for_each_leg_with_its_margin(self):
        boxes = leg_boxes(image(two_legs(apart=100)), SPACING, 8.0, "leg")
        assert len(boxes) == 2
        for box, centre in zip(boxes, (50, 150), strict=True):
            assert (box.x.start + 4, box.x.stop - 4) == pytest.approx(
                (centre - 30, centre + 30), abs=3
            )
            assert (box.y.start + 4, box.y.stop - 4) == pytest.approx((55 - 38, 55 + 38), abs=3)

    def test_touching_legs_share_only_their_margins(self):
        first, second = leg_boxes(image(two_legs(apart=50)), SPACING, 8.0, "leg")
        assert first.x.stop - second.x.start == 8
        assert (first.x.stop + second.x.start) / 2 == pytest.approx(100, abs=3)

    def test_one_leg_gets_one_box(self):
        (box,) = leg_boxes(image(leg((6, 110, 200), 70)), SPACING, 8.0, "leg")
        assert box.x.stop <= 70 + 30 + 4 + 3

    def test_the_body_gets_one_box(self):
        (box,) = leg_boxes(image(two_legs()), SPACING, 8.0, "body")
        assert box.x.start <= 20 - 4 + 1
        assert box.x.stop >= 180 + 4 - 1

    def test_noise_around_the_body_does_not_inflate_the_boxes(self):
        (box,) = leg_boxes(image(leg((6, 110, 200), 70), noise=8), SPACING, 8.0, "leg")
        assert box.x.stop < 115

    @pytest.mark.parametrize("crop", ["leg", "body", "none"])
    def test_a_volume_without_a_body_is_kept_whole(self, crop):
        (box,) = leg_boxes(np.zeros((2, 20, 30), np.float32), SPACING, 8.0, crop)
        assert (box.y, box.x) == (slice(0, 20), slice(0, 30))

    def test_no_crop(self):
        (box,) = leg_boxes(image(two_legs()), SPACING, 8.0, "none")
        assert (box.y, box.x) == (slice(0, 110), slice(0, 200))


real = pytest.mark.skipif(not SHARED.is_dir(), reason="the real scans are not here")


@pytest.mark.real
@real
@pytest.mark.parametrize("patient", ["001", "002"])
@pytest.mark.parametrize("channel", ["0000", "0001"])
def test_real_legs_are_divided_and_no_muscle_is_cut(patient, channel):
    scan = open_scan(SHARED / "thigh" / "imagesTr" / f"Thigh_{patient}_{channel}.nii.gz")
    muscles = open_label_map(SHARED / "thigh" / "labelsTr" / f"Thigh_{patient}.nii.gz").read() > 0
    volume = scan.read()
    assert not (muscles & ~body_mask(volume)).any()
    first, second = leg_boxes(volume, scan.geometry.spacing, 8.0, "leg")
    inside = np.zeros(muscles.shape, bool)
    for box in (first, second):
        inside[:, box.y, box.x] = True
    assert not (muscles & ~inside).any()
    middle = (first.x.stop + second.x.start) // 2
    assert not muscles[:, :, middle - 2 : middle + 2].any()
    # one leg of the same scan is not divided again
    one = np.ascontiguousarray(volume[:, :, :middle])
    assert len(leg_boxes(one, scan.geometry.spacing, 8.0, "leg")) == 1


@pytest.mark.real
@real
@pytest.mark.parametrize(
    ("name", "legs"),
    [
        ("siemens_foot_te345", 1),
        ("siemens_calf_te345", 2),
        ("siemens_calf3d_te345", 2),
        ("ge_thigh_te345", 2),  # the thighs touch on every slice
        ("siemens_thigh2_te345", 2),  # the legs reach into the pelvis
        ("siemens_thigh_mtoff", 2),
        ("siemens_thigh_te460", 2),
    ],
)
def test_real_scans_have_as_many_legs_as_one_sees(name, legs):
    scan = open_scan(SHARED / "unlabelled" / f"{name}.nii.gz")
    assert len(leg_boxes(scan.read(), scan.geometry.spacing, 8.0, "leg")) == legs
