"""Which of several open scans is seen: its layers are shown and those of the others hidden.

Scans lie on top of each other, or elsewhere in space. What forms name, what is on the screen and
what the brush changes must be one scan, so a scan comes to the front when one of its layers
becomes the active one.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np

from napari_ssl_muscle.viewer.layers.grid import is_picture
from napari_ssl_muscle.viewer.layers.scan_layers import OpenScan, info_of, layers_of, unwrap


class ScanInFront:
    """Follows the active layer of a viewer.

    Parameters
    ----------
    viewer
        The napari viewer.

    Attributes
    ----------
    scan
        The scan that is in front; None before the first one.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = ref(viewer)
        self.scan: OpenScan | None = None
        self._visible: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
        """Hidden layers → whether they were shown before."""
        viewer.layers.selection.events.active.connect(self._on_active)
        self._on_active()

    def bring(self, scan: OpenScan) -> None:
        """Show a scan as it was shown last, in view and on one of its slices; hide the others."""
        viewer = self._viewer()
        if viewer is None or scan is self.scan or _shows_pictures(viewer):
            return
        before, self.scan = self.scan, scan
        mine = []
        for layer in list(viewer.layers):
            info = info_of(layer)
            if info is None:
                continue
            if info.scan is scan:
                mine.append(layer)
                layer.visible = self._visible.pop(layer, layer.visible)
            elif layer not in self._visible:
                self._visible[layer] = layer.visible
                layer.visible = False
        images = layers_of(viewer, scan, "image")
        if images and not any(image.visible for image in images):
            images[0].visible = True
        if mine:
            if before is not None and not _same_plane(before, scan):
                viewer.reset_view(layers=mine)
            show_in_view(viewer, mine)

    def _on_active(self, *_: object) -> None:
        viewer = self._viewer()
        active = None if viewer is None else unwrap(viewer.layers.selection.active)
        info = None if active is None else info_of(active)
        if active is not None and info is not None and info.scan is not self.scan:
            self.bring(info.scan)
            if not is_picture(active):  # "Uncertainty" is shown by its own switch
                active.visible = True


def show_in_view(viewer: Any, layers: list[Any]) -> None:
    """Move the camera and the slider only if they show nothing of these layers."""
    volume = next((layer for layer in layers if layer.ndim == 3), None)
    if volume is not None:
        dims = viewer.dims
        z = round(float(volume.world_to_data(dims.point[-3:])[0])) if dims.ndim >= 3 else 0
        if not 0 <= z < volume.data.shape[0] and dims.ndim >= 3:
            world = volume.data_to_world((volume.data.shape[0] // 2, 0, 0))
            dims.set_point(dims.ndim - 3, world[0])
    if not any(_in_view(viewer, layer) for layer in layers):
        viewer.reset_view(layers=layers)


def _same_plane(one: OpenScan, other: OpenScan) -> bool:
    """Whether two scans are shown at the same place, so that the camera can stay as it is."""
    grids = [(scan.placement, scan.geometry.canonical_shape[1:]) for scan in (one, other)]
    (here, shape), (there, other_shape) = grids
    return shape == other_shape and all(
        np.allclose(here[name][1:], there[name][1:], atol=0.1) for name in ("scale", "translate")
    )


def _in_view(viewer: Any, layer: Any) -> bool:
    """Whether the middle of what is seen lies in the layer."""
    low, high = layer.extent.world
    centre = getattr(viewer, "scene", viewer).camera.center[-2:]
    return bool((low[-2:] <= centre).all() and (centre <= high[-2:]).all())


def _shows_pictures(viewer: Any) -> bool:
    """Whether results lie side by side now; whoever shows them has hidden the scans."""
    grid = viewer.canvas.grid if hasattr(viewer, "canvas") else viewer.grid
    return bool(grid.enabled) and any(
        layer.visible and is_picture(layer) for layer in viewer.layers
    )
