"""DICOM files, told apart by volume and read with the geometry that other readers find."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813 - the library's own abbreviation
from dicom_files import AXIAL, CORONAL, SAGITTAL, oblique, voxels, write_enhanced, write_series
from pydicom.uid import generate_uid

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.formats.dicom.contrast import contrast_of
from napari_ssl_muscle.scans.formats.dicom.listing import find_series
from napari_ssl_muscle.scans.formats.dicom.series import Series
from napari_ssl_muscle.scans.formats.dicom.voxels import read_series

DIRECTIONS = {
    "axial": AXIAL,
    "upside down": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "turned": (0.0, 1.0, 0.0, -1.0, 0.0, 0.0),
    "coronal": CORONAL,
    "sagittal": SAGITTAL,
    "oblique": oblique(20),
    "very oblique": oblique(50),
}


def only(folder: Path) -> Series:
    """Return the one volume in a folder."""
    (series,) = find_series(folder).series
    return series


def other_reader(paths: Sequence[Path]) -> tuple[Any, Any]:
    """Affine (RAS) and voxels (x, y, z) as SimpleITK reads them."""
    image = sitk.ReadImage([str(path) for path in paths] if len(paths) > 1 else str(paths[0]))
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    affine[:2] *= -1
    return affine, sitk.GetArrayFromImage(image).transpose(2, 1, 0)


@pytest.mark.parametrize("orientation", DIRECTIONS.values(), ids=DIRECTIONS)
def test_a_classic_series_lies_where_another_reader_finds_it(
    tmp_path: Path, orientation: tuple[float, ...]
) -> None:
    paths = write_series(tmp_path, voxels(), orientation=orientation)
    series = only(tmp_path)
    affine, stored = other_reader(paths)
    np.testing.assert_allclose(series.affine, affine, atol=1e-3)
    np.testing.assert_array_equal(read_series(series), stored)
    assert series.suggested


@pytest.mark.parametrize("orientation", DIRECTIONS.values(), ids=DIRECTIONS)
def test_a_multi_frame_file_lies_where_another_reader_finds_it(
    tmp_path: Path, orientation: tuple[float, ...]
) -> None:
    path = write_enhanced(tmp_path / "file", voxels(), orientation=orientation)
    series = only(path)
    affine, stored = other_reader([path])
    np.testing.assert_allclose(series.affine, affine, atol=1e-3)
    np.testing.assert_array_equal(read_series(series), stored)


def test_slices_are_ordered_by_position_whatever_they_are_called(tmp_path: Path) -> None:
    stored = voxels()
    paths = write_series(tmp_path, stored)
    for path, name in zip(paths, ("b", "d", "a", "c"), strict=True):
        path.rename(tmp_path / name)
    np.testing.assert_array_equal(read_series(only(tmp_path)), stored.transpose(2, 1, 0))


def test_echoes_and_types_of_frames_in_one_file_are_volumes_of_their_own(tmp_path: Path) -> None:
    types = (["DERIVED", "PRIMARY", "W", "W"], ["DERIVED", "PRIMARY", "F", "F"])
    write_enhanced(tmp_path / "dixon", voxels(), frame_types=types, SeriesNumber=2)
    write_enhanced(tmp_path / "echoes", voxels(), echoes=(2.4, 1.2), SeriesNumber=1)
    found = [*find_series(tmp_path / "echoes").series, *find_series(tmp_path / "dixon").series]
    assert [(s.acquisition.number, s.contrast, s.acquisition.echo_time) for s in found] == [
        (1, "magnitude", 1.2),
        (1, "magnitude", 2.4),
        (2, "fat", None),
        (2, "water", None),
    ]
    np.testing.assert_array_equal(read_series(found[0]), (voxels() + 1).transpose(2, 1, 0))
    np.testing.assert_array_equal(read_series(found[2]), (voxels() + 1).transpose(2, 1, 0))


def test_phase_and_magnitude_repeats_and_stations_are_told_apart(tmp_path: Path) -> None:
    both = (generate_uid(), generate_uid())
    write_series(tmp_path, voxels(), uids=both)
    write_series(
        tmp_path, voxels(), uids=both, prefix="P", ImageType=["ORIGINAL", "PRIMARY", "P", "ND"]
    )
    repeats = (generate_uid(), generate_uid())
    for time in (1, 2):
        write_series(
            tmp_path / "repeats",
            voxels(seed=time),
            uids=repeats,
            prefix=f"T{time}",
            TemporalPositionIdentifier=time,
        )
    stations = (generate_uid(), generate_uid())
    for station in (1, 2):
        write_series(
            tmp_path / "stations",
            voxels(),
            uids=stations,
            prefix=f"S{station}",
            origin=(0, 0, 100.0 * station),
            AcquisitionNumber=station,
        )
    found = find_series(tmp_path).series
    assert all(series.problem is None for series in found)
    assert sorted((s.contrast, len(s.frames), s.suggested) for s in found) == [
        *[("magnitude", 4, True)] * 5,
        ("phase", 4, False),
    ]


def test_an_acquisition_number_for_each_slice_makes_no_volumes_of_one_slice(
    tmp_path: Path,
) -> None:
    write_series(tmp_path, voxels(), AcquisitionNumber=lambda z: z + 1)
    assert len(only(tmp_path).frames) == 4


@pytest.mark.parametrize(
    ("take_away", "problem"),
    [([2], "1 slice missing (after slice 2)"), ([1, 2, 4], "missing")],
)
def test_a_gap_is_said_and_never_read(tmp_path: Path, take_away: list[int], problem: str) -> None:
    paths = write_series(tmp_path, voxels((8, 6, 5)))
    for z in take_away:
        paths[z].unlink()
    series = only(tmp_path)
    assert series.problem is not None
    assert problem in series.problem
    assert not series.suggested
    with pytest.raises(BadInput, match="missing"):
        read_series(series)


def test_slices_twice_and_unequal_distances_are_said(tmp_path: Path) -> None:
    same = (generate_uid(), generate_uid())
    write_series(tmp_path / "twice", voxels(), uids=same)
    write_series(tmp_path / "twice", voxels(), uids=same, prefix="AGAIN")
    twice = only(tmp_path / "twice").problem
    assert twice is not None
    assert twice.startswith("4 slices of 8 lie at the place of another one")
    paths = write_series(tmp_path / "unequal", voxels())
    data = pydicom.dcmread(paths[1])
    data.ImagePositionPatient[2] += 3
    data.save_as(paths[1])
    unequal = only(tmp_path / "unequal").problem
    assert unequal == "the distance between its slices is not equal: 4 to 10 mm"


def test_directions_that_differ_are_volumes_of_their_own(tmp_path: Path) -> None:
    same = (generate_uid(), generate_uid())
    for prefix, orientation in (("A", AXIAL), ("C", CORONAL)):
        write_series(
            tmp_path,
            voxels((1, 6, 5)),
            uids=same,
            orientation=orientation,
            prefix=prefix,
            ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
        )
    found = find_series(tmp_path).series
    assert [series.contrast for series in found] == ["localiser", "localiser"]
    assert not any(series.suggested for series in found)


def test_rescaling_is_applied_of_each_frame_its_own(tmp_path: Path) -> None:
    write_series(tmp_path / "classic", voxels(), RescaleSlope=2.5, RescaleIntercept=-3)
    np.testing.assert_allclose(
        read_series(only(tmp_path / "classic")), voxels().transpose(2, 1, 0) * 2.5 - 3
    )
    write_enhanced(tmp_path / "two", voxels(), echoes=(1.0, 2.0), slopes=(0.5, 4.0))
    short, long = find_series(tmp_path / "two").series
    np.testing.assert_allclose(read_series(short), voxels().transpose(2, 1, 0) * 0.5)
    np.testing.assert_allclose(read_series(long), (voxels() + 1).transpose(2, 1, 0) * 4)


@pytest.mark.parametrize("syntax", ["JPEGLosslessProcess14_1", "JPEGLSLossless", "RLELossless"])
def test_compressed_pixels_are_read(tmp_path: Path, syntax: str) -> None:
    stored = voxels((2, 8, 8))
    for path in write_series(tmp_path, stored):
        compress(path, syntax)
        assert pydicom.dcmread(path).file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(read_series(only(tmp_path)), stored.transpose(2, 1, 0))


def compress(path: Path, syntax: str) -> None:
    """Compress the pixels of a file in place."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


