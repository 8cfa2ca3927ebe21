"""napari's own save for labels: the same files as the form's button."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.muscles import default_table, read_table
from napari_ssl_muscle.scans.volume import open_label_map
from napari_ssl_muscle.viewer.layers.scan_layers import show_table, unwrap
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.writer import write_labels

PLUGIN = "napari-ssl-muscle"


def draw(layer: Any) -> None:
    layer.data_setitem((np.array([1, 2]), np.array([5, 6]), np.array([7, 8])), np.array([2, 5]))


def test_napari_s_save_writes_the_scan_s_own_grid_and_the_tables(
    viewer: Any, scan_file: Path, tmp_path: Path
) -> None:
    _, prediction = commands.open_paths(viewer, [scan_file])
    layer = unwrap(prediction)
    show_table(layer, default_table("thigh"))
    draw(layer)
    target = tmp_path / "out.nii.gz"
    written = layer.save(str(target), plugin=PLUGIN)
    assert written == [str(target), str(tmp_path / "out.label"), str(tmp_path / "out.tsv")]
    saved, scan = nib.load(target), nib.load(scan_file)
    assert saved.shape == scan.shape
    for name in ("qform_code", "sform_code", "pixdim", "srow_x", "quatern_b", "qoffset_x"):
        np.testing.assert_array_equal(saved.header[name], scan.header[name])
    np.testing.assert_array_equal(open_label_map(target).read(), layer.data)
    assert read_table(tmp_path / "out.tsv").names == default_table("thigh").names


def test_without_being_named_our_writer_takes_nii_gz(
    viewer: Any, scan_file: Path, tmp_path: Path
) -> None:
    _, prediction = commands.open_paths(viewer, [scan_file])
    draw(prediction)
    written = unwrap(prediction).save(str(tmp_path / "out.nii.gz"))
    assert str(tmp_path / "out.tsv") in written


def test_what_was_saved_opens_as_it_was(viewer: Any, scan_file: Path, tmp_path: Path) -> None:
    image, prediction = commands.open_paths(viewer, [scan_file])
    draw(prediction)
    unwrap(prediction).save(str(tmp_path / "again_dseg.nii.gz"), plugin=PLUGIN)
    (again,) = commands.open_paths(viewer, [tmp_path / "again_dseg.nii.gz"])
    np.testing.assert_array_equal(again.data, prediction.data)
    np.testing.assert_allclose(again.scale, image.scale)
    np.testing.assert_allclose(again.translate, image.translate)


def test_labels_that_were_drawn_anew_take_the_grid_of_the_scan_below(
    viewer: Any, scan_file: Path, tmp_path: Path
) -> None:
    image, _ = commands.open_paths(viewer, [scan_file])
    drawn = np.zeros(image.data.shape, np.uint16)
    drawn[2, 10:20, 10:20] = 300
    layer = unwrap(viewer.add_labels(drawn, scale=image.scale, translate=image.translate))
    target = tmp_path / "drawn.nii.gz"
    layer.save(str(target), plugin=PLUGIN)
    np.testing.assert_array_equal(nib.load(target).affine, nib.load(scan_file).affine)
    np.testing.assert_array_equal(open_label_map(target).read(), drawn)
    assert read_table(tmp_path / "drawn.tsv").names == ("label 300",)


@pytest.mark.parametrize("shape", [(7, 9), (4, 7, 9)])
def test_labels_without_any_scan_keep_their_voxel_size(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    labels = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    scale = (5.0, 0.5, 0.25)[-len(shape) :]
    write_labels(
        str(tmp_path / "plain"), labels, {"scale": scale, "translate": (1.0,) * len(shape)}
    )
    saved = open_label_map(tmp_path / "plain.nii.gz")
    np.testing.assert_allclose(saved.geometry.spacing[-len(shape) :], scale)
    np.testing.assert_array_equal(saved.read().reshape(shape), labels)


def test_more_axes_than_a_volume_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'movie' has 4 axes"):
        write_labels(str(tmp_path / "x.nii.gz"), np.zeros((2, 3, 4, 5), int), {"name": "movie"})
    assert not list(tmp_path.iterdir())
