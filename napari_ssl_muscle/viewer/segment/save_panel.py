"""Saving labels: file and place are shown before anything is written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from magicgui.widgets import Container, PushButton, Widget

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.record import record_labels
from napari_ssl_muscle.scans.naming import label_files, label_map_name, with_nifti_suffix
from napari_ssl_muscle.viewer.layers.layer_lists import Choices, by_name, labels_layers
from napari_ssl_muscle.viewer.layers.placement import require_in_place
from napari_ssl_muscle.viewer.layers.prediction_history import origin_of_labels
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, unwrap
from napari_ssl_muscle.viewer.segment.saving import grid_of, proposed_path, save_labels
from napari_ssl_muscle.viewer.session import session_of
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.form import (
    Fields,
    choice,
    heading,
    line,
    paragraph,
    refresh,
    row,
    small_button,
)


class SavePanel(Container[Widget]):
    """Chooses a labels layer and a file, and saves."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = unwrap(viewer)
        self.layer = choice(
            self._choices, label="Labels", tooltip="The labels to save; ground truth is not listed."
        )
        self.path = line(tooltip="Where the labels will be saved. You can change it here.")
        self.browse_button = small_button("…", "Choose another file or folder.")
        self.hint = paragraph()
        self.save_button = PushButton(
            text="Save labels",
            tooltip="Write the labels as NIfTI on the scan's own voxels, with two tables of the "
            "muscle names beside it (for ITK-SNAP, and BIDS).",
        )
        super().__init__(
            widgets=[
                heading("Save"),
                Fields(self.layer, row(self.path, self.browse_button, label="File")),
                self.hint,
                self.save_button,
            ],
            labels=False,
        )
        self.margins = (0, 0, 0, 0)
        self.layer.changed.connect(self.propose)
        self.browse_button.changed.connect(self._browse)
        self.path.changed.connect(self._describe)
        self.save_button.changed.connect(self._on_save)
        self.propose()

    def reset_choices(self, *_: object) -> None:
        """Read the layers again; the chosen one stays chosen, under whatever name."""
        before = self.layer.value
        refresh(self.layer)
        if self.layer.value is not before:
            self.propose()

    def choose(self, layer: Any) -> None:
        """Choose a layer."""
        refresh(self.layer, layer)
        self.propose()

    def propose(self) -> None:
        """Fill in the usual file of the chosen layer."""
        layer = self.layer.value
        there = layer is not None
        for widget in (self.path, self.browse_button, self.save_button):
            widget.enabled = there
        self.path.value = str(proposed_path(info_of(layer), layer.name)) if there else ""
        self._describe()

    def save(self, confirm: Callable[..., bool] | None = None) -> list[Path]:
        """Save the chosen layer to the file that is shown.

        Parameters
        ----------
        confirm
            Asks whether to replace files; by default a dialog.

        Returns
        -------
        list of Path
            The files; empty if the user did not want to replace what is there.

        Raises
        ------
        BadInput
            If they cannot be written.
        """
        layer = self.layer.value
        if layer is None or layer not in self._viewer.layers:
            raise BadInput("There are no labels to save; press 'Segment muscles' first.")
        require_in_place([layer])
        path = with_nifti_suffix(self._target())
        there = [file for file in label_files(path) if file.exists()]
        if there and not (confirm or dialogs.confirm)(
            f"{', '.join(file.name for file in there)} in {path.parent} "
            f"exist{'s' if len(there) == 1 else ''} already. Replace?",
            "Replace",
            self.native.window(),
        ):
            return []
        meta = {
            "metadata": layer.metadata,
            "scale": layer.scale,
            "translate": layer.translate,
            "units": layer.units,
            "name": layer.name,
        }
        geometry, _ = grid_of(meta, layer.data.shape)
        info = info_of(layer)
        origin = origin_of_labels(layer)  # before the file that may say so is replaced
        files = save_labels(path, layer.data, geometry, info.table if info is not None else None)
        if info is not None:
            info.path = path
        with contextlib.suppress(BadInput):  # the labels are saved all the same
            record_labels(path, *origin)
        session_of(self._viewer).corrections.labels_saved(layer)
        return files

    def _target(self) -> Path:
        text = self.path.value.strip()
        if not text:
            raise BadInput("No file name is given; type one, or choose it with '…'.")
        path = Path(text).expanduser()
        if not path.is_absolute():
            raise BadInput(
                f"{text} names no folder; give the whole path, or choose the place with '…'."
            )
        return path

    def save_and_tell(self, layer: Any = None) -> str:
        """Save as the button does, with dialogs; return what the panel says then.

        Parameters
        ----------
        layer
            What to choose first; None for what is chosen.
        """
        if layer is not None:
            self.choose(layer)
        self._on_save()
        return str(self.hint.value)

    def _on_save(self) -> None:
        files = dialogs.attempt(self.save, self.native.window())
        if files:
            self._show(f"✓ Saved {files[0].name} in {files[0].parent}{self._unknown_values()}")

    def _unknown_values(self) -> str:
        """Return a sentence about saved values that are no muscle of the table, or nothing."""
        layer = self.layer.value
        info = info_of(layer) if layer is not None else None
        if info is None or info.table is None:
            return ""
        unknown = info.table.unknown_values(layer.data)
        return (
            f". ⚠ The muscle table does not name the values {', '.join(map(str, unknown))}."
            if unknown
            else ""
        )

    def _browse(self) -> None:
        try:
            start = self._target()
        except BadInput:
            start = Path.home() / label_map_name("labels")
        path = dialogs.ask_save(start, self.native.window())
        if path is not None:
            self.path.value = str(with_nifti_suffix(path))

    def _describe(self) -> None:
        text = self.path.value.strip()
        if not text:
            self._show("Segment muscles, or draw on a 'Prediction' layer, to have labels to save.")
            return
        path = with_nifti_suffix(Path(text).expanduser())
        self.path.tooltip = str(path)
        self._show(
            f"⚠ {path.name} exists in {path.parent}; you will be asked before it is replaced."
            if path.exists()
            else f"Will write {path.name} into {path.parent}, and its muscle names beside it."
        )

    def _show(self, text: str) -> None:
        self.hint.value = text

    def _choices(self, _: object) -> Choices:
        return by_name(
            layer
            for layer in labels_layers(self._viewer)
            if (info := info_of(layer)) is None or info.role != "truth"
        )
