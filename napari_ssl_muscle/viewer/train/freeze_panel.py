"""Compare freeze modes: four trainings one after the other, their curves and figures together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from magicgui.widgets import Container, PushButton, Widget
from psygnal import Signal

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.freeze_plot import draw_curves
from napari_ssl_muscle.experiments.freeze_results import (
    FreezeComparison,
    read_comparison,
)
from napari_ssl_muscle.jobs.cli_options import shell_command
from napari_ssl_muscle.jobs.job_file import invalid_as_bad_input
from napari_ssl_muscle.jobs.run_folder import check_run_folder
from napari_ssl_muscle.jobs.settings import CompareFreezingJob, FinetuneJob, LabelledJob
from napari_ssl_muscle.jobs.text import FREEZE_TITLES
from napari_ssl_muscle.learning.events import EpochEnd, Event, Finished, Stopped
from napari_ssl_muscle.learning.models.card import read_card
from napari_ssl_muscle.viewer.train.freeze_table import format_findings, table_of
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.background import ChildTask
from napari_ssl_muscle.viewer.widgets.form import (
    CommandLine,
    column,
    main_button,
    paragraph,
    wrap_qt_widget,
)
from napari_ssl_muscle.viewer.widgets.loss_curves import format_epoch
from napari_ssl_muscle.viewer.widgets.model_picker import MODELS
from napari_ssl_muscle.viewer.widgets.plot import PlotArea
from napari_ssl_muscle.viewer.widgets.result_table import ResultTable
from napari_ssl_muscle.viewer.widgets.run_panel import RunPanel

ABOUT = (
    "Trains four models one after the other from the one chosen above: with nothing, the encoder "
    "(first half), the decoder (second half), or all but the last layer kept fixed. Scans, "
    "settings and random numbers are the same for all. It takes up to four times as long. They "
    "are compared on slices that none of them trains on."
)
PLOT_HEIGHT = 300


class FreezingPanel(Container[Widget]):
    """The comparison while it runs, and what it found; unfolded by a button.

    Parameters
    ----------
    ask
        Returns the fine-tuning that the form asks for, or raises `BadInput`; all four are like
        it, except for what they keep fixed.

    Attributes
    ----------
    button
        Shows and hides everything else; the form puts it where it belongs.
    results
        The table, what it says in words, and the button to go on with a model.
    job
        The comparison that runs, or ran last; None before the first.
    """

    began = Signal(description="Four trainings begin.")
    ended = Signal(object, description="The closing event.")
    model_chosen = Signal(object, object, description="The job, and the model file to go on with.")

    def __init__(self, ask: Callable[[], FinetuneJob]) -> None:
        self._ask = ask
        self._free = False
        self._open = False
        self.job: CompareFreezingJob | None = None
        self._curves: dict[str, list[EpochEnd]] = {}
        self._found: FreezeComparison | None = None
        self._row: int | None = None
        self.button = PushButton(
            text="Compare freeze modes…",
            tooltip="Find out which part of the model to keep fixed: trains four times, which "
            "takes four times as long.",
        )
        self.start_button = main_button("Train all four", "You can go on working meanwhile.")
        self.panel = RunPanel("step")
        self.plot = PlotArea(PLOT_HEIGHT)
        self.table = ResultTable()
        self.verdict = paragraph()
        self.use_button = PushButton(
            text="Use this model",
            tooltip="Take the model of the marked row as the one to start from.",
        )
        self.command = CommandLine()
        # What was chosen for four trainings is long; curves and figures come before it.
        for part in (self.panel.notes, self.panel.details_fold):
            self.panel.remove(part)
        self.results = column(wrap_qt_widget(self.table), self.verdict, self.use_button)
        self.content = column(
            paragraph(ABOUT),
            self.start_button,
            self.panel,
            wrap_qt_widget(self.plot),
            self.results,
            self.panel.notes,
            self.panel.details_fold,
            self.command,
        )
        super().__init__(widgets=[self.content], labels=False)
        self.margins = (0, 0, 0, 0)
        self.results.hide()
        self.content.hide()
        self.button.changed.connect(self.toggle)
        self.start_button.changed.connect(self.start)
        self.panel.event.connect(self._on_event)
        self.panel.ended.connect(self._on_ended)
        self.table.row_selected.connect(self._mark)
        self.use_button.changed.connect(self._use)
        self.set_free(free=False)

    @property
    def running(self) -> bool:
        """Whether the four are being trained."""
        return self.panel.running

    def toggle(self) -> None:
        """Show what belongs to the comparison, or hide it."""
        self._open = not self._open
        self.content.visible = self._open
        self.results.visible = self._open and self._found is not None
        self.set_free(free=self._free)

    def set_free(self, *, free: bool) -> None:
        """Take up what the form says now.

        Parameters
        ----------
        free
            Whether a comparison may begin: there is a model to start from, and nothing runs.
        """
        self._free = free
        self.button.enabled = free or self._open
        self.start_button.enabled = free and not self.running
        if self.running or not self._open:
            return
        try:
            self.command.show_command(shell_command(comparison_of(self._ask())))
        except BadInput as problem:
            self.command.show_command(None, str(problem))

    def start(self) -> None:
        """Begin (the button); a problem is shown in a dialog."""
        job = dialogs.attempt(self._checked_job, self.native.window())
        if job is not None:
            self.follow(ChildTask(job))

    def _checked_job(self) -> CompareFreezingJob:
        job = comparison_of(self._ask())
        check_run_folder(job)
        return job

    def follow(self, work: ChildTask) -> None:
        """Show a comparison that begins now, or that was found running.

        Parameters
        ----------
        work
            Not started yet; its job is a `CompareFreezingJob`.
        """
        assert isinstance(work.job, CompareFreezingJob)
        if not self._open:
            self.toggle()
        self.job = work.job
        self._curves = {}
        self._found = None
        self.plot.clear()
        self.results.hide()
        self.command.show_command(shell_command(work.job))
        self.panel.run(work)
        self.start_button.enabled = False
        self.began.emit()

    def show_results(self, out: Path) -> None:
        """Show what a comparison found so far.

        Parameters
        ----------
        out
            Its folder.

        Raises
        ------
        BadInput
            If its results cannot be read.
        """
        found = read_comparison(out)
        if found is None or not found.modes:
            return
        self._found = found
        self.table.show_rows(*table_of(found, out))
        best = max(range(len(found.modes)), key=lambda i: found.modes[i].dice.get("mean", -1.0))
        self.table.setCurrentCell(best, 0)
        self._mark(best)
        self.verdict.value = format_findings(found, found.modes[best])
        self.results.show()

    def _on_event(self, event: Event) -> None:
        if not isinstance(event, EpochEnd):
            return
        self.panel.figures.value = (
            f"{FREEZE_TITLES.get(event.arm, event.arm)}: {format_epoch(event)}"
        )
        self.panel.figures.show()
        self._curves.setdefault(event.arm, []).append(event)
        # A copy, because it is painted in a thread.
        curves = {mode: tuple(rounds) for mode, rounds in self._curves.items()}
        self.plot.show_plot(partial(draw_curves, curves=curves))

    def _on_ended(self, event: Event) -> None:
        if self.job is not None:
            dialogs.attempt(partial(self.show_results, self.job.out), self.native.window())
        if isinstance(event, Finished | Stopped):
            self.panel.show_text(self._how_it_ended(event))
        self.ended.emit(event)

    def _how_it_ended(self, event: Finished | Stopped) -> str:
        done = 0 if self._found is None else len(self._found.modes)
        if isinstance(event, Finished):
            return "✓ Done. Choose a row, and go on with its model."
        if not done:
            return "Stopped before the first of the four was done."
        return f"Stopped; {done} of the four are done and shown in the table."

    def _mark(self, row: int) -> None:
        self._row = row
        self.use_button.enabled = self._found is not None
        if self._found is not None:
            name = FREEZE_TITLES[self._found.modes[row].mode]
            self.use_button.text = f"Use this model ({name.lower()})"

    def _use(self) -> None:
        if self._found is None or self._row is None or self.job is None:
            return
        path = self.job.out / self._found.modes[self._row].model
        if not path.is_file():
            dialogs.show_problem(
                f"The model {path} is not there any more.", parent=self.native.window()
            )
            return
        MODELS.add(path)
        self.panel.show_text(
            f"The model '{read_card(path).name}' is in the list of models now, and chosen to start "
            "from."
        )
        self.model_chosen.emit(self.job, path)


def comparison_of(job: FinetuneJob) -> CompareFreezingJob:
    """Return the comparison of four trainings that are like this one, in a folder of its own.

    Raises
    ------
    BadInput
        If there is no model to start from, or nothing would be set apart to compare on.
    """
    values = {name: getattr(job, name) for name in LabelledJob.model_fields}
    values["out"] = _free_folder(job.out.with_name(f"{job.out.name}-freezing"))
    with invalid_as_bad_input():
        return CompareFreezingJob.model_validate(values)


def _free_folder(folder: Path) -> Path:
    number, found = 1, folder
    while found.exists():
        number += 1
        found = folder.with_name(f"{folder.name}-{number}")
    return found
