"""From the click on "Segment muscles" to labels on the screen, and how long the window froze."""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import napari
from measured import Measured, hand_over
from models import benchmark_model
from qtpy.QtCore import QEventLoop, Qt, QTimer
from qtpy.QtTest import QTest
from scans import benchmark_scan

from napari_ssl_muscle.learning.events import Finished
from napari_ssl_muscle.viewer.app import PLUGIN, SIZE, dock_forms
from napari_ssl_muscle.viewer.segment_form import SegmentForm

TICK = 0.005


def main(build: Path) -> None:
    model, name = benchmark_model(build)
    viewer = napari.Viewer()
    viewer.window.resize(*SIZE)
    form = dock_forms(viewer)
    viewer.open([str(benchmark_scan(build))], plugin=PLUGIN)
    form.model.add(Path(model))
    form.model.picked_by_hand = True
    form.panel.quiet = True
    settle(1.0)
    figures = []
    for which in ("first click", "second click"):
        seconds, frozen = click(form)
        what = f"{which} to labels, 512 × 512 × 16 ({name})"
        figures += [
            Measured(what, seconds, "s"),
            Measured(f"{which}: longest time without a reaction of the window", frozen, "s"),
        ]
    form.panel.abandon()
    viewer.close()
    hand_over(figures)


def click(form: SegmentForm) -> tuple[float, float]:
    """Press the button; return seconds until the labels are drawn, and the longest freeze."""
    loop = QEventLoop()
    ticks: list[float] = []
    events: list[object] = []

    def ended(event: object) -> None:
        events.append(event)
        # Once more round the loop: what the labels have changed is drawn then.
        QTimer.singleShot(0, lambda: QTimer.singleShot(0, loop.quit))

    timer = QTimer()
    timer.setInterval(int(TICK * 1000))
    timer.timeout.connect(lambda: ticks.append(time.monotonic()))
    form.panel.ended.connect(ended)
    timer.start()
    began = time.monotonic()
    ticks.append(began)
    press: Any = QTest.mouseClick  # the binding's types know it as a method
    press(form.segment_button.native, Qt.MouseButton.LeftButton)
    loop.exec()
    end = time.monotonic()
    timer.stop()
    form.panel.ended.disconnect(ended)
    if not isinstance(events[0], Finished):
        raise SystemExit(f"the segmentation did not end well: {events[0]}")
    ticks.append(end)
    gaps = [after - before for before, after in pairwise(ticks)]
    return end - began, max(gaps)


def settle(seconds: float) -> None:
    """Let the window finish what opening has left to do."""
    loop = QEventLoop()
    QTimer.singleShot(int(seconds * 1000), loop.quit)
    loop.exec()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
