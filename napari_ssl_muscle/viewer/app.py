"""The program as a window: napari with the workbench docked, for people and for a picture of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ssl_muscle.errors import BadInput

if TYPE_CHECKING:
    import napari.viewer

    from napari_ssl_muscle.viewer.segment.form import SegmentForm
    from napari_ssl_muscle.viewer.workbench import Workbench

PLUGIN = "napari-ssl-muscle"
WORKBENCH = "Muscle workbench"
SIZE = (1360, 860)
PATIENCE = 180_000
"""Milliseconds to wait for the demonstration's labels before giving up."""

NO_BINDING = (
    "There is no Qt binding, so no window can open; install one with "
    'pip install "napari-ssl-muscle[pyqt5]" or pip install "napari-ssl-muscle[pyqt6]".'
)


class NotShown(RuntimeError):  # noqa: N818 - said as it is
    """The picture could not be taken; the message says why."""


def open_app(
    paths: Sequence[Path] = (), *, demo: bool = False, screenshot: Path | None = None
) -> None:
    """Open napari with the workbench docked, and stay until the window is closed.

    Parameters
    ----------
    paths
        Scans, label maps and cohort folders to open.
    demo
        Load a phantom scan and choose a model that knows such scans, so that the first click on
        "Segment muscles" gives muscles.
    screenshot
        Where to save a picture of the window; it is closed then. With `demo`, the button is
        pressed first and its labels are waited for.

    Raises
    ------
    BadInput
        If there is no Qt binding; for a picture also if a path cannot be opened.
    NotShown
        If the demonstration for a picture fails or takes too long.
    """
    try:
        import qtpy.QtWidgets  # noqa: F401
    except ImportError as error:  # qtpy's own error for no binding is one
        raise BadInput(NO_BINDING) from error
    import napari

    viewer = napari.Viewer(title="Leg muscles")
    viewer.window.resize(*SIZE)
    form = dock_forms(viewer)
    try:
        _fill(viewer, form, paths, demo=demo, ask=screenshot is None)
        if screenshot is not None:
            _photograph(viewer, form, screenshot, press=demo)
            return
    except BaseException:
        viewer.close()
        raise
    napari.run()


def dock_forms(viewer: napari.viewer.Viewer) -> SegmentForm:
    """Dock the workbench, with "Segment" in front, and return that form."""
    from napari_ssl_muscle.viewer.layers.scan_layers import unwrap

    _, workbench = viewer.window.add_plugin_dock_widget(PLUGIN, WORKBENCH)
    found: Workbench = unwrap(workbench)
    found.show_form(found.segment)
    return found.segment


def _fill(
    viewer: napari.viewer.Viewer,
    form: SegmentForm,
    paths: Sequence[Path],
    *,
    demo: bool,
    ask: bool,
) -> None:
    from napari_ssl_muscle.viewer.open import commands
    from napari_ssl_muscle.viewer.widgets import dialogs

    if demo:
        commands.open_sample(viewer)
        form.choose_fitting_model()
    if ask:
        commands.open_paths(viewer, paths)
        return
    with dialogs.silence():
        for path in paths:
            commands.check_path(path)
            viewer.open([str(path)], plugin=PLUGIN)


def _photograph(
    viewer: napari.viewer.Viewer, form: SegmentForm, path: Path, *, press: bool
) -> None:
    """Press the button if asked to, wait for its end, save a picture, close.

    Everything goes through the event loop, as it does for a person.
    """
    from qtpy.QtCore import Qt, QTimer
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    from napari_ssl_muscle.files import write_whole
    from napari_ssl_muscle.learning.events import Failed, Finished

    problems: list[BaseException] = []

    def end(problem: BaseException | None = None) -> None:
        if problem is not None:
            problems.append(problem)
        deadline.stop()
        QApplication.exit(0)

    def shoot() -> None:
        _close_notices()
        try:
            write_whole(path, lambda part: viewer.window.screenshot(str(part), flash=False))
        except BaseException as error:
            end(error)
        else:
            end()

    def ended(event: object) -> None:
        if isinstance(event, Finished):
            # Once what the labels have changed is drawn.
            QTimer.singleShot(0, lambda: QTimer.singleShot(0, shoot))
        else:
            end(NotShown(event.sentence if isinstance(event, Failed) else "It was stopped."))

    def click() -> None:
        button = form.segment_button.native
        if not button.isEnabled():
            end(NotShown("The button 'Segment muscles' cannot be pressed: no scan or no model."))
            return
        press_with: Any = QTest.mouseClick
        press_with(button, Qt.MouseButton.LeftButton)

    app = QApplication.instance()
    assert app is not None
    form.panel.quiet = True
    form.panel.ended.connect(ended)
    deadline = QTimer()
    deadline.setSingleShot(True)
    deadline.timeout.connect(
        lambda: end(NotShown(f"No labels came within {PATIENCE // 1000} seconds."))
    )
    deadline.start(PATIENCE)
    QTimer.singleShot(0, click if press else shoot)
    app.exec()
    form.panel.ended.disconnect(ended)
    form.panel.abandon()
    viewer.close()
    if problems:
        raise problems[0]


def _close_notices() -> None:
    """Close napari's own notices, which would lie over the picture."""
    from qtpy.QtWidgets import QApplication

    for widget in QApplication.allWidgets():
        if type(widget).__name__ == "NapariQtNotification":
            widget.close()
