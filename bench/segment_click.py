"""From the click on "Segment muscles" to labels on the screen, and the longest freeze meanwhile.

The first click imports torch and brings the first prediction. The second one finds labels that a
person has drawn in, and keeps them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from figures import Figure, print_figures
from models import benchmark_model
from window import LONGEST, open_scan_window, prediction_of, press, run_until, settle

from napari_ssl_muscle.learning.events import Finished
from napari_ssl_muscle.viewer.segment.form import SegmentForm


def main(build: Path) -> None:
    model, name = benchmark_model(build)
    viewer, workbench = open_scan_window(build)
    form = workbench.segment
    form.model.add(Path(model))
    form.model.chosen_by_user = True
    settle(1.0)
    figures = []
    for which in ("first click", "second click, with drawn labels to keep"):
        seconds, frozen = click(form)
        what = f"{which}: to labels, 512 × 512 × 16 ({name})"
        figures += [
            Figure(what, seconds, "s"),
            Figure(f"{which}: {LONGEST}", frozen, "s", "≤ 0.25"),
        ]
        draw(viewer)
    form.panel.cancel()
    viewer.close()
    print_figures(figures)


def click(form: SegmentForm) -> tuple[float, float]:
    """Press the button; return seconds until the labels are drawn, and the longest freeze."""
    events: list[object] = []
    form.panel.ended.connect(events.append)
    found = run_until(lambda: bool(events), lambda: press(form.segment_button))
    form.panel.ended.disconnect(events.append)
    if not isinstance(events[0], Finished):
        raise SystemExit(f"the segmentation did not end well: {events[0]}")
    return found


def draw(viewer: Any) -> None:
    """Draw a few strokes into the prediction, and let them be journalled."""
    layer = prediction_of(viewer)
    for z in range(2, 14, 3):
        layer.paint((z, 250, 180), 4)
    settle(1.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
