"""What every form shows of its work: progress with Stop, words, curves, notes, the device."""

from __future__ import annotations

import contextlib
import time

from magicgui.widgets import Container, Label, ProgressBar, Widget
from psygnal import Signal

from napari_ssl_muscle.jobs.process.find import name_of
from napari_ssl_muscle.jobs.settings import LearningJob
from napari_ssl_muscle.jobs.text import format_duration, format_event
from napari_ssl_muscle.jobs.time_text import expected_time
from napari_ssl_muscle.learning.events import (
    EpochEnd,
    Event,
    Failed,
    Finished,
    Note,
    Progress,
    Started,
    Stopped,
)
from napari_ssl_muscle.learning.models.card import ModelCard
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.background import ENDINGS, BackgroundTask, ChildTask
from napari_ssl_muscle.viewer.widgets.close_guard import WindowGuard, guard_of
from napari_ssl_muscle.viewer.widgets.fold import Fold
from napari_ssl_muscle.viewer.widgets.form import (
    CPU,
    expected_device,
    paragraph,
    row,
    small_button,
    wrap_qt_widget,
)
from napari_ssl_muscle.viewer.widgets.loss_curves import Curves, format_epoch
from napari_ssl_muscle.viewer.widgets.plot import PlotArea
from napari_ssl_muscle.viewer.widgets.qt_lifetime import when_destroyed

__all__ = ["RunPanel", "format_epoch"]

LIVE_SECONDS = 2.0
"""Least time between two paintings of a curve of which only the last moment is new."""

_ENDED = {Finished: "Done.", Stopped: "Stopped.", Failed: "Not done."}


