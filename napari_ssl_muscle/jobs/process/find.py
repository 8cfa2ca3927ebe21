"""Jobs that run, or have ended, while no window followed them."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable
from dataclasses import dataclass

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.process.child import AttachedJob, format_exit
from napari_ssl_muscle.jobs.process.job_folder import (
    JobFolder,
    all_job_folders,
    readable_job,
)
from napari_ssl_muscle.jobs.process.process_id import is_alive
from napari_ssl_muscle.jobs.settings import AnyJob
from napari_ssl_muscle.learning.events import (
    Event,
    Failed,
    Finished,
    Progress,
    Stopped,
    from_line,
    ignore_event,
)

KEPT = 30 * 24 * 3600.0
"""Seconds after which the end of a job is shown no more."""

UNFOUNDED = 24 * 3600.0
"""Seconds after which a job folder without a child process is removed."""

_NAMES = {
    "finetune": "Fine-tuning",
    "pretrain": "Pretraining",
    "segment": "Segmenting",
    "evaluate": "Evaluating",
    "measure": "Measuring",
    "follow": "Following",
    "compare-freezing": "Comparing freeze modes",
}


@dataclass(frozen=True)
class FoundJob:
    """A job that no window shows.

    `progress` is how far it is, or was when it ended; `end` is None while it runs.
    """

    job_folder: JobFolder
    job: AnyJob
    since: datetime.datetime
    alive: bool
    progress: Progress | None = None
    end: Finished | Stopped | Failed | None = None

    def attach(self, on_event: Callable[[Event], None]) -> AttachedJob:
        """Return it as a job to follow (`start`) and stop; `BadInput` if it is gone."""
        return AttachedJob(self.job_folder, on_event)

    def forget(self) -> None:
        """Remove the job folder of an ended job, and what a killed child left behind."""
        with contextlib.suppress(BadInput):
            # Following it to its closing event removes its folder.
            ended = AttachedJob(self.job_folder, ignore_event)
            ended.start()
            ended.wait()

    def look_again(self) -> FoundJob | None:
        """Return its present state; None if its folder is gone or followed by now."""
        return None if self.job_folder.watched else _found(self.job_folder)


def running_jobs() -> list[FoundJob]:
    """Return the jobs of this user and computer that no process follows, the oldest first.

    Those that run, and those that have ended since and were not shown.
    """
    found = []
    for job_folder in all_job_folders():
        if job_folder.watched:
            continue
        one = _found(job_folder)
        if one is None:
            if job_folder.child() is None and job_folder.age > UNFOUNDED:
                job_folder.clear()
        elif one.end is not None and (job_folder.stop.exists() or job_folder.age > KEPT):
            one.forget()  # stopped by the user, or long ago
        else:
            found.append(one)
    return sorted(found, key=lambda one: one.since)


def name_of(job: AnyJob) -> str:
    """Return what a job does: "Fine-tuning"."""
    return _NAMES.get(job.action, job.action.replace("-", " ").capitalize())


def _found(job_folder: JobFolder) -> FoundJob | None:
    """Return the job of a folder; None without one, or with one of another computer or version."""
    child, job = job_folder.child(), readable_job(job_folder)
    if child is None or job is None or not child.is_here:
        return None
    # Asked before reading: a child that has ended by then has said everything.
    alive = is_alive(child.process)
    progress, end = _latest(job_folder)
    if alive:
        end = None  # the closing event comes a moment before the end
    elif end is None:
        stopped = job_folder.stop.exists()
        end = Stopped() if stopped else Failed(sentence=format_exit(job_folder.last_errors()))
    since = datetime.datetime.fromtimestamp(child.began).astimezone()
    return FoundJob(job_folder, job, since, alive, progress, end)


def _latest(job_folder: JobFolder) -> tuple[Progress | None, Finished | Stopped | Failed | None]:
    progress: Progress | None = None
    end: Finished | Stopped | Failed | None = None
    for line in reversed(job_folder.last_events()):
        with contextlib.suppress(ValueError):
            event = from_line(line)
            if isinstance(event, Finished | Stopped | Failed):
                end = event
            elif isinstance(event, Progress):
                progress = event
                break
    return progress, end
