"""The demonstration with its button pressed, and a picture of what came.

Usage: tools/photograph.py PICTURE

Ends with exit code 2 if no window can open, 1 if there are no muscles within three minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

PATIENCE = 180_000
"""Milliseconds to wait for the labels."""


def main(picture: Path) -> int:
    """Press "Segment muscles", wait for the labels, save a picture of the window."""
    try:
        from robot import Robot
    except ImportError as error:  # qtpy's own error for no binding is one
        from napari_ssl_muscle.viewer.app import NO_BINDING

        print(NO_BINDING, error, file=sys.stderr)
        return 2
    from napari_ssl_muscle.learning.events import Failed, Finished
    from napari_ssl_muscle.viewer.app import open_demo, open_window
    from napari_ssl_muscle.viewer.widgets import dialogs

    viewer, workbench = open_window()
    form = workbench.segment
    endings: list[object] = []
    form.panel.ended.connect(endings.append)
    try:
        with dialogs.suppressed():
            open_demo(viewer, workbench)
            robot = Robot(viewer, PATIENCE)
            robot.press(form.segment_button)
            robot.until(lambda: bool(endings), "the labels")
            (end,) = endings
            if not isinstance(end, Finished):
                raise SystemExit(end.sentence if isinstance(end, Failed) else "It was stopped.")
            robot.save_picture(picture)
    finally:
        form.panel.cancel()
        viewer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
