import nibabel as nib
import numpy as np
import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.scans.volume import open_label_map, save_label_map
from napari_ssl_muscle.scans.voxel_size import of_voxel_size, parse_voxel_size, with_voxel_size

SIZES = (0.5, 0.75, 5.0)


@pytest.mark.parametrize("text", ["0.5,0.75,5", "0.5 0.75 5.0", " 0.5 × 0.75 × 5"])
def test_ways_to_write_a_voxel_size(text):
    assert parse_voxel_size(text) == SIZES


@pytest.mark.parametrize("text", ["", "1,2", "a,b,c", "0,1,1", "1,1,inf", "1,1,9999"])
def test_what_is_no_voxel_size_is_refused(text):
    with pytest.raises(BadInput):
        parse_voxel_size(text)


def test_it_holds_only_where_the_file_says_nothing_and_is_saved(tmp_path):
    silent = nib.Nifti1Image(np.ones((4, 5, 6), np.uint8), None)
    nib.save(silent, tmp_path / "silent.nii.gz")
    opened = open_label_map(tmp_path / "silent.nii.gz")
    assert not opened.geometry.spacing_known
    known = of_voxel_size(opened, SIZES)
    assert known.geometry.spacing_known
    assert known.geometry.spacing == SIZES[::-1]
    assert not known.geometry.sided
    assert "entered by the user: 0.5 × 0.75 × 5 mm" in known.notes[0]
    # Whoever opens what is saved on that grid knows it, too.
    save_label_map(tmp_path / "out.nii.gz", known.read(), known.geometry, MuscleTable(()))
    again = open_label_map(tmp_path / "out.nii.gz").geometry
    assert again.spacing_known
    assert again.spacing == SIZES[::-1]
    told = Geometry((4, 5, 6), np.diag([2.0, 2.0, 8.0, 1.0]))
    assert with_voxel_size(told, SIZES) is told
