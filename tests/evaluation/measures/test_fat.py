"""Fat fractions of muscles, from water and fat, from phases, and from a fat fraction image."""

import numpy as np
import pytest
from label_files import lps, save

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.measures.fat import (
    fat_from_fraction,
    fat_from_phases,
    fat_from_water_and_fat,
    muscle_fat,
)
from napari_ssl_muscle.evaluation.measures.fat_images import fat_images
from napari_ssl_muscle.evaluation.measures.measure import measure
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable

SPACING = (10.0, 2.0, 1.0)
TABLE = MuscleTable((Muscle(1, "gracilis"),))


def image(value, shape=(2, 8, 12)):
    return np.full(shape, value, np.float32)


def whole(shape=(2, 8, 12)):
    return np.ones(shape, bool)


def test_water_and_fat_give_the_share_of_fat_and_air_has_none():
    water, fat = image(75.0), image(25.0)
    water[0, 0, 0] = fat[0, 0, 0] = 0
    found = muscle_fat(fat_from_water_and_fat(water, fat), whole(), SPACING)
    assert found.percent == pytest.approx(25.0)
    assert found.voxels == 2 * 8 * 12 - 1


def test_phases_mirror_what_is_beyond_half_and_say_so():
    fat_map = fat_from_phases(image(100.0), image(40.0))  # 30 % of fat, or 70
    assert muscle_fat(fat_map, whole(), SPACING).percent == pytest.approx(30.0)
    assert fat_map.remark is not None
    assert "valid below 50 %" in fat_map.remark


@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_a_fraction_image_holds_fractions_or_per_cent(scale):
    values = image(20.0)
    values[0] = 90.0
    fat_map = fat_from_fraction(values * np.float32(scale), "ff.nii.gz")
    assert muscle_fat(fat_map, whole(), SPACING).percent == pytest.approx(55.0)


def test_an_image_in_scanner_units_is_no_fraction():
    with pytest.raises(BadInput, match=r"ff\.nii\.gz is no fat fraction image"):
        fat_from_fraction(image(800.0), "ff.nii.gz")


def test_erosion_leaves_out_the_rim_in_millimetres_of_the_slice():
    fat = image(0.0)
    fat[:, 0], fat[:, -1], fat[:, :, 0], fat[:, :, -1] = 100, 100, 100, 100
    fat_map = fat_from_water_and_fat(100 - fat, fat)
    assert muscle_fat(fat_map, whole(), SPACING).percent == pytest.approx(100 * 36 / 96)
    # Rows are 2 mm and columns 1 mm wide, so that one row and two columns go on either side.
    inner = muscle_fat(fat_map, whole(), SPACING, erosion_mm=2.0)
    assert inner.percent == 0
    assert inner.voxels == 2 * 6 * 8
    assert muscle_fat(fat_map, whole(), SPACING, erosion_mm=9.0).percent is None


def test_fat_free_volume_and_erosion_belong_to_the_muscle():
    labels = np.ones((2, 8, 12), np.uint8)
    fat_map = fat_from_water_and_fat(image(60.0), image(40.0))
    (one,) = measure(labels, TABLE, Geometry(labels.shape[::-1], lps()), fat=fat_map).measures
    assert one.volume_ml == pytest.approx(2 * 8 * 12 * 20 / 1000)
    assert one.fat_percent == pytest.approx(40.0)
    assert one.fat_free_volume_ml == pytest.approx(0.6 * one.volume_ml)


def test_swapped_images_are_asked_about():
    labels = np.ones((2, 8, 12), np.uint8)
    fat_map = fat_from_water_and_fat(image(10.0), image(90.0))
    found = measure(labels, TABLE, Geometry(labels.shape[::-1], lps()), fat=fat_map)
    assert any("are not swapped" in note for note in found.notes)


def test_channels_say_which_image_is_which(tmp_path):
    names = {"acq-water_T1w": "w", "acq-fat_T1w": "f", "T2w": "t"}
    files = {channel: tmp_path / f"{name}.nii.gz" for channel, name in names.items()}
    found = fat_images(files)
    assert found is not None
    assert {role: path.name for role, path in found.files.items()} == {
        "water": "w.nii.gz",
        "fat": "f.nii.gz",
    }
    assert fat_images({**files, "PDFF": tmp_path / "p.nii.gz"}).files == {
        "fat fraction": tmp_path / "p.nii.gz"
    }
    assert fat_images({**files, "acq-fat2_T1w": tmp_path / "x", "run-2_fat": tmp_path}) is None
    numbered = {"0000": tmp_path / "f", "0001": tmp_path / "w"}
    assert fat_images(numbered) is None
    assert fat_images(numbered, "0001", "0000").files["fat"] == tmp_path / "f"
    with pytest.raises(BadInput, match="no channel 0002"):
        fat_images(numbered, "0002", "0000")


def test_water_and_fat_on_different_grids_are_refused(tmp_path):
    shape = (2, 8, 12)
    water = save(tmp_path / "w.nii.gz", np.arange(192).reshape(shape), dtype=np.int16)
    shifted = lps()
    shifted[0, 3] = 5.0
    fat = save(tmp_path / "f.nii.gz", np.arange(192).reshape(shape), shifted, np.int16)
    images = fat_images({"water": water, "fat": fat})
    with pytest.raises(BadInput, match=r"same grid .* so they give no fat"):
        images.read(Geometry(shape[::-1], lps()))
    images = fat_images({"water": water, "fat": water})
    with pytest.raises(BadInput, match="grid of the label map"):
        images.read(Geometry(shape[::-1], shifted))
