"""The form "Segment muscles": scan and model in, labels as one undoable step out, save."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import CheckBox, ComboBox, Widget

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.cli_options import shell_command
from napari_ssl_muscle.jobs.settings import SegmentJob
from napari_ssl_muscle.learning.events import Finished
from napari_ssl_muscle.learning.models.model_fit import ModelFit, ScanProperties, find_fit
from napari_ssl_muscle.learning.segment import Segmenter
from napari_ssl_muscle.text_table import counted
from napari_ssl_muscle.viewer.layers.placement import require_in_place
from napari_ssl_muscle.viewer.layers.scan_layers import (
    OpenScan,
    ensure_info,
    info_of,
    layers_of,
)
from napari_ssl_muscle.viewer.layers.uncertainty_layer import show_uncertainty, uncertainty_of
from napari_ssl_muscle.viewer.open.voxel_size_field import VoxelSizeField
from napari_ssl_muscle.viewer.segment.save_panel import SavePanel
from napari_ssl_muscle.viewer.segment.scan_rows import ScanRows
from napari_ssl_muscle.viewer.segment.show_labels import prediction_layer, show_labels
from napari_ssl_muscle.viewer.segment.worker import (
    SegmentAnswer,
    SegmentRequest,
    segment_open_scan,
)
from napari_ssl_muscle.viewer.viewer_form import WorkForm
from napari_ssl_muscle.viewer.widgets.background import BackgroundTask, ThreadTask
from napari_ssl_muscle.viewer.widgets.form import CommandLine, paragraph
from napari_ssl_muscle.viewer.widgets.model_picker import ModelPicker
from napari_ssl_muscle.viewer.widgets.qt_lifetime import call_later

if TYPE_CHECKING:
    import napari.viewer

NO_SCAN = "Open a scan first: 'Open…' above, or try the leg phantom."
NO_MODEL = "No model is chosen; pick one from the list, or choose a file with 'Browse…'."


class SegmentForm(WorkForm):
    """Segments the muscles of an open scan."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(
            napari_viewer,
            "Segment muscles",
            (
                "Segment muscles",
                "Label the muscles in the whole scan. One undo (Ctrl+Z) takes the labels back.",
            ),
            "slice",
        )
        self.segment_button = self.start_button
        self._segmenter = Segmenter()
        self._request: SegmentRequest | None = None
        self._fit_task: ThreadTask | None = None
        self._checked: tuple[Any, Any] | None = None
        self.scan_rows = ScanRows(self.viewer)
        self.model = ModelPicker(
            "Model", tooltip="What has learned to tell the muscles apart; its card is below."
        )
        self.keep_drawn = CheckBox(
            value=True,
            text="Keep what I drew",
            tooltip="A new prediction leaves alone what was drawn or erased by hand since the last "
            "one.",
        )
        self.drop_islands = CheckBox(
            value=True,
            text="Remove islands",
            tooltip=SegmentJob.model_fields["drop_islands"].description,
        )
        self.voxel_size = VoxelSizeField(self.viewer)
        self.fit = paragraph()
        self.saving = SavePanel(self.viewer)
        self.command = CommandLine()
        self.add_parts(
            self.scan_rows,
            self.voxel_size,
            self.model,
            self.keep_drawn,
            self.drop_islands,
            self.segment_button,
            self.fit,
            self.panel,
            self.saving,
            self.command,
        )
        self._offer_channels()
        self.scan_rows.selection_changed.connect(self._update)
        self.voxel_size.entered.connect(self._update)
        self.scan_rows.selection_changed.connect(self._bring_chosen)
        self.model.model_changed.connect(self._on_model)
        self.saving.path.changed.connect(self._show_command)
        self.drop_islands.changed.connect(self._show_command)
        self.follow_layers()
        self.remember(keep_drawn=self.keep_drawn, drop_islands=self.drop_islands)
        self.remember_model("model", self.model)
        self._update()

    @property
    def scans(self) -> list[ComboBox]:
        """The lists of images, one for each channel of the model."""
        return self.scan_rows.boxes

    def reset_choices(self, *_: object) -> None:
        """Read the open layers again; chosen ones stay chosen, under whatever name."""
        self.scan_rows.reset_choices()
        self.saving.reset_choices()
        self._update()

    def job(self) -> SegmentJob | None:
        """Return the job that the form equals; None where a shell could not do it."""
        infos = [info_of(layer) for layer in self.scan_rows.images()]
        scan = infos[0].scan.file if infos and infos[0] is not None else None
        model = self.model.reference
        if scan is None or model is None or len(infos) != 1:
            return None
        image = infos[0]
        path = image.path if image is not None else None
        target = self.saving.path.value.strip()
        return SegmentJob(
            scans=[path or scan.path],
            model=model,
            out=Path(target).parent if target else scan.path.parent,
            volume=image.volume if image is not None and path is not None else scan.volume,
            drop_islands=bool(self.drop_islands.value),
        )

    @property
    def inputs(self) -> tuple[Widget, ...]:
        """What cannot be changed while it segments."""
        return (self.scan_rows, self.model, self.scan_rows.open_button)

    def task(self) -> ThreadTask:
        """Return the segmentation that the form asks for."""
        self._request = self.request()
        return ThreadTask(partial(segment_open_scan, self._segmenter, self._request))

    def run(self, task: BackgroundTask) -> None:
        """Start to segment."""
        self.model.fold()  # else results and "Save labels" lie below the window's edge
        super().run(task)

    def choose_fitting_model(self) -> None:
        """Choose a model that suits the chosen scan, and wait for the answer."""
        properties = self._properties()
        if properties is not None:
            self._show_fit(find_fit(properties))

    def request(self) -> SegmentRequest:
        """Return what the form asks for.

        Raises
        ------
        BadInput
            If the scan or the model is missing, or the channels lie on different grids.
        """
        images = self.scan_rows.images()
        if not images:
            raise BadInput(NO_SCAN)
        if self.model.model is None:
            raise BadInput(NO_MODEL)
        infos = [ensure_info(layer) for layer in images]
        scan = infos[0].scan
        for layer in images:
            if layer.data.shape != images[0].data.shape:
                raise BadInput(
                    f"'{images[0].name}' and '{layer.name}' do not lie on the same grid; "
                    "choose images of one scan."
                )
        target = prediction_layer(self.viewer, scan)
        require_in_place([*images, *([target] if target is not None else [])])
        return SegmentRequest(
            model=self.model.model.path,
            images=tuple(layer.data for layer in images),
            scan=scan,
            current=target.data if target is not None else None,
            drop_islands=bool(self.drop_islands.value),
        )

    def show_answer(self, answer: SegmentAnswer) -> None:
        """Show the labels of the scan that was asked for."""
        request = self._request
        assert request is not None
        if not layers_of(self.viewer, request.scan, "image") and (
            prediction_layer(self.viewer, request.scan) is None
        ):
            self.panel.show_text(
                f"{request.scan.name} was closed meanwhile; its new labels are not shown. Open "
                "it again to segment it."
            )
            return
        layer, spared = show_labels(
            self.viewer, request, answer, keep_drawn=bool(self.keep_drawn.value)
        )
        self._show_uncertainty(request.scan, answer.found.uncertainty)
        layer.visible = True
        self.viewer.layers.selection.active = layer
        self.saving.choose(layer)
        for note in answer.found.notes:
            if note not in self.fit.value:
                self.panel.note(note)
        missing = [name for name in answer.found.table.names if name not in answer.muscles]
        self.show_message(
            f"✓ {counted(len(answer.muscles), 'muscle')} in {answer.seconds:.0f} s, in the layer "
            f"'{layer.name}'. Ctrl+Z takes them back."
            + (f" Not found: {', '.join(missing)}." if missing else "")
            + (" ⚠" if answer.found.many_islands else "")
            + (f" {answer.found.islands_text}" if answer.found.islands_text else "")
            + (f" {spared:,} voxels stay as you drew them." if spared else ""),
            [layer],
        )

    def _show_uncertainty(self, scan: OpenScan, uncertainty: np.ndarray | None) -> None:
        if uncertainty is None:
            return
        if uncertainty_of(self.viewer, scan) is not None:
            show_uncertainty(self.viewer, scan, uncertainty)
            return

        def add() -> None:
            there = prediction_layer(self.viewer, scan) is not None
            if there or layers_of(self.viewer, scan, "image"):
                show_uncertainty(self.viewer, scan, uncertainty)

        # napari takes a while to make a layer: not before the labels are drawn.
        call_later(self.native, lambda: call_later(self.native, add))

    def _on_model(self) -> None:
        self._offer_channels()
        self._update()

    def _offer_channels(self) -> None:
        model = self.model.model
        names = model.card.channels if model is not None and model.card is not None else [""]
        if self.scan_rows.offer(names):
            self.align_captions()

    def follow(self, layer: Any) -> None:
        """Choose the scan that was picked in the layer list."""
        if layer is None or len(self.scans) != 1 or self.panel.running:
            return
        self.scan_rows.follow(layer)
        info = info_of(layer)
        if info is None:
            return
        target = prediction_layer(self.viewer, info.scan)
        if target is not None:
            self.saving.choose(layer if info.role == "prediction" else target)

    def _bring_chosen(self) -> None:
        """Show the chosen scan, in view and alone; its labels are what the brush changes."""
        images = self.scan_rows.images()
        info = info_of(images[0]) if images else None
        if info is None or info.scan is self.session.front.scan:
            return
        target = prediction_layer(self.viewer, info.scan)
        self.viewer.layers.selection.active = target if target is not None else images[0]

    def _update(self, *_: object) -> None:
        images = self.scan_rows.images()
        self.show_missing("" if images else NO_SCAN)
        self.voxel_size.ask_for(images)
        if not self.panel.running:
            self.start_button.enabled &= self.model.model is not None
            self._check_fit()
        self._show_command()

    def _properties(self) -> ScanProperties | None:
        images = self.scan_rows.images()
        if not images or len(self.scans) != 1 or images[0].data.size == 0:
            return None
        # A model that the user chose stays; only the default is replaced by a better one.
        free = not self.model.chosen_by_user
        return ScanProperties(
            image=images[0].data,
            spacing=ensure_info(images[0]).scan.geometry.spacing,
            chosen=self.model.model,
            others=tuple(self.model.models) if free else (),
        )

    def _check_fit(self) -> None:
        """Find out in a thread whether the model suits the scan, and say so if not."""
        properties = self._properties()
        if properties is None or properties.chosen is None:
            self._fit_task = self._checked = None
            self.fit.hide()
            return
        before = self._checked
        if before is not None and before[0] is properties.image and before[1] == properties.chosen:
            return
        self._checked = (properties.image, properties.chosen)
        self._fit_task = ThreadTask(lambda emit, stop: find_fit(properties), self.native)
        self._fit_task.bridge.arrived.connect(partial(self._on_fit, self._fit_task))
        self._fit_task.start()

    def _on_fit(self, task: ThreadTask, event: object) -> None:
        if task is self._fit_task and isinstance(event, Finished):
            self._fit_task = None
            if not self.panel.running:
                self._show_fit(task.result)

    def _show_fit(self, fit: ModelFit) -> None:
        if fit.model is not None and fit.model != self.model.model:
            self.model.choose(fit.model.path)
        self.fit.value = f"⚠ {fit.headline}" if fit.differences else ""
        self.fit.tooltip = "\n".join(fit.differences)
        self.fit.visible = bool(fit.differences)

    def _show_command(self, *_: object) -> None:
        job = self.job()
        self.command.show_command(
            shell_command(job) if job is not None else None,
            "for scans opened from a file",
        )
