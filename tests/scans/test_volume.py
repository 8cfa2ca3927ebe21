"""Scans in, label maps out: what is read is what was stored, and bad files get one sentence."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scan_affines import affine_of, oblique_affines

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import MuscleTable, default_table, read_table
from napari_ssl_muscle.scans.volume import (
    check_same_grid,
    on_grid_of,
    open_label_map,
    open_scan,
    save_label_map,
)

THIGH = default_table("thigh")
SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def noise(shape, dtype=np.int16):
    values = np.random.default_rng(0).integers(0, 1000, shape).astype(dtype)
    return values


def write(path, data, affine=None, **header):
    image = nib.Nifti1Image(data, np.eye(4) if affine is None else affine)
    for name, value in header.items():
        image.header[name] = value
    nib.save(image, path)
    return path


def spatial_bits(path):
    header = nib.load(path).header
    names = ["qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x"]
    names += ["qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"]
    return [header[name].tobytes() for name in names] + [header["pixdim"][:4].tobytes()]


class TestReading:
    def test_voxels_arrive_canonical_float32_contiguous_and_scaled(self, tmp_path):
        data = noise((4, 5, 6))
        image = nib.Nifti1Image(data, affine_of((0, 1, 2), (-1, -1, 1)))
        image.header.set_slope_inter(2.0, -10.0)
        nib.save(image, tmp_path / "a.nii.gz")
        stored = np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj)
        scan = open_scan(tmp_path / "a.nii.gz")
        values = scan.read()
        assert scan.name == "a"
        assert values.dtype == np.float32
        assert values.flags.c_contiguous
        np.testing.assert_array_equal(values, stored.T.astype(np.float32))

    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    def test_a_file_can_be_deleted_after_reading(self, tmp_path, suffix):
        path = write(tmp_path / f"a{suffix}", noise((4, 5, 6)))
        values = open_scan(path).read()
        assert values.base is None or not isinstance(values.base, np.memmap)
        path.unlink()

    @pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (1, 4, 5), (4, 5, 6), (4, 5, 6, 1)])
    def test_two_and_three_dimensions(self, tmp_path, shape):
        path = write(tmp_path / "a.nii", noise(shape))
        scan = open_scan(path)
        assert scan.volumes == 1
        assert scan.volume is None
        assert scan.geometry.shape == shape[:3]
        assert scan.read().shape == scan.geometry.canonical_shape

    def test_one_of_several_volumes(self, tmp_path):
        data = noise((4, 5, 6, 3))
        path = write(tmp_path / "a.nii.gz", data)
        scan = open_scan(path, volume=2)
        assert scan.volumes == 3
        expected = scan.geometry.to_canonical(data[..., 2])
        np.testing.assert_array_equal(scan.read(), expected)

    def test_labels_keep_their_values(self, tmp_path):
        data = noise((4, 5, 6), np.uint16)
        labels = open_label_map(write(tmp_path / "a.nii.gz", data))
        values = labels.read()
        assert values.dtype == np.int32
        np.testing.assert_array_equal(values, labels.geometry.to_canonical(data))

    def test_whole_numbers_in_a_float_file_are_labels(self, tmp_path):
        data = noise((4, 5, 6), np.float32)
        assert open_label_map(write(tmp_path / "a.nii", data)).read().max() == data.max()

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_values_outside_of_a_map_are_background(self, tmp_path, value):
        data = noise((20, 20, 3), np.float32) + 5
        data[:6] = value
        scan = open_scan(write(tmp_path / "t2map.nii.gz", data))
        values = scan.read()
        expected = np.where(np.isfinite(data), data, data[6:].min())
        np.testing.assert_array_equal(values, scan.geometry.to_canonical(expected))
        (note,) = scan.notes
        assert "t2map.nii.gz has 360 voxels without a finite value" in note

    def test_label_values_that_were_stored_inexactly_are_rounded(self, tmp_path):
        drawn = noise((4, 5, 6), np.uint8) % 5
        stored = drawn.astype(np.float32)
        stored[drawn > 0] += np.float32(1e-5)
        labels = open_label_map(write(tmp_path / "a.nii", stored))
        np.testing.assert_array_equal(labels.read(), labels.geometry.to_canonical(drawn))
        assert "values such as 1.00001 are rounded" in labels.notes[0]

    @pytest.mark.parametrize(("packed", "name"), [(False, "a.nii.gz"), (True, "a.NII")])
    def test_a_name_that_is_wrong_about_the_compression(self, tmp_path, packed, name):
        data = noise((4, 5, 6))
        path = write(tmp_path / ("real.nii.gz" if packed else "real.nii"), data)
        path.rename(tmp_path / name)
        scan = open_scan(tmp_path / name)
        np.testing.assert_array_equal(scan.read(), scan.geometry.to_canonical(data))
        assert len(scan.notes) == 1
        assert f"{name} is {'' if packed else 'not '}compressed" in scan.notes[0]

    @pytest.mark.parametrize("name", ["leg.NII.GZ", "leg.img", "leg.hdr"])
    def test_capitals_and_pairs(self, tmp_path, name):
        data = noise((4, 5, 6))
        kind = nib.Nifti1Image if "NII" in name else nib.Nifti1Pair
        plain = tmp_path / ("leg.nii.gz" if "NII" in name else "leg.img")
        nib.save(kind(data, np.eye(4)), plain)
        if "NII" in name:
            plain.rename(tmp_path / name)
        scan = open_scan(tmp_path / name)
        np.testing.assert_array_equal(scan.read(), scan.geometry.to_canonical(data))
        assert scan.notes == []

    def test_an_analyze_file_tells_no_directions(self, tmp_path):
        nib.save(nib.AnalyzeImage(noise((4, 5, 6)), np.diag([2, 3, 4, 1])), tmp_path / "a.img")
        geometry = open_scan(tmp_path / "a.img").geometry
        assert geometry.spacing == (4, 3, 2)
        assert geometry.spacing_known
        assert not geometry.sided
        assert "Analyze" in (geometry.problem or "")


class TestBadScans:
    """Each sentence names the file and the way out."""

    def says(self, path, *words, read=True, volume=None):
        def use():
            scan = open_scan(path, volume)
            if read:
                scan.read()

        with pytest.raises(BadInput) as caught:
            use()
        sentence = str(caught.value)
        assert Path(path).name in sentence
        assert "\n" not in sentence
        for word in words:
            assert word in sentence

    def test_missing(self, tmp_path):
        self.says(tmp_path / "no.nii.gz", "does not exist", "check the path", read=False)

    def test_a_folder(self, tmp_path):
        self.says(tmp_path, "is a folder", read=False)

    @pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.95])
    def test_truncated_gzip(self, tmp_path, keep):
        whole = write(tmp_path / "whole.nii.gz", noise((40, 50, 6)))
        content = whole.read_bytes()
        cut = tmp_path / "cut.nii.gz"
        cut.write_bytes(content[: max(int(len(content) * keep), 20)])
        self.says(cut, "is cut short or damaged", "export it again")

    def test_a_damaged_byte_in_gzip(self, tmp_path):
        whole = write(tmp_path / "whole.nii.gz", noise((40, 50, 6)))
        content = bytearray(whole.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
        damaged = tmp_path / "damaged.nii.gz"
        damaged.write_bytes(content)
        self.says(damaged, "cut short or damaged")

    def test_truncated_without_compression(self, tmp_path):
        path = write(tmp_path / "a.nii", noise((40, 50, 6)))
        path.write_bytes(path.read_bytes()[:5000])
        self.says(path, "is cut short or damaged")

    @pytest.mark.parametrize("name", ["notes.nii.gz", "notes.nii", "notes.txt"])
    def test_text(self, tmp_path, name):
        path = tmp_path / name
        path.write_text("Dear colleague,\n" * 40)
        self.says(path, "not an image", "NIfTI", read=False)

    def test_gzipped_text(self, tmp_path):
        path = tmp_path / "notes.nii.gz"
        path.write_bytes(gzip.compress(b"Dear colleague,\n" * 40))
        self.says(path, "not an image", "NIfTI", read=False)

    def test_nothing_in_the_file(self, tmp_path):
        path = tmp_path / "zero.nii.gz"
        path.write_bytes(b"")
        self.says(path, "not an image", read=False)

    @pytest.mark.parametrize("value", [0, 7])
    def test_constant(self, tmp_path, value):
        path = write(tmp_path / "a.nii", np.full((4, 5, 6), value, np.int16))
        self.says(path, f"every voxel is {value}", "export the scan again")

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
    def test_not_finite_all_over(self, tmp_path, value):
        data = noise((8, 9, 6), np.float64)
        data[::2, ::2] = value
        self.says(write(tmp_path / "a.nii", data), "values that are not finite", "replace")
        self.says(write(tmp_path / "b.nii", np.full((4, 5, 6), value)), "all of them", "replace")

    def test_four_dimensions_without_a_choice(self, tmp_path):
        path = write(tmp_path / "a.nii", noise((4, 5, 6, 3)))
        self.says(path, "holds 3 volumes", "--volume 0 to 2", read=False)

    @pytest.mark.parametrize("volume", [-1, 3])
    def test_a_volume_that_is_not_there(self, tmp_path, volume):
        path = write(tmp_path / "a.nii", noise((4, 5, 6, 3)))
        self.says(path, f"no volume {volume}", "volumes 0 to 2", volume=volume, read=False)

    def test_five_dimensions(self, tmp_path):
        path = write(tmp_path / "a.nii", noise((4, 5, 6, 1, 3)))
        self.says(path, "5 dimensions (4 × 5 × 6 × 1 × 3)", "at most four", read=False)

    def test_one_dimension(self, tmp_path):
        self.says(write(tmp_path / "a.nii", noise((4,))), "only 1 axis", read=False)

    def test_no_voxel(self, tmp_path):
        self.says(write(tmp_path / "a.nii", noise((4, 0, 5))), "is empty", read=False)

    def test_colour(self, tmp_path):
        data = np.zeros((4, 5, 6), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
        self.says(write(tmp_path / "a.nii", data), "colour image", read=False)

    def test_complex(self, tmp_path):
        path = write(tmp_path / "a.nii", noise((4, 5, 6), np.complex64))
        self.says(path, "magnitude image", read=False)


class TestBadLabels:
    def test_no_whole_numbers(self, tmp_path):
        data = noise((4, 5, 6), np.float32)
        data[0, 0, 0] = 1.5
        with pytest.raises(BadInput, match=r"a\.nii is no label map: .* no whole numbers"):
            open_label_map(write(tmp_path / "a.nii", data)).read()

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_not_finite(self, tmp_path, value):
        data = np.full((4, 5, 6), value, np.float32)
        with pytest.raises(BadInput, match=r"a\.nii is no label map"):
            open_label_map(write(tmp_path / "a.nii", data)).read()

    def test_negative(self, tmp_path):
        data = noise((4, 5, 6))
        data[0, 0, 0] = -3
        with pytest.raises(BadInput, match=r"a\.nii is no label map: its values go from -3"):
            open_label_map(write(tmp_path / "a.nii", data)).read()

    def test_several_volumes(self, tmp_path):
        with pytest.raises(BadInput, match=r"a\.nii holds 3 volumes; a label map holds one"):
            open_label_map(write(tmp_path / "a.nii", noise((4, 5, 6, 3))))

    def test_another_grid(self, tmp_path):
        scan = open_scan(write(tmp_path / "scan.nii", noise((4, 5, 6))))
        labels = open_label_map(
            write(tmp_path / "labels.nii", noise((4, 5, 6)), np.diag([1, 1, 2, 1.0]))
        )
        with pytest.raises(BadInput) as caught:
            check_same_grid(scan, labels)
        for word in ("scan.nii", "labels.nii", "1 × 1 × 1 mm against 1 × 1 × 2 mm", "give labels"):
            assert word in str(caught.value)

    def test_labels_cut_to_a_part_of_the_scan_are_filled_up(self, tmp_path):
        affine = affine_of((0, 2, 1), (-1, 1, 1))
        drawn = noise((6, 7, 8), np.uint8) % 4
        drawn[:2], drawn[:, 5:], drawn[..., :1] = 0, 0, 0
        scan = open_scan(write(tmp_path / "scan.nii", noise((6, 7, 8)), affine))
        moved = affine.copy()
        moved[:3, 3] = (affine @ [2, 0, 1, 1])[:3]
        part = open_label_map(write(tmp_path / "labels.nii", drawn[2:, :5, 1:], moved))
        labels = on_grid_of(scan, part)
        np.testing.assert_array_equal(labels.read(), scan.geometry.to_canonical(drawn))
        assert "labels.nii covers" in " ".join(labels.notes)
        for shift in ((0.5, 0, 0), (0, -9, 0), (0, 0, 40)):  # between voxels, or outside
            elsewhere = moved.copy()
            elsewhere[:3, 3] += (affine @ [*shift, 0])[:3]
            write(tmp_path / "labels.nii", drawn[2:, :5, 1:], elsewhere)
            with pytest.raises(BadInput, match="do not lie on the same grid"):
                on_grid_of(scan, open_label_map(tmp_path / "labels.nii"))

    def test_the_same_grid_is_accepted(self, tmp_path):
        scan = open_scan(write(tmp_path / "scan.nii", noise((4, 5))))
        check_same_grid(scan, open_label_map(write(tmp_path / "labels.nii", noise((4, 5, 1)))))


class TestSaving:
    @given(
        affine=st.one_of(
            oblique_affines(), st.sampled_from([np.zeros((4, 4)), np.full((4, 4), np.nan)])
        ),
        shape=st.sampled_from([(3, 4), (3, 4, 1), (1, 3, 4), (3, 1, 4), (3, 4, 5)]),
        codes=st.sampled_from([(1, 0), (0, 1), (1, 1), (2, 1), (0, 0), (4, 2)]),
        nifti2=st.booleans(),
    )
    @settings(
        deadline=None,
        max_examples=120,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def test_labels_get_the_scans_shape_and_affine_bit_for_bit(
        self, tmp_path, affine, shape, codes, nifti2
    ):
        header = nib.Nifti2Header() if nifti2 else nib.Nifti1Header()
        header.set_data_shape(shape)
        header.set_data_dtype(np.int16)
        if np.isfinite(affine).all() and affine.any():
            header.set_qform(affine)
        header.set_sform(affine)
        header["qform_code"], header["sform_code"] = codes
        kind = nib.Nifti2Image if nifti2 else nib.Nifti1Image
        data = noise(shape)
        scan_path = tmp_path / "scan.nii"
        nib.save(kind(data, None, header), scan_path)

        scan = open_scan(scan_path)
        labels = (scan.read() % 7).astype(np.uint8)
        path, _, _ = save_label_map(tmp_path / "labels.nii.gz", labels, scan.geometry, THIGH)

        before, after = nib.load(scan_path), nib.load(path)
        assert after.shape == shape
        np.testing.assert_array_equal(after.affine, before.affine)
        assert spatial_bits(path) == spatial_bits(scan_path)
        np.testing.assert_array_equal(np.asarray(after.dataobj), data % 7)
        np.testing.assert_array_equal(open_label_map(path).read(), labels)
        check_same_grid(scan, open_label_map(path))

    def test_big_endian_scans(self, tmp_path):
        header = nib.Nifti1Header(endianness=">")
        header.set_data_shape((3, 4, 5))
        header.set_data_dtype(np.dtype(">i2"))
        header.set_sform(affine_of((2, 0, 1), (-1, 1, -1)), code=1)
        data = noise((3, 4, 5))
        nib.save(nib.Nifti1Image(data, None, header), tmp_path / "scan.nii")
        assert (tmp_path / "scan.nii").read_bytes()[:4] == b"\x00\x00\x01\x5c"
        scan = open_scan(tmp_path / "scan.nii")
        labels = (scan.read() % 7).astype(int)
        path, *_ = save_label_map(tmp_path / "labels.nii.gz", labels, scan.geometry, THIGH)
        np.testing.assert_array_equal(nib.load(path).affine, nib.load(tmp_path / "scan.nii").affine)
        np.testing.assert_array_equal(np.asarray(nib.load(path).dataobj), data % 7)

    @pytest.mark.parametrize(("shape", "axes"), [((4, 5, 6), (2, 0, 1)), ((1, 5, 6), (0, 1, 2))])
    def test_a_geometry_without_a_header_gets_qform_and_sform(self, tmp_path, shape, axes):
        affine = affine_of(axes, (1, -1, 1))
        geometry = Geometry(shape, affine)
        labels = np.ones(geometry.canonical_shape, np.uint8)
        path, *_ = save_label_map(tmp_path / "a.nii.gz", labels, geometry, THIGH)
        header = nib.load(path).header
        assert (header["qform_code"], header["sform_code"]) == (1, 1)
        np.testing.assert_allclose(header.get_qform(), affine, atol=1e-5)
        np.testing.assert_allclose(header.get_sform(), affine, atol=1e-5)

    def test_the_fourth_axis_and_all_text_stay_behind(self, tmp_path):
        scan_path = write(
            tmp_path / "scan.nii",
            noise((4, 5, 6, 2)),
            descrip=b"Jane Doe",
            db_name=b"Doe",
            intent_name=b"Doe",
            aux_file=b"Doe",
            xyzt_units=10,
        )
        scan = open_scan(scan_path, volume=1)
        labels = np.zeros(scan.geometry.canonical_shape, np.uint8)
        path, *_ = save_label_map(tmp_path / "labels.nii.gz", labels, scan.geometry, THIGH)
        assert nib.load(path).shape == (4, 5, 6)
        assert b"Doe" not in gzip.decompress(path.read_bytes())
        assert nib.load(path).header.get_xyzt_units() == ("mm", "unknown")

    @pytest.mark.parametrize(
        ("highest", "dtype"), [(6, np.uint8), (255, np.uint8), (256, np.uint16), (70000, np.uint32)]
    )
    def test_the_smallest_type_that_holds_the_values(self, tmp_path, highest, dtype):
        labels = np.zeros((6, 5, 4), np.int64)
        labels[1, 2, 3] = highest
        geometry = Geometry((4, 5, 6), np.eye(4))
        path, *_ = save_label_map(tmp_path / "a.nii.gz", labels, geometry, MuscleTable(()))
        assert nib.load(path).get_data_dtype() == dtype
        np.testing.assert_array_equal(open_label_map(path).read(), labels)

    def test_the_tables_lie_beside_it_and_name_every_value(self, tmp_path):
        labels = np.zeros((6, 5, 4), np.uint8)
        labels[0, 0, :2] = (3, 9)
        geometry = Geometry((4, 5, 6), np.eye(4))
        files = save_label_map(tmp_path / "deep" / "leg_dseg", labels, geometry, THIGH)
        assert [file.name for file in files] == [
            "leg_dseg.nii.gz",
            "leg_dseg.label",
            "leg_dseg.tsv",
        ]
        assert {file.name for file in (tmp_path / "deep").iterdir()} == {f.name for f in files}
        for file in files[1:]:
            table = read_table(file)
            assert table.values == (1, 2, 3, 4, 5, 6, 9)
            assert table.names == (*THIGH.names, "label 9")

    def test_a_folder_that_cannot_be_written_to(self, tmp_path):
        (tmp_path / "file").write_text("")
        geometry = Geometry((4, 5, 6), np.eye(4))
        with pytest.raises(BadInput, match="Cannot write"):
            save_label_map(
                tmp_path / "file" / "a.nii.gz", np.zeros((6, 5, 4), int), geometry, THIGH
            )

    def test_a_mask_of_another_shape_is_a_programming_error(self, tmp_path):
        with pytest.raises(ValueError, match="not"):
            save_label_map(
                tmp_path / "a.nii.gz",
                np.zeros((5, 5, 4), int),
                Geometry((4, 5, 6), np.eye(4)),
                THIGH,
            )


@pytest.mark.real
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real scans are not here")
@pytest.mark.parametrize(
    "name", ["thigh/imagesTs/Thigh_003_0001.nii.gz", "unlabelled/siemens_foot_te345.nii.gz"]
)
def test_real_scans_keep_their_geometry(tmp_path, name):
    scan = open_scan(SHARED / name)
    values = scan.read()
    labels = (values > values.mean()).astype(np.uint8)
    path, *_ = save_label_map(tmp_path / "a.nii.gz", labels, scan.geometry, THIGH)
    assert spatial_bits(path) == spatial_bits(SHARED / name)
    np.testing.assert_array_equal(nib.load(path).affine, nib.load(SHARED / name).affine)
    assert nib.load(path).shape == nib.load(SHARED / name).shape
    np.testing.assert_array_equal(open_label_map(path).read(), labels)


@pytest.mark.real
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real scans are not here")
def test_half_of_a_real_scan_is_refused(tmp_path):
    content = (SHARED / "unlabelled" / "siemens_thigh_mtoff.nii.gz").read_bytes()
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInput, match=r"cut\.nii\.gz is cut short or damaged"):
        open_scan(cut).read()


def test_of_a_packed_bomb_behind_an_honest_header_only_the_image_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.nii.gz"
    voxels = np.arange(64, dtype=np.int16).reshape(4, 4, 4)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), path)
    with gzip.open(path, "ab") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    open_scan(path).read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
