"""The folder of a job in a child process, by which window and child find each other again.

It holds the job, everything that the child prints (events as JSON lines, and what libraries
print), the file that asks it to stop, the child's process id, and that of the process that
follows it. Job folders are in the user's home, so that a job whose window was closed or killed is
found by the next one. A job folder is removed once the end of its job was shown.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import shutil
import tempfile
import time
from pathlib import Path

from pydantic import BaseModel, ValidationError

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import write_text
from napari_ssl_muscle.jobs.job_file import read_job, write_job
from napari_ssl_muscle.jobs.process.process_id import ProcessId, is_alive, this_process
from napari_ssl_muscle.jobs.run_folder import EVENTS, JOB
from napari_ssl_muscle.jobs.settings import AnyJob
from napari_ssl_muscle.paths import running_folder

_CHILD = "child.json"
_WATCHER = "watcher.json"
_TAIL = 1 << 18
"""Bytes at the end of a file that are looked at for what was last."""


class Child(BaseModel):
    """The child process of a job folder, as it was started."""

    computer: str
    """Homes may be on a server; the process id is valid on this computer only."""
    process: ProcessId
    began: float
    """Seconds since 1970."""
    missing: list[Path]
    """Folders that were not there before the job, deepest first."""

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, a process of this computer."""
        return self.computer == platform.node()


class JobFolder:
    """The folder of one job in a child process; it exists."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.job_file = folder / JOB
        self.events = folder / EVENTS
        self.errors = folder / "errors.txt"
        self.stop = folder / "stop"

    @classmethod
    def set_up(cls, job: AnyJob) -> JobFolder:
        """Make the folder of a job, followed by this process.

        Where the home cannot be written to, it is a temporary folder, and the job cannot be found
        again.
        """
        name = f"{datetime.datetime.now():%Y-%m-%d-%H%M%S}-{job.action}-"
        try:
            base = running_folder()
            base.mkdir(parents=True, exist_ok=True)
            folder = tempfile.mkdtemp(prefix=name, dir=base)
        except (OSError, RuntimeError):  # RuntimeError: there is no home
            folder = tempfile.mkdtemp(prefix=f"ssl-muscle-{name}")
        job_folder = cls(Path(folder))
        try:
            job_folder.claim()
            write_job(job_folder.job_file, job)
        except BaseException:
            job_folder.clear()
            raise
        return job_folder

    def job(self) -> AnyJob:
        """Return the job.

        Raises
        ------
        BadInput
            If it is no job of this version of the program.
        """
        return read_job(self.job_file)

    def note_child(self, process: ProcessId, began: float, missing: list[Path]) -> None:
        """Record the child process."""
        child = Child(computer=platform.node(), process=process, began=began, missing=missing)
        write_text(self.folder / _CHILD, child.model_dump_json(indent=2) + "\n")

    def child(self) -> Child | None:
        """Return the child process; None if it was not recorded."""
        try:
            text = (self.folder / _CHILD).read_text(encoding="utf-8")
            return Child.model_validate_json(text)
        except (OSError, ValidationError):
            return None

    def claim(self) -> bool:
        """Record this process as the follower; return False if a living one follows already."""
        if self.watched:
            return False
        write_text(self.folder / _WATCHER, this_process().model_dump_json() + "\n")
        return True

    def release(self) -> None:
        """Record that no process follows the job."""
        with contextlib.suppress(OSError):
            (self.folder / _WATCHER).unlink()

    @property
    def watched(self) -> bool:
        """Whether a living process, this one or another, follows the job."""
        try:
            text = (self.folder / _WATCHER).read_text(encoding="utf-8")
            return is_alive(ProcessId.model_validate_json(text))
        except (OSError, ValidationError):
            return False

    @property
    def age(self) -> float:
        """Seconds since anything was written."""
        times = []
        for path in [self.folder, *self.folder.glob("*")]:
            with contextlib.suppress(OSError):
                times.append(path.stat().st_mtime)
        return time.time() - max(times, default=0.0)

    def last_events(self) -> list[str]:
        """Return the last lines that the child has printed."""
        return _last_lines(self.events)

    def last_errors(self) -> list[str]:
        """Return the last lines on the child's stderr, with their newlines."""
        return _last_lines(self.errors)

    def clear(self) -> None:
        """Remove it, once the end of the job was shown."""
        shutil.rmtree(self.folder, ignore_errors=True)


def all_job_folders() -> list[JobFolder]:
    """Return all job folders of this user, the oldest first."""
    try:
        folders = sorted(path for path in running_folder().iterdir() if path.is_dir())
    except (OSError, RuntimeError):
        return []
    return [JobFolder(folder) for folder in folders]


def readable_job(job_folder: JobFolder) -> AnyJob | None:
    """Return the job of a folder; None if it cannot be read."""
    try:
        return job_folder.job()
    except BadInput:
        return None


def _last_lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    lines = text.splitlines(keepends=True)
    return lines[1:] if size > _TAIL else lines