class RunPanel(Container[Widget]):
    """Shows one piece of work at a time.

    Parameters
    ----------
    unit
        What is counted, such as "image" or "step".
    """

    event = Signal(object, description="Every event of the work, in the GUI thread.")
    ended = Signal(object, description="The closing event, once the panel is ready for more.")
    curves_shown = Signal(description="Curves were drawn for the first time.")

    def __init__(self, unit: str) -> None:
        self.quiet = False  # no dialogs, as when documentation pictures are made
        self._unit = unit
        self._work: BackgroundTask | None = None
        self._guard: WindowGuard | None = None
        self._action = ""
        self._expected = ""
        self._notes: list[str] = []
        self._details: list[str] = []
        self._log: list[str] = []
        self._curves = Curves()
        self._drawn = 0.0  # when
        self.expected = paragraph()
        self.bar = ProgressBar(value=0, max=1)
        self.bar.native.setTextVisible(False)
        self.stop_button = small_button(
            "Stop", "End the work; what was reached until then is kept."
        )
        self.stop_button.changed.connect(self.stop)
        self.status = paragraph(lines=2)
        self.figures = paragraph()
        self.plot = PlotArea()
        self.curves = Fold(
            "Curves", wrap_qt_widget(self.plot), "Show or hide how it learns.", unfolded=True
        )
        self.notes = paragraph()
        self.details = paragraph()
        self.details_fold = Fold("Details", self.details, "Show or hide how it works in detail.")
        self.log_button = small_button("Show log…", "What happened, word for word, to copy.")
        self.log_button.changed.connect(self.show_log)
        self.device = Label(value=f"Computes on: {expected_device()}")
        super().__init__(
            widgets=[
                row(self.bar, self.stop_button),
                self.expected,
                self.status,
                self.device,
                self.log_button,
                self.figures,
                self.curves,
                self.notes,
                self.details_fold,
            ],
            labels=False,
        )
        self.margins = (0, 0, 0, 0)
        when_destroyed(self.native, self.leave)
        self._show_idle()

    @property
    def running(self) -> bool:
        """Whether work is going on."""
        return self._work is not None

    @property
    def work(self) -> BackgroundTask | None:
        """What is going on."""
        return self._work

    def run(self, work: BackgroundTask) -> None:
        """Show a piece of work and start it."""
        self._work = work
        self._guard = guard_of(self.native)
        if self._guard is not None:
            self._guard.add(self)
        self._action = ""
        self._notes, self._details, self._log = [], [], []
        self._curves.clear()
        self.figures.value = ""
        self.plot.clear()
        for part in (self.expected, self.log_button, self.figures, self.curves, self.notes):
            part.hide()
        self.details_fold.hide()
        self.bar.native.setRange(0, 0)  # Qt's "busy"
        self.bar.enabled = True
        self.stop_button.enabled = True
        self.show_text("Getting ready …")
        work.bridge.setParent(self.native)  # deleted with the panel, and its events with it
        work.bridge.arrived.connect(self._on_event)
        work.start()

    def stop(self) -> None:
        """Ask the work to end."""
        if self._work is not None:
            self.stop_button.enabled = False
            self.show_text("Stopping …")
            self._work.stop()

    def cancel(self, *_: object) -> None:
        """End the work without showing how: its window closes, or its result is not wanted."""
        work, self._work = self._work, None
        if work is not None:
            with contextlib.suppress(RuntimeError, TypeError):  # it may be gone already
                work.bridge.arrived.disconnect(self._on_event)
            work.stop()

    def show_expected_time(self, text: str) -> None:
        """Say how long the work will take; shown until it begins, and before the next one."""
        self._expected = text
        self.expected.value = text
        self.expected.visible = bool(text) and not self.running

    def show_training_time(self, job: LearningJob, card: ModelCard | None, slices: int) -> None:
        """Show what `expected_time` says; `slices` is 0 if that is not known."""
        only_cpu = expected_device() == CPU
        self.show_expected_time(expected_time(job, card, only_cpu=only_cpu, slices=slices or None))

    def leave(self, *_: object) -> None:
        """Let a job in a child process run, to be found again; stop other work."""
        work = self._work
        if not isinstance(work, ChildTask):
            self.cancel()
            return
        self._work = None
        with contextlib.suppress(RuntimeError, TypeError):  # its bridge may be gone with the panel
            work.bridge.arrived.disconnect(self._on_event)
        work.detach()
        if self._guard is not None:
            with contextlib.suppress(RuntimeError):  # the window is gone, too
                self._guard.announce_detached(name_of(work.job))

    def show_text(self, text: str) -> None:
        """Show a sentence where the progress is shown."""
        self.status.value = text

    def note(self, text: str, *, warning: bool = True) -> None:
        """Show a sentence that stays until the next start."""
        self._notes.append(f"⚠ {text}" if warning else text)
        self.notes.value = "\n".join(self._notes)
        self.notes.show()

    def show_log(self) -> None:
        """Show the notes of the last work, and how it failed."""
        dialogs.show_log("\n".join(self._log), self.native.window())

    def _show_idle(self) -> None:
        self.show_expected_time(self._expected)
        self.curves.visible = self._curves.worth_drawing
        self.figures.visible = bool(self.figures.value)
        self.log_button.visible = bool(self._log)
        self.bar.native.setRange(0, 1)
        self.bar.native.setValue(0)
        self.bar.enabled = False
        self.stop_button.enabled = False
        self.notes.visible = bool(self._notes)
        self.details_fold.visible = bool(self._details)

    def _on_event(self, event: Event) -> None:
        stopping = not self.stop_button.enabled
        if not isinstance(event, Progress) and (line := format_event(event)):
            self._log.append(line)
        if isinstance(event, Started):
            self._action = event.action
            self.device.value = f"Computes on: {event.device}"
        elif isinstance(event, Progress):
            self.bar.native.setRange(0, max(event.total, 1))
            self.bar.native.setValue(event.done)
            if self._curves.add_live(event) and time.monotonic() - self._drawn > LIVE_SECONDS:
                self._draw()
            if not stopping:
                self.show_text(self._format_event(event))
        elif isinstance(event, EpochEnd):
            self._show_round(event)
        elif isinstance(event, Note):
            if event.detail:
                self._details.append(event.text)
                self.details.value = "\n".join(self._details)
                self.details_fold.show()
            else:
                self.note(event.text, warning=event.warning)
        self.event.emit(event)
        if isinstance(event, ENDINGS):
            self._end(event)

    def _end(self, event: Finished | Stopped | Failed) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.bridge.arrived.disconnect(self._on_event)
        if isinstance(event, Failed) and event.details:
            self._log.append(event.details)
        else:
            self._log = []
        self.show_text(event.sentence if isinstance(event, Failed) else _ENDED[type(event)])
        self.figures.value = ""  # of a moment that is over; what came out is said instead
        self._show_idle()
        if self._curves.worth_drawing:
            self._draw()
        self.ended.emit(event)
        if isinstance(event, Failed) and not self.quiet:
            dialogs.show_problem(event.sentence, event.details, self.native.window())

    def _show_round(self, event: EpochEnd) -> None:
        if event.arm:  # of several trainings that are compared: shown elsewhere
            return
        self.figures.value = format_epoch(event)
        self.figures.show()
        if self._curves.add(event):
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        first = self.curves.native.isHidden()
        self.curves.show()
        self.plot.show_plot(self._curves.paint())
        if first:
            self.curves_shown.emit()

    def _format_event(self, event: Progress) -> str:
        parts = [part for part in (self._action, event.text) if part]
        if event.total:
            # Before it starts other things are counted, such as scans that are read.
            unit = f"{self._unit} " if self._action else ""
            parts.append(f"{unit}{event.done} of {event.total}")
        if event.seconds_left is not None and event.done < event.total:
            parts.append(f"about {format_duration(event.seconds_left)} left")
        text = " · ".join(parts)
        return text[:1].upper() + text[1:]
