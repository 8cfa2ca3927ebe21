"""What the forms "Pretrain" and "Fine-tune" share: one training, from folders to a model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.cli_options import shell_command
from napari_ssl_muscle.jobs.process.find import name_of
from napari_ssl_muscle.jobs.process.resume import Training, continuation
from napari_ssl_muscle.jobs.run_folder import MODEL, check_run_folder
from napari_ssl_muscle.jobs.settings import FinetuneJob, PretrainJob
from napari_ssl_muscle.learning.events import Finished, Stopped
from napari_ssl_muscle.paths import runs_folder
from napari_ssl_muscle.viewer.job_form import JobForm
from napari_ssl_muscle.viewer.train.folder_picker import FolderPicker
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.background import ChildTask
from napari_ssl_muscle.viewer.widgets.form import (
    row,
    small_button,
)
from napari_ssl_muscle.viewer.widgets.model_picker import MODELS, ModelPicker

AS_PRESET = "as set: {}"
PRESETS = (
    ("Recommended", "recommended"),
    ("Quick, for a first try", "quick"),
    ("As published (needs a GPU)", "poster"),
)


class TrainingForm(JobForm):
    """Trains a model in a child process and shows how it learns.

    A subclass makes the parts that are its own, puts all into the form, and calls `_update`.

    Parameters
    ----------
    napari_viewer
        The viewer.
    scans
        Chooses what to learn from.
    tooltip
        Of the button that starts.
    """

    JOB: ClassVar[type[PretrainJob] | type[FinetuneJob]]
    TASKS: ClassVar[tuple[str, ...]]
    """What the models to start from were trained for."""
    RESUMES: ClassVar[tuple[type[Training], ...]]
    """Which stopped trainings go on in this form."""

    def __init__(self, napari_viewer: Any, scans: FolderPicker, tooltip: str) -> None:
        super().__init__(
            napari_viewer,
            scans,
            (self.TITLE, tooltip),
            "step",
            browse="Choose another folder for the run.",
        )
        self.model = ModelPicker(
            "Start from",
            self.TASKS,
            nothing="Nothing",
            tooltip=self.fields.help("init"),
            unfolded=False,
        )
        self.resume_button = small_button(
            "Resume…", "Go on with a training that was stopped: choose the folder of its run."
        )
        self.resume_button.native.setMinimumHeight(self.start_button.native.minimumHeight())
        self.start_row = row(self.start_button, self.resume_button)
        self._stopped: Path | None = None
        self.resume_button.changed.connect(self._choose_stopped)
        self.panel.curves_shown.connect(lambda: self.scroll_to(self.panel.curves))
        self.model.model_changed.connect(self._update)

    # --- what a subclass says

    def _describe_model(self, name: str, metrics: Mapping[str, float]) -> str:
        """Return how good a model became, and where to find it."""
        raise NotImplementedError

    def _on_new_model(self, job: Any, path: Path) -> None:
        """Go on after a training that left a model."""

    # --- one training

    def task(self) -> ChildTask:
        """Return the training that the form asks for."""
        job = self.job()
        check_run_folder(job)
        self._prepare(job)
        return ChildTask(job)

    def resume(self, folder: Path) -> None:
        """Go on with the stopped training in a folder; a problem is shown in a dialog."""
        task = dialogs.attempt(partial(self._continue, folder), self.native.window())
        if task is not None:
            self.run(task)

    def _continue(self, folder: Path) -> ChildTask:
        job = continuation(folder)
        if not isinstance(job, self.RESUMES):
            raise BadInput(f"{folder} is of another step: {name_of(job)}; resume it there.")
        self._prepare(job)
        return ChildTask(job)

    def _choose_stopped(self) -> None:
        start = self._stopped or runs_folder()
        folder = dialogs.ask_folder("Run to go on with", self.native.window(), start)
        if folder is not None:
            self.resume(folder)

    def _on_ended(self, event: object) -> None:
        task, self._task = self._task, None
        self._enable(True)
        if not isinstance(event, Finished | Stopped):
            return
        self._stopped = task.job.out if isinstance(event, Stopped) else None
        path = Path(event.result.get("model") or Path(event.result.get("out", "")) / MODEL)
        if not path.is_file():
            self.panel.show_text("Stopped before there was anything to keep.")
            return
        MODELS.add(path)
        done = isinstance(event, Finished)
        self.panel.show_text(
            ("✓ Done: " if done else "Stopped; the best so far was kept: ")
            + self._describe_model(path.parent.name, event.result.get("metrics", {}))
            + ("" if done else " 'Resume…' goes on with it.")
        )
        self._propose_out()
        self._on_new_model(task.job, path)

    # --- what the form says

    def _propose_out(self) -> None:
        """Put a folder for the next run into the form, unless the person chose one."""
        now = self.out.value.strip()
        if now in ("", str(self._proposed)) or (Path(now) / MODEL).exists():
            self._proposed = self.next_run()
            self.out.value = str(self._proposed)

    def _choose_out(self) -> None:
        folder = dialogs.ask_folder(
            "Where to put the run's folder", self.native.window(), runs_folder()
        )
        if folder is not None:
            self.out.value = str(folder / TrainingForm.next_run(self).name)

    def _update(self, *_: object) -> None:
        view, model = self.scans.contents, self.model.model
        self.start_button.enabled = view is not None and not self.busy
        self.resume_button.enabled = not self.busy
        try:
            job = self.job()
        except BadInput as problem:
            self.command.show_command(None, str(problem))
            self.panel.show_expected_time("")
            return
        self.command.show_command(shell_command(job))
        self.panel.show_training_time(
            job, model.card if model else None, view.slices if view else 0
        )
