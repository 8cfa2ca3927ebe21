"""A job in a child process: the window stays alive, and the job can always be stopped.

The child prints its events as JSON lines. It is asked to stop through a file, because the
systems have no common signal for that; after a grace period it is ended. A child goes on when
its parent dies: the run's folder is the truth.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from napari_ssl_muscle.jobs.folders import JOB, append_event, missing_folders, withdraw
from napari_ssl_muscle.jobs.settings import AnyJob, LearningJob, write_job
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

_LAST_LINES = 30
"""Lines of the child's stderr that are kept for the report of a crash."""


class ChildJob:
    """One job in one child process.

    Parameters
    ----------
    job
        What to do. Paths are made absolute.
    on_event
        Told every event, on a thread of this object. The last one is always `Finished`,
        `Stopped` or `Failed`, and comes exactly once.
    """

    def __init__(self, job: AnyJob, on_event: Callable[[Event], None]) -> None:
        self.job = job
        self._tell = on_event
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._desk: tempfile.TemporaryDirectory[str] | None = None
        self._asked = threading.Event()
        self._saved = threading.Event()
        self._over = threading.Event()
        self._errors: deque[str] = deque(maxlen=_LAST_LINES)
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
        """Start the child. Returns at once.

        Raises
        ------
        RuntimeError
            If it was started before.
        """
        if self._reader is not None:
            raise RuntimeError("a ChildJob runs once; make another one")
        self._desk = tempfile.TemporaryDirectory(prefix="ssl-muscle-", ignore_cleanup_errors=True)
        desk = Path(self._desk.name)
        write_job(desk / JOB, self.job)
        self._began = time.time()
        self._missing = missing_folders(self.job.out.absolute())
        self._process = subprocess.Popen(
            self.command(desk / JOB, self._stop_file),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=_environment(),
            # No console window pops up on Windows; the flag exists only there.
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._reader = threading.Thread(target=self._read, name="ssl-muscle job", daemon=True)
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
        threading.Thread(
            target=self._insist, args=(grace,), name="ssl-muscle stop", daemon=True
        ).start()

    def wait(self, timeout: float | None = None) -> Event | None:
        """Wait for the end and return the closing event; None if the time ran out first."""
        self._over.wait(timeout)
        return self._end

    def command(self, job_file: Path, stop_file: Path) -> list[str]:
        """Return the words that start the child; no shell reads them."""
        # -P: modules in the current folder must not shadow the program's.
        words = [sys.executable, "-P", "-m", "napari_ssl_muscle", "run", str(job_file)]
        return [*words, "--events", "--stop-file", str(stop_file)]

    @property
    def _stop_file(self) -> Path:
        assert self._desk is not None
        return Path(self._desk.name) / "stop"

    def _insist(self, grace: float) -> None:
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

    def _read(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        assert process.stderr is not None
        listener = threading.Thread(target=self._errors.extend, args=(process.stderr,), daemon=True)
        listener.start()
        closing: Event | None = None
        for line in process.stdout:
            try:
                event = from_line(line)
            except ValueError:  # a library's own print
                self._errors.append(line)
                continue
            if isinstance(event, Finished | Stopped | Failed):
                closing = event
            else:
                if isinstance(event, Checkpoint) and self._asked.is_set():
                    self._saved.set()
                self._pass_on(event)
        code = process.wait()
        listener.join()
        process.stdout.close()
        process.stderr.close()
        if closing is None:
            closing = self._ended(code)
        assert self._desk is not None
        self._desk.cleanup()
        self._end = closing
        self._pass_on(closing)
        self._over.set()

    def _pass_on(self, event: Event) -> None:
        """Tell the listener; what it does wrong must not leave the child's pipe unread."""
        try:
            self._tell(event)
        except Exception:
            logging.getLogger(__name__).exception("A listener failed on %s", event.kind)

    def _ended(self, code: int) -> Event:
        """Tidy up after a child that could not say how it ended, and say it for it."""
        out = self.job.out.absolute()
        closing: Event
        if self._asked.is_set():
            closing = Stopped(result={"out": str(out), "ended": True})
        else:
            last = next((line.strip() for line in reversed(self._errors) if line.strip()), "")
            closing = Failed(
                sentence=f"The job's process ended unexpectedly (code {code})"
                + (f": {last.rstrip('.')}." if last else "."),
                details="".join(self._errors),
            )
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


def _environment() -> dict[str, str]:
    """Return an environment in which the child imports this very package."""
    environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
    root = str(Path(__file__).resolve().parents[2])
    # An installed package is found anyway; its folder in front would shadow the standard library.
    installed = {os.path.realpath(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}
    if os.path.realpath(root) not in installed:
        before = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = root if not before else os.pathsep.join([root, before])
    return environment
