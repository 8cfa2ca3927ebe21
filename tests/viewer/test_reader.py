"""Opening: files, folders, 4D, samples, and what cannot be opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.provenance import Provenance
from napari_ssl_muscle.jobs.record import record_labels
from napari_ssl_muscle.viewer import reader
from napari_ssl_muscle.viewer.layers.prediction_history import origin_of_labels
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, unwrap
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.widgets import dialogs
from tests.viewer.conftest import SHAPE, DialogRecorder, oblique, write_labels, write_scan

PLUGIN = "napari-ssl-muscle"


@pytest.fixture
def viewer(layers_only: Any) -> Any:
    return layers_only


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def test_the_reader_takes_nifti_and_folders_only(tmp_path: Path) -> None:
    assert reader.get_reader("leg.nii.gz") is not None
    assert reader.get_reader(["a.nii", "B.NII.GZ", str(tmp_path)]) is not None
    assert reader.get_reader("leg.tif") is None
    assert reader.get_reader([]) is None


def test_what_is_read_is_canonical_whatever_way_it_is_stored(tmp_path: Path) -> None:
    stored = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    path = write_scan(tmp_path / "leg.nii.gz", stored, np.diag([1.0, 2.0, 3.0, 1.0]))
    (image, meta, kind), *_ = reader.read(str(path))
    assert kind == "image"
    assert image.dtype == np.float32
    # Stored to the right, front and top: shown top slices last, front first, right first.
    np.testing.assert_array_equal(image, stored[::-1, ::-1, :].transpose(2, 1, 0))
    assert meta["scale"] == (3.0, 2.0, 1.0)


def test_a_label_map_alone_opens_as_labels_to_correct(viewer: Any, tmp_path: Path) -> None:
    (layer,) = viewer.open(str(write_labels(tmp_path / "leg_seg.nii.gz")), plugin=PLUGIN)
    assert layer.name == "leg_seg"
    assert layer.editable
    assert set(np.unique(layer.data)) == {0, 1, 2}


def test_labels_are_told_from_scans_by_their_values_where_the_name_says_nothing(
    tmp_path: Path,
) -> None:
    (labels,) = reader.read(str(write_labels(tmp_path / "a.nii.gz")))
    assert labels[2] == "labels"
    noise = np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)
    image, *_ = reader.read(str(write_scan(tmp_path / "b.nii.gz", noise)))
    assert image[2] == "image"


def test_labels_on_another_grid_are_left_out_and_this_is_said(
    viewer: Any, tmp_path: Path, dialogs_shown: DialogRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogs, "can_ask", lambda: True)
    write_labels(tmp_path / "leg_seg.nii.gz", np.diag([2.0, 2.0, 5.0, 1.0]))
    added = commands.open_paths(viewer, [write_scan(tmp_path / "leg.nii.gz")])
    assert [layer.name for layer in added] == ["leg", "Prediction"]
    (sentence,) = dialogs_shown.problems
    assert "leg_seg.nii.gz" in sentence
    assert "same grid" in sentence


def test_a_4d_file_asks_which_volume(
    viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = np.random.default_rng(0).normal(size=(8, 9, 10, 3)).astype(np.float32)
    path = write_scan(tmp_path / "echoes.nii.gz", array)
    asked = []

    def ask(name: str, volumes: int, parent: object = None) -> int:
        asked.append((name, volumes))
        return 2

    monkeypatch.setattr(dialogs, "can_ask", lambda: True)
    monkeypatch.setattr(dialogs, "ask_volume", ask)
    image, _ = commands.open_paths(viewer, [path])
    assert asked == [("echoes.nii.gz", 3)]
    assert image.name == "echoes (volume 2)"
    np.testing.assert_array_equal(image.data, array[::-1, ::-1, :, 2].transpose(2, 1, 0))
    info = info_of(image)
    assert info is not None
    assert info.scan.file is not None
    assert info.scan.file.volume == 2


def test_changing_ones_mind_opens_nothing(
    viewer: Any, tmp_path: Path, dialogs_shown: DialogRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_scan(tmp_path / "echoes.nii.gz", noise(8, 9, 10, 3))
    monkeypatch.setattr(dialogs, "can_ask", lambda: True)
    monkeypatch.setattr(dialogs, "ask_volume", lambda *_: None)
    assert commands.open_paths(viewer, [path]) == []
    assert not viewer.layers
    assert not dialogs_shown.problems


def test_without_a_window_a_4d_file_is_refused(viewer: Any, tmp_path: Path) -> None:
    path = write_scan(tmp_path / "echoes.nii.gz", noise(8, 9, 10, 3))
    with pytest.raises(BadInput, match="holds 3 volumes"):
        viewer.open(str(path), plugin=PLUGIN)


def damaged(tmp_path: Path, kind: str) -> Path:
    """Return a path that cannot be opened."""
    path = tmp_path / "leg.nii.gz"
    if kind == "missing":
        return path
    if kind == "text":
        path.write_text("not an image")
        return path
    if kind == "other":
        path = tmp_path / "leg.png"
        path.write_bytes(b"png")
        return path
    array = np.ones(SHAPE, np.float32)
    if kind == "nan":
        array[:] = np.nan
    nib.save(nib.Nifti1Image(array, oblique()), path)
    if kind == "truncated":
        write_scan(path)
        path.write_bytes(path.read_bytes()[:-400])
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "does not exist"),
        ("text", "NIfTI"),
        ("other", "neither an image file"),
        ("nan", "not finite"),
        ("constant", "empty image"),
        ("truncated", "cut short"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence_and_adds_no_layer(
    viewer: Any, tmp_path: Path, dialogs_shown: DialogRecorder, kind: str, words: str
) -> None:
    assert commands.open_paths(viewer, [damaged(tmp_path, kind)]) == []
    (sentence,) = dialogs_shown.problems
    assert words in sentence
    assert "leg." in sentence
    assert not viewer.layers


def test_a_bad_file_does_not_keep_the_others_from_opening(
    viewer: Any, tmp_path: Path, scan_file: Path, dialogs_shown: DialogRecorder
) -> None:
    added = commands.open_paths(viewer, [tmp_path / "none.nii.gz", scan_file])
    assert [layer.name for layer in added] == ["leg", "Prediction"]
    assert len(dialogs_shown.problems) == 1


def test_a_missing_affine_is_said(
    viewer: Any, tmp_path: Path, dialogs_shown: DialogRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogs, "can_ask", lambda: True)
    path = tmp_path / "leg.nii.gz"
    nib.save(nib.Nifti1Image(noise(*SHAPE), None), path)
    image, _ = commands.open_paths(viewer, [path])
    assert tuple(image.scale) == (1, 1, 1)
    (sentence,) = dialogs_shown.problems
    assert "no affine" in sentence


def test_the_sample_is_a_leg_with_ground_truth_and_an_empty_prediction(viewer: Any) -> None:
    image, truth, prediction = (unwrap(layer) for layer in commands.open_sample(viewer))
    assert image.name == "Leg phantom"
    assert not truth.editable
    assert set(np.unique(truth.data)) == set(range(7))
    assert image.data.shape == truth.data.shape == prediction.data.shape
    assert not prediction.data.any()
    # The muscles lie on tissue, not on air.
    assert image.data[truth.data > 0].mean() > 5 * np.median(image.data)
    info = info_of(image)
    assert info is not None
    assert info.scan.geometry.sided


def test_labels_that_a_model_made_open_to_be_gone_on_with_and_are_no_ground_truth(
    viewer: Any, labelled_file: Path
) -> None:
    labels = labelled_file.parent / "leg_seg.nii.gz"
    record_labels(labels, Provenance("starter", "0123456789ab"), True)
    _, layer = viewer.open(str(labelled_file), plugin=PLUGIN)
    assert layer.name == "Prediction"
    assert layer.editable
    assert set(np.unique(layer.data)) == {0, 1, 2}
    info = info_of(layer)
    assert info is not None
    assert info.path == labels
    made, corrected = origin_of_labels(layer)
    assert made is not None
    assert (made.model, corrected) == ("starter", True)
