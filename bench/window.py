"""A napari window with a scan: opened, used, and watched for times without a reaction."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import napari
from qtpy.QtCore import QEventLoop, Qt, QTimer
from qtpy.QtTest import QTest
from scans import benchmark_scan

from napari_ssl_muscle.viewer.app import PLUGIN, SIZE, dock_workbench
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, unwrap
from napari_ssl_muscle.viewer.workbench import Workbench

LONGEST = "longest time without a reaction of the window"

TICK = 0.005
"""Seconds between two looks at the clock."""

PATIENCE = 600.0
"""Seconds to wait for one thing."""


def open_scan_window(build: Path) -> tuple[Any, Workbench]:
    """Open the benchmarks' scan in a window; return the viewer and its workbench."""
    viewer = napari.Viewer()
    viewer.window.resize(*SIZE)
    workbench = dock_workbench(viewer)
    viewer.open([str(benchmark_scan(build))], plugin=PLUGIN)
    return viewer, workbench


def prediction_of(viewer: Any) -> Any:
    """Return the labels layer with the scan's prediction."""
    return next(
        unwrap(layer)
        for layer in viewer.layers
        if (info := info_of(layer)) is not None and info.role == "prediction"
    )


def press(button: Any) -> None:
    """Click a button of a form."""
    click: Any = QTest.mouseClick  # the binding's types know it as a method
    click(button.native, Qt.MouseButton.LeftButton)


def run_until(
    ready: Callable[[], bool],
    begin: Callable[[], None] | None = None,
    each: Callable[[], None] | None = None,
    every: float = 0.1,
) -> tuple[float, float]:
    """Run the event loop until something is ready.

    Parameters
    ----------
    ready
        Asked at every tick.
    begin
        Done first, and counted.
    each
        Done again and again in the event loop.
    every
        Seconds between two of these.

    Returns
    -------
    Seconds in all, and the longest time without a reaction.
    """
    loop = QEventLoop()
    ticks: list[float] = []

    def tick() -> None:
        ticks.append(time.monotonic())
        if ready() or ticks[-1] - began > PATIENCE:
            loop.quit()

    clock, hand = QTimer(), QTimer()
    clock.timeout.connect(tick)
    clock.start(int(TICK * 1000))
    if each is not None:
        hand.timeout.connect(each)
        hand.start(int(every * 1000))
    began = time.monotonic()
    ticks.append(began)
    if begin is not None:
        begin()
    loop.exec()
    # Once more round the loop: what has just come is drawn then.
    QTimer.singleShot(0, lambda: QTimer.singleShot(0, loop.quit))
    loop.exec()
    end = time.monotonic()
    clock.stop()
    hand.stop()
    ticks.append(end)
    if not ready():
        raise SystemExit("nothing came within the time")
    return end - began, max(after - before for before, after in pairwise(ticks))


def settle(seconds: float) -> None:
    """Let the window finish what it has left to do."""
    loop = QEventLoop()
    QTimer.singleShot(int(seconds * 1000), loop.quit)
    loop.exec()
