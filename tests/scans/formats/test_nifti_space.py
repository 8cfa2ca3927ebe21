"""Headers whose statements about space contradict each other: what is used, and what is said."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from napari_ssl_muscle.scans.geometry import Geometry

SIZES = (2.0, 2.0, 20.0)
AFFINE = np.array([[-2.0, 0, 0, 127], [0, -2.0, 0, 127], [0, 0, 20.0, 0], [0, 0, 0, 1.0]])
SHAPE = (8, 9, 5)


def geometry(*, sform=None, qform=None, pixdim=None, units=0):
    header = nib.Nifti1Header()
    header.set_data_shape(SHAPE)
    if qform is not None:
        header.set_qform(qform, code=1)
    if pixdim is not None:
        header["pixdim"][1:4] = pixdim
    if sform is not None:
        header.set_sform(sform, code=1)
    header["xyzt_units"] = units
    return Geometry.from_image(nib.Nifti1Image(np.zeros(SHAPE, np.uint8), None, header), "leg.nii")


def scaled(factor, affine=AFFINE):
    return np.diag([factor, factor, factor, 1.0]) @ affine


@pytest.mark.parametrize(("units", "factor"), [(1, 1e-3), (2, 1.0), (3, 1e3), (0, 1.0)])
def test_lengths_are_in_mm_whatever_unit_the_header_has(units, factor):
    stored = scaled(factor)
    found = geometry(sform=stored, qform=stored, units=units)
    np.testing.assert_allclose(found.affine, AFFINE, rtol=1e-6)
    assert found.spacing == pytest.approx(SIZES[::-1])
    assert found.sided
    assert len(found.notes) == (units in (1, 3))


@pytest.mark.parametrize(("units", "factor"), [(0, 1e-3), (1, 1.0), (3, 1.0)])
def test_a_unit_that_no_scan_can_have_is_put_right_and_said(units, factor):
    stored = scaled(factor)
    found = geometry(sform=stored, qform=stored, units=units)
    assert found.spacing == pytest.approx(SIZES[::-1])
    (note,) = found.notes
    assert "they are taken as 2 × 2 × 20 mm" in note


def test_sizes_that_no_mri_has_are_said():
    stored = scaled(1e-3)
    (note,) = geometry(sform=stored, qform=stored, units=2).notes
    assert "leg.nii has voxels of 0.002 × 0.002 × 0.02 mm, which no MRI has" in note


@pytest.mark.parametrize(
    ("sform", "words"),
    [
        (np.zeros((4, 4)), "its rows are zero"),
        (np.diag([1.0, 0, 1, 1]), "it is singular"),
        (np.full((4, 4), np.nan), "not finite"),
    ],
)
def test_the_qform_takes_the_place_of_an_sform_that_cannot_be_used(sform, words):
    found = geometry(qform=AFFINE, sform=sform)
    np.testing.assert_allclose(found.affine, AFFINE, atol=1e-5)
    assert found.sided
    assert found.problem is None
    (note,) = found.notes
    assert words in note
    assert "its qform is used instead: 2 × 2 × 20 mm" in note


def test_bare_voxel_sizes_take_the_place_of_an_sform_alone():
    found = geometry(sform=np.zeros((4, 4)), pixdim=SIZES)
    assert found.spacing == SIZES[::-1]
    assert found.spacing_known
    assert not found.sided
    assert "its voxel sizes are used (2 × 2 × 20 mm)" in (found.problem or "")


def test_an_absurd_sform_gives_way_to_a_plausible_qform():
    found = geometry(qform=AFFINE, sform=scaled(1e-5), units=2)
    assert found.spacing == pytest.approx(SIZES[::-1], rel=1e-5)
    assert "its qform is used instead" in found.notes[0]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (AFFINE @ np.diag([2.0, 2, 1, 1]), "volumes would be 0.25 times as large"),
        (np.diag([-1.0, 1, 1, 1]) @ AFFINE, "left and right would be exchanged"),
        (AFFINE + np.array([[0, 0, 0, 30.0]] + 3 * [[0, 0, 0, 0]]), "lie up to 30 mm apart"),
    ],
)
def test_sform_and_qform_that_differ(other, words):
    found = geometry(qform=AFFINE, sform=other)
    np.testing.assert_array_equal(found.affine, other)
    (note,) = found.notes
    assert words in note


def test_sform_and_bare_sizes_that_differ():
    (note,) = geometry(sform=AFFINE, pixdim=(1, 1, 1)).notes
    assert "1 × 1 × 1 mm in its voxel sizes (pixdim)" in note


@pytest.mark.parametrize(("units", "known"), [(0, False), (2, True)])
def test_sizes_of_one_that_nobody_filled_in_are_not_known(units, known):
    assert geometry(units=units).spacing_known is known


def test_headers_that_agree_up_to_rounding_say_nothing():
    assert geometry(qform=AFFINE, sform=AFFINE + 1e-4, units=2).notes == ()
