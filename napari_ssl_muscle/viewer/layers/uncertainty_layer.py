"""The layer that shows where the model was unsure of what it labelled."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.viewer.layers.grid import picture
from napari_ssl_muscle.viewer.layers.scan_layers import (
    KEY,
    UNCERTAINTY,
    LayerInfo,
    OpenScan,
    layers_of,
    unwrap,
)

COLOUR = (1.0, 0.27, 0.0)
"""Orange red: seen on dark muscle, bright fat and all label colours."""

BRIGHTEST = 128
"""Of 255 × (1 − probability): a model that gives its choice only one half is as unsure as it gets
between two muscles."""


def uncertainty_of(viewer: Any, scan: OpenScan) -> Any:
    """Return the scan's uncertainty layer; None if there is none."""
    there = layers_of(viewer, scan, "uncertainty")
    return there[0] if there else None


def show_uncertainty(viewer: Any, scan: OpenScan, doubt: npt.NDArray[np.uint8]) -> Any:
    """Put what a prediction is unsure of into the scan's uncertainty layer, and return that.

    A layer that is there keeps how it is shown; a new one is hidden. The active layer stays active.

    Parameters
    ----------
    viewer
        The napari viewer.
    scan
        Whose scan it is.
    doubt
        255 × (1 − probability of the chosen class), `(z, y, x)`; nothing is seen where it is 0.
    """
    viewer = unwrap(viewer)
    layer = uncertainty_of(viewer, scan)
    if layer is not None and layer.data.shape == doubt.shape:
        layer.data = doubt
        return layer
    if layer is not None:
        viewer.layers.remove(layer)
    from napari.layers import Image
    from napari.utils.colormaps import Colormap

    layer = Image(
        doubt,
        name=UNCERTAINTY,
        metadata={KEY: LayerInfo("uncertainty", scan), **picture()},
        # Additive blending would vanish in bright fat; one colour that grows opaque does not, and
        # does not ask for telling colours apart either.
        colormap=Colormap([(*COLOUR, 0.0), (*COLOUR, 1.0)], name="unsure"),
        blending="translucent",
        opacity=0.9,
        contrast_limits=(0, BRIGHTEST),
        visible=False,
        **scan.placement,
    )
    _insert(viewer.layers, _place(viewer, scan), layer)
    return layer


def _place(viewer: Any, scan: OpenScan) -> int:
    """Return the place in the list just above the scan's topmost layer."""
    own = [*layers_of(viewer, scan, "prediction"), *layers_of(viewer, scan, "image")]
    return max((viewer.layers.index(one) + 1 for one in own), default=len(viewer.layers))


def _insert(layers: Any, place: int, layer: Any) -> None:
    """Insert a layer without making it the active one: a person may be drawing in another."""
    selected, active = set(layers.selection), layers.selection.active
    before = getattr(layers, "_activate_on_insert", True)
    layers._activate_on_insert = False
    try:
        layers.insert(place, layer)
    finally:
        layers._activate_on_insert = before
    if set(layers.selection) != selected:  # a napari that does it another way
        layers.selection.clear()
        layers.selection.update(selected)
        layers.selection.active = active
