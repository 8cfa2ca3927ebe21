"""Bringing a place of a scan before the user's eyes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from napari_ssl_muscle.viewer.layers.grid import is_picture
from napari_ssl_muscle.viewer.layers.scan_in_front import show_in_view
from napari_ssl_muscle.viewer.layers.scan_layers import info_of


def show_slice(viewer: Any, layer: Any, z: int) -> None:
    """Show a slice of a layer (z, y, x), flat; a layer without z stays as it is."""
    viewer.dims.ndisplay = 2
    viewer.dims.order = tuple(range(viewer.dims.ndim))
    if layer.ndim == 3:
        world = layer.data_to_world((z, 0, 0))
        viewer.dims.set_point(viewer.dims.ndim - 3, world[0])


def slice_shown(viewer: Any, layer: Any) -> int | None:
    """Return which slice of a layer (z, y, x) is shown; None without z, or beyond its ends."""
    point = viewer.dims.point[-3:]
    if layer.ndim != 3 or len(point) < 3:
        return None
    z = round(float(layer.world_to_data(point)[0]))
    return z if 0 <= z < int(layer.data.shape[0]) else None


def bring_forward(viewer: Any, layer: Any, others: Iterable[Any] = ()) -> None:
    """Make the scan that a labels layer belongs to the one that is seen.

    Its image and labels become visible, and the labels the active one. Layers of `others` (labels
    of other scans) and of their scans are hidden, for they lie in the same place. The camera moves
    only if the scan would not be in view.
    """
    viewer.layers.selection.active = layer
    mine = _family(viewer, layer)
    for other in others:
        for one in _family(viewer, other):
            if not any(one is m for m in mine):
                one.visible = False
    for one in mine:
        if not is_picture(one):  # whoever made those decides when they are seen
            one.visible = True
    show_in_view(viewer, mine)


def _family(viewer: Any, layer: Any) -> list[Any]:
    info = info_of(layer)
    return [
        one
        for one in viewer.layers
        if one is layer
        or (info is not None and (own := info_of(one)) is not None and own.scan is info.scan)
    ]
