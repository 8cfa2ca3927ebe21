"""Where the size of a voxel is entered for scans and labels that do not say theirs."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from magicgui.widgets import Container, PushButton, Widget
from psygnal import Signal

from napari_ssl_muscle.scans.voxel_size import Sizes, parse_voxel_size, with_voxel_size
from napari_ssl_muscle.viewer.layers.scan_layers import OpenScan, info_of, plain_geometry
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.form import Fields, line, paragraph, row

RED = "#ff6b6b"
"""Readable on napari's dark and light windows."""


class VoxelSizeField(Container[Widget]):
    """Says in red that a voxel's size is not known, and takes it; hidden where it is known.

    Attributes
    ----------
    entered
        Signal: layers have another size now.
    """

    entered = Signal()

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layers: list[Any] = []
        self.warning = paragraph()
        self.size = line(
            tooltip="Along the image's axes x, y and z, such as 0.8,0.8,5: the scanner's protocol "
            "says it.",
            hint="X,Y,Z in mm",
        )
        self.button = PushButton(text="Set")
        super().__init__(
            widgets=[self.warning, Fields(row(self.size, self.button, label="Voxel size"))],
            labels=False,
        )
        self.margins = (0, 0, 0, 0)
        self.button.changed.connect(self._on_set)
        self.hide()

    def ask_for(self, layers: Sequence[Any]) -> None:
        """Show the field if one of these layers has voxels of unknown size."""
        self._layers = [layer for layer in layers if not is_size_known(layer)]
        self.visible = bool(self._layers)
        if self._layers:
            info = info_of(self._layers[0])
            name = info.scan.name if info is not None else self._layers[0].name
            self.warning.value = (
                f'<span style="color:{RED}">⚠ {escape(name)} came without the size of its voxels: '
                "nothing is given in mL or mm until it is entered.</span>"
            )

    def _on_set(self) -> None:
        if dialogs.attempt(self._set, self.native.window()):
            self.entered.emit()

    def _set(self) -> bool:
        sizes = parse_voxel_size(self.size.value)
        for layer in self._layers:
            set_voxel_size(self._viewer, layer, sizes)
        return True


def is_size_known(layer: Any) -> bool:
    """Whether the size of a layer's voxels is known."""
    info = info_of(layer)
    if info is not None:
        return info.scan.geometry.spacing_known
    return plain_geometry(layer.data.shape, layer.scale, layer.units).spacing_known


def set_voxel_size(viewer: Any, layer: Any, sizes: Sizes) -> None:
    """Give a layer, and all of its scan, voxels of this size in mm (x, y, z as stored)."""
    info = info_of(layer)
    if info is None:
        layer.scale = sizes[::-1][-layer.ndim :]
        layer.units = ("mm",) * layer.ndim
        return
    scan: OpenScan = info.scan
    scan.geometry = with_voxel_size(scan.geometry, sizes)
    for one in viewer.layers:
        if (other := info_of(one)) is not None and other.scan is scan:
            one.scale = tuple(scan.placement["scale"])[-one.ndim :]
            one.translate = tuple(scan.placement["translate"])[-one.ndim :]
            one.units = ("mm",) * one.ndim
