"""The canonical view: every orientation goes in, the same bits come out."""

from __future__ import annotations

import itertools

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_affines import ORIENTATIONS, SPACING, affine_of, oblique_affines, rotation

from napari_ssl_muscle.scans.geometry import Geometry


def stored_index(affine, world):
    """The stored voxel next to a place in RAS mm."""
    return np.linalg.solve(affine, [*world, 1.0])[:3]


shapes = st.one_of(
    st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(2, 6), st.integers(2, 6)),
    st.tuples(st.integers(2, 6), st.integers(2, 6), st.just(1)),
    st.tuples(st.just(1), st.integers(2, 6), st.integers(2, 6)),
)
bad_affines = st.sampled_from(
    [
        np.zeros((4, 4)),
        np.full((4, 4), np.nan),
        np.diag([1.0, np.inf, 1, 1]),
        np.diag([2.0, 2, 0, 1]),
    ]
)


@given(shape=shapes, affine=st.one_of(oblique_affines(), bad_affines))
@settings(deadline=None)
def test_stored_to_canonical_and_back_is_exact(shape, affine):
    geometry = Geometry(shape, affine)
    stored = np.arange(np.prod(shape)).reshape(shape)
    canonical = geometry.to_canonical(stored)
    assert canonical.shape == geometry.canonical_shape
    assert np.shares_memory(canonical, stored)
    back = geometry.to_stored(canonical)
    assert back.shape == shape
    assert np.array_equal(back, stored)


@given(shape=shapes, affine=oblique_affines())
@settings(deadline=None)
def test_every_voxel_keeps_its_place_in_the_patient(shape, affine):
    geometry = Geometry(shape, affine)
    padded = (*shape, 1)[:3]
    places = np.stack(np.meshgrid(*map(np.arange, padded), indexing="ij"), -1) @ affine[:3, :3].T
    places = places + affine[:3, 3]
    for axis in range(3):
        stored = places[..., axis].reshape(shape)
        index = np.stack(np.meshgrid(*map(np.arange, geometry.canonical_shape), indexing="ij"), -1)
        expected = index @ geometry.canonical_affine[axis, :3] + geometry.canonical_affine[axis, 3]
        np.testing.assert_allclose(geometry.to_canonical(stored), expected, atol=1e-9)


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_known_places_arrive_at_the_right_corner(axes, signs):
    shape = (4, 5, 6)
    affine = affine_of(axes, signs)
    corners = nib.affines.apply_affine(
        affine, list(itertools.product(*[(0, n - 1) for n in shape]))
    )
    low, high = corners.min(axis=0), corners.max(axis=0)
    marks = {  # patient's place in RAS → where it must be in (z, y, x)
        "right anterior inferior": ((high[0], high[1], low[2]), (0, 0, 0)),
        "left": ((low[0], high[1], low[2]), (0, 0, -1)),
        "posterior": ((high[0], low[1], low[2]), (0, -1, 0)),
        "superior": ((high[0], high[1], high[2]), (-1, 0, 0)),
        "left posterior superior": ((low[0], low[1], high[2]), (-1, -1, -1)),
    }
    geometry = Geometry(shape, affine)
    assert geometry.sided
    assert geometry.codes == ("S", "P", "L")
    for name, (world, corner) in marks.items():
        stored = np.zeros(shape)
        stored[tuple(np.rint(stored_index(affine, world)).astype(int))] = 1
        assert geometry.to_canonical(stored)[corner] == 1, name
    world_spacing = [SPACING[axes.index(axis)] for axis in range(3)]
    assert geometry.spacing == pytest.approx((world_spacing[2], world_spacing[1], world_spacing[0]))
    assert geometry.origin == pytest.approx((low[2], -high[1], -high[0]))


def test_an_oblique_scan_goes_to_the_nearest_axes_with_its_own_spacing():
    affine = np.eye(4)
    affine[:3, :3] = rotation((0.3, 0.2, -0.3)) @ np.diag([-0.8, 0.9, 4.0])
    geometry = Geometry((4, 5, 6), affine)
    assert geometry.canonical_shape == (6, 5, 4)
    assert geometry.spacing == pytest.approx((4.0, 0.9, 0.8))


def test_last_bits_do_not_choose_axes_at_45_degrees():
    turned = np.eye(4)
    turned[:3, :3] = rotation((0, 0, np.pi / 4))
    generator = np.random.default_rng(0)
    seen = set()
    for _ in range(20):
        noisy = turned.copy()
        noisy[:3, :3] += generator.normal(0, 1e-8, (3, 3))
        geometry = Geometry((2, 3, 4), noisy)
        seen.add((geometry.canonical_shape, geometry.codes))
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("shape", "affine", "canonical", "codes", "sided"),
    [
        ((7, 5), np.eye(4), (1, 5, 7), ("S", "P", "L"), True),
        ((7, 5, 1), np.eye(4), (1, 5, 7), ("S", "P", "L"), True),
        ((1, 7, 5), np.eye(4), (1, 5, 7), ("L", "I", "P"), False),  # sagittal
        ((7, 1, 5), np.eye(4), (1, 5, 7), ("P", "I", "L"), True),  # coronal
        ((7, 5), affine_of((1, 2, 0), (1, 1, 1)), (1, 5, 7), ("L", "I", "P"), False),
    ],
)
def test_a_single_slice_is_seen_in_its_own_plane(shape, affine, canonical, codes, sided):
    geometry = Geometry(shape, affine)
    assert geometry.canonical_shape == canonical
    assert geometry.codes == codes
    assert geometry.sided is sided


