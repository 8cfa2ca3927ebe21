"""Where a job writes: checks before the work, and the folder of a run."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import LOCK, FolderLock, csv_text, is_empty, write_text
from napari_ssl_muscle.jobs.job_file import absolute, read_job, write_job
from napari_ssl_muscle.jobs.settings import (
    AnyJob,
    FinetuneJob,
    LearningJob,
    PretrainJob,
)
from napari_ssl_muscle.learning.events import (
    EpochEnd,
    Event,
    Finished,
    Progress,
    from_line,
    to_line,
)
from napari_ssl_muscle.learning.models.card import CHECKPOINT_FILE, PROBES_FILE, RUN_FILE
from napari_ssl_muscle.learning.settings import Recipe

JOB = "job.json"
EVENTS = "events.jsonl"
METRICS = "metrics.csv"
MODEL = RUN_FILE
CHECKPOINT = CHECKPOINT_FILE
PROBES = PROBES_FILE
SPLIT = "split.json"
CACHE = "cache"

_BEFORE_LEARNING = (JOB, EVENTS, METRICS, SPLIT)

_MAY_DIFFER = ("resume", "out", "device")
"""Settings that a continued run may change."""


_Learning = TypeVar("_Learning", bound=LearningJob)


def check_writable(folder: Path) -> None:
    """Refuse a folder in which nothing can be written, without writing anything.

    Raises
    ------
    BadInput
        If the path is a file, or the folder (or the first one above it that exists) is not
        writable.
    """
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise BadInput(f"{there} is a file, not a folder; choose another folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise BadInput(f"Cannot write into {there}; choose a folder that you may write to.")


def check_free(files: Iterable[Path], *, overwrite: bool) -> None:
    """Refuse to replace files.

    Raises
    ------
    BadInput
        If one of `files` exists and `overwrite` is off.
    """
    there = [path for path in files if path.exists()]
    if there and not overwrite:
        which = f"{there[0]} and {len(there) - 1} more exist" if there[1:] else f"{there[0]} exists"
        raise BadInput(f"{which} already; choose another --out or allow --overwrite.")


def check_results(folder: Path, names: Iterable[str], *, overwrite: bool) -> None:
    """Refuse a folder that cannot take result files of these names, without writing anything.

    Raises
    ------
    BadInput
        As `check_writable` and `check_free`.
    """
    check_writable(folder)
    check_free((folder / name for name in names), overwrite=overwrite)


def check_run_folder(job: LearningJob) -> None:
    """Refuse a folder that cannot take this run, without writing anything.

    A run that ended before it had learned anything may be begun again, asked to resume or not.

    Raises
    ------
    BadInput
        If the folder is not writable, holds another run, or (to continue) does not hold this run.
    """
    check_writable(job.out)
    if not job.resume:
        if (job.out / MODEL).exists() or (_holds_run(job.out) and has_learned(job.out)):
            raise BadInput(
                f"{job.out} already holds a training; choose another folder, or resume that "
                "training."
            )
        if _holds_run(job.out):
            read_job(job.out / JOB)  # another program's file of that name is not replaced
        return
    if not (job.out / JOB).is_file():
        raise BadInput(f"{job.out} holds no training to resume; choose the folder of a run.")
    before, now = _compared(read_job(job.out / JOB)), _compared(absolute(job))  # type: ignore[arg-type]
    different = sorted(name for name in before | now if before.get(name) != now.get(name))
    if different:
        raise BadInput(
            f"The training in {job.out} was started with another {' and '.join(different)}; "
            "resume it with its own settings, or start a new one in another folder."
        )


def has_learned(run: Path) -> bool:
    """Whether a run, or one of the runs in its folder, has a checkpoint or came to its end."""
    if any((place / CHECKPOINT).is_file() for place in (run, *run.glob("*/"))):
        return True
    with contextlib.suppress(OSError, ValueError, IndexError):
        log = (run / EVENTS).read_text(encoding="utf-8", errors="replace")
        return isinstance(from_line(log.splitlines()[-1]), Finished)
    return (run / MODEL).is_file()


def begun_anew(job: _Learning) -> _Learning:
    """Return the job to run: one that would go on with a run that has learned nothing begins it."""
    if not job.resume or has_learned(job.out):
        return job
    return job.model_copy(update={"resume": False})


def _holds_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in (JOB, EVENTS, MODEL))


def add_recipe(job: FinetuneJob | PretrainJob, recipe: Recipe) -> None:
    """Note in the `job.json` of a new run, if it has one, all settings that it trains with."""
    path = job.out / JOB
    if path.is_file() and not job.resume:
        write_job(path, job, recipe)


class RunFolderGone(Exception):  # noqa: N818 - said as it is
    """The folder of a run was deleted while it ran, or cannot be written any more; a sentence."""

    def __init__(self, folder: Path, error: Exception | None = None) -> None:
        if error is None:
            super().__init__(
                f"The run folder {folder} is gone: deleted, moved, or its disk is away. Nothing "
                "could be kept; start the training again."
            )
            return
        reason = getattr(error.__cause__ or error, "strerror", None) or error
        kept = (
            "its last checkpoint is kept: put that right and resume the training"
            if (folder / CHECKPOINT).is_file()
            else "there was no checkpoint yet: put that right and start the training again"
        )
        super().__init__(
            f"The run folder {folder} cannot be written any more ({str(reason).rstrip('.')}); "
            f"{kept}."
        )


class ClaimedFolder:
    """Where a job writes, for this process alone until `release`.

    A folder that is there is taken at once. A new one is made and taken only by `make`, once the
    job's request has been found right.

    Raises
    ------
    BadInput
        If another job writes there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = missing_folders(folder)
        self._lock = FolderLock(folder) if folder.is_dir() else None

    def make(self) -> None:
        """Make the folder and take it, if it was not there."""
        if self._lock is not None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BadInput(
                f"Cannot make the folder {self._folder}: {reason}; choose another one."
            ) from error
        self._lock = FolderLock(self._folder)
        if not is_empty(self._folder):
            raise BadInput(
                f"Another job has written into {self._folder} meanwhile; choose another folder."
            )

    def release(self) -> None:
        """Let others write, and remove the folders that were made and stayed empty."""
        if self._lock is not None:
            self._lock.release()
            for folder in self._made:
                with contextlib.suppress(OSError):
                    folder.rmdir()


