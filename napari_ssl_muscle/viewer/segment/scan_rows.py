"""The rows in which the scan to segment is chosen: one image for each channel of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from magicgui.widgets import ComboBox
from napari.layers import Image
from psygnal import Signal
from qtpy.QtWidgets import QMenu

from napari_ssl_muscle.viewer.layers.grid import is_picture
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, layers_of
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.form import Fields, choice, refresh, row, small_button


class ScanRows(Fields):
    """A list of open images for each channel, and a button that opens more.

    Parameters
    ----------
    viewer
        The napari viewer.

    Attributes
    ----------
    boxes
        The lists, in the order of the channels.
    picked
        Signal: another image may be chosen now.
    """

    picked = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self.boxes: list[ComboBox] = []
        self.open_button = small_button("Open…", "Open a scan, a folder or the sample.")
        self._menu = QMenu(self.open_button.native)
        self._menu.addAction("Scans (NIfTI)…", self._open_files)
        self._menu.addAction("Cohort folder…", self._open_folder)
        self._menu.addAction("Leg phantom (sample)", self._open_sample)
        self.open_button.native.setMenu(self._menu)

    def offer(self, channels: Sequence[str]) -> bool:
        """Show one row for each channel; return whether there are other rows than before."""
        if len(channels) == len(self.boxes):
            return False
        before = [box.value for box in self.boxes]
        self.clear()
        self.boxes = []
        for index, name in enumerate(channels):
            box = choice(self._choices, tooltip="The image to segment.")
            if index < len(before):
                refresh(box, before[index])
            self.boxes.append(box)
            box.changed.connect(self.picked.emit)
            label = "Scan" if len(channels) == 1 else f"{name} image".capitalize()
            extra = (self.open_button,) if index == 0 else ()
            self.append(row(box, *extra, label=label))
        return True

    def reset_choices(self, *_: object) -> None:
        """Read the open layers again; chosen ones stay chosen, under whatever name."""
        for box in self.boxes:
            refresh(box)

    def images(self) -> list[Any]:
        """Return the chosen image layers that are still open."""
        chosen = [box.value for box in self.boxes]
        return [layer for layer in chosen if layer is not None and layer in self._viewer.layers]

    def follow(self, layer: Any) -> None:
        """Choose the scan of a layer that was picked in the layer list, if it is of one channel."""
        if layer is None or len(self.boxes) != 1:
            return
        info = info_of(layer)
        if isinstance(layer, Image) and not is_picture(layer):
            refresh(self.boxes[0], layer)
        elif info is not None:
            images = layers_of(self._viewer, info.scan, "image")
            if images and self.boxes[0].value not in images:
                refresh(self.boxes[0], images[0])

    def _choices(self, _: object) -> list[tuple[str, Any]]:
        return [
            (layer.name, layer)
            for layer in reversed(self._viewer.layers)
            if isinstance(layer, Image)
            and not is_picture(layer)
            and not layer.rgb
            and not layer.multiscale
            and layer.ndim in (2, 3)
        ]

    def _open_files(self) -> None:
        commands.open_paths(self._viewer, dialogs.ask_files(self.native.window()))

    def _open_folder(self) -> None:
        folder = dialogs.ask_folder("Open a cohort folder", self.native.window())
        commands.open_paths(self._viewer, [folder] if folder is not None else [])

    def _open_sample(self) -> None:
        commands.open_sample(self._viewer)
