"""A stopped training, found by its run folder, as the job that continues it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.job_file import read_job
from napari_ssl_muscle.jobs.process.job_folder import all_job_folders, readable_job
from napari_ssl_muscle.jobs.process.process_id import is_alive
from napari_ssl_muscle.jobs.run_folder import EVENTS, JOB, check_run_folder
from napari_ssl_muscle.jobs.settings import CompareFreezingJob, FinetuneJob, PretrainJob
from napari_ssl_muscle.learning.events import Finished, from_line

Training = PretrainJob | FinetuneJob | CompareFreezingJob


def continuation(folder: Path) -> Training:
    """Return the job that continues the stopped training in a folder.

    Raises
    ------
    BadInput
        If the folder holds no training, or one that is complete, still runs, or ended before its
        first checkpoint.
    """
    folder = folder.expanduser()
    if not (folder / JOB).is_file():
        raise BadInput(f"{folder} holds no training to resume; choose the folder of a run.")
    job = read_job(folder / JOB)
    if not isinstance(job, Training):
        raise BadInput(f"What is in {folder} is no training; choose the folder of a run.")
    if _is_complete(folder):
        raise BadInput(f"The training in {folder} is complete; there is nothing to resume.")
    if _runs(folder):
        raise BadInput(f"The training in {folder} is still running; stop it first.")
    resumed = job.model_copy(update={"resume": True, "out": folder})
    check_run_folder(resumed)
    return resumed


def _is_complete(folder: Path) -> bool:
    with contextlib.suppress(OSError, ValueError, IndexError):
        log = (folder / EVENTS).read_text(encoding="utf-8", errors="replace")
        return isinstance(from_line(log.splitlines()[-1]), Finished)
    return False


def _runs(folder: Path) -> bool:
    for job_folder in all_job_folders():
        job, child = readable_job(job_folder), job_folder.child()
        if job is None or child is None or not child.is_here:
            continue
        if job.out.resolve() == folder.resolve() and is_alive(child.process):
            return True
    return False
