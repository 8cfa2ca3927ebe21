"""The form "Compare reconstructions": two pretrainings on the same masked slices of a scan."""

from __future__ import annotations

import math
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import SpinBox, Widget
from qtpy.QtCore import Qt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.models.card import read_card
from napari_ssl_muscle.learning.pretext.comparison import check_comparable
from napari_ssl_muscle.viewer.layers.layer_lists import scan_choice
from napari_ssl_muscle.viewer.layers.scan_layers import OpenScan, ensure_info
from napari_ssl_muscle.viewer.open.commands import ask_for_folder
from napari_ssl_muscle.viewer.train.pretrain_form import MASKED_ONLY
from napari_ssl_muscle.viewer.train.reconstruction_layers import (
    LETTERS,
    ReconstructionAnswer,
    ReconstructionLayers,
    ReconstructionRequest,
    compare,
)
from napari_ssl_muscle.viewer.viewer_form import WorkForm
from napari_ssl_muscle.viewer.widgets.background import ThreadTask
from napari_ssl_muscle.viewer.widgets.form import (
    Fields,
    paragraph,
    refresh,
    row,
    small_button,
)
from napari_ssl_muscle.viewer.widgets.model_picker import ModelPicker
from napari_ssl_muscle.viewer.widgets.qt_lifetime import listen

if TYPE_CHECKING:
    import napari.viewer

NO_RUN = "Choose two pretrainings; the form Pretrain makes them."
NO_SCAN = "Open a scan first, to compare the runs on it."
SAME_RUN = "Both runs are the same one; choose another one as run B."


class RunPicker(ModelPicker):
    """A list of pretrainings."""

    def __init__(self, caption: str, tooltip: str) -> None:
        super().__init__(caption, ("inpainting",), tooltip=tooltip, unfolded=False)

    def add(self, path: Path) -> None:
        """Put a pretraining's model file into the list and choose it.

        Raises
        ------
        BadInput
            If it is no model, or no pretraining.
        """
        check_comparable([read_card(path)])
        super().add(path)


