"""The first step: open a scan, a cohort, or the sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicgui.widgets import PushButton

from napari_ssl_muscle.text_table import times
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, unwrap
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.session import session_of
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.form import Form, expected_device, paragraph
from napari_ssl_muscle.viewer.widgets.qt_lifetime import listen

if TYPE_CHECKING:
    import napari.viewer


class OpenForm(Form):
    """Opens scans and says what is open.

    Parameters
    ----------
    napari_viewer
        The viewer; napari fills it in.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        self.viewer = unwrap(napari_viewer)
        session_of(self.viewer)
        super().__init__("Open")
        self.files_button = PushButton(
            text="Scans (NIfTI)…", tooltip="Open one or more .nii or .nii.gz files."
        )
        self.folder_button = PushButton(
            text="Cohort folder…", tooltip="Open a case of a BIDS, nnU-Net or flat folder."
        )
        self.sample_button = PushButton(
            text="Leg phantom (sample)", tooltip="A synthetic thigh scan, made in a second or two."
        )
        self.summary = paragraph()
        self.device = paragraph(f"This computer works on: {expected_device()}.")
        self.add_parts(
            self.files_button,
            self.folder_button,
            self.sample_button,
            self.summary,
            self.device,
        )
        self.files_button.changed.connect(self._open_files)
        self.folder_button.changed.connect(self._open_folder)
        self.sample_button.changed.connect(self._open_sample)
        for name in ("inserted", "removed"):
            listen(self.native, getattr(self.viewer.layers.events, name), self._show)
        self._show()

    def _open_files(self) -> None:
        commands.open_paths(self.viewer, dialogs.ask_files(self.native.window()))

    def _open_folder(self) -> None:
        folder = dialogs.ask_folder("Open a cohort folder", self.native.window())
        commands.open_paths(self.viewer, [folder] if folder is not None else [])

    def _open_sample(self) -> None:
        commands.open_sample(self.viewer)

    def _show(self, *_: object) -> None:
        found = {}
        for layer in self.viewer.layers:
            info = info_of(layer)
            if info is not None:
                found[id(info.scan)] = info.scan
        lines = ["Open:"] if found else ["No scan is open yet."]
        for scan in found.values():
            depth, height, width = scan.geometry.canonical_shape
            size = times(scan.geometry.spacing[::-1], ".3g")
            lines.append(f"• {scan.name}: {depth} slices of {width} × {height}, voxels {size} mm")
        self.summary.value = "\n".join(lines)
