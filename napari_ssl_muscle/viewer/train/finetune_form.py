"""The form "Fine-tune": a labelled cohort and a model to start from in, a better model out."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.cli_options import shell_command
from napari_ssl_muscle.jobs.job_file import what_is_wrong
from napari_ssl_muscle.jobs.run_folder import MODEL, check_run_folder
from napari_ssl_muscle.jobs.settings import FinetuneJob, LabelledJob
from napari_ssl_muscle.jobs.training_data.folder_summary import FolderSummary, summarise_labelled
from napari_ssl_muscle.learning.events import Emit, Finished, ShouldStop, Stopped
from napari_ssl_muscle.learning.models.card import find_model
from napari_ssl_muscle.paths import runs_folder
from napari_ssl_muscle.viewer.layers.scan_layers import unwrap
from napari_ssl_muscle.viewer.session import session_of
from napari_ssl_muscle.viewer.train.finetune_choices import (
    ALL_CHANNELS,
    FREEZE,
    PRESETS,
    SCRATCH,
    SHORT,
    SPLITS,
    channels_of,
    new_run,
    next_run,
)
from napari_ssl_muscle.viewer.train.freeze_panel import FreezingPanel
from napari_ssl_muscle.viewer.train.model_decision import ModelDecision
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.background import ENDINGS, ChildTask, ThreadTask
from napari_ssl_muscle.viewer.widgets.form import (
    CommandLine,
    Fields,
    Form,
    choice,
    column,
    heading,
    line,
    main_button,
    paragraph,
    row,
    small_button,
)
from napari_ssl_muscle.viewer.widgets.job_fields import JobFields
from napari_ssl_muscle.viewer.widgets.model_picker import MODELS, ModelPicker
from napari_ssl_muscle.viewer.widgets.muscle_boxes import MuscleBoxes
from napari_ssl_muscle.viewer.widgets.run_panel import RunPanel

if TYPE_CHECKING:
    import napari.viewer

NO_COHORT = "Choose the folder with your labelled scans first."
BUSY = "A training is shown in the form Fine-tune already; wait for its end, or stop it."


class FinetuneForm(Form):
    """Trains a model on labelled scans, in a child process.

    Parameters
    ----------
    napari_viewer
        The viewer; napari fills it in.

    Attributes
    ----------
    decision
        After a training on corrections: whether the old or the new model is kept.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        self.viewer = unwrap(napari_viewer)
        session_of(self.viewer)
        self._view: FolderSummary | None = None
        self._look: ThreadTask | None = None
        self._job: FinetuneJob | None = None
        self._short = False  # the time was proposed here, and belongs to corrections only
        super().__init__("Fine-tune")
        fields = JobFields(FinetuneJob)
        self.cohort = fields.line("cohort", hint="folder with scans and labels")
        self.cohort_button = small_button("Choose…", "Choose the folder.")
        self.summary = paragraph()
        self.channel = choice([], tooltip=fields.help("channels"), label="Image")
        self.muscles = MuscleBoxes()
        self.model = ModelPicker(
            "Start from",
            ("segmentation", "inpainting"),
            nothing=SCRATCH,
            tooltip=fields.help("init"),
            unfolded=False,
        )
        self.freeze = fields.choice("freeze", FREEZE, "Keep fixed")
        self.preset = fields.choice("preset", PRESETS, "Settings")
        self.minutes = fields.number(
            "minutes",
            "Time",
            unit="min",
            step=5,
            decimals=1,
            most=10_000,
            none="as the settings say",
        )
        self.split = fields.choice("split", SPLITS, "Check on")
        self._proposed = new_run()
        self.out = fields.line("out", str(self._proposed))
        self.out_button = small_button("…", "Choose another folder for the new model.")
        self.data = Fields(row(self.cohort, self.cohort_button, label="Scans"))
        self.earlier = line(
            tooltip="A folder with labelled scans of before; the accepted slices join them.",
            hint="may stay empty",
        )
        self.earlier_button = small_button("Choose…", "Choose the folder.")
        self.earlier_row = Fields(row(self.earlier, self.earlier_button, label="And from"))
        self.channel_row = Fields(self.channel)
        self.choices = column(self.channel_row, heading("Muscles to learn"), self.muscles)
        self.settings = Fields(
            self.freeze,
            self.preset,
            self.minutes,
            self.split,
            row(self.out, self.out_button, label="Save in"),
        )
        self.finetune_button = main_button(
            "Fine-tune", "Train the model on the labelled scans. You can go on working meanwhile."
        )
        self.freezing = FreezingPanel(self.job)
        self.panel = RunPanel("step")
        self.decision = ModelDecision(self.viewer)
        self.command = CommandLine()
        self.add_parts(
            self.data,
            self.summary,
            self.earlier_row,
            self.choices,
            self.model,
            self.settings,
            self.finetune_button,
            self.freezing.button,
            self.panel,
            self.decision,
            self.command,
            self.freezing,
        )
        self.choices.hide()
        self.earlier_row.hide()
        self.earlier_button.changed.connect(self._choose_earlier)
        self.cohort.changed.connect(self._look_at_cohort)
        self.cohort_button.changed.connect(self._choose_cohort)
        self.out_button.changed.connect(self._choose_out)
        self.finetune_button.changed.connect(self.start)
        self.panel.ended.connect(self._on_ended)
        self.panel.grown.connect(self._show_curves)
        self.freezing.button.changed.connect(lambda: self.scroll_to(self.freezing))
        self.freezing.began.connect(partial(self._enable, False))
        self.freezing.ended.connect(self._on_compared)
        self.freezing.model_chosen.connect(self._use_compared)
        self.decision.kept.connect(self._go_on_with)
        self.decision.ended.connect(self._show_decision)
        self.changed.connect(self._update)
        self.model.picked.connect(self._update)
        self._update()

    def job(self) -> FinetuneJob:
        """Return the job that the form asks for.

        Raises
        ------
        BadInput
            If something is missing or refused.
        """
        if self._view is None:
            raise BadInput(NO_COHORT)
        checked = self.muscles.checked
        if not checked:
            raise BadInput("No muscle is chosen; check at least one.")
        channel = self.channel.value
        init = self.model.reference
        try:
            return FinetuneJob(
                cohort=self._earlier_labels() if self._view.is_study else self._view.folder,
                study=self._view.folder if self._view.is_study else None,
                out=Path(self.out.value.strip()).expanduser(),
                init=init,
                freeze=self.freeze.value if init is not None else "none",
                preset=self.preset.value,
                split=self.split.value,
                muscles=None if tuple(checked) == self._view.usual else checked,
                channels=channels_of(self._view, channel),
                **{"minutes": self.minutes.value or None},
            )
        except ValidationError as error:
            raise BadInput(f"{what_is_wrong(error)}.") from None

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
        if self.cohort.value.strip() == str(folder):
            self._look_at_cohort()  # more is accepted by now
        else:
            self.cohort.value = str(folder)
        if model is not None:
            self.model.look_again(model)
            if not self.minutes.value:
                self.minutes.value = SHORT
                self._short = True

    def start(self) -> None:
        """Begin to train (the button); a problem is told in a dialog."""
        try:
            job = self.job()
            check_run_folder(job)
        except BadInput as problem:
            dialogs.tell(str(problem), parent=self.native.window())
            return
        self._job = job
        self.decision.clear()
        self._enable(False)
        self.panel.run(ChildTask(job))
        self.scroll_to(self.panel)

    def _show_curves(self) -> None:
        self.scroll_to(self.panel.curves)

    def take_up(self, work: ChildTask) -> None:
        """Show a training of an earlier session that still runs, or has ended since.

        Raises
        ------
        BadInput
            If another training is shown here.
        """
        if self.panel.running or self.freezing.running:
            raise BadInput(BUSY)
        self.decision.clear()
        if isinstance(work.job, FinetuneJob):
            self._job = work.job
            self._enable(False)
            self.panel.run(work)
            self.scroll_to(self.panel)
        else:
            self.freezing.follow(work)

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

    def _on_ended(self, event: object) -> None:
        job, self._job = self._job, None
        self._enable(True)
        if not isinstance(event, Finished | Stopped):
            return
        out = Path(event.result.get("out", ""))
        path = Path(event.result.get("model") or out / MODEL)
        if not path.is_file():
            self.panel.say("Stopped before there was anything to keep.")
            return
        MODELS.add(path)
        dice = event.result.get("metrics", {}).get("mean")
        self.panel.say(
            ("✓ Done: " if isinstance(event, Finished) else "Stopped; the best so far was kept: ")
            + f"the model '{path.parent.name}'"
            + (f" reaches a validation Dice of {dice:.2f}" if dice is not None else "")
            + ". It is in the list of models now."
        )
        self._propose(next_run(self._view))
        self.scroll_to(self.panel)
        if job is not None:
            self.show_result(job, path)

    def _on_compared(self, *_: object) -> None:
        self._enable(True)
        self.fit_width()
        self.scroll_to(self.freezing.results)

    def _use_compared(self, job: LabelledJob, model: Path) -> None:
        self.model.look_again(model)
        self.show_result(job, model)

    def _go_on_with(self, model: Path) -> None:
        """Start the next training from the model that was kept."""
        self.model.look_again(model)
        self._show_decision()

    def _show_decision(self) -> None:
        self.fit_width()
        self.scroll_to(self.decision)

    def _propose(self, run: Path) -> None:
        """Put a folder for the next run into the form, unless the person chose one."""
        now = self.out.value.strip()
        if now in ("", str(self._proposed)) or (Path(now) / MODEL).exists():
            self.out.value = str(run)
            self._proposed = run

    def _choose_cohort(self) -> None:
        folder = dialogs.ask_folder("Folder with labelled scans", self.native.window())
        if folder is not None:
            self.cohort.value = str(folder)

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

    def _choose_out(self) -> None:
        folder = dialogs.ask_folder(
            "Where to put the new model's folder", self.native.window(), runs_folder()
        )
        if folder is not None:
            self.out.value = str(folder / new_run().name)

    def _look_at_cohort(self, *_: object) -> None:
        """Read what is in the folder, in a thread: big cohorts take a while."""
        self._view = None
        self.choices.hide()
        text = self.cohort.value.strip()
        folder = Path(text).expanduser()
        if not text or not folder.is_dir():
            self.summary.value = f"⚠ There is no folder {text}." if text else ""
            self._update()
            return
        self.summary.value = "Looking into the folder …"

        def look(emit: Emit, stop: ShouldStop) -> FolderSummary:
            return summarise_labelled(folder)

        self._look = ThreadTask(look, self.native)
        self._look.bridge.arrived.connect(partial(self._show_cohort, self._look))
        self._look.start()

    def _show_cohort(self, look: ThreadTask, event: Any) -> None:
        if look is not self._look or not isinstance(event, ENDINGS):
            return  # the user has chosen another folder meanwhile
        self._look = None
        if not isinstance(event, Finished):
            self.summary.value = f"⚠ {getattr(event, 'sentence', '')}"
            return
        view: FolderSummary = look.result
        self._view = view
        self.summary.value = view.description
        several = [(ALL_CHANNELS, ALL_CHANNELS)] if len(view.channels) > 1 else []
        self.channel.choices = [(name, name) for name in view.channels] + several
        self.channel_row.visible = len(view.channels) > 1
        self.muscles.offer(view.muscles, view.usual)
        self._suit(view)
        self.choices.show()
        self.earlier_row.visible = view.is_study
        self.align_captions()
        self.fit_width()
        self._update()

    def _suit(self, view: FolderSummary) -> None:
        """Propose what suits a study, or takes that back for a cohort."""
        self._propose(next_run(view))
        if not view.is_study and self._short:
            if self.minutes.value == SHORT:
                self.minutes.value = 0
            self._short = False
        if view.model is not None and self.model.model is None and not self.model.picked_by_hand:
            with contextlib.suppress(BadInput):
                kept = find_model(view.model)
                MODELS.add(kept)
                self.model.look_again(kept)

    def _enable(self, free: bool) -> None:
        data = (self.data, self.earlier_row, self.choices)
        for part in (*data, self.model, self.settings, self.finetune_button):
            part.enabled = free
        self.freezing.look_again(free=False)
        if free:
            self._update()

    def _update(self, *_: object) -> None:
        free = not self.panel.running and not self.freezing.running
        self.freeze.enabled = self.model.model is not None and free
        self.finetune_button.enabled = self._view is not None and free
        self.freezing.look_again(free=self.freeze.enabled and self._view is not None)
        try:
            job = self.job()
        except BadInput as problem:
            self.command.show_command(None, str(problem))
            self.panel.expect("")
            return
        self.command.show_command(shell_command(job))
        model, view = self.model.model, self._view
        self.panel.expect_training(job, model.card if model else None, view.slices if view else 0)
