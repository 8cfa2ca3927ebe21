"""The form "Pretrain": scans without labels in, a model to fine-tune from out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import Widget

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.job_file import invalid_as_bad_input
from napari_ssl_muscle.jobs.recipe import recipe_from, recipe_of, start_card
from napari_ssl_muscle.jobs.settings import PretrainJob
from napari_ssl_muscle.jobs.training_data.folder_summary import summarise_unlabelled
from napari_ssl_muscle.learning.events import Failed, Finished, Preview
from napari_ssl_muscle.learning.settings import Recipe
from napari_ssl_muscle.viewer.layers.layer_lists import scan_choice
from napari_ssl_muscle.viewer.layers.scan_layers import ensure_info
from napari_ssl_muscle.viewer.train.folder_picker import FolderPicker
from napari_ssl_muscle.viewer.train.mask_layer import MaskLayer, MaskRequest, draw
from napari_ssl_muscle.viewer.train.pretrain_settings import PretrainSettings
from napari_ssl_muscle.viewer.train.probe_layers import ProbeLayers
from napari_ssl_muscle.viewer.train.training_form import TrainingForm
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.background import ThreadTask
from napari_ssl_muscle.viewer.widgets.form import (
    Fields,
    paragraph,
    refresh,
    row,
    small_button,
)
from napari_ssl_muscle.viewer.widgets.job_fields import JobFields
from napari_ssl_muscle.viewer.widgets.loss_curves import format_reconstruction_error

if TYPE_CHECKING:
    import napari.viewer

NO_SCANS = "Choose a folder with scans first; they need no labels."
NO_OPEN_SCAN = "Open a scan first, to see the masks on it."
MASKED_ONLY = "Outside the masks, the pictures show the original: only masked pixels are scored."


class PretrainForm(TrainingForm):
    """Learns from scans without labels by restoring what was masked, in a child process."""

    TITLE = "Pretrain"
    JOB = PretrainJob
    RESUMES = (PretrainJob,)
    TASKS = ("inpainting", "segmentation")
    BUSY = "A pretraining is shown in the form Pretrain already; wait for its end, or stop it."

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        fields = JobFields(PretrainJob)
        scans = FolderPicker(
            summarise_unlabelled,
            tooltip=fields.help("cohorts"),
            hint="folder(s) with scans",
            channel_tooltip=fields.help("channels"),
            title="Folder with scans",
            several=True,
        )
        super().__init__(
            napari_viewer, scans, "Learn from these scans. You can go on working meanwhile."
        )
        self._running: Recipe | None = None
        self._drawing: ThreadTask | None = None
        self._mask = MaskLayer(self.viewer)
        self.probes = ProbeLayers(self.viewer)
        self.settings = PretrainSettings()
        self.place = Fields(self.out_row)
        self.scan = scan_choice(self.viewer, "The open scan to draw the masks on.")
        self.preview_button = small_button(
            "Preview masks", "Draw the masks on this scan, as the network would get them."
        )
        self.preview_row = Fields(row(self.scan, self.preview_button, label="Masks on"))
        self.coverage = paragraph()
        self.coverage.hide()
        self.back_button = small_button(
            "Show my layers again", "Leave the grid: hide the probe slices, show what was open."
        )
        self.after = row(self.back_button)
        self.add_parts(
            self.scans,
            self.model,
            self.settings,
            self.place,
            self.preview_row,
            self.coverage,
            self.start_row,
            self.panel,
            self.after,
            self.command,
        )
        self.back_button.hide()
        self.preview_button.changed.connect(self.preview)
        self.back_button.changed.connect(self._leave_grid)
        self.panel.event.connect(self._on_event)
        self.settings.changed.connect(self._forget_coverage)
        self.model.model_changed.connect(self._forget_coverage)
        self.follow_layers()
        self.remember(scans=self.scans.folders, **self.settings.fields)
        self.remember_model("model", self.model)
        self._update()

    def reset_choices(self, *_: object) -> None:
        """Read the open layers again; the chosen scan stays chosen."""
        refresh(self.scan)
        self._update()

    def _make_job(self) -> PretrainJob:
        if self.scans.contents is None:
            raise BadInput(NO_SCANS)
        return self._job_on(list(self.scans.contents.folders))

    def _job_on(self, folders: list[Path]) -> PretrainJob:
        return PretrainJob(
            cohorts=folders,
            out=self.folder,
            init=self.model.reference,
            channels=self.scans.channels,
            **self.settings.values(),
        )

    def _recipe(self) -> Recipe:
        """Return what the settings come to, with or without folders of scans."""
        with invalid_as_bad_input():
            job = self._job_on([Path()])
        model = self.model.model
        return recipe_of(job) if model is None else recipe_from(job, model.card)[0]

    @property
    def inputs(self) -> tuple[Widget, ...]:
        """What cannot be changed during a training."""
        return (self.scans, self.model, self.settings, self.place, self.resume_button)

    def _prepare(self, job: PretrainJob) -> None:
        card = start_card(job)
        self._running = recipe_from(job, card)[0]
        self.probes.begin()

    def preview(self) -> None:
        """Draw the masks on the chosen scan (the button); a problem is shown in a dialog."""
        layer = self.scan.value
        if layer is None or layer not in self.viewer.layers:
            dialogs.show_problem(NO_OPEN_SCAN, parent=self.native.window())
            return
        recipe = dialogs.attempt(self._recipe, self.native.window())
        if recipe is None or recipe.pretext.corruption != "squares":
            return
        scan = ensure_info(layer).scan
        request = MaskRequest(layer.data, scan, recipe, self.settings.seed.value)
        self._show_coverage("Drawing the masks …")
        self.preview_button.enabled = False
        self._drawing = ThreadTask(partial(draw, request), self.native)
        self._drawing.bridge.arrived.connect(partial(self._show_masks, self._drawing, scan))
        self._drawing.start()

    def _show_masks(self, work: ThreadTask, scan: Any, event: object) -> None:
        self.preview_button.enabled = True
        if isinstance(event, Failed):
            self._show_coverage("")
            dialogs.show_problem(event.sentence, event.details, self.native.window())
        elif isinstance(event, Finished):
            self._leave_grid()
            self._mask.show(work.result.masks, scan)
            found = work.result.description
            warning = f"\n⚠ {found.warning}" if found.warning else ""
            self._show_coverage(found.coverage + warning)

    def _forget_coverage(self, *_: object) -> None:
        """Take back figures that other settings had."""
        self._show_coverage("")

    def _show_coverage(self, text: str) -> None:
        self.coverage.value = text
        self.coverage.visible = bool(text)

    def _on_event(self, event: object) -> None:
        if isinstance(event, Preview) and self._running is not None:
            self._show_probes(Path(event.path), self._running)

    def _show_probes(self, path: Path, recipe: Recipe) -> None:
        masked_only = recipe.pretext.scored == "masked"
        first = not self.probes.begun
        self.probes.show(path, recipe.slices.spacing or 1.0, masked_only=masked_only)
        if first and self.probes.begun and masked_only:
            self.panel.note(MASKED_ONLY, warning=False)
        self.back_button.visible = self.probes.grid.active

    def _describe_model(self, name: str, metrics: Mapping[str, float]) -> str:
        error = format_reconstruction_error(metrics) if "masked_error" in metrics else ""
        return (
            f"'{name}'"
            + (f" reaches an {error}" if error else "")
            + ". It is under 'Start from' in the form Fine-tune now."
        )

    def _on_new_model(self, job: object, path: Path) -> None:
        self.scroll_to(self.after)

    def _leave_grid(self) -> None:
        self.probes.grid.leave()
        self.back_button.hide()

    def follow(self, layer: Any) -> None:
        """Preview on the scan that was picked in the layer list."""
        refresh(self.scan, layer)

    def _update(self, *_: object) -> None:
        self.preview_button.enabled = self.scan.value is not None
        self.preview_row.visible = self.scan.value is not None
        super()._update()
