"""The program as a window: the demonstration's picture, tabs, and no Qt binding."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QDockWidget

from napari_ssl_muscle.scans.errors import BadInput
from napari_ssl_muscle.viewer import app
from napari_ssl_muscle.viewer.layers import unwrap
from tests.viewer.helpers import until


def test_the_demonstration_presses_the_button_and_saves_a_picture_with_muscles(
    tmp_path: Path,
) -> None:
    # In a process of its own, because it runs the event loop to its end.
    picture = tmp_path / "app.png"
    command = [sys.executable, "-m", "napari_ssl_muscle", "app", "--demo"]
    ended = subprocess.run([*command, "--screenshot", str(picture)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    from imageio.v3 import imread

    pixels = np.asarray(imread(picture))[..., :3].astype(int)
    assert pixels.shape[0] >= 600
    # The scan is grey; labels are coloured, and there are many such pixels in the middle.
    middle = pixels[:, pixels.shape[1] // 3 : 2 * pixels.shape[1] // 3]
    coloured = middle.max(axis=-1) - middle.min(axis=-1) > 60
    assert coloured.mean() > 0.01


def test_without_a_qt_binding_it_says_which_command_helps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "qtpy.QtWidgets", None)
    with pytest.raises(BadInput, match=r"pip install \"napari-ssl-muscle\[pyqt5\]\""):
        app.open_app()


def test_the_forms_are_tabs_with_short_names_and_the_first_is_in_front(
    make_napari_viewer: Any,
) -> None:
    viewer = make_napari_viewer(show=True)
    form = app.dock_forms(viewer)
    native = unwrap(form).native
    docks = [
        dock
        for dock in native.window().findChildren(QDockWidget)
        if dock.windowTitle() in app.FORMS
    ]
    assert sorted(dock.windowTitle() for dock in docks) == sorted(app.FORMS)
    first = next(dock for dock in docks if dock.windowTitle() == app.FORMS[0])
    until(lambda: len(native.window().tabifiedDockWidgets(first)) == len(app.FORMS) - 1)
    until(lambda: not native.visibleRegion().isEmpty())
