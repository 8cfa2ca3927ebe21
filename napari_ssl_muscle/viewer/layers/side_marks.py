"""The letters R and L at the edges of the picture: the patient's right and left."""

from __future__ import annotations

from typing import Any
from weakref import ref

from napari_ssl_muscle.viewer.layers.scan_layers import info_of

KEYS = ("ssl_muscle_right", "ssl_muscle_left")
SIZE = 12
"""Of the letters, in points."""


class SideMarks:
    """Two letters on the canvas, from the moment that a scan of known orientation is open.

    Scans are shown in canonical axes, in which x grows from the patient's right to the left.
    """

    def __init__(self, viewer: Any) -> None:
        from napari.components.overlays import TextOverlay

        self._viewer = ref(viewer)  # weakly: the session, which owns this, must not keep it alive
        self._letters = [TextOverlay(text=text, font_size=SIZE, gridded=True) for text in "RL"]
        for key, letter in zip(KEYS, self._letters, strict=True):
            viewer.canvas.overlays[key] = letter
        for signal in (
            viewer.dims.events.order,
            viewer.dims.events.ndisplay,
            viewer.dims.events.ndim,
            viewer.camera.events.orientation,
            viewer.layers.events.inserted,
            viewer.layers.events.removed,
        ):
            signal.connect(self._update)
        self._update()

    def _update(self, *_: object) -> None:
        viewer = self._viewer()
        if viewer is None:
            return
        known = any(
            (info := info_of(layer)) is not None and info.scan.corner is None
            for layer in viewer.layers
        )
        places = _places(viewer) if known else None
        for index, letter in enumerate(self._letters):
            letter.visible = places is not None
            if places is not None:
                letter.position = places[index]


def _places(viewer: Any) -> tuple[str, str] | None:
    """Return where right and left are in the picture; None where neither is at an edge."""
    if viewer.dims.ndisplay != 2:
        return None
    vertical, horizontal = viewer.dims.displayed[-2:]
    x = viewer.dims.ndim - 1
    down, across = viewer.camera.orientation2d
    if x == horizontal:
        places = ("middle_left", "middle_right")
        return places if str(across) == "right" else places[::-1]
    if x == vertical:
        places = ("top_center", "bottom_center")
        return places if str(down) == "down" else places[::-1]
    return None