def test_a_compression_that_no_library_reads_is_named(tmp_path: Path) -> None:
    for path in write_series(tmp_path, voxels()):
        data = pydicom.dcmread(path)
        data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.106"  # MPEG-4
        data.PixelData = pydicom.encaps.encapsulate([b"\0" * 64])
        data["PixelData"].is_undefined_length = True
        data.save_as(path)
    with pytest.raises(BadInput, match=r"is compressed as .*, which cannot be read here"):
        read_series(only(tmp_path))


def test_what_is_no_volume_is_listed_with_the_reason(tmp_path: Path) -> None:
    write_series(tmp_path / "mosaic", voxels(), ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])
    assert "mosaic" in str(only(tmp_path / "mosaic").problem)
    for path in write_series(tmp_path / "capture", voxels((1, 6, 5))):
        data = pydicom.dcmread(path)
        del data.PixelSpacing, data.ImagePositionPatient, data.ImageOrientationPatient
        data.save_as(path)
    assert "no size in mm" in str(only(tmp_path / "capture").problem)


def test_other_files_are_counted_and_damaged_ones_are_named(tmp_path: Path) -> None:
    paths = write_series(tmp_path, voxels())
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "empty").touch()
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    report = pydicom.dcmread(paths[0])
    del report.PixelData, report.Rows, report.Columns
    report.save_as(tmp_path / "report")
    export = find_series(tmp_path)
    assert len(export.series) == 1
    assert (export.other_files, export.without_image, export.damaged) == (2, 1, [])
    assert export.notes() == [
        "2 files passed over: not DICOM.",
        "1 DICOM file passed over: without an image (reports, documents).",
    ]


