"""NRRD, MetaImage, GIPL and Analyze: the same voxels in the same places as in other readers."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK as sitk  # noqa: N813 - the library's own abbreviation

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.pairing import find_label_maps
from napari_ssl_muscle.scans.cohort import open_cohort
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.scans.volume import open_label_map, open_scan, save_label_map

AXES = {
    "axial": np.eye(3),
    "coronal": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "sagittal": np.array([[0.0, 0, -1], [1, 0, 0], [0, -1, 0]]),
    "mirrored": np.diag([-1.0, 1, -1]),
}
TURN = np.array(
    [[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1.0]]
) @ np.array([[1, 0, 0], [0, np.cos(0.2), -np.sin(0.2)], [0, np.sin(0.2), np.cos(0.2)]])
AXES["oblique"] = TURN
SPACING = (0.8, 1.1, 7.0)
ORIGIN = (-40.0, 31.5, 12.25)


def stored() -> npt.NDArray[np.int16]:
    """Voxels (x, y, z) that all differ."""
    count = 4 * 6 * 5
    return np.random.default_rng(0).permutation(count).reshape(6, 5, 4).astype(np.int16)


def affine(axes: npt.NDArray[np.float64], space: Sequence[float]) -> npt.NDArray[np.float64]:
    """RAS affine of directions (columns) in a space whose axes are these signs of RAS."""
    found = np.eye(4)
    found[:3, :3] = axes * np.array(SPACING)
    found[:3, 3] = ORIGIN
    return np.diag([*space, 1.0]) @ found


def write_nrrd(path: Path, voxels: Any, axes: Any, space: str, **fields: Any) -> Path:
    header = {
        "space": space,
        "space directions": (axes * np.array(SPACING)).T,
        "space origin": ORIGIN,
        **fields,
    }
    nrrd.write(str(path), voxels, header, detached_header=path.suffix == ".nhdr")
    return path


def write_meta(path: Path, voxels: npt.NDArray[Any], axes: npt.NDArray[np.float64]) -> Path:
    """Write MetaImage by hand: header, then voxels, x fastest; in a file of their own for .mhd."""
    raw = voxels.astype("<i2").tobytes(order="F")
    beside = path.suffix == ".mhd"
    lines = [
        *("ObjectType = Image", "NDims = 3", "BinaryData = True"),
        *("BinaryDataByteOrderMSB = False", "CompressedData = False"),
        "TransformMatrix = " + " ".join(str(v) for v in axes.T.ravel()),
        "Offset = " + " ".join(map(str, ORIGIN)),
        "ElementSpacing = " + " ".join(map(str, SPACING)),
        "DimSize = " + " ".join(map(str, voxels.shape)),
        "ElementType = MET_SHORT",
        f"ElementDataFile = {path.stem + '.raw' if beside else 'LOCAL'}",
    ]
    header = ("\n".join(lines) + "\n").encode()
    path.write_bytes(header if beside else header + raw)
    if beside:
        path.with_suffix(".raw").write_bytes(raw)
    return path


def check(path: Path, expected: npt.NDArray[np.float64]) -> None:
    """Compare with what was written, and with nibabel on the NIfTI file that SimpleITK makes."""
    scan = open_scan(path)
    geometry = Geometry(stored().shape, expected)
    assert geometry.differs_from(scan.geometry, atol_mm=1e-3) is None
    np.testing.assert_array_equal(scan.read(), geometry.to_canonical(stored()).astype(np.float32))
    assert scan.notes == []
    other = path.with_name("other.nii.gz")
    sitk.WriteImage(sitk.ReadImage(str(path)), str(other))
    nifti = open_scan(other)
    assert nifti.geometry.differs_from(scan.geometry, atol_mm=1e-3) is None
    np.testing.assert_array_equal(nifti.read(), scan.read())


@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
@pytest.mark.parametrize("name", ["leg.mha", "leg.mhd"])
def test_a_meta_image_lies_where_it_was_written(tmp_path: Path, name: str, axes: Any) -> None:
    check(write_meta(tmp_path / name, stored(), axes), affine(axes, (-1, -1, 1)))


@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
@pytest.mark.parametrize(
    ("name", "space", "signs"),
    [
        ("leg.nrrd", "left-posterior-superior", (-1, -1, 1)),
        ("leg.NRRD", "right-anterior-superior", (1, 1, 1)),
        ("leg.nhdr", "left-anterior-superior", (-1, 1, 1)),
    ],
)
def test_a_nrrd_file_lies_where_it_was_written(
    tmp_path: Path, name: str, space: str, signs: Any, axes: Any
) -> None:
    path = write_nrrd(tmp_path / name.lower(), stored(), axes, space, encoding="gzip")
    check(path.rename(tmp_path / name), affine(axes, signs))


def test_directions_that_a_file_does_not_have_are_not_made_up(tmp_path: Path) -> None:
    nrrd.write(str(tmp_path / "a.nrrd"), stored(), {"spacings": list(SPACING)})
    image = sitk.GetImageFromArray(stored().transpose())
    image.SetSpacing(SPACING)
    sitk.WriteImage(image, str(tmp_path / "b.gipl"))
    for name in ("a.nrrd", "b.gipl"):
        scan = open_scan(tmp_path / name)
        assert not scan.geometry.oriented
        np.testing.assert_allclose(sorted(scan.geometry.spacing), sorted(SPACING), rtol=1e-6)
        (note,) = scan.notes
        assert name in note


def test_an_analyze_pair_is_read_packed_or_not(tmp_path: Path) -> None:
    image = nib.AnalyzeImage(stored(), np.diag([*SPACING, 1.0]))
    nib.save(image, tmp_path / "leg.img")
    plain = open_scan(tmp_path / "leg.img").read()
    for name in ("leg.img", "leg.hdr"):
        (tmp_path / f"packed{name[3:]}.gz").write_bytes(
            gzip.compress((tmp_path / name).read_bytes())
        )
    np.testing.assert_array_equal(open_scan(tmp_path / "packed.img.gz").read(), plain)


def test_one_image_of_a_list_is_chosen(tmp_path: Path) -> None:
    several = np.stack([stored(), stored() + 1])
    header = {
        "space": "left-posterior-superior",
        "kinds": ["list", "domain", "domain", "domain"],
        "space directions": np.vstack([[np.nan] * 3, np.diag(SPACING)]),
        "space origin": ORIGIN,
    }
    nrrd.write(str(tmp_path / "leg.nrrd"), several, header)
    with pytest.raises(BadInput, match="2 volumes"):
        open_scan(tmp_path / "leg.nrrd")
    one, other = (open_scan(tmp_path / "leg.nrrd", volume).read() for volume in (0, 1))
    np.testing.assert_array_equal(one + 1, other)


def test_labels_drawn_on_such_a_scan_are_saved_on_its_grid(tmp_path: Path) -> None:
    path = write_nrrd(tmp_path / "leg.nrrd", stored(), TURN, "left-posterior-superior")
    scan = open_scan(path)
    labels = (scan.read() > 60).astype(np.uint8)
    file, *_ = save_label_map(tmp_path / "x", labels, scan.geometry, default_table("thigh"))
    image = sitk.ReadImage(str(file))
    source = sitk.ReadImage(str(path))
    np.testing.assert_allclose(image.GetDirection(), source.GetDirection(), atol=1e-5)
    np.testing.assert_allclose(image.GetOrigin(), source.GetOrigin(), atol=1e-4)
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(source) > 60
    )
    np.testing.assert_array_equal(open_label_map(file).read(), labels)


def test_folders_hold_them_as_they_hold_nifti(tmp_path: Path) -> None:
    images, labels = tmp_path / "raw" / "imagesTr", tmp_path / "raw" / "labelsTr"
    for folder in (images, labels):
        folder.mkdir(parents=True)
    write_meta(images / "leg_0000.mha", stored(), np.eye(3))
    write_meta(labels / "leg.mha", (stored() > 60).astype(np.int16), np.eye(3))
    content = {"file_ending": ".mha", "channel_names": {"0": "water"}, "labels": {"thigh": 1}}
    (tmp_path / "raw" / "dataset.json").write_text(json.dumps(content))
    cohort = open_cohort(tmp_path / "raw")
    (case,) = cohort.cases
    assert case.images == {"water": images / "leg_0000.mha"}
    assert case.labels == labels / "leg.mha"
    assert find_label_maps(labels) == [labels / "leg.mha"]
    flat = tmp_path / "flat"
    flat.mkdir()
    write_nrrd(flat / "leg.nrrd", stored(), np.eye(3), "left-posterior-superior")
    drawn = (stored() > 60).astype(np.uint8)
    write_nrrd(flat / "leg.seg.nrrd", drawn, np.eye(3), "left-posterior-superior")
    (case,) = open_cohort(flat).cases
    assert case.name == "leg"
    assert case.labels == flat / "leg.seg.nrrd"


@pytest.mark.parametrize("name", ["leg.nrrd", "leg.mha"])
def test_what_is_broken_is_said_in_one_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("nrrd"):
        write_nrrd(path, stored(), np.eye(3), "left-posterior-superior")
    else:
        write_meta(path, stored(), np.eye(3))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BadInput, match="cut short or damaged") as told:
        open_scan(path).read()
    assert "\n" not in str(told.value)
    path.write_bytes(b"")
    with pytest.raises(BadInput, match="not an image"):
        open_scan(path)


def test_a_missing_library_is_said_with_its_name_and_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_meta(tmp_path / "leg.mha", stored(), np.eye(3))
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(BadInput, match=r"SimpleITK.*pip install .*\[formats\]"):
        open_scan(path)
