"""Closing a window while jobs run in it: asks whether to stop them or to leave them running.

The question comes before napari's own; what was answered is done once the window is really gone,
because napari may ask whether to close it at all. Work in a thread is of no use without its
window and is stopped unasked.
"""

from __future__ import annotations

import weakref
from typing import Literal, Protocol

from napari.utils import notifications
from psygnal import Signal
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMainWindow, QWidget

from napari_ssl_muscle.jobs.process.find import name_of
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.background import BackgroundTask, ChildTask
from napari_ssl_muscle.viewer.widgets.qt_lifetime import call_later

ClosingChoice = Literal["stop", "leave"]

GOES_ON = "goes on without its form; the muscle workbench shows it."


class _DetachedJobs:
    """Announces jobs whose window has closed while they go on."""

    job = Signal(description="A job of this program is not watched any more.")


DETACHED = _DetachedJobs()


class Panel(Protocol):
    """What shows work, and can be asked to let go of it."""

    @property
    def work(self) -> BackgroundTask | None:
        """What is going on."""

    def cancel(self) -> None:
        """Stop the work, without showing its end."""

    def leave(self) -> None:
        """Let a job in a child process run; stop other work."""


class WindowGuard(QObject):
    """Watches one window for its end.

    Parameters
    ----------
    window
        Qt parent.
    """

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        self._panels: list[weakref.ref[Panel]] = []
        self._answer: ClosingChoice | None = None
        self._asking = False
        window.installEventFilter(self)

    def add(self, panel: Panel) -> None:
        """Watch over a panel's work, too."""
        self._panels = [ref for ref in self._panels if ref() is not None and ref() is not panel]
        self._panels.append(weakref.ref(panel))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Ask when the window is asked to close; act when it has gone."""
        if event is None or not isinstance(watched, QMainWindow):
            return False
        if event.type() == QEvent.Type.Close:
            if self._asking or not self._may_close(watched):
                event.ignore()
                return True
            if not watched.isVisible():  # it has nothing to hide
                self._closed()
        elif event.type() == QEvent.Type.Hide and not event.spontaneous():
            self._closed()
        return False

    def announce_detached(self, name: str) -> None:
        """Say that a job goes on though its form is gone, unless the window goes, too."""
        DETACHED.job.emit()
        # The window is asked for here, not held: it must be free to go.
        window = self.parent()
        if self._answer is None and isinstance(window, QMainWindow) and window.isVisible():
            call_later(self, lambda: notifications.show_info(f"{name} {GOES_ON}"))

    def _working(self) -> list[Panel]:
        panels = [panel for ref in self._panels if (panel := ref()) is not None]
        return [panel for panel in panels if panel.work is not None]

    def _may_close(self, window: QMainWindow) -> bool:
        """Ask what becomes of the jobs, if there are any and somebody looks."""
        works = [panel.work for panel in self._working()]
        names = [name_of(work.job) for work in works if isinstance(work, ChildTask)]
        self._answer = "stop"
        if not names or not dialogs.can_ask() or not window.isVisible():
            return True
        self._asking = True
        try:
            answer = dialogs.ask_closing(names, _can_stay(window), window)
        finally:
            self._asking = False
        self._answer = answer
        return answer is not None

    def _closed(self) -> None:
        """Do what was answered; a window that is only hidden, by a script, keeps its work."""
        answer = self._answer
        if answer is None:
            return
        for panel in self._working():
            if answer == "leave":
                panel.leave()
            else:
                panel.cancel()


def _can_stay(window: QMainWindow) -> bool:
    """Whether it is not too late: a script's `viewer.close()` takes the canvas away first."""
    content = getattr(window, "_qt_viewer", None)
    return not (isinstance(content, QWidget) and content.isHidden())


def guard_of(widget: QWidget) -> WindowGuard | None:
    """Return the guard of the window that a widget is docked in; None if it is in none."""
    window: QObject | None = widget
    while window is not None and not isinstance(window, QMainWindow):
        window = window.parent()
    if window is None:
        return None
    found = window.findChild(WindowGuard)
    return found if found is not None else WindowGuard(window)
