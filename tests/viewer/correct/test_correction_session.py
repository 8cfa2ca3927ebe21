"""Layers are removed, renamed, copied, converted, windows opened twice: nothing drawn is lost."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, _layer_actions
from qtpy.QtWidgets import QApplication

from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.study.correction_store import CorrectionStore
from napari_ssl_muscle.study.unsaved.journal import Journal
from napari_ssl_muscle.study.unsaved.journal_format import read_records
from napari_ssl_muscle.viewer.correct.form import CorrectForm
from napari_ssl_muscle.viewer.layers.changes import find_changes
from napari_ssl_muscle.viewer.layers.prediction_history import history_of
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, layers_of, show_table, unwrap
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.segment.show_labels import prediction_layer
from tests.viewer.helpers import press, until


class OpenCorrection:
    """A viewer without a window, the form, and a scan."""

    def __init__(self, scan: Path) -> None:
        self.viewer = ViewerModel()
        self.form = CorrectForm(self.viewer)
        self.image, self.layer = map(unwrap, commands.open_paths(self.viewer, [scan]))
        self.viewer.layers.selection.active = self.layer
        show_table(self.layer, default_table("thigh"))

    @property
    def corrections(self) -> Any:
        assert self.form.corrections is not None
        return self.form.corrections

    @property
    def kept(self) -> np.ndarray:
        """What would be there after a crash now."""
        saved = self.corrections.store.saved()
        base = np.zeros(self.image.data.shape, np.uint8)
        found: np.ndarray = self.corrections.store.replay(base if saved is None else saved)
        return found

    def paint(self, z: int, value: int = 2, layer: Any = None) -> None:
        layer = self.layer if layer is None else layer
        layer.brush_size = 3
        layer.paint((z, 20, 15), value)

    def close(self) -> None:
        self.form.native.deleteLater()
        gone: list[int] = []
        self.form.native.destroyed.connect(lambda *_: gone.append(1))
        until(lambda: bool(gone))


@pytest.fixture
def open_correction(
    qapp: QApplication, layers_only: Any
) -> Iterator[Callable[[Path], OpenCorrection]]:
    opened: list[OpenCorrection] = []

    def make(scan: Path) -> OpenCorrection:
        opened.append(OpenCorrection(scan))
        return opened[-1]

    yield make
    for window in opened:
        try:
            window.form.native.objectName()
        except RuntimeError:
            continue  # closed by the test
        window.close()


@pytest.fixture
def window(open_correction: Callable[[Path], OpenCorrection], scan_file: Path) -> OpenCorrection:
    return open_correction(scan_file)


def test_a_prediction_in_the_middle_of_a_stroke_is_an_undo_step_of_its_own() -> None:
    layer = Labels(np.zeros((3, 12, 12), np.uint8))
    history_of(layer)
    layer.brush_size = 1
    layer._begin_stroke()  # as napari does when the mouse button goes down
    layer.paint((1, 2, 2), 4)
    drawn = layer.data.copy()
    labels = np.full(layer.data.shape, 1, np.uint8)
    history_of(layer).predict(find_changes(layer.data, labels), keep_drawn=True)
    predicted = layer.data.copy()
    assert predicted[1, 2, 2] == 4
    layer.paint((1, 2, 8), 4)
    layer._commit_stroke()
    assert history_of(layer).position() == 1
    assert np.argwhere(history_of(layer).drawn()).tolist() == [[1, 2, 2], [1, 2, 8]]
    layer.undo()
    np.testing.assert_array_equal(layer.data, predicted)
    layer.undo()
    np.testing.assert_array_equal(layer.data, drawn)
    assert history_of(layer).position() == 0
    layer.undo()
    assert not layer.data.any()


def test_a_stroke_goes_to_the_journal_as_what_it_changed_and_not_in_the_window_s_thread(
    window: OpenCorrection, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.full_like(window.layer.data, 1)
    history_of(window.layer).predict(find_changes(window.layer.data, labels))
    journal = window.corrections.store._journal
    assert journal.flush()
    path = journal.path_of(window.corrections.store.case)
    before = path.stat().st_size
    threads: list[str] = []
    append = Journal._append

    def spy(self: Journal, case: str, data: bytes) -> None:
        threads.append(threading.current_thread().name)
        append(self, case, data)

    monkeypatch.setattr(Journal, "_append", spy)
    window.paint(2)
    changed = window.layer.data != labels
    assert 0 < changed.sum() < 20
    until(lambda: bool(threads))  # by itself, a moment after the stroke
    assert journal.flush()
    assert threads == ["journal"]
    *_, last = read_records(path)
    np.testing.assert_array_equal(np.stack(last.indices), np.nonzero(changed))
    assert path.stat().st_size - before < 200


def test_renamed_reordered_and_hidden_labels_are_kept_on(window: OpenCorrection) -> None:
    layers = window.viewer.layers
    window.paint(0)
    window.layer.name = window.image.name = "zebra"
    layers.move(layers.index(window.layer), 0)
    window.paint(1)
    window.layer.visible = False
    window.paint(2)
    layers.remove(window.image)  # the labels stay
    window.paint(3)
    window.form.go_to(3)
    window.form.accept()
    assert "were hidden" in window.form.status.value  # nobody accepts what they do not see
    window.form.accept()
    assert window.corrections.states() == dict.fromkeys(range(3), "touched") | {3: "accepted"}
    until(lambda: not window.corrections.saving)
    np.testing.assert_array_equal(window.kept, window.layer.data)


def test_labels_removed_right_after_a_stroke_are_offered_when_the_scan_is_opened_again(
    window: OpenCorrection, scan_file: Path
) -> None:
    window.paint(4)
    drawn = window.layer.data.copy()
    window.viewer.layers.remove(window.layer)
    assert window.form.corrections is None
    window.form.accept()  # nothing there: nothing happens
    _, layer = commands.open_paths(window.viewer, [scan_file])
    window.viewer.layers.selection.active = layer
    assert window.corrections.layer is unwrap(layer)
    press(window.form.unsaved.restore_button)
    np.testing.assert_array_equal(layer.data, drawn)


def test_a_copy_is_warned_about_and_takes_over_when_the_first_goes(
    window: OpenCorrection,
) -> None:
    window.paint(1)
    layers = window.viewer.layers
    _layer_actions._duplicate_layer(layers)
    copy = next(one for one in layers if one.name == "Prediction copy")
    layers.selection.active = copy
    assert "'Prediction copy' is not kept" in window.form.status.value
    assert window.corrections.layer is window.layer
    # Though the copy lies on top.
    assert prediction_layer(window.viewer, window.corrections.scan) is window.layer
    before = window.layer.data.copy()
    layers.remove(window.layer)
    assert window.corrections.layer is copy
    window.paint(2, 5, copy)
    window.corrections.record_changes()
    assert (copy.data[1] == before[1]).all()
    np.testing.assert_array_equal(window.kept, copy.data)


def test_another_type_of_numbers_is_kept_and_another_shape_is_refused(
    window: OpenCorrection,
) -> None:
    window.paint(1)
    _layer_actions._convert_dtype(window.viewer.layers, "int32")
    assert window.layer.data.dtype == np.int32
    window.paint(2, 300)
    window.corrections.record_changes()
    np.testing.assert_array_equal(
        window.corrections.store.replay(window.layer.data * 0), window.layer.data
    )
    whole = window.layer.data
    window.layer.data = whole[:3].copy()
    window.corrections.record_changes()
    assert "another shape" in window.form.status.value
    assert window.form.table.rowCount() == 6
    window.form.accept()
    assert "another shape" in window.form.status.value
    assert "accepted" not in window.corrections.states().values()
    window.layer.data = whole
    window.corrections.record_changes()
    window.form.go_to(1)
    window.form.accept()
    assert window.corrections.states()[1] == "accepted"


def test_what_napari_makes_of_a_scan_or_of_labels_is_not_taken_for_them(
    window: OpenCorrection,
) -> None:
    scan, layers = window.corrections.scan, window.viewer.layers
    layers.selection.active = window.image
    _layer_actions._project(layers, axis=0)
    layers.selection.active = window.image
    _layer_actions._duplicate_layer(layers)
    layers.selection = {next(one for one in layers if one.name.startswith("leg copy"))}
    _layer_actions._split_stack(layers)
    assert layers_of(window.viewer, scan, "image") == [window.image]
    window.paint(1)
    layers.selection = {window.layer}
    _layer_actions._convert(layers, "image")
    picture = next(one for one in layers if one.name == "Prediction")
    assert isinstance(picture, Image)
    assert info_of(picture) is None
    assert layers_of(window.viewer, scan, "prediction") == []
    assert window.form.corrections is None


def test_a_second_window_on_the_same_scan_says_so_and_mixes_nothing_up(
    window: OpenCorrection, open_correction: Callable[[Path], OpenCorrection], scan_file: Path
) -> None:
    second = open_correction(scan_file)
    window.paint(0)
    window.corrections.record_changes()
    second.paint(1, 5)
    second.corrections.record_changes()
    assert "open twice" in second.form.status.value
    second.paint(2, 6)
    second.corrections.record_changes()
    second.close()
    window.paint(3)
    window.corrections.record_changes()
    drawn = window.layer.data.copy()
    np.testing.assert_array_equal(window.kept, drawn)
    window.close()
    again = open_correction(scan_file)
    press(again.form.unsaved.restore_button)
    np.testing.assert_array_equal(again.layer.data, drawn)


def test_a_slice_is_accepted_only_where_it_is_seen(window: OpenCorrection) -> None:
    for z in range(6):
        window.paint(z)
    window.form.go_to(2)
    window.viewer.dims.ndisplay = 3
    window.form.accept()
    assert window.viewer.dims.ndisplay == 2
    assert "This is slice 2" in window.form.status.value
    assert "accepted" not in window.corrections.states().values()
    window.form.accept()
    assert window.corrections.states()[2] == "accepted"
    window.viewer.dims.roll()  # slices of another axis
    window.form.go_to_next()
    assert window.viewer.dims.order == (0, 1, 2)


def test_the_slice_is_found_beside_a_layer_with_time(window: OpenCorrection) -> None:
    window.viewer.add_image(np.zeros((4, 6, 40, 48)), scale=(1, 6, 2, 2))
    window.form.go_to(4)
    assert window.form.current == 4
    assert round(float(window.layer.world_to_data(window.viewer.dims.point)[0])) == 4


def test_an_offer_waits_for_an_answer_and_keeps_what_was_drawn_since(
    window: OpenCorrection, open_correction: Callable[[Path], OpenCorrection], scan_file: Path
) -> None:
    window.paint(3)
    drawn = window.layer.data.copy()
    window.close()
    again = open_correction(scan_file)
    again.paint(5, 4)
    drawn |= again.layer.data
    again.form.go_to(5)
    again.form.accept()
    assert "'Restore' or 'Discard'" in again.form.status.value
    press(again.form.unsaved.restore_button)
    np.testing.assert_array_equal(again.layer.data, drawn)
    again.form.accept()
    assert again.corrections.states()[5] == "accepted"
    until(lambda: not again.corrections.saving)
    np.testing.assert_array_equal(again.kept, drawn)


def test_killed_at_any_write_of_an_acceptance_nothing_is_lost(
    window: OpenCorrection,
    scan_file: Path,
    home: Path,
    tmp_path_factory: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for z in (0, 2, 3):
        window.paint(z, z + 1)
    window.corrections.record_changes()
    window.corrections.store._journal.flush()
    drawn, image = window.layer.data.copy(), window.image.data
    shots: list[Path] = []
    real = os.replace

    def shoot(*args: Any, **options: Any) -> None:
        """Keep what a kill before this write would leave on disk."""
        shot = tmp_path_factory.mktemp("shot")
        shutil.copytree(scan_file.parent, shot / "scans")
        shutil.copytree(home, shot / "home")
        shots.append(shot)
        real(*args, **options)

    with monkeypatch.context() as watched:
        watched.setattr(os, "replace", shoot)
        window.form.go_to(0)
        window.form.accept()
        until(lambda: not window.corrections.saving)
    assert window.corrections.states()[0] == "accepted"
    window.close()
    assert len(shots) >= 6
    for shot in shots:
        for name in ("HOME", "USERPROFILE"):
            monkeypatch.setenv(name, str(shot / "home"))
        viewer = ViewerModel()
        opened = commands.open_paths(viewer, [shot / "scans" / scan_file.name])
        info = info_of(unwrap(opened[0]))
        assert info is not None
        scan = info.scan
        store = CorrectionStore(scan.name, scan.geometry, scan.file, image)
        assert store.problem is None
        saved = store.saved()
        found = store.replay(np.zeros_like(drawn) if saved is None else saved)
        store.close()
        np.testing.assert_array_equal(found, drawn, err_msg=str(shots.index(shot)))
