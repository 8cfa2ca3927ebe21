"""One session in a real window, with real clicks and keys, and a picture of every step.

Usage: tools/walkthrough.py PICTURES [--scan FILE --model MODEL] [--minutes M] [--accept N]

Open, segment, paint, accept, fine-tune on what was accepted, keep a model, segment again, evaluate,
measure, save, undo: everything through the buttons and keys that a person uses. Where the scan has
ground truth, the rest of each slice is then drawn as it is there. Without ``--scan`` on the leg
phantom. A step that does not do what it should ends the session with exit code 1.
Windows are shown: without a display, run it through tools/display.py, as ``make walkthrough`` does.
Home and study are new folders inside PICTURES, so that nothing of the user's own is touched.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZE = (1360, 860)
PATIENCE = 600_000
"""Milliseconds to wait for one thing."""


class Session:
    """A person at the window.

    Parameters
    ----------
    pictures
        Folder for the pictures.
    """

    def __init__(self, pictures: Path) -> None:
        import napari

        from napari_ssl_muscle.viewer.app import dock_forms
        from napari_ssl_muscle.viewer.layers.scan_layers import unwrap
        from napari_ssl_muscle.viewer.workbench import Workbench

        self.pictures = pictures
        self.count = 0
        self.viewer = napari.Viewer(title="Leg muscles")
        self.viewer.window.resize(*SIZE)
        widget = unwrap(dock_forms(self.viewer)).native
        while not isinstance(widget, Workbench):
            widget = widget.parent()
        self.bench = widget
        self.rest()

    # --- hands

    def press(self, button: Any) -> None:
        """Click a button."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        native = getattr(button, "native", button)
        if not native.isVisible() or not native.isEnabled():
            raise SystemExit(f"the button '{native.text()}' cannot be pressed")
        print(f"press  {native.text()}")
        click: Any = QTest.mouseClick
        click(native, Qt.MouseButton.LeftButton)
        self.rest()

    def show(self, form: Any) -> None:
        """Go to a form: its step's button, then its tab."""
        for index, (_, step) in enumerate(self.bench.steps):
            for place, (_, there) in enumerate(step.forms):
                if there is form:
                    self.press(self.bench.buttons.button(index))
                    if step.tabs is not None:
                        self._tab(step.tabs.tabBar(), place)

    def key(self, key: str, *modifiers: Any) -> None:
        """Press a key over the canvas."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        print(f"key    {key}")
        send: Any = QTest.keyClick
        held = Qt.KeyboardModifier.NoModifier
        for modifier in modifiers:
            held |= modifier
        send(self._canvas(), getattr(Qt.Key, f"Key_{key}"), held)
        self.rest()

    def stroke(self, layer: Any, points: list[tuple[float, float]]) -> None:
        """Draw with the mouse through points (row, column) of the slice that is shown."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        canvas = self._canvas()
        places = [self._place(layer, point) for point in points]
        mouse: Any = QTest
        mouse.mouseMove(canvas, places[0])
        mouse.mousePress(
            canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, places[0]
        )
        for place in places[1:]:
            self._drag(canvas, place)
        mouse.mouseRelease(
            canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, places[-1]
        )
        self.rest()

    def row(self, table: Any, number: int) -> None:
        """Click a row of a table."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        place = table.visualRect(table.model().index(number, 0)).center()
        print(f"row    {table.model().index(number, 0).data()}")
        click: Any = QTest.mouseClick
        click(
            table.viewport(),
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
            place,
        )
        self.rest()

    def until(self, ready: Callable[[], bool], what: str) -> None:
        """Wait for something."""
        from qtpy.QtCore import QEventLoop, QTimer

        loop = QEventLoop()
        late, look = QTimer(), QTimer()
        late.setSingleShot(True)
        late.timeout.connect(loop.quit)
        late.start(PATIENCE)
        look.timeout.connect(lambda: loop.quit() if ready() else None)
        look.start(20)
        if not ready():
            loop.exec()
        look.stop()
        late.stop()
        if not ready():
            raise SystemExit(f"waited in vain: {what}")
        self.rest()

    def rest(self, milliseconds: int = 250) -> None:
        """Let the window draw."""
        from qtpy.QtCore import QEventLoop, QTimer

        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()

    def picture(self, name: str) -> None:
        """Take a picture of the whole window."""
        from napari_ssl_muscle.viewer.app import _close_notices

        self.rest(600)
        _close_notices()
        self.count += 1
        path = self.pictures / f"{self.count:02d}-{name}.png"
        self.viewer.window.screenshot(str(path), canvas_only=False, flash=False)
        print(f"       {path.name}")

    # --- inside

    def _canvas(self) -> Any:
        return self.viewer.window._qt_viewer.canvas.native

    def _place(self, layer: Any, point: tuple[float, float]) -> Any:
        """Return where a point of the slice lies on the canvas, in pixels."""
        from qtpy.QtCore import QPoint

        z = round(float(layer.world_to_data(self.viewer.dims.point)[0]))
        world = layer.data_to_world((z, *point))[-2:]
        camera, canvas = self.viewer.camera, self._canvas()
        zoom, centre = camera.zoom, camera.center[-2:]
        x = canvas.width() / 2 + (world[1] - centre[1]) * zoom / canvas.devicePixelRatioF()
        y = canvas.height() / 2 + (world[0] - centre[0]) * zoom / canvas.devicePixelRatioF()
        return QPoint(round(x), round(y))

    def _drag(self, canvas: Any, place: Any) -> None:
        """Move the mouse with its button down; QTest's own moves carry no button."""
        from qtpy.QtCore import QEvent, QPointF, Qt
        from qtpy.QtGui import QMouseEvent
        from qtpy.QtWidgets import QApplication

        left = Qt.MouseButton.LeftButton
        where = QPointF(place)
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            where,
            QPointF(canvas.mapToGlobal(place)),
            Qt.MouseButton.NoButton,
            left,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(canvas, event)

    def _tab(self, bar: Any, place: int) -> None:
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        print(f"tab    {bar.tabText(place)}")
        click: Any = QTest.mouseClick
        click(
            bar,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
            bar.tabRect(place).center(),
        )
        self.rest()


