"""A job in a child process: the window stays alive, and the job can always be stopped.

The child prints its events as JSON lines into a file on its desk, which a thread here follows. It
is asked to stop through a file, too, because the systems have no common signal for that; after a
grace period it is ended. A child has no tie to its parent: it goes on when the parent ends or is
killed, and whoever finds its desk can follow it from the beginning (`AttachedJob`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.process.job_folder import JobFolder
from napari_ssl_muscle.jobs.process.process_id import (
    UNKNOWN_CODE,
    OtherProcess,
    process_id_of,
    step_back,
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
"""Seconds after which a child that was told to end and did not is killed."""

LOOK_EVERY = 0.05
"""Seconds between looks at what the child has printed."""

_LAST_LINES = 30
"""Lines of the child's stderr that are kept for the report of a crash."""

_KILLED = -9
"""Exit code of a child that was killed: so Linux ends what takes more memory than there is."""

_OF_THE_MOMENT = (b'{"kind":"progress"',)
_OUTDATED = (*_OF_THE_MOMENT, b'{"kind":"preview"', b'{"kind":"checkpoint"')
"""How lines begin of which only the latest counts: always, and for one who comes later."""

_left: list[subprocess.Popen[bytes]] = []
"""Children that run without being watched: somebody must take note of their end."""


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
        What to do. Paths are made absolute.
    on_event
        Told every event, on a thread of this object. The last one is always `Finished`,
        `Stopped` or `Failed`, and comes exactly once, unless the child is left (`detach`).
    """

    def __init__(self, job: AnyJob, on_event: Callable[[Event], None]) -> None:
        self.job = job
        self._tell = on_event
        self._process: _Process | None = None
        self._reader: threading.Thread | None = None
        self._job_folder: JobFolder | None = None
        self._asked = threading.Event()
        self._saved = threading.Event()
        self._leave = threading.Event()
        self._over = threading.Event()
        self._strays: list[str] = []
        self._began = 0.0
        self._missing: list[Path] = []
        self._end: Event | None = None

    @property
    def running(self) -> bool:
        """Whether the closing event is still to come, and will be told."""
        return self._reader is not None and not self._over.is_set()

    @property
    def process_id(self) -> int | None:
        """The child's process id; None before the start."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the child. Returns at once.

        Raises
        ------
        RuntimeError
            If it was started before.
        """
        if self._reader is not None:
            raise RuntimeError("a ChildJob runs once; make another one")
        self._job_folder = self._start_in_folder()
        self._reader = threading.Thread(target=self._watch, name="ssl-muscle job", daemon=True)
        self._reader.start()

    def stop(self, grace: float = 1.0) -> None:
        """Ask the child to stop; end it if it has not ended after `grace` seconds.

        Returns at once and may be called again. The step in progress may end, so that everything
        up to it is kept; otherwise the last checkpoint stands. A child that has written a
        checkpoint by then gets a little longer, to finish its files.
        """
        if self._asked.is_set() or not self.running:
            return
        self._asked.set()
        with contextlib.suppress(OSError):
            self._stop_file.touch()
        # Not a daemon: a window that is closed now must not end before the child has.
        threading.Thread(target=self._stop_after, args=(grace,), name="ssl-muscle stop").start()

    def detach(self) -> None:
        """Follow the child no more and let it run: it can be found again by its desk.

        No closing event is told after this returns; none at all, if the child still runs.
        """
        if self._reader is None or self._over.is_set():
            return
        self._leave.set()
        if threading.current_thread() is not self._reader:
            self._reader.join()

    def wait(self, timeout: float | None = None) -> Event | None:
        """Wait for the end and return the closing event; None if time ran out or it was left."""
        self._over.wait(timeout)
        return self._end

    def command(self, job_file: Path, stop_file: Path) -> list[str]:
        """Return the words that start the child; no shell reads them."""
        # -P: modules in the current folder must not shadow the program's.
        words = [sys.executable, "-P", "-m", "napari_ssl_muscle", "run", str(job_file)]
        return [*words, "--events", "--stop-file", str(stop_file)]

    @property
    def _stop_file(self) -> Path:
        assert self._job_folder is not None
        return self._job_folder.stop

    def _start_in_folder(self) -> JobFolder:
        """Start the child at a desk of its own."""
        _left[:] = [process for process in _left if process.poll() is None]
        job_folder = JobFolder.set_up(self.job)
        try:
            self._began = time.time()
            self._missing = missing_folders(self.job.out.absolute())
            with job_folder.events.open("ab") as events, job_folder.errors.open("ab") as errors:
                process = subprocess.Popen(
                    self.command(job_folder.job_file, job_folder.stop),
                    stdin=subprocess.DEVNULL,
                    stdout=events,
                    stderr=errors,
                    env=_environment(),
                    # Ctrl-C in the parent's terminal, or its end, is none of the child's business.
                    start_new_session=True,
                    creationflags=_flags("CREATE_NO_WINDOW", "CREATE_NEW_PROCESS_GROUP"),
                )
        except BaseException:
            job_folder.clear()
            raise
        self._process = process
        step_back(process.pid)
        mark = process_id_of(process.pid)
        if mark is not None:
            with contextlib.suppress(BadInput):  # the disk is full: it runs, but cannot be left
                job_folder.note_child(mark, self._began, self._missing)
        return job_folder

    def _stop_after(self, grace: float) -> None:
        self._end_it(grace)
        if self._reader is not None:
            self._reader.join(KILL_AFTER)  # it tidies up after the child

    def _end_it(self, grace: float) -> None:
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
        except OSError as error:  # the desk is gone or out of reach
            self._strays.append(f"{error}\n")
            closing = None
            while process.poll() is None and not self._leave.wait(LOOK_EVERY):
                pass
        if self._leave.is_set():
            if isinstance(process, subprocess.Popen):
                _left.append(process)
            job_folder.let_go()
            self._over.set()
            return
        if closing is None:
            closing = self._ended(process.wait(), job_folder)
        self._end = closing
        self._pass_on(closing)
        job_folder.clear()
        self._over.set()

    def _follow(self, process: _Process, job_folder: JobFolder) -> Event | None:
        """Tell the events of a child until it ends or is left; return how it says it ended."""
        closing: Event | None = None
        rest = b""
        latest_only: tuple[bytes, ...] = _OUTDATED
        with job_folder.events.open("rb") as file:
            while not self._leave.is_set():
                over = process.poll() is not None  # asked first: nothing is printed after that
                *lines, rest = (rest + file.read()).split(b"\n")
                if over:
                    lines.append(rest)
                for event in self._events(lines, latest_only):
                    if isinstance(event, Finished | Stopped | Failed):
                        closing = event
                        continue
                    if isinstance(event, Checkpoint) and self._asked.is_set():
                        self._saved.set()
                    self._pass_on(event)
                if over:
                    break
                latest_only = _OF_THE_MOMENT
                self._leave.wait(LOOK_EVERY)
        return closing

    def _events(self, lines: list[bytes], latest_only: tuple[bytes, ...]) -> Iterator[Event]:
        """Return the events in some lines; of some kinds, only the last one."""
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
                    self._strays = [*self._strays, text.rstrip("\r") + "\n"][-_LAST_LINES:]

    def _pass_on(self, event: Event) -> None:
        """Tell the listener; what it does wrong must not end the thread that follows the child."""
        try:
            self._tell(event)
        except Exception:
            logging.getLogger(__name__).exception("A listener failed on %s", event.kind)

    def _ended(self, code: int, job_folder: JobFolder) -> Event:
        """Tidy up after a child that could not say how it ended, and say it for it."""
        out = self.job.out.absolute()
        closing: Event
        if self._asked.is_set() or job_folder.stop.exists():
            closing = Stopped(result={"out": str(out), "ended": True})
        else:
            errors = [*self._strays, *job_folder.last_errors()][-_LAST_LINES:]
            closing = Failed(sentence=format_exit(errors, code), details="".join(errors))
        for part in out.glob(".part-*"):
            # What the child was writing; older ones are somebody else's.
            with contextlib.suppress(OSError):
                if part.stat().st_mtime >= self._began - 2:
                    part.unlink()
        if isinstance(self.job, LearningJob) and (out / JOB).is_file():
            with contextlib.suppress(OSError):
                if self.job.resume or not withdraw(out, self._missing):
                    append_event(out, closing)
        return closing


class AttachedJob(ChildJob):
    """A job that a parent of another time has started, found by its desk.

    What has happened so far is told first: all of it, but of progress, previews and checkpoints
    only the latest. If the child has ended meanwhile, its closing event follows at once.

    Parameters
    ----------
    desk
        Its desk.
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
    """Return the sentence on a child that ended without a word.

    Parameters
    ----------
    errors
        The last lines that it printed on stderr.
    code
        Its exit code.
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


def _flags(*names: str) -> int:
    """Return flags for starting a process, which exist on Windows only."""
    flags = 0
    for name in names:
        flags |= getattr(subprocess, name, 0)
    return flags


def _environment() -> dict[str, str]:
    """Return an environment in which the child imports this very package."""
    environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
    root = str(Path(__file__).resolve().parents[3])
    # An installed package is found anyway; its folder in front would shadow the standard library.
    installed = {os.path.realpath(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}
    if os.path.realpath(root) not in installed:
        before = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = root if not before else os.pathsep.join([root, before])
    return environment
