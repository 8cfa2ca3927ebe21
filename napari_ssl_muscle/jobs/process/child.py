"""A job in a child process: the window stays alive, and the job can always be stopped.

The child prints its events as JSON lines into a file of its job folder, which a thread here
follows. It is asked to stop through a file, too, because operating systems have no common signal
for that; after a grace period it is terminated. The child goes on when its parent ends or is
killed, and a process that finds the job folder can follow it from the beginning (`AttachedJob`).
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.process.job_folder import JobFolder
from napari_ssl_muscle.jobs.process.launch import launch
from napari_ssl_muscle.jobs.process.process_id import (
    UNKNOWN_CODE,
    OtherProcess,
    lower_priority,
    process_id_of,
)
from napari_ssl_muscle.jobs.run_folder import JOB, append_event, missing_folders, withdraw
from napari_ssl_muscle.jobs.settings import AnyJob, LearningJob
from napari_ssl_muscle.learning.events import (
    Checkpoint,
    Event,
    Failed,
    Finished,
    Stopped,
    from_line,
)

KILL_AFTER = 5.0
"""Seconds after which a child that did not end when terminated is killed."""

LOOK_EVERY = 0.05
"""Seconds between looks at what the child has printed."""

_LAST_LINES = 30
"""Lines of the child's stderr that are kept for the report of a crash."""

_KILLED = -9
"""Exit code of a child that was killed: so Linux ends what takes more memory than there is."""

_LATEST_ONLY = (b'{"kind":"progress"',)
_LATEST_ONLY_AT_FIRST = (*_LATEST_ONLY, b'{"kind":"preview"', b'{"kind":"checkpoint"')
"""Beginnings of lines of which only the last is passed on: of those read at once, always and in
the first read, which may hold everything since the start."""

_detached: list[subprocess.Popen[bytes]] = []
"""Children that run without being followed; polled, so that they do not stay zombies."""


