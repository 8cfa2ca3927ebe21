"""The window names, shows, accepts and saves the same thing, and undo takes nothing away."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable, default_table, table_beside
from napari_ssl_muscle.study.study import Study
from napari_ssl_muscle.viewer.correct.form import CorrectForm
from napari_ssl_muscle.viewer.layers.changes import find_changes
from napari_ssl_muscle.viewer.layers.prediction_history import history_of
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, show_table, unwrap
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.segment.save_panel import SavePanel
from napari_ssl_muscle.viewer.writer import write_labels
from tests.viewer.conftest import DialogRecorder, write_scan
from tests.viewer.helpers import press, until


class Window:
    """A viewer without a window, and the form."""

    def __init__(self) -> None:
        self.viewer = ViewerModel()
        self.form = CorrectForm(self.viewer)

    def open(self, scan: Path, table: MuscleTable | None = None) -> Any:
        """Open a scan and return its labels layer; with a table, as a prediction would leave it."""
        layer = unwrap(commands.open_paths(self.viewer, [scan])[-1])
        self.viewer.layers.selection.active = layer
        if table is not None:
            show_table(layer, table)
        return layer

    def paint(self, layer: Any, z: int, value: int = 2) -> None:
        layer.brush_size = 3
        layer.paint((z, 20, 15), value)
        self.corrections.record_changes()

    def accept(self, z: int) -> None:
        self.form.go_to(z)
        self.form.accept()
        until(lambda: not self.corrections.saving)

    @property
    def corrections(self) -> Any:
        assert self.form.corrections is not None
        return self.form.corrections

    def states(self) -> dict[int, str]:
        return dict(self.corrections.states())

    def close(self) -> None:
        self.form.native.deleteLater()
        gone: list[int] = []
        self.form.native.destroyed.connect(lambda *_: gone.append(1))
        until(lambda: bool(gone))


@pytest.fixture
def open_window(qapp: QApplication, layers_only: Any) -> Iterator[Callable[[], Window]]:
    windows: list[Window] = []

    def make() -> Window:
        windows.append(Window())
        return windows[-1]

    yield make
    for window in windows:
        try:
            window.form.native.objectName()
        except RuntimeError:
            continue  # closed by the test
        window.close()


def test_undo_after_reopening_a_study_takes_nothing_away(
    open_window: Callable[[], Window], scan_file: Path
) -> None:
    window = open_window()
    layer = window.open(scan_file, default_table("thigh"))
    for z in (1, 2):
        window.paint(layer, z)
        window.accept(z)
    labels = layer.data.copy()
    window.close()
    again = open_window()
    layer = again.open(scan_file)
    layer.undo()
    again.corrections.record_changes()
    np.testing.assert_array_equal(layer.data, labels)
    assert again.states() == {1: "accepted", 2: "accepted"}
    study = Study.read(scan_file.parent / "muscle-study")
    assert study.states("leg") == {1: "accepted", 2: "accepted"}


def test_undo_leaves_accepted_slices_as_they_are_and_others_follow(
    open_window: Callable[[], Window], scan_file: Path
) -> None:
    window = open_window()
    layer = window.open(scan_file, default_table("thigh"))
    labels = np.zeros_like(layer.data)
    labels[:, 4:10, 5:12] = 1
    history_of(layer).predict(find_changes(layer.data, labels))
    window.accept(3)
    layer.undo()
    window.corrections.record_changes()
    assert not layer.data[[0, 1, 2, 4, 5]].any()
    np.testing.assert_array_equal(layer.data[3], labels[3])
    assert window.states() == {3: "accepted"}
    assert "undo leaves it" in window.form.status.value
    # What is drawn afterwards ends the acceptance, and undone it counts again.
    window.paint(layer, 3, 5)
    assert window.states()[3] == "touched"
    layer.undo()
    window.corrections.record_changes()
    assert window.states() == {3: "accepted"}


@pytest.mark.parametrize("accepted", [False, True])
def test_names_and_colours_of_muscles_come_back_with_unsaved_work(
    open_window: Callable[[], Window], scan_file: Path, tmp_path: Path, accepted: bool
) -> None:
    table = MuscleTable((Muscle(4, "my muscle", colour=(1, 2, 3)), Muscle(2, "sartorius")))
    window = open_window()
    layer = window.open(scan_file, table)
    window.paint(layer, 1, 4)
    if accepted:
        window.accept(1)
        window.paint(layer, 2, 4)
    window.close()
    again = open_window()
    layer = again.open(scan_file)
    press(again.form.unsaved.restore_button)
    info = info_of(layer)
    assert info is not None
    assert info.table is not None
    assert info.table.to_rows() == table.to_rows()
    assert tuple(np.round(255 * np.asarray(layer.colormap.color_dict[4])[:3])) == (1, 2, 3)
    assert "my&nbsp;muscle" in again.form.muscles.text()
    panel = SavePanel(again.viewer)
    panel.choose(layer)
    panel.path.value = str(tmp_path / "mine_dseg.nii.gz")
    panel.save()
    panel.native.deleteLater()
    saved = table_beside(tmp_path / "mine_dseg.nii.gz")
    assert saved is not None
    assert saved.names == table.names


def test_unsaved_work_is_asked_about_once_on_opening(
    open_window: Callable[[], Window],
    scan_file: Path,
    dialogs_shown: DialogRecorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("napari_ssl_muscle.viewer.widgets.dialogs.can_ask", lambda: True)
    window = open_window()
    layer = window.open(scan_file)
    window.paint(layer, 3)
    drawn = layer.data.copy()
    window.close()
    assert dialogs_shown.asked == []
    dialogs_shown.restoring = "restore"
    again = open_window()
    layer = again.open(scan_file)
    until(lambda: bool(layer.data.any()))
    np.testing.assert_array_equal(layer.data, drawn)
    assert len(dialogs_shown.asked) == 1
    assert "leg" in dialogs_shown.asked[0]


def test_a_slice_that_is_not_on_the_screen_is_not_accepted(
    open_window: Callable[[], Window], scans_folder: Path
) -> None:
    window = open_window()
    short = window.open(write_scan(scans_folder / "short.nii.gz"), default_table("thigh"))
    window.paint(short, 5)
    long = np.tile(np.arange(48 * 40).reshape(48, 40, 1), (1, 1, 18)).astype(np.int16)
    window.open(write_scan(scans_folder / "long.nii.gz", long))
    window.viewer.dims.set_point(0, 14 * 6.0)
    window.viewer.layers.selection.active = short
    assert window.form.current is not None  # going back to it, one of its slices is shown
    window.viewer.dims.set_point(0, 14 * 6.0)
    for act in (window.form.accept, window.form.accept_empty):
        act()
        assert "outside of short" in window.form.status.value
        assert "accepted" not in window.states().values()


def test_the_scan_of_the_active_layer_is_the_one_that_is_seen(
    open_window: Callable[[], Window], scans_folder: Path
) -> None:
    window = open_window()
    far = np.diag([2.0, 2.0, 6.0, 1.0])
    far[:3, 3] = (900, 0, 700)
    first = window.open(write_scan(scans_folder / "a.nii.gz"))
    second = window.open(write_scan(scans_folder / "b.nii.gz", affine=far))
    layers = window.viewer.layers

    def seen() -> set[str]:
        return {info.scan.name for x in layers if x.visible and (info := info_of(x)) is not None}

    for layer, name in ((second, "b"), (first, "a"), (second, "b")):
        layers.selection.active = layer
        assert seen() == {name}
        assert window.form.title.value.startswith(name)
        assert window.form.current is not None
        low, high = layer.extent.world[:, 1:]
        centre = window.viewer.scene.camera.center[-2:]
        assert (low <= centre).all()
        assert (centre <= high).all()
    # Shown by hand, another one lies on top: nothing is accepted under it.
    window.open(write_scan(scans_folder / "c.nii.gz"))
    layers.selection.active = first
    window.paint(first, 2)
    next(x for x in layers if x.name == "c").visible = True
    window.accept(2)
    assert "'c' lies over a" in window.form.status.value
    assert "accepted" not in window.states().values()


def test_labels_of_a_moved_layer_are_neither_accepted_nor_saved(
    open_window: Callable[[], Window], scan_file: Path, tmp_path: Path
) -> None:
    window = open_window()
    layer = window.open(scan_file, default_table("thigh"))
    window.paint(layer, 2)
    moved = np.eye(4)
    moved[1:3, 3] = 30
    layer.affine = moved
    assert window.form.moved.native.isVisibleTo(window.form.native)
    window.accept(2)
    assert "was moved" in window.form.status.value
    assert "accepted" not in window.states().values()
    panel = SavePanel(window.viewer)
    panel.choose(layer)
    panel.path.value = str(tmp_path / "mine_dseg.nii.gz")
    with pytest.raises(BadInput, match="was moved"):
        panel.save()
    data, meta, _ = layer.as_layer_data_tuple()
    with pytest.raises(BadInput, match="was moved"):
        write_labels(str(tmp_path / "mine.nii.gz"), data, meta)
    press(window.form.put_back_button)
    assert not window.form.moved.native.isVisibleTo(window.form.native)
    assert panel.save()
    data, meta, _ = layer.as_layer_data_tuple()
    assert write_labels(str(tmp_path / "mine.nii.gz"), data, meta)
    panel.native.deleteLater()
    window.accept(2)
    assert window.states()[2] == "accepted"


def test_a_value_that_is_no_muscle_is_refused_when_the_slice_is_accepted(
    open_window: Callable[[], Window], scan_file: Path
) -> None:
    window = open_window()
    layer = window.open(scan_file, default_table("thigh"))
    window.paint(layer, 2, 99)
    window.accept(2)
    assert "Slice 2 holds label 99" in window.form.status.value
    assert "accepted" not in window.states().values()
    table = default_table("thigh")
    window.corrections.set_table(MuscleTable((*table.muscles, Muscle(99, "extra"))))
    window.accept(2)
    assert window.states()[2] == "accepted"


def test_a_study_that_vanishes_is_said_and_its_work_goes_on_elsewhere(
    open_window: Callable[[], Window], scan_file: Path, tmp_path: Path
) -> None:
    window = open_window()
    layer = window.open(scan_file, default_table("thigh"))
    for z in (1, 2):
        window.paint(layer, z, z)
    window.accept(1)
    folder = scan_file.parent / "muscle-study"
    shutil.rmtree(folder)
    window.accept(2)
    assert "is gone" in window.form.status.value
    assert "✓" not in window.form.status.value
    assert not folder.exists()
    # Nothing is lost if the window goes now.
    labels = layer.data.copy()
    window.close()
    again = open_window()
    layer = again.open(scan_file)
    press(again.form.unsaved.restore_button)
    np.testing.assert_array_equal(layer.data, labels)
    assert again.states() == {1: "accepted", 2: "touched"}
    again.form.folder.value = str(tmp_path / "elsewhere")
    again.accept(2)
    found = Study.read(tmp_path / "elsewhere")
    assert found.states("leg") == {1: "accepted", 2: "accepted"}
    kept = found.working_labels("leg")
    np.testing.assert_array_equal(kept, labels)
