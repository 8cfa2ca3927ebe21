"""From the click on "Segment muscles" to labels on the screen, and how long the window froze.

The first click imports torch and brings the first prediction. The second one finds labels that a
person has drawn in, and keeps them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import napari
from measured import Measured, hand_over
from models import benchmark_model
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from scans import benchmark_scan
from watching import run_until, settle

from napari_ssl_muscle.learning.events import Finished
from napari_ssl_muscle.viewer.app import PLUGIN, SIZE, dock_workbench
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, unwrap
from napari_ssl_muscle.viewer.segment.form import SegmentForm

LONGEST = "longest time without a reaction of the window"
FREEZE = "≤ 0.25"


def main(build: Path) -> None:
    model, name = benchmark_model(build)
    viewer = napari.Viewer()
    viewer.window.resize(*SIZE)
    form = dock_workbench(viewer).segment
    viewer.open([str(benchmark_scan(build))], plugin=PLUGIN)
    form.model.add(Path(model))
    form.model.picked_by_hand = True
    settle(1.0)
    figures = []
    for which in ("first click", "second click, with drawn labels to keep"):
        seconds, frozen = click(form)
        what = f"{which}: to labels, 512 × 512 × 16 ({name})"
        figures += [
            Measured(what, seconds, "s"),
            Measured(
                f"{which}: longest time without a reaction of the window", frozen, "s", FREEZE
            ),
        ]
        draw(viewer)
    form.panel.abandon()
    viewer.close()
    hand_over(figures)


def click(form: SegmentForm) -> tuple[float, float]:
    """Press the button; return seconds until the labels are drawn, and the longest freeze."""
    events: list[object] = []
    form.panel.ended.connect(events.append)
    press: Any = QTest.mouseClick  # the binding's types know it as a method
    found = run_until(
        lambda: bool(events),
        lambda: press(form.segment_button.native, Qt.MouseButton.LeftButton),
    )
    form.panel.ended.disconnect(events.append)
    if not isinstance(events[0], Finished):
        raise SystemExit(f"the segmentation did not end well: {events[0]}")
    return found


def draw(viewer: Any) -> None:
    """Draw a few strokes into the prediction, and let them be journalled."""
    layer = next(
        unwrap(layer)
        for layer in viewer.layers
        if (info := info_of(layer)) is not None and info.role == "prediction"
    )
    for z in range(2, 14, 3):
        layer.paint((z, 250, 180), 4)
    settle(1.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
