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
from napari_ssl_muscle.study.journal import Journal
from napari_ssl_muscle.study.journal_format import read_records
from napari_ssl_muscle.viewer.correct.form import CorrectForm
from napari_ssl_muscle.viewer.layers.changes import find_changes
from napari_ssl_muscle.viewer.layers.prediction_history import history_of
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, layers_of, show_table, unwrap
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.segment.form import SegmentForm
from tests.viewer.helpers import press, until


class CorrectionSessions:
    """A viewer without a window, the form, and a scan."""

    def __init__(self, scan: Path) -> None:
        self.viewer = ViewerModel()
        self.form = CorrectForm(self.viewer)
        self.image, self.layer = map(unwrap, commands.open_paths(self.viewer, [scan]))
        self.viewer.layers.selection.active = self.layer
        show_table(self.layer, default_table("thigh"))

    @property
    def now(self) -> Any:
        assert self.form._now is not None
        return self.form._now

    @property
    def kept(self) -> np.ndarray:
        """What would be there after a crash now."""
        saved = self.now.store.saved()
        base = np.zeros(self.image.data.shape, np.uint8)
        found: np.ndarray = self.now.store.replay(base if saved is None else saved)
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
def open_desk(
    qapp: QApplication, layers_only: Any
) -> Iterator[Callable[[Path], CorrectionSessions]]:
    desks: list[CorrectionSessions] = []

    def make(scan: Path) -> CorrectionSessions:
        desks.append(CorrectionSessions(scan))
        return desks[-1]

    yield make
    for desk in desks:
        try:
            desk.form.native.objectName()
        except RuntimeError:
            continue  # closed by the test
        desk.close()


@pytest.fixture
def desk(open_desk: Callable[[Path], CorrectionSessions], scan_file: Path) -> CorrectionSessions:
    return open_desk(scan_file)


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
    desk: CorrectionSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.full_like(desk.layer.data, 1)
    history_of(desk.layer).predict(find_changes(desk.layer.data, labels))
    journal = desk.now.store._journal
    assert journal.flush()
    path = journal._path(desk.now.store.case)
    before = path.stat().st_size
    threads: list[str] = []
    append = Journal._append

    def spy(self: Journal, case: str, data: bytes) -> None:
        threads.append(threading.current_thread().name)
        append(self, case, data)

    monkeypatch.setattr(Journal, "_append", spy)
    desk.paint(2)
    changed = desk.layer.data != labels
    assert 0 < changed.sum() < 20
    until(lambda: bool(threads))  # by itself, a moment after the stroke
    assert journal.flush()
    assert threads == ["journal"]
    *_, last = read_records(path)
    np.testing.assert_array_equal(np.stack(last.indices), np.nonzero(changed))
    assert path.stat().st_size - before < 200


def test_renamed_reordered_and_hidden_labels_are_kept_on(desk: CorrectionSessions) -> None:
    layers = desk.viewer.layers
    desk.paint(0)
    desk.layer.name = desk.image.name = "zebra"
    layers.move(layers.index(desk.layer), 0)
    desk.paint(1)
    desk.layer.visible = False
    desk.paint(2)
    layers.remove(desk.image)  # the labels stay
    desk.paint(3)
    desk.form.go_to(3)
    desk.form.accept()
    assert desk.now.states() == dict.fromkeys(range(3), "touched") | {3: "accepted"}
    until(lambda: desk.now._work is None)
    np.testing.assert_array_equal(desk.kept, desk.layer.data)


def test_labels_removed_right_after_a_stroke_are_offered_when_the_scan_is_opened_again(
    desk: CorrectionSessions, scan_file: Path
) -> None:
    desk.paint(4)
    drawn = desk.layer.data.copy()
    desk.viewer.layers.remove(desk.layer)
    assert desk.form._now is None
    desk.form.accept()  # nothing there: nothing happens
    _, layer = commands.open_paths(desk.viewer, [scan_file])
    desk.viewer.layers.selection.active = layer
    assert desk.now.layer is unwrap(layer)
    press(desk.form.restore_button)
    np.testing.assert_array_equal(layer.data, drawn)


def test_a_copy_is_warned_about_and_takes_over_when_the_first_goes(
    desk: CorrectionSessions,
) -> None:
    desk.paint(1)
    layers = desk.viewer.layers
    _layer_actions._duplicate_layer(layers)
    copy = next(one for one in layers if one.name == "Prediction copy")
    layers.selection.active = copy
    assert "'Prediction copy' is not kept" in desk.form.status.value
    assert desk.now.layer is desk.layer
    form = SegmentForm(desk.viewer)
    assert form._target(desk.now.scan) is desk.layer  # though the copy lies on top
    form.native.deleteLater()
    before = desk.layer.data.copy()
    layers.remove(desk.layer)
    assert desk.now.layer is copy
    desk.paint(2, 5, copy)
    desk.now.settle()
    assert (copy.data[1] == before[1]).all()
    np.testing.assert_array_equal(desk.kept, copy.data)


