"""The program as a window: napari with the workbench docked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ssl_muscle.errors import BadInput

if TYPE_CHECKING:
    import napari.viewer

    from napari_ssl_muscle.viewer.workbench import Workbench

PLUGIN = "napari-ssl-muscle"
WORKBENCH = "Muscle workbench"
SIZE = (1360, 860)
TITLE_BAR = 40
"""Pixels for the title that the system puts above the window."""

NO_BINDING = (
    "There is no Qt binding, so no window can open; install one with "
    'pip install "napari-ssl-muscle[pyqt5]" or pip install "napari-ssl-muscle[pyqt6]".'
)


def open_app(paths: Sequence[Path] = (), *, demo: bool = False) -> None:
    """Open napari with the workbench docked, and stay until the window is closed.

    Parameters
    ----------
    paths
        Scans, label maps and cohort folders to open.
    demo
        Load a phantom scan and choose a model that knows such scans, so that the first click on
        "Segment muscles" gives muscles.

    Raises
    ------
    BadInput
        If there is no Qt binding.
    """
    try:
        import qtpy.QtWidgets  # noqa: F401
    except ImportError as error:  # qtpy's own error for no binding is one
        raise BadInput(NO_BINDING) from error
    import napari

    from napari_ssl_muscle.viewer.open import commands

    viewer, workbench = open_window()
    try:
        if demo:
            open_demo(viewer, workbench)
        commands.open_paths(viewer, paths)
    except BaseException:
        viewer.close()
        raise
    napari.run()


def open_window() -> tuple[napari.viewer.Viewer, Workbench]:
    """Open napari with the workbench docked."""
    import napari

    viewer = napari.Viewer(title="Leg muscles")
    workbench = dock_workbench(viewer)
    fit_to_screen(viewer)
    return viewer, workbench


def fit_to_screen(viewer: napari.viewer.Viewer) -> None:
    """Give the window its usual size, or what the screen has room for."""
    from qtpy.QtGui import QGuiApplication

    screen = QGuiApplication.primaryScreen()
    width, height = SIZE
    if screen is not None:
        room = screen.availableGeometry()
        width, height = min(width, room.width()), min(height, room.height() - TITLE_BAR)
    viewer.window.resize(width, height)


def dock_workbench(viewer: napari.viewer.Viewer) -> Workbench:
    """Dock the workbench, with "Segment" in front."""
    from napari_ssl_muscle.viewer.layers.scan_layers import unwrap

    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WORKBENCH)
    workbench: Workbench = unwrap(widget)
    workbench.show_form(workbench.segment)
    return workbench


def open_demo(viewer: napari.viewer.Viewer, workbench: Workbench) -> None:
    """Load the phantom scan and choose a model that knows such scans."""
    from napari_ssl_muscle.viewer.open import commands

    commands.open_sample(viewer)
    workbench.segment.choose_fitting_model()
