"""The first step: open a scan, a cohort, or the sample."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from magicgui.widgets import PushButton

from napari_ssl_muscle.text_table import times
from napari_ssl_muscle.viewer.layers.scan_layers import info_of
from napari_ssl_muscle.viewer.open.commands import WAYS_TO_OPEN
from napari_ssl_muscle.viewer.viewer_form import ViewerForm
from napari_ssl_muscle.viewer.widgets.form import expected_device, paragraph
from napari_ssl_muscle.viewer.widgets.qt_lifetime import listen

if TYPE_CHECKING:
    import napari.viewer


class OpenForm(ViewerForm):
    """Opens scans and says what is open."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer, "Open")
        self.buttons = [PushButton(text=text, tooltip=tip) for text, tip, _ in WAYS_TO_OPEN]
        self.files_button, self.folder_button, self.sample_button = self.buttons
        self.summary = paragraph()
        self.device = paragraph(f"This computer works on: {expected_device()}.")
        self.add_parts(*self.buttons, self.summary, self.device)
        for button, (_, _, command) in zip(self.buttons, WAYS_TO_OPEN, strict=True):
            button.changed.connect(partial(self._open, command))
        for name in ("inserted", "removed"):
            listen(self.native, getattr(self.viewer.layers.events, name), self._show)
        self._show()

    def _open(self, command: Callable[[Any], object], _: bool) -> None:
        command(self.viewer)

    def _show(self, *_: object) -> None:
        found = {}
        for layer in self.viewer.layers:
            info = info_of(layer)
            if info is not None:
                found[id(info.scan)] = info.scan
        lines = ["Open:"] if found else ["No scan is open yet."]
        for scan in found.values():
            depth, height, width = scan.geometry.canonical_shape
            size = f"voxels {times(scan.geometry.spacing[::-1], '.3g')} mm"
            if not scan.geometry.spacing_known:
                size = "⚠ the size of its voxels is not known"
            lines.append(f"• {scan.name}: {depth} slices of {width} × {height}, {size}")
        self.summary.value = "\n".join(lines)
