"""Fifty openings and closings of the workbench: memory, threads and windows that stay behind."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import threading
from pathlib import Path
from typing import Any

import napari
import psutil
from figures import Figure, print_figures
from qtpy.QtCore import QEvent, QEventLoop, QTimer
from qtpy.QtWidgets import QApplication, QWidget
from window import run_until

from napari_ssl_muscle.viewer.app import PLUGIN, SIZE, WORKBENCH
from napari_ssl_muscle.viewer.open import commands

WARM = 10
"""Openings before the counting begins: caches fill, and Python's memory finds its size."""
TIMES = 50


def main() -> None:
    viewer = napari.Viewer()
    viewer.window.resize(*SIZE)
    commands.open_sample(viewer)
    for _ in range(WARM):
        open_and_close(viewer)
    before = state()
    for _ in range(TIMES):
        open_and_close(viewer)
    after = state()
    viewer.close()
    what = f"growth over {TIMES} openings and closings of the workbench"
    growth = {name: after[name] - before[name] for name in before}
    print_figures(
        [
            Figure(f"{what}: memory", growth["memory"], "MB", "≤ 10"),
            Figure(f"{what}: threads", growth["threads"], "", "0"),
            Figure(f"{what}: windows", growth["windows"], "", "0"),
            Figure(f"{what}: widgets", growth["widgets"], "", "0"),
            Figure(f"{what}: listeners on the layer list", growth["listeners"], "", "0"),
        ]
    )


def open_and_close(viewer: Any) -> None:
    dock, _ = viewer.window.add_plugin_dock_widget(PLUGIN, WORKBENCH)
    settle()
    viewer.window.remove_dock_widget(dock)
    settle()


def settle(milliseconds: int = 100) -> None:
    """Let everything happen that waits, deletions too."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()
    deletions = QEvent.Type.DeferredDelete  # a plain number with PyQt5
    QApplication.sendPostedEvents(None, getattr(deletions, "value", deletions))
    QApplication.processEvents()


def trim() -> None:
    """Hand freed memory back to the system: only what is in use shall count."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another C library than GNU's
            ctypes.CDLL(None).malloc_trim(0)


def state() -> dict[str, float]:
    run_until(lambda: not any("ssl-muscle" in one.name for one in threading.enumerate()))
    settle()
    gc.collect()
    trim()
    viewer = napari.current_viewer()
    assert viewer is not None
    widgets: list[QWidget] = QApplication.allWidgets()
    events = viewer.layers.events
    return {
        "memory": psutil.Process().memory_info().rss / 1e6,
        "threads": threading.active_count(),
        "windows": len(QApplication.topLevelWidgets()),
        "widgets": len(widgets),
        "listeners": len(events.inserted.callbacks) + len(events.removed.callbacks),
    }


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(exist_ok=True)
    main()
