"""The form "Fine-tune": a labelled cohort and a model to start from in, a better model out."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import Widget

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.preset_values import describe_length
from napari_ssl_muscle.jobs.settings import CompareFreezingJob, FinetuneJob, LabelledJob
from napari_ssl_muscle.jobs.text import FREEZE_ADVICE
from napari_ssl_muscle.jobs.training_data.folder_summary import FolderSummary, summarise_labelled
from napari_ssl_muscle.learning.models.card import find_model
from napari_ssl_muscle.learning.settings import preset
from napari_ssl_muscle.study.study import Study
from napari_ssl_muscle.viewer.train.folder_picker import FolderPicker
from napari_ssl_muscle.viewer.train.freeze_panel import FreezingPanel
from napari_ssl_muscle.viewer.train.model_decision import ModelDecision
from napari_ssl_muscle.viewer.train.training_form import AS_PRESET, PRESETS, TrainingForm
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.background import ChildTask
from napari_ssl_muscle.viewer.widgets.form import (
    Fields,
    column,
    heading,
    line,
    paragraph,
    row,
    small_button,
)
from napari_ssl_muscle.viewer.widgets.job_fields import JobFields
from napari_ssl_muscle.viewer.widgets.model_picker import MODELS
from napari_ssl_muscle.viewer.widgets.muscle_boxes import MuscleBoxes

if TYPE_CHECKING:
    import napari.viewer

NO_COHORT = "Choose the folder with your labelled scans first."
SHORT = 0.5
"""Minutes for learning from corrections: what a person waits for before going on to correct."""
FREEZE = (
    ("Nothing", "none"),
    ("Encoder (first half)", "encoder"),
    ("Decoder (second half)", "decoder"),
    ("All but the last layer", "both"),
)
SPLITS = (
    ("Chosen automatically", "auto"),
    ("Whole subjects", "subject"),
    ("A block of slices", "block"),
    ("Nothing: train on all", "none"),
    ("Single slices (leaks)", "slice"),
)


class FinetuneForm(TrainingForm):
    """Trains a model on labelled scans, in a child process.

    Attributes
    ----------
    decision
        After a training on corrections: whether the old or the new model is kept.
    """

    TITLE = "Fine-tune"
    JOB = FinetuneJob
    RESUMES = (FinetuneJob, CompareFreezingJob)
    TASKS = ("segmentation", "inpainting")
    BUSY = "A training is shown in the form Fine-tune already; wait for its end, or stop it."

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        fields = JobFields(FinetuneJob)
        scans = FolderPicker(
            lambda folders: summarise_labelled(folders[0]),
            tooltip=fields.help("cohort"),
            hint="folder with scans and labels",
            channel_tooltip=fields.help("channels"),
            title="Folder with labelled scans",
        )
        super().__init__(
            napari_viewer,
            scans,
            "Train the model on the labelled scans. You can go on working meanwhile.",
        )
        self._short = False  # the time was proposed here, and belongs to corrections only
        self.muscles = MuscleBoxes()
        self.freeze = fields.choice("freeze", FREEZE, "Keep fixed")
        self.freeze_advice = paragraph(lines=2)
        self.preset = fields.choice("preset", PRESETS, "Settings")
        self.minutes = fields.number(
            "minutes",
            "Time",
            unit="min",
            step=5,
            decimals=1,
            most=10_000,
            none=AS_PRESET,
        )
        self._show_length()
        self.preset.changed.connect(self._show_length)
        self.split = fields.choice("split", SPLITS, "Check on")
        self.earlier = line(
            tooltip="A folder with labelled scans of before; the accepted slices join them.",
            hint="may stay empty",
        )
        self.earlier_button = small_button("Choose…", "Choose the folder.")
        self.earlier_row = Fields(row(self.earlier, self.earlier_button, label="And from"))
        self.choices = column(heading("Muscles to learn"), self.muscles)
        self.settings = column(
            Fields(self.freeze),
            self.freeze_advice,
            Fields(self.preset, self.minutes, self.split, self.out_row),
        )
        self.freezing = FreezingPanel(self.job)
        self.decision = ModelDecision(self.viewer)
        self.add_parts(
            self.scans,
            self.earlier_row,
            self.choices,
            self.model,
            self.settings,
            self.start_row,
            self.freezing.button,
            self.panel,
            self.decision,
            self.command,
            self.freezing,
        )
        self.choices.hide()
        self.earlier_row.hide()
        self.earlier_button.changed.connect(self._choose_earlier)
        self.freezing.button.changed.connect(lambda: self.scroll_to(self.freezing))
        self.freezing.began.connect(partial(self._enable, False))
        self.freezing.ended.connect(self._on_compared)
        self.freezing.model_chosen.connect(self._use_compared)
        self.decision.model_kept.connect(self._go_on_with)
        self.decision.ended.connect(self._show_decision)
        self.remember(
            scans=self.scans.folders,
            earlier=self.earlier,
            freeze=self.freeze,
            preset=self.preset,
            minutes=self.minutes,
            split=self.split,
        )
        self.remember_model("model", self.model)
        self._update()

    def _show_length(self) -> None:
        """Show how long a training takes that is given no time: as its settings say."""
        length = describe_length(preset(self.preset.value))
        self.minutes.native.setSpecialValueText(AS_PRESET.format(length))

    def _make_job(self) -> FinetuneJob:
        view = self.scans.contents
        if view is None:
            raise BadInput(NO_COHORT)
        checked = self.muscles.checked
        if not checked:
            raise BadInput("No muscle is chosen; check at least one.")
        init = self.model.reference
        return FinetuneJob(
            cohort=self._earlier_labels() if view.is_study else view.folder,
            study=view.folder if view.is_study else None,
            out=self.folder,
            init=init,
            freeze=self.freeze.value if init is not None else "none",
            preset=self.preset.value,
            split=self.split.value,
            muscles=None if tuple(checked) == view.usual else checked,
            channels=self.scans.channels,
            **{"minutes": self.minutes.value or None},
        )

    def choose_study(self, folder: Path, model: Path | None) -> None:
        """Choose the accepted slices of a study, and the model to start from.

        Parameters
        ----------
        folder
            The study's folder.
        model
            The model that labelled the slices; None leaves the choice as it is. With one, a short
            time is proposed, so that the corrected model is soon there.
        """
        self.scans.choose(folder)  # again, if it is chosen: more is accepted by now
        if model is not None:
            self.model.choose(model)
            if not self.minutes.value:
                with self.minutes.changed.blocked():  # proposed, not entered
                    self.minutes.value = SHORT
                self._update()
                self._short = True

    @property
    def inputs(self) -> tuple[Widget, ...]:
        """What cannot be changed during a training."""
        return (
            self.scans,
            self.earlier_row,
            self.choices,
            self.model,
            self.settings,
            self.resume_button,
        )

    @property
    def busy(self) -> bool:
        """Whether one model or, to compare freeze modes, four are being trained."""
        return self.panel.running or self.freezing.running

    def next_run(self) -> Path:
        """Return a folder for the next training: inside the study, if it is one; it is not made."""
        view = self.scans.contents
        if view is not None and view.is_study:
            with contextlib.suppress(BadInput):
                return Study.read(view.folder).next_run()
        return super().next_run()

    def _prepare(self, job: Any) -> None:
        self.decision.clear()

    def run(self, task: ChildTask) -> None:  # type: ignore[override]
        """Start, or follow, one training or the comparison of four."""
        if isinstance(task.job, FinetuneJob):
            super().run(task)
        else:
            self.freezing.follow(task)

    def show_result(self, job: LabelledJob, model: Path) -> None:
        """Ask whether the model of a training on corrections takes the place of the former one.

        Parameters
        ----------
        job
            The training; nothing is asked of one without a study.
        model
            The file that came out.
        """
        if job.study is not None:
            self.decision.begin(job.study, job.init, model)
            self.scroll_to(self.decision)

    def _describe_model(self, name: str, metrics: Mapping[str, float]) -> str:
        dice = metrics.get("mean")
        return (
            f"the model '{name}'"
            + (f" reaches a validation Dice of {dice:.2f}" if dice is not None else "")
            + ". It is in the list of models now."
        )

    def _on_new_model(self, job: LabelledJob, path: Path) -> None:
        self.scroll_to(self.panel)
        self.show_result(job, path)

    def _on_compared(self, *_: object) -> None:
        self._enable(True)
        self.fit_width()
        self.scroll_to(self.freezing.results)

    def _use_compared(self, job: LabelledJob, model: Path) -> None:
        self.model.choose(model)
        self.show_result(job, model)

    def _go_on_with(self, model: Path) -> None:
        """Start the next training from the model that was kept."""
        self.model.choose(model)
        self._show_decision()

    def _show_decision(self) -> None:
        self.fit_width()
        self.scroll_to(self.decision)

    def _choose_earlier(self) -> None:
        folder = dialogs.ask_folder("Folder with earlier labels", self.native.window())
        if folder is not None:
            self.earlier.value = str(folder)

    def _earlier_labels(self) -> Path | None:
        """Return the folder whose labels train beside a study; None for none."""
        text = self.earlier.value.strip()
        folder = Path(text).expanduser()
        if text and not folder.is_dir():
            raise BadInput(f"There is no folder {text} with earlier labels; choose another one.")
        return folder if text else None

    def _on_contents(self) -> None:
        view = self.scans.contents
        self.choices.visible = view is not None
        if view is not None:
            self.muscles.offer(view.muscles, view.usual)
            self.earlier_row.visible = view.is_study
            self._adapt_to(view)
        super()._on_contents()

    def _adapt_to(self, view: FolderSummary) -> None:
        """Propose what suits a study, or take that back for a cohort."""
        self._propose_out()
        if not view.is_study and self._short:
            if self.minutes.value == SHORT:
                self.minutes.value = 0
            self._short = False
        if view.model is not None and self.model.model is None and not self.model.chosen_by_user:
            with contextlib.suppress(BadInput):
                kept = find_model(view.model)
                MODELS.add(kept)
                self.model.choose(kept)

    def _enable(self, free: bool) -> None:
        self.freezing.set_free(free=False)
        super()._enable(free)

    def _update(self, *_: object) -> None:
        self.freeze.enabled = self.model.model is not None and not self.busy
        self.freeze_advice.value = FREEZE_ADVICE[self.freeze.value if self.model.model else "none"]
        self.freezing.set_free(free=self.freeze.enabled and self.scans.contents is not None)
        super()._update()