def main() -> int:
    """Run the session; return 0 if every step did what it should."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--scan", type=Path, help="a scan or a cohort's folder; default: phantom")
    parser.add_argument("--model", help="the model to begin with; default: what fits the scan")
    parser.add_argument("--accept", type=int, default=16, help="slices to accept")
    parser.add_argument("--minutes", type=float, default=0.3, help="time to fine-tune")
    given = parser.parse_args()
    pictures = given.pictures.absolute()
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir(parents=True)
    scan = None
    if given.scan is not None:
        # A copy: a study and labels will be written beside it.
        place = pictures / "scans"
        place.mkdir()
        for file in given.scan.parent.glob(given.scan.name.removesuffix(".nii.gz") + "*.nii.gz"):
            shutil.copyfile(file, place / file.name)
        for table in given.scan.parent.glob("*.label"):
            shutil.copyfile(table, place / table.name)
        scan = place / given.scan.name
    os.environ["HOME"] = str(pictures)
    run(pictures, scan, given.model, given.accept, given.minutes)
    return 0


def run(pictures: Path, scan: Path | None, model: str | None, accept: int, minutes: float) -> None:
    """Go through the session."""
    import numpy as np
    from qtpy.QtCore import Qt

    from napari_ssl_muscle.learning.models.card import find_model
    from napari_ssl_muscle.viewer.layers.scan_layers import info_of, unwrap
    from napari_ssl_muscle.viewer.widgets import dialogs

    person = Session(pictures)
    bench, viewer = person.bench, person.viewer
    person.show(bench.open)
    person.picture("open")
    if scan is None:
        person.press(bench.open.sample_button)
    else:
        dialogs.ask_files = lambda *_: [scan]  # the system's dialog has no buttons to click here
        person.press(bench.open.files_button)
    person.until(lambda: len(viewer.layers) > 1, "the scan")

    person.show(bench.segment)
    if model is not None:
        bench.segment.model.add(find_model(model))
    else:
        person.until(lambda: bench.segment._look is None, "a model that fits")
    person.press(bench.segment.segment_button)
    person.until(lambda: not bench.segment.panel.running, "the first prediction")
    layer = next(
        unwrap(layer)
        for layer in viewer.layers
        if (info := info_of(layer)) is not None and info.role == "prediction"
    )
    check(layer.data.any(), "there are labels")
    first = layer.data.copy()
    person.picture("segmented")

    truth = next(
        (
            unwrap(other)
            for other in viewer.layers
            if (info := info_of(other)) is not None and info.role == "truth"
        ),
        None,
    )
    known = info_of(layer)
    assert known is not None
    assert known.table is not None
    values = known.table.values
    person.show(bench.correct)
    layer.mode = "paint"
    layer.brush_size = max(6, layer.data.shape[-1] // 40)
    for number in range(accept):
        person.key("N")
        z = bench.correct.current
        assert z is not None
        rows, columns = np.nonzero(layer.data[z] == 1)
        if len(rows):
            # Mend the edge of the first muscle, as a person would.
            person.key("1")
            before = layer.data[z].copy()
            top = int(rows.argmin())
            row, column = float(rows[top]), float(columns[top])
            person.stroke(layer, [(row, column), (row + 3, column + 2), (row + 6, column + 2)])
            check((layer.data[z] != before).any(), f"the stroke on slice {z} is there")
        if truth is not None:
            # A careful person draws for minutes; here all of it comes at once.
            # Muscles that the model does not know are left out.
            wanted = np.where(np.isin(truth.data[z], values), truth.data[z], 0)
            where = np.nonzero(layer.data[z] != wanted)
            layer.data_setitem((np.full(len(where[0]), z), *where), wanted[where])
        if number == 0:
            person.picture("painted")
        person.key("A" if layer.data[z].any() else "E")
        assert bench.correct._now is not None
        states = bench.correct._now.states()
        check(states.get(z, "").startswith("accepted"), f"slice {z} is accepted")
    person.key("U")
    person.picture("accepted")
    person.key("U")
    now = bench.correct._now
    assert now is not None
    person.until(lambda: now._work is None, "the study")

    person.press(bench.correct.finetune_button)
    tune = bench.finetune
    person.until(lambda: tune.finetune_button.native.isEnabled(), "the study's slices")
    tune.minutes.value = minutes
    person.picture("before-fine-tuning")
    person.press(tune.finetune_button)
    person.until(lambda: tune.panel.plot.picture is not None, "the first curve")
    person.picture("fine-tuning")
    person.until(lambda: not tune.panel.running, "the new model")
    person.until(lambda: not tune.decision.panel.running, "the comparison")
    person.picture("old-and-new")
    if tune.decision.side_button.native.isVisible():
        person.press(tune.decision.side_button)
        person.until(lambda: not tune.decision.panel.running, "both predictions")
    person.picture("side-by-side")
    person.press(tune.decision.new_button)
    person.press(tune.decision.again_button)
    person.until(lambda: not bench.segment.panel.running, "the new prediction")
    check((layer.data != first).any(), "the new model says something else")
    person.picture("segmented-again")

    if bench.evaluate.evaluate_button.native.isEnabled():
        person.show(bench.evaluate)
        person.press(bench.evaluate.evaluate_button)
        person.until(lambda: not bench.evaluate.panel.running, "the evaluation")
        person.until(lambda: not bench.evaluate.plot.painting, "the plot")
        person.picture("evaluated")
        person.row(bench.evaluate.table, 1)
        person.picture("worst-slice")
    person.show(bench.measure)
    person.press(bench.measure.measure_button)
    person.until(lambda: not bench.measure.panel.running, "the measures")
    person.until(lambda: not bench.measure.plot.painting, "the plot")
    person.picture("measured")

    person.show(bench.segment)
    target = Path(bench.segment.saving.path.value)
    if scan is None:
        target = pictures / "phantom_dseg.nii.gz"
        bench.segment.saving.path.value = str(target)
    person.press(bench.segment.saving.save_button)
    check(target.is_file(), "the labels are saved")
    person.picture("saved")
    viewer.layers.selection.active = layer
    after = layer.data.copy()
    person.key("Z", Qt.KeyboardModifier.ControlModifier)
    check((layer.data != after).any(), "undo takes the last prediction back")
    person.picture("undone")
    viewer.close()


def check(right: object, what: str) -> None:
    """End the session if something is not as it should be."""
    print(f"{'ok' if right else 'NOT'}     {what}")
    if not right:
        raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(main())