def test_another_type_of_numbers_is_kept_and_another_shape_is_refused(
    desk: CorrectionSessions,
) -> None:
    desk.paint(1)
    _layer_actions._convert_dtype(desk.viewer.layers, "int32")
    assert desk.layer.data.dtype == np.int32
    desk.paint(2, 300)
    desk.now.settle()
    np.testing.assert_array_equal(desk.now.store.replay(desk.layer.data * 0), desk.layer.data)
    whole = desk.layer.data
    desk.layer.data = whole[:3].copy()
    desk.now.settle()
    assert "another shape" in desk.form.status.value
    assert desk.form.table.rowCount() == 6
    desk.form.accept()
    assert "another shape" in desk.form.status.value
    assert "accepted" not in desk.now.states().values()
    desk.layer.data = whole
    desk.now.settle()
    desk.form.go_to(1)
    desk.form.accept()
    assert desk.now.states()[1] == "accepted"


def test_what_napari_makes_of_a_scan_or_of_labels_is_not_taken_for_them(
    desk: CorrectionSessions,
) -> None:
    scan, layers = desk.now.scan, desk.viewer.layers
    layers.selection.active = desk.image
    _layer_actions._project(layers, axis=0)
    layers.selection.active = desk.image
    _layer_actions._duplicate_layer(layers)
    layers.selection = {next(one for one in layers if one.name == "leg copy")}
    _layer_actions._split_stack(layers)
    assert layers_of(desk.viewer, scan, "image") == [desk.image]
    desk.paint(1)
    layers.selection = {desk.layer}
    _layer_actions._convert(layers, "image")
    picture = next(one for one in layers if one.name == "Prediction")
    assert isinstance(picture, Image)
    assert info_of(picture) is None
    assert layers_of(desk.viewer, scan, "prediction") == []
    assert desk.form._now is None


def test_a_second_window_on_the_same_scan_says_so_and_mixes_nothing_up(
    desk: CorrectionSessions, open_desk: Callable[[Path], CorrectionSessions], scan_file: Path
) -> None:
    second = open_desk(scan_file)
    desk.paint(0)
    desk.now.settle()
    second.paint(1, 5)
    second.now.settle()
    assert "open twice" in second.form.status.value
    second.paint(2, 6)
    second.now.settle()
    second.close()
    desk.paint(3)
    desk.now.settle()
    drawn = desk.layer.data.copy()
    np.testing.assert_array_equal(desk.kept, drawn)
    desk.close()
    again = open_desk(scan_file)
    press(again.form.restore_button)
    np.testing.assert_array_equal(again.layer.data, drawn)


def test_a_slice_is_accepted_only_where_it_is_seen(desk: CorrectionSessions) -> None:
    for z in range(6):
        desk.paint(z)
    desk.form.go_to(2)
    desk.viewer.dims.ndisplay = 3
    desk.form.accept()
    assert desk.viewer.dims.ndisplay == 2
    assert "This is slice 2" in desk.form.status.value
    assert "accepted" not in desk.now.states().values()
    desk.form.accept()
    assert desk.now.states()[2] == "accepted"
    desk.viewer.dims.roll()  # slices of another axis
    desk.form.go_to_next()
    assert desk.viewer.dims.order == (0, 1, 2)


def test_the_slice_is_found_beside_a_layer_with_time(desk: CorrectionSessions) -> None:
    desk.viewer.add_image(np.zeros((4, 6, 40, 48)), scale=(1, 6, 2, 2))
    desk.form.go_to(4)
    assert desk.form.current == 4
    assert round(float(desk.layer.world_to_data(desk.viewer.dims.point)[0])) == 4


def test_an_offer_waits_for_an_answer_and_keeps_what_was_drawn_since(
    desk: CorrectionSessions, open_desk: Callable[[Path], CorrectionSessions], scan_file: Path
) -> None:
    desk.paint(3)
    drawn = desk.layer.data.copy()
    desk.close()
    again = open_desk(scan_file)
    again.paint(5, 4)
    drawn |= again.layer.data
    again.form.go_to(5)
    again.form.accept()
    assert "'Restore' or 'Discard'" in again.form.status.value
    press(again.form.restore_button)
    np.testing.assert_array_equal(again.layer.data, drawn)
    again.form.accept()
    assert again.now.states()[5] == "accepted"
    until(lambda: again.now._work is None)
    np.testing.assert_array_equal(again.kept, drawn)


def test_killed_at_any_write_of_an_acceptance_nothing_is_lost(
    desk: CorrectionSessions,
    scan_file: Path,
    home: Path,
    tmp_path_factory: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for z in (0, 2, 3):
        desk.paint(z, z + 1)
    desk.now.settle()
    desk.now.store._journal.flush()
    drawn, image = desk.layer.data.copy(), desk.image.data
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
        desk.form.go_to(0)
        desk.form.accept()
        until(lambda: desk.now._work is None)
    assert desk.now.states()[0] == "accepted"
    desk.close()
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