def test_a_sagittal_slice_has_its_head_end_on_top_and_anterior_on_the_left():
    stored = np.zeros((1, 7, 5))
    stored[0, -1, -1] = 1  # anterior, superior
    assert Geometry((1, 7, 5), np.eye(4)).to_canonical(stored)[0, 0, 0] == 1


def test_a_flat_scan_without_thickness_keeps_its_plane_and_says_so():
    geometry = Geometry((7, 5), np.diag([-0.5, 0.5, 0.0, 1.0]))
    assert geometry.spacing == (1.0, 0.5, 0.5)
    assert geometry.sided
    assert geometry.problem == "The scan has a single slice without a thickness: 1 mm is assumed."


@pytest.mark.parametrize(
    ("affine", "words"),
    [
        (np.diag([1.0, 1, 0, 1]), "it is singular"),
        (np.diag([0.0, 0, 0, 1]), "its rows are zero"),
        (np.diag([1.0, np.nan, 1, 1]), "it has values that are not finite"),
    ],
)
def test_a_bad_affine_is_said_and_one_millimetre_assumed(affine, words):
    header = nib.Nifti1Header()
    header.set_data_shape((3, 4, 5))
    header.set_sform(affine, code=1)
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), None, header)
    geometry = Geometry.from_image(image, "leg.nii")
    assert geometry.problem is not None
    assert geometry.problem.startswith(f"leg.nii has an affine that cannot be used ({words})")
    assert "1 × 1 × 1 mm" in geometry.problem
    assert geometry.spacing == (1, 1, 1)
    assert not geometry.sided
    assert not geometry.spacing_known


def test_a_missing_affine_is_said():
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), None)
    geometry = Geometry.from_image(image, "leg.nii")
    assert geometry.problem == (
        "leg.nii has no affine: its voxels are taken as 1 × 1 × 1 mm, "
        "and left and right are unknown."
    )
    assert not geometry.sided
    np.testing.assert_array_equal(geometry.affine, np.eye(4))


def test_bare_voxel_sizes_are_used_where_the_affine_is_missing():
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), None)
    image.header.set_zooms((0.5, 0.6, 7.0))
    geometry = Geometry.from_image(image, "leg.nii")
    assert geometry.spacing == pytest.approx((7.0, 0.6, 0.5))
    assert not geometry.sided
    assert geometry.problem is not None
    assert "left and right are unknown" in geometry.problem


class TestSameGrid:
    base = Geometry((4, 5, 6), affine_of((0, 1, 2), (1, 1, 1)))

    def test_header_rounding_is_no_difference(self):
        assert self.base.differs_from(Geometry((4, 5, 6), self.base.affine + 1e-5)) is None

    def test_the_same_voxels_stored_in_another_order_are_no_difference(self):
        flipped = self.base.affine @ np.array(
            [[-1.0, 0, 0, 3], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
        )
        assert self.base.differs_from(Geometry((4, 5, 6), flipped)) is None

    @pytest.mark.parametrize(
        ("other", "words"),
        [
            (Geometry((5, 5, 6), base.affine), "4 × 5 × 6 voxels against 5 × 5 × 6"),
            (
                Geometry((4, 5, 6), affine_of((0, 1, 2), (1, 1, 1), (0.7, 1.3, 6.0))),
                "voxels of 0.7 × 1.3 × 5 mm against 0.7 × 1.3 × 6 mm",
            ),
            (
                Geometry((4, 5, 6), affine_of((0, 1, 2), (1, 1, 1), origin=(-11, 20, 35.0))),
                "their voxels lie up to 2 mm apart",
            ),
            (
                Geometry((4, 5, 6), base.affine, "no affine", oriented=False),
                "only one of them has an affine",
            ),
        ],
    )
    def test_it_says_what_differs(self, other, words):
        assert self.base.differs_from(other) == words

    def test_a_mirrored_scan_is_another_grid(self):
        mirrored = affine_of((0, 1, 2), (-1, 1, 1))
        assert "apart" in (self.base.differs_from(Geometry((4, 5, 6), mirrored)) or "")


def test_the_geometry_keeps_no_text_of_the_header():
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), np.eye(4))
    image.header["descrip"] = b"Jane Doe"
    image.header["db_name"] = b"Doe"
    image.header["intent_name"] = b"Doe"
    image.header["aux_file"] = b"Doe"
    header = Geometry.from_image(image, "leg.nii").header
    assert header is not None
    assert b"Doe" not in header.binaryblock
