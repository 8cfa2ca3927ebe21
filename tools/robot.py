"""A robot at the window: real clicks, keys and strokes through the event loop, and pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QEvent, QEventLoop, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_ssl_muscle.files import write_whole

_LEFT, _NO_KEY = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
_mouse: Any = QTest


class Robot:
    """Does at a viewer's window what a person does there.

    Parameters
    ----------
    viewer
        The napari viewer.
    patience
        Milliseconds to wait for one thing.
    """

    def __init__(self, viewer: Any, patience: int = 600_000) -> None:
        self.viewer = viewer
        self._patience = patience
        self.rest()

    def press(self, button: Any) -> None:
        """Click a button."""
        native = getattr(button, "native", button)
        if not native.isVisible() or not native.isEnabled():
            raise SystemExit(f"the button '{native.text()}' cannot be pressed")
        print(f"press  {native.text()}")
        _mouse.mouseClick(native, _LEFT)
        self.rest()

    def key(self, key: str, *modifiers: Any) -> None:
        """Press a key over the canvas."""
        print(f"key    {key}")
        held = _NO_KEY
        for modifier in modifiers:
            held |= modifier
        _mouse.keyClick(self._canvas(), getattr(Qt.Key, f"Key_{key}"), held)
        self.rest()

    def stroke(self, layer: Any, points: list[tuple[float, float]]) -> None:
        """Draw with the mouse through points (row, column) of the slice that is shown."""
        canvas = self._canvas()
        places = [self._on_canvas(layer, point) for point in points]
        _mouse.mouseMove(canvas, places[0])
        _mouse.mousePress(canvas, _LEFT, _NO_KEY, places[0])
        for place in places[1:]:
            self._drag(canvas, place)
        _mouse.mouseRelease(canvas, _LEFT, _NO_KEY, places[-1])
        self.rest()

    def click_row(self, table: Any, number: int) -> None:
        """Click a row of a table."""
        index = table.model().index(number, 0)
        print(f"row    {index.data()}")
        _mouse.mouseClick(table.viewport(), _LEFT, _NO_KEY, table.visualRect(index).center())
        self.rest()

    def click_layer(self, layer: Any) -> None:
        """Click a layer in napari's list of layers."""
        view = self.viewer.window._qt_viewer.layers
        model = view.model()
        source = model.sourceModel()
        places = [model.index(row, 0) for row in range(model.rowCount())]
        index = next(at for at in places if source.getItem(model.mapToSource(at)) is layer)
        view.scrollTo(index)
        print(f"layer  {layer.name}")
        _mouse.mouseClick(view.viewport(), _LEFT, _NO_KEY, view.visualRect(index).center())
        self.rest()

    def click_tab(self, bar: Any, number: int) -> None:
        """Click a tab of a tab bar."""
        print(f"tab    {bar.tabText(number)}")
        _mouse.mouseClick(bar, _LEFT, _NO_KEY, bar.tabRect(number).center())
        self.rest()

    def until(self, ready: Callable[[], bool], what: str) -> None:
        """Wait for something; `SystemExit` if it does not come."""
        loop = QEventLoop()
        late, look = QTimer(), QTimer()
        late.setSingleShot(True)
        late.timeout.connect(loop.quit)
        late.start(self._patience)
        look.timeout.connect(lambda: loop.quit() if ready() else None)
        look.start(20)
        if not ready():
            loop.exec()
        look.stop()
        late.stop()
        if not ready():
            raise SystemExit(f"waited in vain for {what}")
        self.rest()

    def rest(self, milliseconds: int = 250) -> None:
        """Let the window draw."""
        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()

    def save_picture(self, path: Path) -> None:
        """Save a picture of the whole window, without napari's notices, which would lie over it."""
        self.rest(600)
        for widget in QApplication.allWidgets():
            if type(widget).__name__ == "NapariQtNotification":
                widget.close()
        write_whole(path, lambda part: self.viewer.window.screenshot(str(part), flash=False))

    def _canvas(self) -> Any:
        return self.viewer.window._qt_viewer.canvas.native

    def _on_canvas(self, layer: Any, point: tuple[float, float]) -> QPoint:
        """Return where a point of the slice lies on the canvas, in pixels."""
        z = round(float(layer.world_to_data(self.viewer.dims.point)[0]))
        world = layer.data_to_world((z, *point))[-2:]
        camera, canvas = self.viewer.camera, self._canvas()
        zoom, centre = camera.zoom, camera.center[-2:]
        x = canvas.width() / 2 + (world[1] - centre[1]) * zoom / canvas.devicePixelRatioF()
        y = canvas.height() / 2 + (world[0] - centre[0]) * zoom / canvas.devicePixelRatioF()
        return QPoint(round(x), round(y))

    def _drag(self, canvas: Any, place: QPoint) -> None:
        """Move the mouse with its button down; QTest's own moves carry no button."""
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            QPointF(place),
            QPointF(canvas.mapToGlobal(place)),
            Qt.MouseButton.NoButton,
            _LEFT,
            _NO_KEY,
        )
        QApplication.sendEvent(canvas, event)
