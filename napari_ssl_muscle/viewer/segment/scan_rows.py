"""The rows in which the scan to segment is chosen: one image for each channel of the model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from magicgui.widgets import ComboBox
from psygnal import Signal
from qtpy.QtWidgets import QMenu

from napari_ssl_muscle.viewer.layers.layer_lists import Choices, by_name, image_layers
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, layers_of
from napari_ssl_muscle.viewer.open.commands import WAYS_TO_OPEN
from napari_ssl_muscle.viewer.widgets.form import Fields, choice, refresh, row, small_button


class ScanRows(Fields):
    """A list of open images for each channel, and a button that opens more.

    Attributes
    ----------
    boxes
        The lists, in the order of the channels.
    selection_changed
        Signal: another image may be chosen now.
    """

    selection_changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self.boxes: list[ComboBox] = []
        self.open_button = small_button("Open…", "Open a scan, a folder or the sample.")
        self._menu = QMenu(self.open_button.native)
        for text, _, command in WAYS_TO_OPEN:
            self._menu.addAction(text, partial(command, viewer))
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
            box.changed.connect(self.selection_changed.emit)
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
        if layer in image_layers(self._viewer):
            refresh(self.boxes[0], layer)
        elif info is not None:
            images = layers_of(self._viewer, info.scan, "image")
            if images and self.boxes[0].value not in images:
                refresh(self.boxes[0], images[0])

    def _choices(self, _: object) -> Choices:
        return by_name(image_layers(self._viewer))