def test_a_file_that_is_cut_short_is_named(tmp_path: Path) -> None:
    paths = write_series(tmp_path, voxels())
    paths[1].write_bytes(paths[1].read_bytes()[:-20])
    with pytest.raises(BadInput, match=f"{paths[1].name} is cut short or damaged"):
        read_series(only(tmp_path))


def test_a_folder_without_dicom_says_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(BadInput, match=r"no DICOM image in .* 1 file passed over: not DICOM"):
        find_series(tmp_path)
    with pytest.raises(BadInput, match="does not exist"):
        find_series(tmp_path / "missing")


@pytest.mark.parametrize(
    ("image_type", "description", "contrast"),
    [
        ("DERIVED PRIMARY DIXON WATER", "", "water"),
        ("ORIGINAL PRIMARY M FFE W", "", "water"),
        ("DERIVED PRIMARY M NORM DIS2D FAT", "", "fat"),
        ("DERIVED PRIMARY OP OP DERIVED", "", "opposedphase"),
        ("ORIGINAL PRIMARY IN_PHASE", "", "inphase"),
        ("ORIGINAL PRIMARY P ND", "t1_vibe_dixon_W", "phase"),
        ("DERIVED PRIMARY FAT_FRACTION", "water", "map"),
        ("ORIGINAL PRIMARY LOCALIZER", "", "localiser"),
        ("ORIGINAL PRIMARY M ND", "t1_vibe_dixon_tra_W", "water"),
        ("ORIGINAL PRIMARY OTHER", "WATER: Ax LAVA Flex", "water"),
        ("ORIGINAL PRIMARY OTHER", "OutPhase: Ax LAVA Flex", "opposedphase"),
        ("ORIGINAL PRIMARY M ND", "T1 weighted thigh", "magnitude"),
        ("ORIGINAL PRIMARY M ND", "t1_tse_fs_tra", "magnitude"),
    ],
)
def test_what_a_series_shows(image_type: str, description: str, contrast: str) -> None:
    assert contrast_of(image_type.split(), description) == contrast