class RunFolder:
    """The folder of a run while it runs.

    It holds `job.json`, every event in `events.jsonl`, and the epochs' figures in `metrics.csv`.
    Where several trainings are compared, each has its own folder with its own figures.

    Raises
    ------
    BadInput
        If it cannot be written, although `check_run_folder` accepted the job.
    """

    def __init__(self, job: AnyJob) -> None:
        self.path = job.out
        self._epochs: dict[int, EpochEnd] = {}
        if not (isinstance(job, LearningJob) and job.resume):
            _clear(self.path)
            write_job(self.path / JOB, job)
        else:
            self._epochs = read_epochs(self.path)

    def log(self, event: Event) -> None:
        """Append an event to the run's log, which holds no progress.

        Raises
        ------
        RunFolderGone
            If there is no folder to write to (a new one would hold half a run), or its disk does
            not take more.
        """
        try:
            if not isinstance(event, Progress):
                if not (self.path / JOB).is_file():
                    raise RunFolderGone(self.path)
                append_event(self.path, event)
            if isinstance(event, EpochEnd) and not event.arm:
                # What a killed run had done after its last checkpoint is done again.
                self._epochs[event.step] = event
                write_text(self.path / METRICS, metrics_table(self._epochs.values()))
        except (OSError, BadInput) as error:
            raise RunFolderGone(self.path, error) from error

    def withdraw(self) -> bool:
        """Remove the run if it has learned nothing yet; return whether it was removed."""
        return withdraw(self.path, (), held=True)


def missing_folders(folder: Path) -> list[Path]:
    """Return those of a folder and the ones above it that do not exist yet, deepest first."""
    return [path for path in [folder, *folder.parents] if not path.exists()]


def withdraw(run: Path, made: Iterable[Path], *, held: bool = False) -> bool:
    """Remove a run that has learned nothing, and the folders `made` for it, deepest first.

    Once there is a checkpoint or a model (or anything that a run does not write), all of it stays;
    also where another process holds the folder, unless it is `held` by this one.
    Returns whether the run was removed.
    """
    if not run.is_dir():
        return False
    try:
        lock = None if held else FolderLock(run)
    except BadInput:
        return False
    try:
        shutil.rmtree(run / CACHE, ignore_errors=True)
        if any(entry.name not in (*_BEFORE_LEARNING, LOCK) for entry in run.iterdir()):
            return False
        _clear(run)
    finally:
        if lock is not None:
            lock.release()
    for folder in made:
        with contextlib.suppress(OSError):  # another program put something there
            folder.rmdir()
    return True


def _clear(run: Path) -> None:
    """Remove what a run writes before it has learned anything."""
    shutil.rmtree(run / CACHE, ignore_errors=True)
    for name in _BEFORE_LEARNING:
        (run / name).unlink(missing_ok=True)


def read_epochs(run: Path) -> dict[int, EpochEnd]:
    """Return step → epoch from a run's log; lines that were cut short are passed over."""
    epochs: dict[int, EpochEnd] = {}
    with contextlib.suppress(FileNotFoundError):
        for line in (run / EVENTS).read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                event = from_line(line)
                if isinstance(event, EpochEnd) and not event.arm:
                    epochs[event.step] = event
    return epochs


def metrics_table(epochs: Iterable[EpochEnd]) -> str:
    """Return the figures of epochs as CSV: step, epoch, best (0 or 1), then every metric."""
    rows = sorted(epochs, key=lambda event: event.step)
    names = list(dict.fromkeys(name for event in rows for name in event.metrics))
    # Figures as text, because numbers would lose digits in CSV.
    figures = [
        {name: str(event.metrics[name]) if name in event.metrics else None for name in names}
        | {"step": event.step, "epoch": event.epoch, "best": int(event.best)}
        for event in rows
    ]
    return csv_text(["step", "epoch", "best", *names], figures)


def append_event(run: Path, event: Event) -> None:
    """Append an event to a run's log, on a line of its own even after a line cut short."""
    with (run / EVENTS).open("ab+") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(to_line(event).encode("utf-8") + b"\n")


def _compared(job: Any) -> dict[str, Any]:
    values: dict[str, Any] = job.model_dump(mode="json")
    return {name: value for name, value in values.items() if name not in _MAY_DIFFER}
