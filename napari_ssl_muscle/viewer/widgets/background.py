"""From worker threads and child processes to the window: events arrive in the GUI thread.

Work never raises into Qt. An exception in a generator worker of napari ends without any signal
when it is a RuntimeError (which all of torch's are), so errors travel as `Failed` events.
"""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable
from typing import Any, Protocol

from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.process.child import ChildJob
from napari_ssl_muscle.jobs.process.find import FoundJob
from napari_ssl_muscle.jobs.run import format_error
from napari_ssl_muscle.jobs.settings import AnyJob
from napari_ssl_muscle.learning.events import (
    Emit,
    Event,
    Failed,
    Finished,
    Progress,
    ShouldStop,
    Stopped,
    StoppedByUser,
)

Target = Callable[[Emit, ShouldStop], Any]
"""Work for a thread: emits events, asks whether to stop, returns what the window needs."""


class EventBridge(QObject):
    """A queue that any thread fills and the GUI thread empties.

    A run of `Progress` events that waits together is thinned to its last one, so that fast work
    cannot flood the window.

    Attributes
    ----------
    arrived
        Signal, sent in the GUI thread once for each event, in order.
    """

    arrived = Signal(object)
    _wake = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._awake = False
        queued = Qt.ConnectionType.QueuedConnection
        self._wake.connect(self._deliver, queued)  # type: ignore[call-arg]

    def post(self, event: Event) -> None:
        """Take an event from any thread; does nothing once the window is gone."""
        self._queue.put(event)
        if self._awake:
            return
        self._awake = True
        try:
            self._wake.emit()
        except RuntimeError:  # Qt has deleted this object with its window
            return

    def _deliver(self) -> None:
        self._awake = False
        waiting: list[Event] = []
        while True:
            try:
                waiting.append(self._queue.get_nowait())
            except queue.Empty:
                break
        for event, after in zip(waiting, [*waiting[1:], None], strict=True):
            if isinstance(event, Progress) and isinstance(after, Progress):
                continue
            self.arrived.emit(event)


class BackgroundTask(Protocol):
    """Something that runs outside the GUI thread and emits events, until one of them is the end."""

    bridge: EventBridge

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Ask it to end; returns at once."""


ENDINGS = (Finished, Stopped, Failed)
"""Exactly one of these is the last event of any work."""


class ThreadTask:
    """A function in a thread of its own.

    Parameters
    ----------
    target
        What to run. Its return value is found in `result` when `Finished` arrives.
    parent
        Qt owner of the bridge.
    """

    def __init__(self, target: Target, parent: QObject | None = None) -> None:
        self.bridge = EventBridge(parent)
        self.result: Any = None
        self._target = target
        self._stop = threading.Event()
        # Not a daemon: torch must not be computing while the interpreter is taken down.
        self._thread = threading.Thread(target=self._run, name="ssl-muscle work")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the target to end at its next step."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the thread and say whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.result = self._target(self.bridge.post, self._stop.is_set)
            ending: Event = Finished()
        except StoppedByUser:
            ending = Stopped()
        except BadInput as problem:
            ending = Failed(sentence=str(problem), bad_input=True)
        except Exception as error:
            ending = Failed(sentence=format_error(error), details=traceback.format_exc())
        self.bridge.post(ending)


class ChildTask:
    """A job in a child process, for work that would slow the window or must always be stoppable.

    Parameters
    ----------
    job
        What to do.
    parent
        Qt owner of the bridge.
    """

    def __init__(self, job: AnyJob, parent: QObject | None = None) -> None:
        self.bridge = EventBridge(parent)
        self.job = job
        self._child: ChildJob = ChildJob(job, self.bridge.post)

    def start(self) -> None:
        """Start the child process."""
        self._child.start()

    def stop(self) -> None:
        """Ask the child to stop after its step; it is ended if that takes long."""
        self._child.stop()

    def detach(self) -> None:
        """Let the child run and follow it no more: the next window finds it."""
        self._child.detach()


class AttachedTask(ChildTask):
    """A job that was found running, or ended, without a window.

    It emits what has happened so far, and then what happens; see `AttachedJob`.

    Parameters
    ----------
    found
        Of `jobs.running.running_jobs`.
    parent
        Qt owner of the bridge.

    Raises
    ------
    BadInput
        If it cannot be found any more.
    """

    def __init__(self, found: FoundJob, parent: QObject | None = None) -> None:
        self.bridge = EventBridge(parent)
        self.job = found.job
        self._child = found.attach(self.bridge.post)

    def start(self) -> None:
        """Begin to follow; it fails, as an event, if another window was faster."""
        try:
            self._child.start()
        except BadInput as problem:
            self.bridge.post(Failed(sentence=str(problem), bad_input=True))
