"""The form "Experiments": the plan, how far it is, and the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, Widget
from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.published.files import REPORT
from napari_ssl_muscle.experiments.published.presets import PRESETS as GRIDS
from napari_ssl_muscle.jobs.cli_options import shell_command
from napari_ssl_muscle.jobs.settings import ExperimentsJob
from napari_ssl_muscle.jobs.training_data.folder_summary import summarise_labelled
from napari_ssl_muscle.learning.events import Finished, Stopped
from napari_ssl_muscle.viewer.job_form import JobForm
from napari_ssl_muscle.viewer.train.folder_picker import FolderPicker
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.background import ChildTask
from napari_ssl_muscle.viewer.widgets.form import (
    Fields,
    paragraph,
    row,
    small_button,
)
from napari_ssl_muscle.viewer.widgets.job_fields import JobFields

if TYPE_CHECKING:
    import napari.viewer

ABOUT = (
    "Repeats the published study on your labelled scans: searches the settings of training and "
    "pretraining, then tests models from scratch and pretrained, and writes a report. A stopped "
    "study goes on where it was when it is started again in the same folder."
)
NO_SCANS = "Choose the folder with scans and label maps."
PRESETS = (
    ("Quick: a demonstration, too short to conclude", "quick"),
    ("As published (needs a GPU, takes days)", "poster"),
)


class ExperimentsForm(JobForm):
    """Runs the experiments in a child process and opens their report."""

    TITLE = "Experiments"
    JOB = ExperimentsJob
    BUSY = "Experiments are running in this form already; show it when they have ended."

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        fields = JobFields(ExperimentsJob)
        scans = FolderPicker(
            lambda folders: summarise_labelled(folders[0]),
            tooltip=fields.help("cohort"),
            hint="folder with scans and label maps",
            channel_tooltip=fields.help("channels"),
            title="Folder with scans and label maps",
        )
        super().__init__(
            napari_viewer,
            scans,
            ("Start or go on", "Run what is missing. You can go on working meanwhile."),
            "trial",
            browse="Choose the folder: a new one, or one to go on in.",
        )
        self.preset = fields.choice("preset", PRESETS, "Preset")
        self.larger = CheckBox(text="Larger networks", tooltip="Experiment 5, beside 0 to 4.")
        self.tasks = CheckBox(text="Other pretext tasks", tooltip="Experiment 6, beside 0 to 4.")
        self.seeds = fields.integer("seeds", "Seeds")
        self.settings = Fields(
            self.preset,
            row(self.larger, self.tasks, label="Also"),
            self.seeds,
            self.out_row,
        )
        self.plan_button = small_button(
            "Show the plan", "List the trials, and how long they take on this computer."
        )
        self.report_button = small_button("Open the report", "Open it in the web browser.")
        self.add_parts(
            paragraph(ABOUT),
            self.scans,
            self.settings,
            row(self.plan_button, self.report_button),
            self.start_button,
            self.panel,
            self.command,
        )
        self.preset.changed.connect(self._propose_seeds)
        self.plan_button.changed.connect(self.show_plan)
        self.report_button.changed.connect(self.open_report)
        self.remember(scans=self.scans.folders, preset=self.preset, out=self.out)
        self._update()

    @property
    def inputs(self) -> Sequence[Widget]:
        """What cannot be changed while the work goes on."""
        return self.scans, self.settings, self.plan_button

    def _make_job(self) -> ExperimentsJob:
        if self.scans.contents is None:
            raise BadInput(NO_SCANS)
        further = [5] * self.larger.value + [6] * self.tasks.value
        return ExperimentsJob(
            cohort=self.scans.contents.folders[0],
            out=self.folder,
            preset=self.preset.value,
            experiment=[4, *further] if further else None,
            seeds=self.seeds.value,
            channels=self.scans.channels,
        )

    def task(self) -> ChildTask:
        """Return the experiments that the form asks for."""
        return ChildTask(self.job())

    def show_plan(self) -> None:
        """List the trials in a window of its own (the button)."""
        job = dialogs.attempt(self.job, self.native.window())
        if job is not None:
            self.run(ChildTask(job.model_copy(update={"dry_run": True})))

    def open_report(self) -> None:
        """Open the report of the folder in the web browser."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._report)))

    @property
    def _report(self) -> Path:
        return self.folder.absolute() / REPORT

    def _on_ended(self, event: object) -> None:
        task, self._task = self._task, None
        self._enable(True)
        if not isinstance(event, Finished | Stopped):
            return
        text = event.result.get("text", "")
        if task.job.dry_run:
            self.panel.show_text(text.splitlines()[-1] if text else "")
            if isinstance(event, Finished):
                dialogs.show_log(text, self.native.window())
            return
        done = isinstance(event, Finished)
        self.panel.show_text("✓ Done; the report is there." if done else "Stopped; it can go on.")

    def _choose_out(self) -> None:
        folder = dialogs.ask_folder("Folder of the experiments", self.native.window())
        if folder is not None:
            self.out.value = str(folder)

    def _propose_seeds(self) -> None:
        self.seeds.value = GRIDS[self.preset.value].seeds

    def _update(self, *_: Any) -> None:
        free = not self.panel.running
        self.report_button.enabled = self._report.is_file()
        try:
            job = self.job()
        except BadInput as problem:
            self.start_button.enabled = self.plan_button.enabled = False
            self.command.show_command(None, str(problem))
            return
        self.start_button.enabled = self.plan_button.enabled = free
        self.command.show_command(shell_command(job))
