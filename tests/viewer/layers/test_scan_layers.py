"""Layers of a scan: place, names, colours, ground truth that stays, predictions that undo."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.viewer.layers import scan_layers as our
from napari_ssl_muscle.viewer.layers.changes import apply_changes, find_changes
from napari_ssl_muscle.viewer.layers.scan_layers import (
    PREDICTION,
    ensure_info,
    info_of,
    layers_of,
    show_table,
    unwrap,
)
from tests.viewer.conftest import oblique, write_labels, write_scan

PLUGIN = "napari-ssl-muscle"


def opened(viewer: Any, path: Path) -> list[Any]:
    return [unwrap(layer) for layer in viewer.open(str(path), plugin=PLUGIN)]


def test_a_subject_opens_as_image_ground_truth_and_prediction(
    viewer: Any, labelled_file: Path
) -> None:
    image, truth, prediction = opened(viewer, labelled_file)
    assert [layer.name for layer in (image, truth, prediction)] == [
        "leg",
        "Ground truth",
        "Prediction",
    ]
    assert not truth.editable
    assert prediction.editable
    assert not prediction.data.any()
    assert set(np.unique(truth.data)) == {0, 1, 2}


def test_layers_lie_in_millimetres_and_keep_the_true_affine(
    viewer: Any, labelled_file: Path
) -> None:
    for layer in opened(viewer, labelled_file):
        np.testing.assert_allclose(layer.scale, (9.0, 1.5, 0.75), rtol=1e-5)
        assert {str(unit) for unit in layer.units} == {"millimeter"}
        assert layer.axis_labels == ("z", "y", "x")
        info = info_of(layer)
        assert info is not None
        np.testing.assert_allclose(info.scan.geometry.affine, oblique(), atol=1e-5)
        np.testing.assert_allclose(layer.translate, info.scan.geometry.origin)


def test_ground_truth_stays_locked_and_is_never_written(viewer: Any, labelled_file: Path) -> None:
    _, truth, prediction = opened(viewer, labelled_file)
    before = truth.data.copy()
    truth.data = truth.data  # napari unlocks a layer whose data is set
    assert not truth.editable
    with pytest.raises(ValueError, match="read-only"):
        apply_changes(truth, find_changes(truth.data, prediction.data))
    np.testing.assert_array_equal(truth.data, before)


def test_a_prediction_is_one_undo_step(viewer: Any, scan_file: Path) -> None:
    _, prediction = opened(viewer, scan_file)
    prediction.paint((2, 10, 10), 3)
    drawn = prediction.data.copy()
    new = np.zeros_like(drawn)
    new[1:4, 5:30, 5:30] = 2
    new[2, 12:15, 12:15] = 5
    apply_changes(prediction, find_changes(prediction.data, new))
    np.testing.assert_array_equal(prediction.data, new)
    prediction.undo()
    np.testing.assert_array_equal(prediction.data, drawn)
    prediction.redo()
    np.testing.assert_array_equal(prediction.data, new)
    prediction.undo()
    prediction.undo()
    assert not prediction.data.any()


def test_a_muscle_has_its_name_in_the_status_bar_and_its_own_colour(
    viewer: Any, scan_file: Path
) -> None:
    _, prediction = opened(viewer, scan_file)
    table = default_table("thigh")
    show_table(prediction, table)
    prediction.data_setitem((np.array([2]), np.array([10]), np.array([10])), 4)
    status = prediction.get_status((2, 10, 10), world=False)
    assert "rectus femoris" in status["value"]
    np.testing.assert_allclose(prediction.get_color(4), table.colours()[4], atol=1e-6)
    # A value that no muscle has is still seen.
    assert prediction.get_color(77)[3] == 1


def test_several_subjects_say_whose_their_layers_are(viewer: Any, tmp_path: Path) -> None:
    first = opened(viewer, write_scan(tmp_path / "sub-01_T1w.nii.gz"))
    first[1].name = "mine"
    write_labels(tmp_path / "sub-02_T1w_seg.nii.gz")
    second = opened(viewer, write_scan(tmp_path / "sub-02_T1w.nii.gz"))
    third = opened(viewer, write_scan(tmp_path / "other.nii.gz"))
    assert [layer.name for layer in second] == [
        "sub-02_T1w",
        "sub-02 · Ground truth",
        "sub-02 · Prediction",
    ]
    assert third[1].name == "other · Prediction"
    assert first[1].name == "mine"
    info = info_of(second[0])
    assert info is not None
    assert layers_of(viewer, info.scan, "prediction") == [second[2]]


def test_the_layers_of_the_first_subject_are_renamed_when_a_second_comes(
    viewer: Any, tmp_path: Path
) -> None:
    first = opened(viewer, write_scan(tmp_path / "one.nii.gz"))
    assert first[1].name == PREDICTION
    opened(viewer, write_scan(tmp_path / "two.nii.gz"))
    assert first[1].name == "one · Prediction"


def test_two_scans_of_one_file_name_are_told_apart(viewer: Any, tmp_path: Path) -> None:
    shown = []
    for patient in "p001", "p002":
        (tmp_path / patient).mkdir()
        shown += opened(viewer, write_scan(tmp_path / patient / "leg.nii.gz"))
    assert [layer.name for layer in shown] == [
        "p001_leg",
        "p001_leg · Prediction",
        "p002_leg",
        "p002_leg · Prediction",
    ]
    infos = [info for layer in shown[::2] if (info := info_of(layer)) is not None]
    assert [info.scan.name for info in infos] == ["p001_leg", "p002_leg"]
    # Drafts of earlier days are found by the name that the scan has alone.
    assert {info.scan.own_name for info in infos} == {"leg"}


def test_two_images_of_a_subject_have_their_files_names(viewer: Any, tmp_path: Path) -> None:
    for kind in "T1w", "T2w":
        opened(viewer, write_scan(tmp_path / f"sub-01_{kind}.nii.gz"))
    assert [layer.name for layer in viewer.layers] == [
        "sub-01_T1w",
        "sub-01_T1w · Prediction",
        "sub-01_T2w",
        "sub-01_T2w · Prediction",
    ]


def test_a_duplicate_belongs_to_the_same_subject_but_is_a_layer_of_its_own(
    viewer: Any, scan_file: Path
) -> None:
    _, prediction = opened(viewer, scan_file)
    info = info_of(prediction)
    copy = deepcopy(prediction.metadata)[our.KEY]
    assert info is not None
    assert copy is not info
    assert copy.scan is info.scan


@pytest.mark.parametrize("shape", [(5, 7, 9), (7, 9)])
def test_an_image_of_another_reader_becomes_a_subject_in_its_own_place(
    viewer: Any, shape: tuple[int, ...]
) -> None:
    scale, corner = (4.0, 0.5, 0.25)[-len(shape) :], (10.0, -3.0, 8.0)[-len(shape) :]
    layer = unwrap(
        viewer.add_image(np.random.default_rng(0).random(shape), scale=scale, translate=corner)
    )
    scan = ensure_info(layer).scan
    assert scan.geometry.canonical_shape == ((1,) * (3 - len(shape)) + shape)
    assert not scan.geometry.sided
    labels, meta, _ = our.label_data(scan, "prediction")
    prediction = unwrap(viewer.add_labels(labels, **meta))
    np.testing.assert_allclose(prediction.scale[-len(shape) :], scale)
    np.testing.assert_allclose(prediction.translate[-len(shape) :], corner)


def test_display_limits_leave_out_the_brightest_voxels() -> None:
    image = np.zeros((10, 100, 100), np.float32)
    image += np.linspace(0, 100, 100, dtype=np.float32)
    image[0, 0, 0] = 1e6
    low, high = our.contrast_limits(image)
    assert 0 <= low < 5
    assert 90 < high <= 101
    assert our.contrast_limits(np.full((2, 3, 4), 5, np.float32)) == (5.0, 6.0)


@pytest.mark.real
def test_a_real_thigh_opens_with_its_eleven_muscles_by_name(viewer: Any) -> None:
    folder = Path(__file__).parents[3].parent / "shared" / "data" / "thigh"
    if not folder.is_dir():
        pytest.skip("the real scans are not here")
    image, truth, prediction = opened(viewer, folder / "imagesTr" / "Thigh_001_0001.nii.gz")
    assert image.name == "Thigh_001_0001"
    np.testing.assert_allclose(image.scale, (24.0, 0.742, 0.742), atol=1e-3)
    info = info_of(truth)
    assert info is not None
    assert info.table is not None
    assert len(info.table.names) == 11
    place = tuple(np.argwhere(truth.data == info.table.by_name("VL").value)[0])
    assert "vastus lateralis" in truth.get_status(place, world=False)["value"]
    assert prediction.data.shape == image.data.shape == (16, 512, 512)
