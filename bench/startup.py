"""What the plugin adds to napari's start: without it, with it, and with its workbench docked."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from figures import Figure, print_figures

REPEATS = 7
OPEN = """
import napari
viewer = napari.Viewer(show=True)
{more}
from qtpy.QtWidgets import QApplication
QApplication.processEvents()
viewer.close()
"""
DOCK = "viewer.window.add_plugin_dock_widget('napari-ssl-muscle', 'Segment & correct')"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        without = folder / "without.yaml"
        without.write_text("plugins:\n  disabled_plugins: [napari-ssl-muscle]\n", encoding="utf-8")
        starts = {
            "without": ("", without),
            "with": ("", folder / "with.yaml"),
            "docked": (DOCK, folder / "with.yaml"),
        }
        times: dict[str, list[float]] = {kind: [] for kind in starts}
        # One round first, uncounted: it fills the caches. Then in turn, so that drift hits all.
        for turn in range(REPEATS + 1):
            for kind, (more, settings) in starts.items():
                spent = start(more, settings)
                if turn:
                    times[kind].append(spent)
    bare = median(times["without"])
    print_figures(
        [
            Figure("napari's start without the plugin", bare, "s"),
            Figure("the plugin adds", median(times["with"]) - bare, "s", "≤ 0.3"),
            Figure("the plugin with the segmentation form docked adds",
                     median(times["docked"]) - bare, "s"),
        ]
    )  # fmt: skip


def start(more: str, settings: Path) -> float:
    """Return the seconds from starting Python to having closed napari again."""
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OPEN.format(more=more)],
        check=True,
        env=os.environ | {"NAPARI_CONFIG": str(settings)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.monotonic() - began


if __name__ == "__main__":
    main()
