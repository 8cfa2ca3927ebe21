"""The program as a window: the demonstration's picture, tabs, and no Qt binding."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDockWidget

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.viewer import app
from tests.viewer.helpers import until

PHOTOGRAPH = Path(__file__).parents[2] / "tools" / "photograph.py"
DOCK_TITLE = "Muscle workbench (napari-ssl-muscle)"


def test_the_demonstration_presses_the_button_and_saves_a_picture_with_muscles(
    tmp_path: Path,
) -> None:
    # In a process of its own, because it runs the event loop to its end.
    picture = tmp_path / "app.png"
    command = [sys.executable, str(PHOTOGRAPH), str(picture)]
    ended = subprocess.run(command, capture_output=True, text=True)
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


def test_the_workbench_is_docked_and_every_step_can_be_reached_by_its_button(
    make_napari_viewer: Any,
) -> None:
    viewer = make_napari_viewer(show=True)
    workbench = app.dock_workbench(viewer)
    native = workbench.segment.native
    until(lambda: not native.visibleRegion().isEmpty())
    for index, (_, step) in enumerate(workbench.steps):
        press_button(workbench.buttons.button(index))
        assert workbench.buttons.checkedId() == index
        for _, form in step.forms:
            workbench.show_form(form)
            until(lambda form=form: not form.native.visibleRegion().isEmpty())
    docks = native.window().findChildren(QDockWidget)
    # A form in the workbench neither renames its dock nor makes one of its own.
    assert [d.windowTitle() for d in docks if d.isAncestorOf(native)] == [DOCK_TITLE]


def press_button(button: Any) -> None:
    click: Any = QTest.mouseClick
    click(button, Qt.MouseButton.LeftButton)
