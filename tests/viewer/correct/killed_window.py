"""A real napari window, to be killed by a test: `python killed_window.py SCAN FOLDER WHEN`.

It draws with the mouse on the canvas. When it comes to what WHEN names, it leaves the labels in
FOLDER and says so on standard output; then it goes on until it is killed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QEvent, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.study.unsaved import journal_writer
from napari_ssl_muscle.study.unsaved.journal_format import whole_length
from napari_ssl_muscle.viewer.correct.form import CorrectForm
from napari_ssl_muscle.viewer.layers.changes import find_changes
from napari_ssl_muscle.viewer.layers.prediction_history import history_of
from napari_ssl_muscle.viewer.layers.scan_layers import show_table, unwrap
from napari_ssl_muscle.viewer.open import commands

NONE, LEFT = Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton
STROKE = [(y, 8 + y / 2) for y in range(6, 38)]
"""Where the mouse goes, in voxels (y, x)."""


class Mouse:
    """A mouse on the canvas."""

    def __init__(self, viewer: Any, layer: Any) -> None:
        self._viewer, self._layer = viewer, layer
        self._canvas = viewer.window._qt_viewer.canvas

    def press(self, y: float, x: float) -> None:
        self._send(QEvent.Type.MouseButtonPress, y, x, LEFT, LEFT)

    def move(self, y: float, x: float) -> None:
        self._send(QEvent.Type.MouseMove, y, x, NONE, LEFT)

    def release(self, y: float, x: float) -> None:
        self._send(QEvent.Type.MouseButtonRelease, y, x, LEFT, NONE)

    def _send(self, kind: Any, y: float, x: float, button: Any, buttons: Any) -> None:
        world = self._layer.data_to_world((0, y, x))[1:]
        camera = self._viewer.camera
        native = self._canvas.native
        middle = np.array([native.height(), native.width()]) / 2
        top, left = middle + (np.array(world) - np.array(camera.center)[1:]) * camera.zoom
        where = QPointF(left, top)
        everywhere = QPointF(native.mapToGlobal(where.toPoint()))
        event = QMouseEvent(kind, where, everywhere, button, buttons, _no_key())
        QApplication.sendEvent(native, event)


def _no_key() -> Any:
    return Qt.KeyboardModifier.NoModifier


class Window:
    """napari with the form and a scan."""

    def __init__(self, scan: Path, folder: Path) -> None:
        self.viewer = napari.Viewer()
        self.viewer.window.resize(900, 700)
        self.folder = folder
        self.form = CorrectForm(self.viewer)
        self.viewer.window.add_dock_widget(self.form.native)
        commands.open_paths(self.viewer, [scan])
        self.layer = next(unwrap(x) for x in self.viewer.layers if x.name == "Prediction")
        self.viewer.layers.selection.active = self.layer
        show_table(self.layer, default_table("thigh"))
        self.layer.mode, self.layer.selected_label, self.layer.brush_size = "paint", 3, 4
        QApplication.processEvents()
        self.mouse = Mouse(self.viewer, self.layer)

    @property
    def corrections(self) -> Any:
        assert self.form.corrections is not None
        return self.form.corrections

    def say(self, word: str) -> None:
        """Leave the labels, and tell the test."""
        np.save(self.folder / "labels.npy", self.layer.data)
        tell(word)

    def written(self) -> bool:
        """Whether all that is drawn has come to the file of the journal, by itself."""
        store = self.corrections.store
        path = store._journal.path_of(store.case)
        return (
            np.array_equal(self.corrections._known, self.layer.data)
            and path.exists()
            and whole_length(path)[1] == store.mark()
        )

    def stroke(self) -> Iterator[None]:
        """Draw for ever: down, along, up, next slice."""
        z = 0
        while True:
            self.form.go_to(z % 6)
            self.mouse.press(*STROKE[0])
            for place in STROKE:
                self.mouse.move(*place)
                yield
            self.mouse.release(*STROKE[-1])
            z += 1

    def predict(self, value: int) -> None:
        labels = np.zeros_like(self.layer.data)
        labels[:, 4:36, 5:30] = value
        history_of(self.layer).predict(find_changes(self.layer.data, labels), keep_drawn=True)


def tell(word: str) -> None:
    """Write a line that the test reads."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def hang(word: str) -> None:
    """Tell the test, and stop here as if the disk took its time."""
    tell(word)
    time.sleep(600)


class Torn(journal_writer.FileIO):
    """A file that is told to get only half of what comes next."""

    next_one = False

    def write(self, data: Any) -> int:
        if not Torn.next_one:
            return int(super().write(data))
        count = int(super().write(data[: len(data) // 2]))
        hang("half")
        return count


def every(milliseconds: int, act: Callable[[], Any]) -> QTimer:
    timer = QTimer()
    timer.timeout.connect(act)
    timer.start(milliseconds)
    return timer


def in_a_stroke(window: Window) -> list[QTimer]:
    """Draw one and a half strokes and rest with the button down; then draw on."""
    path = window.stroke()
    for _ in range(len(STROKE) + len(STROKE) // 2):
        next(path)
    assert window.layer._staged_history  # napari has not got the stroke in its history yet
    told: list[bool] = []

    def look() -> None:
        if told:
            next(path)
        elif window.written():
            window.say("written")
            told.append(True)

    return [every(20, look)]


def in_a_prediction(window: Window) -> list[QTimer]:
    """Draw a stroke; a prediction comes, and only half of it reaches the disk."""
    path = window.stroke()
    for _ in range(len(STROKE) + 1):
        next(path)
    told: list[bool] = []

    def look() -> None:
        if not told and window.written():
            told.append(True)
            np.save(window.folder / "labels.npy", window.layer.data)
            Torn.next_one = True
            window.predict(1)

    return [every(20, look)]


def in_an_acceptance(window: Window) -> list[QTimer]:
    """Draw a stroke and accept its slice; the labels are about to be written into the study."""
    from napari_ssl_muscle.study.study import Study

    path = window.stroke()
    for _ in range(len(STROKE) + 1):
        next(path)
    window.form.go_to(0)
    real = Study.save_labels

    def slow(self: Study, *args: Any) -> Any:
        np.save(window.folder / "labels.npy", window.layer.data)
        hang("saving")
        return real(self, *args)

    Study.save_labels = slow  # type: ignore[method-assign, assignment]
    told: list[bool] = []

    def look() -> None:
        if not told and window.written():
            told.append(True)
            window.form.accept()

    return [every(20, look)]


if __name__ == "__main__":
    scan, folder, when = sys.argv[1:]
    journal_writer.FileIO = Torn  # type: ignore[misc]
    window = Window(Path(scan), Path(folder))
    timers = {
        "stroke": in_a_stroke,
        "prediction": in_a_prediction,
        "acceptance": in_an_acceptance,
    }[when](window)
    napari.run()
