"""Keys act where they are shown, and clicks into the picture that end typing draw nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLineEdit, QStackedWidget, QVBoxLayout, QWidget

from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable
from napari_ssl_muscle.viewer.correct import keys as keys_module
from napari_ssl_muscle.viewer.correct.focus import is_field
from napari_ssl_muscle.viewer.correct.keys import MUSCLE_KEYS, Keys
from napari_ssl_muscle.viewer.correct.slice_table import SliceTable
from napari_ssl_muscle.viewer.layers.grid import GridView, picture
from napari_ssl_muscle.viewer.muscles.muscle_list import MuscleList

_keyboard: Any = QTest


def press(layer: Any, key: str) -> None:
    """What napari does when a key is pressed while a layer is active."""
    for bound, act in dict(layer.keymap).items():
        if str(bound) == key:
            act(layer)


def test_keys_act_only_while_what_lists_them_is_shown_and_nobody_types(
    qapp: QApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = QWidget()
    stack = QStackedWidget(window)
    QVBoxLayout(window).addWidget(stack)
    form, other = QWidget(), QWidget()
    stack.addWidget(form)
    stack.addWidget(other)
    pressed: list[str] = []
    layer = Labels(np.zeros((2, 8, 8), np.uint8))
    keys = Keys({"A": lambda: pressed.append("A")}, form)
    keys.bind(layer)
    window.show()
    press(layer, "A")
    assert pressed == ["A"]
    stack.setCurrentWidget(other)
    assert not layer.keymap
    stack.setCurrentWidget(form)
    monkeypatch.setattr(keys_module, "is_typing", lambda: True)
    press(layer, "A")
    assert pressed == ["A"]
    keys.unbind()
    assert not layer.keymap
    window.close()
    window.deleteLater()


def test_what_takes_letters_is_a_field(qapp: QApplication) -> None:
    window = QWidget()
    line = QLineEdit(window)
    assert is_field(line)
    assert not is_field(window)
    assert not is_field(None)
    window.deleteLater()


def test_letters_in_the_list_of_slices_go_on_to_the_picture(qapp: QApplication) -> None:
    heard: list[int] = []

    class Above(QWidget):
        def keyPressEvent(self, event: Any) -> None:  # noqa: N802
            heard.append(int(event.key()))

    above = Above()
    table = SliceTable(above)
    table.show_slices(3, {}, ())
    table.setCurrentCell(0, 1)
    _keyboard.keyClick(table, Qt.Key.Key_A)
    _keyboard.keyClick(table, Qt.Key.Key_Down)
    assert heard == [int(Qt.Key.Key_A)]
    assert table.currentRow() == 1
    above.deleteLater()


def test_every_muscle_can_be_chosen_in_the_table_s_order(qapp: QApplication) -> None:
    table = MuscleTable(tuple(Muscle(2 * i, f"muscle {i}") for i in range(1, 23)))
    muscles = MuscleList()
    muscles.show_table(table, 12)
    chosen: list[int] = []
    muscles.chosen.connect(chosen.append)
    for muscle in table.muscles:
        assert muscle.name.replace(" ", "&nbsp;") in muscles.text()
    assert "<u>muscle&nbsp;6</u>&nbsp;<small>(12)</small>" in muscles.text()
    assert MUSCLE_KEYS[9:11] == ("0", "Alt-1")
    muscles.linkActivated.emit("44")
    assert chosen == [44]
    muscles.deleteLater()


def test_of_two_grids_the_second_leaves_the_layout_as_it_was_before_the_first(
    qapp: QApplication,
) -> None:
    viewer = ViewerModel()
    own = viewer.add_image(np.zeros((4, 4)))
    grids, layers = [], []
    for _ in range(2):
        layers.append(viewer.add_image(np.zeros((4, 4)), metadata=picture()))
        grids.append(GridView(viewer))
        grids[-1].enter(layers[-1:], (1, 1))
    assert not grids[0].active
    assert not layers[0].visible
    grids[0].leave()
    assert grids[1].active
    grids[1].leave()
    assert not viewer.canvas.grid.enabled
    assert own.visible
    assert not layers[1].visible