class ReconstructionForm(WorkForm):
    """Compares what two pretrainings make of an open scan."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(
            napari_viewer,
            "Compare reconstructions",
            (
                "Compare reconstructions",
                "Both restore the same slices under the same masks: those of run A's pretraining.",
            ),
            "slice",
        )
        self.compare_button = self.start_button
        self._scan: OpenScan | None = None
        self._shown: tuple[ReconstructionAnswer, OpenScan, list[str]] | None = None
        self.layers = ReconstructionLayers(self.viewer)
        self.runs = [RunPicker(f"Run {letter}", "A pretraining.") for letter in LETTERS]
        self.scan = scan_choice(self.viewer, "The scan whose slices are restored.")
        self.open_button = small_button("Open…", "Open a case of a cohort's folder.")
        self.slices = SpinBox(
            value=12,
            min=1,
            max=1000,
            tooltip="So many, spread evenly over the scan.",
            label="Slices",
        )
        self.seed = SpinBox(
            value=0,
            min=0,
            max=2**31 - 1,
            tooltip="Another number puts the masks in other places.",
            label="Mask places",
        )
        self.settings = Fields(
            row(self.scan, self.open_button, label="Scan"), self.slices, self.seed
        )
        self.table = paragraph()
        self.table.native.setTextFormat(Qt.TextFormat.RichText)
        self.back_button = small_button(
            "Show my layers again", "Leave the grid: hide the pictures, show what was open."
        )
        self.add_parts(
            *self.runs,
            self.settings,
            self.compare_button,
            self.panel,
            self.table,
            self.back_button,
        )
        self.table.hide()
        self.back_button.hide()
        models = self.runs[1].models
        if len(models) > 1:
            self.runs[1].choose(models[1].path)
        self.open_button.changed.connect(lambda: ask_for_folder(self.viewer))
        self.back_button.changed.connect(self._leave_grid)
        self.changed.connect(self._update)
        for run in self.runs:
            run.model_changed.connect(self._update)
        self.follow_layers()
        self.remember(slices=self.slices, seed=self.seed)
        for letter, run in zip(LETTERS, self.runs, strict=True):
            self.remember_model(f"run {letter}", run)
        listen(self.native, self.viewer.dims.events.point, self._show_figures)
        self._update()

    def reset_choices(self, *_: object) -> None:
        """Read the open layers again; the chosen scan stays chosen."""
        refresh(self.scan)
        self._update()

    def request(self) -> ReconstructionRequest:
        """Return what the form asks for.

        Raises
        ------
        BadInput
            If a run or the scan is missing, or the runs do not compare.
        """
        models = [run.model for run in self.runs]
        first, second = models
        if first is None or second is None:
            raise BadInput(NO_RUN)
        layer = self.scan.value
        if layer is None or layer not in self.viewer.layers:
            raise BadInput(NO_SCAN)
        if first.path == second.path:
            raise BadInput(SAME_RUN)
        check_comparable([read_card(first.path), read_card(second.path)])
        return ReconstructionRequest(
            models=(first.path, second.path),
            image=layer.data,
            scan=ensure_info(layer).scan,
            slices=self.slices.value,
            seed=self.seed.value,
        )

    @property
    def inputs(self) -> tuple[Widget, ...]:
        """What cannot be changed during a comparison."""
        return (*self.runs, self.settings)

    def task(self) -> ThreadTask:
        """Return the comparison that the form asks for."""
        request = self.request()
        self._scan = request.scan
        return ThreadTask(partial(compare, request))

    def show_answer(self, answer: ReconstructionAnswer) -> None:
        """Show the pictures and their errors."""
        found, scan = answer, self._scan
        assert scan is not None
        names = [run.model.path.parent.name if run.model else "" for run in self.runs]
        self._shown = (found, scan, names)
        self.layers.show(found, scan)
        self.back_button.show()
        self.table.show()
        self._show_figures()
        better = int((found.figures.by_part[:, 0] < found.figures.by_part[:, 1]).sum())
        self.show_message(
            f"✓ A is nearer to the original in {better} of {len(found.slices)} slices. "
            "The slider moves all six pictures; between the compared slices the nearest is shown."
            + (f" {MASKED_ONLY}" if found.masked_only else ""),
            list(self.layers.present.values()),
        )
        self.scroll_to(self.back_button)

    def _show_figures(self, *_: object) -> None:
        """Show the errors inside the masks: overall, and of the slice that is shown."""
        if self._shown is None:
            return
        found, scan, names = self._shown
        z = self.layers.shown_slice(scan, len(found.nearest))
        here = int(found.nearest[z])
        rows = [
            (f"{letter}: {name}", i)
            for i, (letter, name) in enumerate(zip(LETTERS, names, strict=True))
        ]
        rows.append(("a plain grey", len(rows)))
        cells = "".join(
            f"<tr><td>{escape(name)}</td>"
            f"<td align='right'>&nbsp;{_number(found.figures.overall[i])}</td>"
            f"<td align='right'>&nbsp;&nbsp;{_number(found.figures.by_part[here, i])}</td></tr>"
            for name, i in rows
        )
        self.table.value = (
            "<b>Mean squared error inside the masks</b> (0: restored exactly)"
            "<table cellspacing='0' cellpadding='2'><tr><td></td><td align='right'>all</td>"
            f"<td align='right'>&nbsp;slice {int(found.slices[here])}</td></tr>{cells}</table>"
        )

    def forget_answer(self) -> None:
        """Hide the errors of pictures that are gone."""
        self._shown = None
        self.table.hide()
        self._leave_grid()

    def _leave_grid(self) -> None:
        self.layers.grid.leave()
        self.back_button.hide()

    def follow(self, layer: Any) -> None:
        """Choose the scan that was picked in the layer list."""
        refresh(self.scan, layer)

    def _update(self, *_: object) -> None:
        missing = ""
        if any(run.model is None for run in self.runs):
            missing = NO_RUN
        elif self.scan.value is None:
            missing = NO_SCAN
        self.show_missing(missing)


def _number(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "–"
