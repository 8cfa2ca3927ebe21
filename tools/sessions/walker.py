"""The robot at the workbench: goes to forms, opens and segments scans, takes numbered pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from robot import Robot

from napari_ssl_muscle.viewer.app import open_window
from napari_ssl_muscle.viewer.layers.scan_layers import unwrap


class Walkthrough(Robot):
    """The robot at the workbench; its pictures are numbered.

    Parameters
    ----------
    pictures
        Folder for the pictures.
    size
        Of the window, in pixels; None for the usual one.
    """

    def __init__(self, pictures: Path, size: tuple[int, int] | None = None) -> None:
        viewer, self.bench = open_window()
        if size is not None:
            viewer.window.resize(*size)
        self.pictures, self._count = pictures, 0
        super().__init__(viewer)

    def open_files(self, *scans: Path) -> None:
        """Open scans with the button of the form "Open"; the system's dialog has none to click."""
        from napari_ssl_muscle.viewer.widgets import dialogs

        dialogs.ask_files = lambda *_: list(scans)
        self.show(self.bench.open)
        before = len(self.viewer.layers)
        self.press(self.bench.open.files_button)
        self.until(lambda: len(self.viewer.layers) > before, "the scan")

    def segment(self) -> Any:
        """Segment the scan in front with a model that fits, and return its labels layer."""
        bench = self.bench
        self.show(bench.segment)
        self.until(lambda: bench.segment._fit_task is None, "a model that fits")
        self.press(bench.segment.segment_button)
        self.until(lambda: not bench.segment.panel.running, "the prediction")
        layer = unwrap(self.viewer.layers.selection.active)
        check(layer.data.any(), "there are labels")
        return layer

    def mend(self, layer: Any) -> None:
        """Draw on the edge of the first muscle of the slice that is shown, as a person would."""
        z = self.bench.correct.current
        assert z is not None
        rows, columns = np.nonzero(layer.data[z] == 1)
        if not len(rows):
            return
        self.key("1")
        before = layer.data[z].copy()
        top = int(rows.argmin())
        row, column = float(rows[top]), float(columns[top])
        self.stroke(layer, [(row, column), (row + 3, column + 2), (row + 6, column + 2)])
        check((layer.data[z] != before).any(), f"the stroke on slice {z} is there")

    def show(self, form: Any) -> None:
        """Go to a form: its step's button, then its tab."""
        for index, (_, step) in enumerate(self.bench.steps):
            for number, (_, there) in enumerate(step.forms):
                if there is form:
                    self.press(self.bench.buttons.button(index))
                    if step.tabs is not None:
                        self.click_tab(step.tabs.tabBar(), number)

    def picture(self, name: str) -> None:
        """Take the next picture of the whole window."""
        self._count += 1
        path = self.pictures / f"{self._count:02d}-{name}.png"
        self.save_picture(path)
        print(f"       {path.name}")


def check(right: object, what: str) -> None:
    """End the session if something is not as it should be."""
    print(f"{'ok' if right else 'NOT'}     {what}")
    if not right:
        raise SystemExit(1)
