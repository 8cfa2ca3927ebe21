"""Jobs that run or have ended without a window: a line for each, to show it, stop it or let it go.

A job that another window shows is not among them: that window follows it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import partial

from magicgui.widgets import Container, Widget
from qtpy.QtCore import Qt, QTimer

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.process.find import FoundJob, name_of, running_jobs
from napari_ssl_muscle.learning.events import Failed, Finished, Stopped
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.background import ENDINGS, AttachedTask
from napari_ssl_muscle.viewer.widgets.close_guard import DETACHED
from napari_ssl_muscle.viewer.widgets.form import paragraph, row, small_button
from napari_ssl_muscle.viewer.widgets.qt_lifetime import call_later, listen

LOOK_EVERY = 2000
"""Milliseconds between looks at how far the jobs are."""

Show = Callable[[AttachedTask], None]
"""Shows a job in the form that it belongs to; `BadInput` says why it cannot just now."""

_NAME = "ssl_muscle_found_job"


def found_jobs() -> list[FoundJob]:
    """Return the jobs that no window shows, the oldest first."""
    return running_jobs()


class FoundJobs(Container[Widget]):
    """The jobs that were found when a window opened; hidden if there are none.

    Parameters
    ----------
    show
        What "Show" does with a job: `panel.run(work)` in the right form. The job is in
        `work.job`.
    """

    def __init__(self, show: Show) -> None:
        self._show_job = show
        self._rows: list[JobRow] = []
        super().__init__(labels=False)
        self.margins = (0, 0, 0, 0)
        self._clock = QTimer(self.native)
        self._clock.timeout.connect(self.refresh)
        # Not at once: the window that left it may be closing, and this with it.
        listen(self.native, DETACHED.job, self._look_soon)
        self.look()

    @property
    def rows(self) -> list[JobRow]:
        """The lines, one for each job."""
        return list(self._rows)

    def look(self) -> None:
        """Look for jobs that are not listed yet."""
        listed = {line.found.job_folder.folder for line in self._rows}
        for found in found_jobs():
            if found.job_folder.folder not in listed:
                line = JobRow(found, self._show, self._remove)
                self._rows.append(line)
                self.append(line)
        self._settle()

    def _look_soon(self) -> None:
        call_later(self.native, self.look)

    def refresh(self) -> None:
        """Say anew how far the jobs are."""
        for line in self.rows:
            line.refresh()

    def _show(self, line: JobRow) -> None:
        try:
            self._show_job(AttachedTask(line.found))
        except BadInput as problem:
            dialogs.show_problem(str(problem), parent=self.native.window())
            return
        self._remove(line)

    def _remove(self, line: JobRow) -> None:
        if line in self._rows:
            self._rows.remove(line)
            self.remove(line)
            line.native.deleteLater()
        self._settle()

    def _settle(self) -> None:
        self.visible = bool(self._rows)
        if self._rows:
            self._clock.start(LOOK_EVERY)
        else:
            self._clock.stop()


class JobRow(Container[Widget]):
    """One job: what it is, how far, and buttons.

    Parameters
    ----------
    found
        The job.
    show
        What "Show" does.
    remove
        Takes the line away.
    """

    def __init__(
        self,
        found: FoundJob,
        show: Callable[[JobRow], None],
        remove: Callable[[JobRow], None],
    ) -> None:
        self.found = found
        self._remove = remove
        self._stopping: AttachedTask | None = None
        self._ended = False
        self.text = paragraph()
        self.show_button = small_button("Show", "Show it in its form, with all that has happened.")
        self.stop_button = small_button(
            "Stop", "End the work; what was reached until then is kept."
        )
        self.forget_button = small_button("OK", "Take this note away. What was made stays.")
        self.show_button.changed.connect(partial(show, self))
        self.stop_button.changed.connect(self.stop)
        self.forget_button.changed.connect(self.forget)
        buttons = row(paragraph(), self.show_button, self.stop_button, self.forget_button)
        super().__init__(widgets=[self.text, buttons], labels=False)
        self.margins = (6, 4, 6, 4)
        self.native.setObjectName(_NAME)
        self.native.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.native.setStyleSheet(f"#{_NAME} {{ border: 1px solid #1f6f8b; border-radius: 4px; }}")
        self._tell()

    def refresh(self) -> None:
        """Look what has become of the job; one that somebody else shows goes away."""
        if self._stopping is not None:
            return
        found = self.found.look_again()
        if found is None:
            self._remove(self)
            return
        self.found = found
        self._tell()

    def stop(self) -> None:
        """End the job (the button)."""
        try:
            work = AttachedTask(self.found)
        except BadInput:  # it has ended and was shown elsewhere
            self._remove(self)
            return
        self._stopping = work
        work.bridge.setParent(self.native)
        work.bridge.arrived.connect(self._on_event)
        self.show_button.enabled = self.stop_button.enabled = False
        self.text.value = f"{name_of(self.found.job)}: stopping …"
        work.start()
        work.stop()

    def forget(self) -> None:
        """Take note of the end (the button)."""
        if not self._ended:
            self.found.forget()
        self._remove(self)

    def _on_event(self, event: object) -> None:
        if isinstance(event, ENDINGS):
            self._ended = True
            name = name_of(self.found.job)
            self.text.value = (
                f"{name} was stopped; what was reached until then is in {self.found.job.out}."
                if self.found.job.out.exists()
                else f"{name} was stopped before there was anything to keep."
            )
            self.show_button.hide()
            self.stop_button.hide()
            self.forget_button.show()

    def _tell(self) -> None:
        self.text.value = format_event(self.found)
        self.stop_button.visible = self.found.alive
        self.forget_button.visible = not self.found.alive


def format_event(found: FoundJob) -> str:
    """Return "Fine-tuning has been running since 14:02, step 210 of 800.", or how it ended."""
    name, since = name_of(found.job), _time(found.since)
    if isinstance(found.end, Finished):
        return f"✓ {name} of {since} has finished meanwhile."
    if isinstance(found.end, Stopped):
        return f"{name} of {since} was stopped."
    if isinstance(found.end, Failed):
        return f"⚠ {name} of {since} has failed: {found.end.sentence}"
    text = f"{name} has been running since {since}"
    if found.progress is not None and found.progress.total:
        unit = f"{found.progress.unit} " if found.progress.unit else ""
        text += f", {unit}{found.progress.done} of {found.progress.total}"
    return f"{text}."


def _time(when: datetime.datetime) -> str:
    today = datetime.datetime.now().astimezone().date()
    return f"{when:%H:%M}" if when.date() == today else f"{when.day} {when:%B, %H:%M}"