class _Process(Protocol):
    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class ChildJob:
    """One job in one child process.

    Parameters
    ----------
    job
        Its paths are made absolute.
    on_event
        Called with every event, on a thread of this object. The last one is always `Finished`,
        `Stopped` or `Failed`, and comes exactly once, unless the child is detached.
    """

    def __init__(self, job: AnyJob, on_event: Callable[[Event], None]) -> None:
        self.job = job
        self._on_event = on_event
        self._process: _Process | None = None
        self._reader: threading.Thread | None = None
        self._job_folder: JobFolder | None = None
        self._stop_asked = threading.Event()
        self._saved = threading.Event()
        self._detach = threading.Event()
        self._over = threading.Event()
        self._other_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._began = 0.0
        self._missing: list[Path] = []
        self._end: Event | None = None

    @property
    def running(self) -> bool:
        """Whether the closing event is still to come."""
        return self._reader is not None and not self._over.is_set()

    @property
    def process_id(self) -> int | None:
        """The child's process id; None before the start."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the child; returns at once. A second call raises `RuntimeError`."""
        if self._reader is not None:
            raise RuntimeError("a ChildJob runs once; make another one")
        self._job_folder = self._start_in_folder()
        self._reader = threading.Thread(target=self._watch, name="ssl-muscle job", daemon=True)
        self._reader.start()

    def stop(self, grace: float = 1.0) -> None:
        """Ask the child to stop; terminate it if it has not ended after `grace` seconds.

        Returns at once and may be called again. A step that ends within that time is kept;
        otherwise the last checkpoint stands. A child that has written a checkpoint by then gets
        `KILL_AFTER` seconds more, to finish its files.
        """
        if self._stop_asked.is_set() or not self.running:
            return
        self._stop_asked.set()
        with contextlib.suppress(OSError):
            self._stop_file.touch()
        # Not a daemon: a window that is closed now must not end before the child has.
        threading.Thread(target=self._stop_after, args=(grace,), name="ssl-muscle stop").start()

    def detach(self) -> None:
        """Stop following the child and let it run: it can be found again by its job folder.

        No event is passed on after this returns.
        """
        if self._reader is None or self._over.is_set():
            return
        self._detach.set()
        if threading.current_thread() is not self._reader:
            self._reader.join()

    def wait(self, timeout: float | None = None) -> Event | None:
        """Wait for the closing event; None if time ran out or the child was detached."""
        self._over.wait(timeout)
        return self._end

    def command(self, job_file: Path, stop_file: Path) -> list[str]:
        """Return the command line that starts the child; no shell reads it."""
        # -P: modules in the current folder must not shadow the program's.
        program = [sys.executable, "-P", "-m", "napari_ssl_muscle"]
        return [*program, "run", str(job_file), "--events", "--stop-file", str(stop_file)]

    @property
    def _stop_file(self) -> Path:
        assert self._job_folder is not None
        return self._job_folder.stop

    def _start_in_folder(self) -> JobFolder:
        """Start the child in a job folder of its own; return that."""
        _detached[:] = [process for process in _detached if process.poll() is None]
        job_folder = JobFolder.set_up(self.job)
        try:
            self._began = time.time()
            self._missing = missing_folders(self.job.out.absolute())
            process = launch(self.command(job_folder.job_file, job_folder.stop), job_folder)
        except BaseException:
            job_folder.clear()
            raise
        self._process = process
        lower_priority(process.pid)
        process_id = process_id_of(process.pid)
        if process_id is not None:
            # A full disk: it runs, but cannot be found again.
            with contextlib.suppress(BadInput):
                job_folder.note_child(process_id, self._began, self._missing)
        return job_folder

    def _stop_after(self, grace: float) -> None:
        self._terminate(grace)
        if self._reader is not None:
            self._reader.join(KILL_AFTER)  # it tidies up after the child

    def _terminate(self, grace: float) -> None:
        if self._ends_within(grace):
            return
        # A checkpoint since then: the step is over, and only the model is still to be written.
        if self._saved.is_set() and self._ends_within(KILL_AFTER):
            return
        assert self._process is not None
        self._process.terminate()
        if not self._ends_within(KILL_AFTER):
            self._process.kill()

    def _ends_within(self, seconds: float) -> bool:
        assert self._process is not None
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _watch(self) -> None:
        process, job_folder = self._process, self._job_folder
        assert process is not None
        assert job_folder is not None
        try:
            closing = self._follow(process, job_folder)
        except OSError as error:  # the job folder is gone or out of reach
            self._other_lines.append(f"{error}\n")
            closing = None
            while process.poll() is None and not self._detach.wait(LOOK_EVERY):
                pass
        if self._detach.is_set():
            if isinstance(process, subprocess.Popen):
                _detached.append(process)
            job_folder.release()
            self._over.set()
            return
        if closing is None:
            closing = self._ended(process.wait(), job_folder)
        self._end = closing
        self._notify(closing)
        job_folder.clear()
        self._over.set()

    def _follow(self, process: _Process, job_folder: JobFolder) -> Event | None:
        """Pass on the child's events until it ends or is detached; return its closing event."""
        closing: Event | None = None
        rest = b""
        latest_only: tuple[bytes, ...] = _LATEST_ONLY_AT_FIRST
        with job_folder.events.open("rb") as file:
            while not self._detach.is_set():
                over = process.poll() is not None  # asked first: nothing is printed after that
                *lines, rest = (rest + file.read()).split(b"\n")
                if over:
                    lines.append(rest)
                for event in self._events(lines, latest_only):
                    if isinstance(event, Finished | Stopped | Failed):
                        closing = event
                        continue
                    if isinstance(event, Checkpoint) and self._stop_asked.is_set():
                        self._saved.set()
                    self._notify(event)
                if over:
                    break
                latest_only = _LATEST_ONLY
                self._detach.wait(LOOK_EVERY)
        return closing

    def _events(self, lines: list[bytes], latest_only: tuple[bytes, ...]) -> Iterator[Event]:
        """Return the events in some lines; of lines that begin as in `latest_only`, the last."""
        last = {
            kind: max((at for at, line in enumerate(lines) if line.startswith(kind)), default=-1)
            for kind in latest_only
        }
        for at, line in enumerate(lines):
            if any(line.startswith(kind) and at != last[kind] for kind in latest_only):
                continue
            text = line.decode("utf-8", errors="replace")
            try:
                yield from_line(text)
            except ValueError:  # a library's own print, or an event that was cut short
                if text.strip() and not text.startswith('{"kind"'):
                    self._other_lines.append(text.rstrip("\r") + "\n")

    def _notify(self, event: Event) -> None:
        """Call `on_event`; its errors must not end the thread that follows the child."""
        try:
            self._on_event(event)
        except Exception:
            logging.getLogger(__name__).exception("A listener failed on %s", event.kind)

    def _ended(self, code: int, job_folder: JobFolder) -> Event:
        """Remove what a child without a closing event left behind, and return such an event."""
        out = self.job.out.absolute()
        closing: Event
        if self._stop_asked.is_set() or job_folder.stop.exists():
            closing = Stopped(result={"out": str(out), "ended": True})
        else:
            errors = [*self._other_lines, *job_folder.last_errors()][-_LAST_LINES:]
            closing = Failed(sentence=format_exit(errors, code), details="".join(errors))
        for part in out.glob(".part-*"):
            # What the child was writing; older ones are another process's.
            with contextlib.suppress(OSError):
                if part.stat().st_mtime >= self._began - 2:
                    part.unlink()
        if isinstance(self.job, LearningJob) and (out / JOB).is_file():
            with contextlib.suppress(OSError):
                if self.job.resume or not withdraw(out, self._missing):
                    append_event(out, closing)
        return closing


class AttachedJob(ChildJob):
    """A job that an earlier parent has started, found by its job folder.

    Everything that has happened so far is passed on first, of progress, previews and checkpoints
    only the latest. If the child has ended meanwhile, its closing event follows at once.

    Parameters
    ----------
    job_folder
        Where it runs.
    on_event
        As for `ChildJob`.

    Raises
    ------
    BadInput
        If there is no child to be found there; from `start`, if another window follows it.
    """

    def __init__(self, job_folder: JobFolder, on_event: Callable[[Event], None]) -> None:
        super().__init__(job_folder.job(), on_event)
        child = job_folder.child()
        if child is None:
            raise BadInput(f"No job is at work in {job_folder.folder}.")
        self._found = job_folder
        self._began, self._missing = child.began, child.missing
        self._process = OtherProcess(child.process)

    def _start_in_folder(self) -> JobFolder:
        if not self._found.claim():
            raise BadInput("This job is shown in another window; look for it there.")
        return self._found


def format_exit(errors: Sequence[str], code: int = UNKNOWN_CODE) -> str:
    """Return the sentence on a child that ended without a closing event.

    `errors` are the last lines that it printed on stderr.
    """
    if code == _KILLED:
        return (
            "The job was ended by the system, most likely because there was not enough memory; "
            "choose a smaller batch, width or size, or close other programs."
        )
    last = next((line.strip() for line in reversed(errors) if line.strip()), "")
    which = "" if code == UNKNOWN_CODE else f" (code {code})"
    return f"The job's process ended unexpectedly{which}" + (
        f": {last.rstrip('.')}." if last else "."
    )
