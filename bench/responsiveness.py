"""The longest time without a reaction of the window while somebody draws, and a model trains."""

from __future__ import annotations

import gc
import shutil
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from figures import Figure, print_figures
from window import LONGEST, open_scan_window, prediction_of, press, run_until, settle

from napari_ssl_muscle.phantom.cohort import write_phantom
from napari_ssl_muscle.phantom.settings import PhantomSettings
from napari_ssl_muscle.viewer.workbench import Workbench

SECONDS = 20.0
STROKE_EVERY = 0.15


def main(build: Path) -> None:
    cohort = build / "bench" / "three"
    if not cohort.is_dir():
        write_phantom(cohort, PhantomSettings(subjects=3, sessions=1))
    viewer, bench = open_scan_window(build)
    settle(1.0)
    collections = Collections()
    stroke = strokes(viewer)
    drawing, scan = "somebody draws and browses", "512 × 512 × 16"
    run_for(3.0, stroke)  # the first strokes make what later ones find
    without = run_for(SECONDS, stroke)
    with_training, idle = train(bench, cohort, build / "bench" / "drawing-run", stroke)
    viewer.close()
    print_figures(
        [
            Figure(f"{LONGEST} while {drawing}, {scan}", without, "s"),
            Figure(f"{LONGEST} while a model trains", idle, "s", "< 0.1"),
            Figure(f"{LONGEST} while a model trains and {drawing}", with_training, "s", "< 0.1"),
            Figure("longest full garbage collection of Python meanwhile", collections.longest, "s"),
        ]
    )


class Collections:
    """Notes how long Python's full garbage collections last: they, too, hold the window.

    They come with napari's own objects, with a training or without, every few minutes.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._began = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] == 2:
            if phase == "start":
                self._began = time.monotonic()
            else:
                self.longest = max(self.longest, time.monotonic() - self._began)


def strokes(viewer: Any) -> Callable[[], None]:
    """Return a function that paints a dab and, after six of them, goes to the next slice."""
    layer = prediction_of(viewer)
    depth = layer.data.shape[0]
    step = count()

    def stroke() -> None:
        n = next(step)
        z = (n // 6) % depth
        if n % 6 == 0:
            viewer.dims.set_point(0, float(layer.data_to_world((z, 0, 0))[0]))
        layer.paint((z, 200 + 5 * (n % 30), 150 + 3 * (n % 40)), 1 + n % 6)

    return stroke


def run_for(seconds: float, each: Callable[[], None] | None) -> float:
    """Run for a while; return the longest time without a reaction."""
    end = time.monotonic() + seconds
    return run_until(lambda: time.monotonic() > end, each=each, every=STROKE_EVERY)[1]


def train(
    bench: Workbench, cohort: Path, out: Path, stroke: Callable[[], None]
) -> tuple[float, float]:
    """Fine-tune in a child process meanwhile; return the longest freezes with and without strokes.

    Both are measured once steps have begun, so that both have a training beside them.
    """
    shutil.rmtree(out, ignore_errors=True)
    form = bench.finetune
    bench.show_form(form)
    form.scans.folders.value = str(cohort)
    run_until(lambda: form.start_button.native.isEnabled())
    form.preset.value = "quick"
    form.minutes.value = 5
    form.out.value = str(out)
    press(form.start_button)
    run_until(lambda: "tep " in str(form.panel.status.value))
    idle = run_for(SECONDS, None)
    drawn = run_for(SECONDS, stroke)
    form.panel.stop()
    run_until(lambda: not form.panel.running)
    return drawn, idle


if __name__ == "__main__":
    main(Path(sys.argv[1]))
