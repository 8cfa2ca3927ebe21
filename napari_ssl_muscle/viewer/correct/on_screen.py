"""What of a scan is on the screen: nobody accepts what they do not see."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.viewer.layers.grid import is_picture
from napari_ssl_muscle.viewer.layers.navigation import slice_shown
from napari_ssl_muscle.viewer.layers.scan_layers import OpenScan, info_of, layers_of


def show_axial(viewer: Any) -> bool:
    """Show single axial slices, and say whether anything else was shown."""
    dims = viewer.dims
    wanted = tuple(range(dims.ndim))
    if dims.ndisplay == 2 and dims.order == wanted:
        return False
    dims.ndisplay, dims.order = 2, wanted
    return True


def require_slice(viewer: Any, labels: Any, scan: OpenScan) -> int:
    """Return the slice of a scan that is on the screen.

    What hides it is taken away, if possible, for the person to look once more.

    Parameters
    ----------
    viewer
        The napari viewer.
    labels
        The scan's labels layer.
    scan
        The scan.

    Raises
    ------
    BadInput
        If another place, another picture or no labels are seen.
    """
    z = slice_shown(viewer, labels)
    if z is None:
        raise BadInput(
            f"This place is outside of {scan.name}; go to one of its slices first: "
            f"it has {labels.data.shape[0]}, from 0."
        )
    again = f"This is slice {z}; press again to accept it."
    if show_axial(viewer):
        raise BadInput(again)
    if not labels.visible:
        labels.visible = True
        raise BadInput(f"The labels were hidden. {again}")
    cover = _cover(viewer, scan)
    if cover is not None:
        raise BadInput(
            f"'{cover.name}' lies over {scan.name}, so this slice is not seen; hide that layer."
        )
    return z


def _cover(viewer: Any, scan: OpenScan) -> Any:
    """Return a picture of something else that hides the scan's; None if there is none."""
    images = layers_of(viewer, scan, "image")
    if not images:
        return None
    layers = list(viewer.layers)
    low, high = images[0].extent.world[:, -2:]
    shown = [image for image in images if image.visible]
    first = layers.index(shown[0]) + 1 if shown else 0
    for layer in layers[first:]:
        info = info_of(layer)
        if not isinstance(layer, Image) or not layer.visible or is_picture(layer):
            continue
        if info is not None and info.scan is scan:
            continue
        start, end = layer.extent.world[:, -2:]
        opaque = layer.opacity > 0.9 and str(layer.blending) not in ("additive", "minimum")
        if opaque and bool(np.all(start < high) and np.all(low < end)):
            return layer
    return None
