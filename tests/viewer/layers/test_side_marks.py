"""Which side of the patient is at which edge of the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_ssl_muscle.viewer.layers.scan_layers import ensure_info
from napari_ssl_muscle.viewer.layers.side_marks import KEYS
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.session import session_of


def shown(viewer: Any) -> dict[str, str]:
    """Return letter → place, of the letters that are shown."""
    letters = [viewer.canvas.overlays[key] for key in KEYS]
    return {letter.text: str(letter.position) for letter in letters if letter.visible}


def test_letters_are_at_the_edges_of_the_patients_sides(layers_only: Any, scan_file: Path) -> None:
    session_of(layers_only)
    assert not shown(layers_only)
    commands.open_paths(layers_only, [scan_file])
    assert shown(layers_only) == {"R": "middle_left", "L": "middle_right"}
    layers_only.dims.transpose()
    assert shown(layers_only) == {"R": "top_center", "L": "bottom_center"}
    layers_only.dims.transpose()
    layers_only.camera.orientation2d = ("down", "left")
    assert shown(layers_only) == {"R": "middle_right", "L": "middle_left"}
    layers_only.dims.order = (2, 0, 1)
    assert not shown(layers_only)
    layers_only.dims.order = (0, 1, 2)
    layers_only.dims.ndisplay = 3
    assert not shown(layers_only)


def test_nothing_is_claimed_of_an_array_without_orientation(layers_only: Any) -> None:
    session_of(layers_only)
    ensure_info(layers_only.add_image(np.zeros((3, 8, 8))))
    assert not shown(layers_only)
