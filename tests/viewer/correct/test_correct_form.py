"""Correcting, driven as a person does: keys, states, the study, and nothing drawn is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.scans.volume import open_label_map
from napari_ssl_muscle.study.study import Study
from napari_ssl_muscle.viewer.correct.form import CorrectForm
from napari_ssl_muscle.viewer.layers.changes import find_changes
from napari_ssl_muscle.viewer.layers.prediction_history import history_of
from napari_ssl_muscle.viewer.layers.scan_layers import show_table, unwrap
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.segment.save_panel import SavePanel
from tests.viewer.conftest import DialogRecorder
from tests.viewer.helpers import press, until


class Person:
    """A window with the form and a scan, and what a person does there."""

    def __init__(self, viewer: Any, scan: Path) -> None:
        self.viewer = unwrap(viewer)
        self.form = CorrectForm(viewer)
        self.dock = viewer.window.add_dock_widget(self.form.native)
        commands.open_paths(viewer, [scan])
        self.layer = next(unwrap(x) for x in viewer.layers if x.name == "Prediction")
        self.viewer.layers.selection.active = self.layer
        show_table(self.layer, default_table("thigh"))

    @property
    def corrections(self) -> Any:
        assert self.form.corrections is not None
        return self.form.corrections

    def key(self, key: str) -> None:
        """What napari does when a key is pressed while the labels are active."""
        self.layer.keymap[_canonical(self.layer, key)](self.layer)

    def predict(self, value: int = 1) -> None:
        labels = np.zeros_like(self.layer.data)
        labels[:, 4:10, 5:12] = value
        history_of(self.layer).predict(
            find_changes(self.layer.data, labels),
            keep_drawn=True,
            confidence=np.linspace(0.9, 0.3, len(labels)),
        )

    def paint(self, z: int, value: int = 2) -> None:
        self.layer.brush_size = 3
        self.layer.paint((z, 20, 15), value)
        self.corrections.record_changes()

    def states(self) -> dict[int, str]:
        return dict(self.corrections.states())

    def leave(self) -> None:
        self.viewer.window.remove_dock_widget(self.dock)
        self.form.native.deleteLater()
        gone: list[int] = []
        self.form.native.destroyed.connect(lambda *_: gone.append(1))
        until(lambda: bool(gone))


def _canonical(layer: Any, key: str) -> Any:
    return next(bound for bound in layer.keymap if str(bound) == key)


@pytest.fixture
def open_window(make_napari_viewer: Callable[..., Any]) -> Callable[[Path], Person]:
    people: list[Person] = []

    def make(scan: Path) -> Person:
        people.append(Person(make_napari_viewer(), scan))
        return people[-1]

    return make


def test_a_prediction_a_stroke_and_keys_set_the_states_and_the_study_keeps_them(
    open_window: Any, scan_file: Path
) -> None:
    person = open_window(scan_file)
    assert person.states() == {}
    person.predict()
    assert person.states() == dict.fromkeys(range(6), "predicted")
    person.paint(2)
    assert person.states()[2] == "touched"
    person.layer.undo()
    person.corrections.record_changes()
    assert person.states()[2] == "predicted"
    person.layer.redo()
    person.form.go_to(2)
    person.key("A")
    assert person.states()[2] == "accepted"
    assert person.form.table.item(2, 1).text() == "✓  accepted"
    folder = scan_file.parent / "muscle-study"
    study = Study.read(folder)
    assert study.states("leg")[2] == "accepted"
    until(lambda: study.labels_path("leg").exists() and not person.corrections.saving)
    written = open_label_map(study.labels_path("leg")).read()
    np.testing.assert_array_equal(written[2], person.layer.data[2])
    assert not written[[0, 1, 3, 4, 5]].any()
    # Drawn on again, it is not accepted any more; the key sets it and takes it back.
    person.paint(2, 3)
    assert person.states()[2] == "touched"
    person.key("A")
    person.key("A")
    assert person.states()[2] == "touched"
    # A slice with labels is not empty; an empty one is.
    person.form.go_to(4)
    person.key("E")
    assert "has labels" in person.form.status.value
    assert person.states()[4] == "predicted"
    y, x = np.nonzero(person.layer.data[4])
    person.layer.data_setitem((np.full_like(y, 4), y, x), 0)
    person.key("E")
    assert person.states()[4] == "accepted as empty"


def test_number_keys_choose_muscles_and_next_goes_where_the_model_is_least_sure(
    open_window: Any, scan_file: Path
) -> None:
    person = open_window(scan_file)
    person.predict()
    person.key("3")
    assert person.layer.selected_label == default_table("thigh").muscles[2].value
    assert default_table("thigh").names[2] in person.form.status.value
    person.form.go_to(0)
    person.key("N")
    first = person.form.current
    assert first == 5
    assert person.form.table.currentRow() == 5
    person.key("A")
    person.key("N")
    second = person.form.current
    assert second is not None
    assert second not in (5, 0)
    person.key("N")  # passed by without accepting it
    assert person.form.current not in (5, second)
    person.form.table.setCurrentCell(1, 1)
    assert person.form.current == 1


def test_keys_are_given_back_when_the_form_closes(open_window: Any, scan_file: Path) -> None:
    person = open_window(scan_file)
    assert person.layer.keymap
    person.leave()
    assert not person.layer.keymap


def test_states_and_labels_are_there_again_on_the_next_day(
    open_window: Any, scan_file: Path
) -> None:
    person = open_window(scan_file)
    person.predict()
    person.paint(1)
    person.form.go_to(1)
    person.key("A")
    states, labels = person.states(), person.layer.data.copy()
    person.leave()
    person.viewer.close()
    again = open_window(scan_file)
    assert again.states() == states
    np.testing.assert_array_equal(again.layer.data, labels)
    assert again.corrections.unsaved is None
    assert not again.form.unsaved.visible


@pytest.mark.parametrize("accepted", [False, True])
def test_unsaved_strokes_are_offered_back(
    open_window: Any, scan_file: Path, accepted: bool
) -> None:
    person = open_window(scan_file)
    person.predict()
    if accepted:
        person.form.go_to(0)
        person.key("A")
        until(lambda: not person.corrections.saving)
    person.paint(3)
    states, labels = person.states(), person.layer.data.copy()
    person.leave()
    person.viewer.close()
    again = open_window(scan_file)
    assert again.corrections.unsaved is not None
    assert "were not saved" in again.form.unsaved.text.value
    press(again.form.unsaved.restore_button)
    np.testing.assert_array_equal(again.layer.data, labels)
    assert again.states() == states
    assert again.corrections.unsaved is None
    # What was drawn by hand is still known to be: a new prediction leaves that slice alone.
    again.predict(4)
    np.testing.assert_array_equal(again.layer.data[3], labels[3])
    assert (again.layer.data[4] == 4).any()


def test_discarded_strokes_are_not_offered_again_but_can_come_back(
    open_window: Any, scan_file: Path, dialogs_shown: DialogRecorder
) -> None:
    person = open_window(scan_file)
    person.paint(3)
    drawn = person.layer.data.copy()
    person.leave()
    person.viewer.close()
    again = open_window(scan_file)
    assert again.states()[3] == "touched"
    press(again.form.unsaved.discard_button)
    assert "be brought back" in dialogs_shown.asked[-1]
    assert not again.layer.data.any()
    assert set(again.states().values()) <= {"unseen"}
    again.leave()
    again.viewer.close()
    third = open_window(scan_file)
    assert third.corrections.unsaved is None
    press(third.form.unsaved.back_button)
    np.testing.assert_array_equal(third.layer.data, drawn)
    assert {z for z, state in third.states().items() if state == "touched"} == {3}


def test_labels_saved_to_a_file_are_not_offered_back(
    open_window: Any, scan_file: Path, tmp_path: Path
) -> None:
    person = open_window(scan_file)
    panel = SavePanel(person.viewer)
    person.paint(3)
    panel.choose(person.layer)
    panel.path.value = str(tmp_path / "mine_dseg.nii.gz")
    assert panel.save()
    panel.native.deleteLater()
    person.leave()
    person.viewer.close()
    assert open_window(scan_file).corrections.unsaved is None


def test_a_study_elsewhere_is_found_again_and_a_scan_opened_twice_says_so(
    open_window: Any, scan_file: Path, tmp_path: Path
) -> None:
    person = open_window(scan_file)
    person.predict()
    person.form.folder.value = "somewhere"
    person.key("A")
    assert "no whole path" in person.form.status.value
    person.form.folder.value = str(tmp_path / "other" / "study")
    person.key("A")
    accepted = person.states()
    assert "accepted" in accepted.values()
    assert not (scan_file.parent / "muscle-study").exists()
    second = open_window(scan_file)
    assert "open twice" in second.form.status.value
    second.leave()
    person.leave()
    again = open_window(scan_file)
    assert again.states() == accepted


def test_undoing_a_prediction_takes_its_states_back_and_accepted_slices_outlast_the_next(
    open_window: Any, scan_file: Path
) -> None:
    person = open_window(scan_file)
    person.predict()
    person.layer.undo()
    person.corrections.record_changes()
    assert set(person.states().values()) <= {"unseen"}
    person.layer.redo()
    person.corrections.record_changes()
    assert person.states() == dict.fromkeys(range(6), "predicted")
    person.form.go_to(1)
    person.key("A")
    labels = person.layer.data[1].copy()
    person.predict(5)
    np.testing.assert_array_equal(person.layer.data[1], labels)
    assert (person.layer.data[2] == 5).any()
    assert person.states()[1] == "accepted"
