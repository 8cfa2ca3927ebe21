"""Runs a job in this process: one stream of events, one way to end.

Every action has a function ``prepare(job) -> PreparedJob``: it checks everything that the job
names, raises `BadInput` where something is wrong, and writes nothing. `napari_ssl_muscle.actions`
lists all of them.
"""

from __future__ import annotations

import contextlib
import errno
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import CannotWrite
from napari_ssl_muscle.jobs.run_folder import (
    ClaimedFolder,
    RunFolder,
    RunFolderGone,
    begun_anew,
    check_run_folder,
)
from napari_ssl_muscle.jobs.settings import AnyJob, LearningJob
from napari_ssl_muscle.learning.events import (
    Emit,
    Event,
    Failed,
    Finished,
    ShouldStop,
    Speed,
    Stopped,
    StoppedByUser,
    ignore_event,
    never_stop,
)
from napari_ssl_muscle.learning.training.memory import is_out_of_memory
from napari_ssl_muscle.learning.training.time_estimate import remember


class JobFailed(Exception):  # noqa: N818 - said as it is
    """A job ended in an error that is not the user's; the message is one sentence."""


@dataclass(frozen=True)
class Outcome:
    """How the work of a job ended; `result` holds paths as text and figures as numbers."""

    result: dict[str, Any] = field(default_factory=dict)
    stopped: bool = False


def saved_results(out: Path, files: Iterable[Path], text: str, **figures: Any) -> Outcome:
    """Return the outcome of a job that wrote result files: for the screen, `text` and `figures`."""
    result = {"text": text, "files": [str(path) for path in files], "out": str(out)}
    return Outcome({**result, **figures})


_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE)
"""What a disk that is full, write-protected or away answers."""

PreparedJob = Callable[[Emit, ShouldStop], Outcome]
"""The work of a job whose settings and files were checked."""


def run_prepared(
    job: AnyJob,
    prepare: Callable[[Any], PreparedJob],
    emit: Emit = ignore_event,
    stop: ShouldStop = never_stop,
) -> dict[str, Any]:
    """Run a job to its end on this thread.

    Parameters
    ----------
    job
        What to do.
    prepare
        Of the job's action.
    emit
        Called with every event; the last one is `Finished`, `Stopped` or `Failed`.
    stop
        Asked between steps; true once the user wants it to end.

    Returns
    -------
    dict
        The action's result; what was kept until then if it was stopped.

    Raises
    ------
    BadInput
        If the request was wrong. Nothing was written.
    JobFailed
        If anything else went wrong; the traceback is in the event and in the run's log.
    """
    with contextlib.ExitStack() as held:
        return _run(job, prepare, emit, stop, held)


def _run(
    job: AnyJob,
    prepare: Callable[[Any], PreparedJob],
    emit: Emit,
    stop: ShouldStop,
    held: contextlib.ExitStack,
) -> dict[str, Any]:
    """See `run_prepared`; the folder is released with `held`."""
    folder: RunFolder | None = None

    def report(event: Event) -> None:
        if folder is not None:
            folder.log(event)
        emit(event)
        if isinstance(event, Speed):
            # There may be no home folder, or none that can be written to.
            with contextlib.suppress(BadInput, OSError, RuntimeError):
                remember(event)

    try:
        claimed = ClaimedFolder(job.out)
        held.callback(claimed.release)
        if isinstance(job, LearningJob):
            check_run_folder(job)
            job = begun_anew(job)
        work = prepare(job)
        if not getattr(job, "dry_run", False):
            claimed.make()
        if isinstance(job, LearningJob):
            folder = RunFolder(job)
        outcome = work(report, stop)
    except StoppedByUser:
        if folder is not None and folder.withdraw():
            folder = None
        outcome = Outcome({"out": str(job.out)}, stopped=True)
    except BadInput as error:
        if isinstance(error, CannotWrite) and folder is not None:
            raise _without_folder(str(RunFolderGone(folder.path, error)), emit) from None
        if folder is not None and folder.withdraw():
            folder = None
        report(Failed(sentence=str(error), bad_input=True))
        raise
    except RunFolderGone as error:
        raise _without_folder(str(error), emit) from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK:
            gone = RunFolderGone(folder.path, error) if folder is not None else format_error(error)
            raise _without_folder(str(gone), emit) from None
        sentence = format_error(error)
        with _gone_folder_said(emit):
            report(Failed(sentence=sentence, details=traceback.format_exc()))
        raise JobFailed(sentence) from error
    with _gone_folder_said(emit):
        report((Stopped if outcome.stopped else Finished)(result=outcome.result))
    return outcome.result


@contextlib.contextmanager
def _gone_folder_said(emit: Emit) -> Iterator[None]:
    """Say in one sentence that the run's folder has gone, and not what failed because of that."""
    try:
        yield
    except RunFolderGone as error:
        raise _without_folder(str(error), emit) from None


def _without_folder(sentence: str, emit: Emit) -> JobFailed:
    """Close a run that has no folder any more."""
    emit(Failed(sentence=sentence))
    return JobFailed(sentence)


def format_error(error: Exception) -> str:
    """Return an error as a sentence for the user."""
    text = str(error).strip()
    first = text.splitlines()[0] if text else "no more is known"
    if is_out_of_memory(error):
        return (
            "There is not enough memory for this; choose a smaller batch, width or size, "
            "or close other programs."
        )
    if isinstance(error, OSError) and error.errno in _DISK:
        where = error.filename or "no file named"
        if error.errno == errno.ENOSPC:
            return f"The disk is full ({where}); free some space."
        return f"The disk cannot be used: {error.strerror} ({where}); try another one."
    return f"It failed unexpectedly: {first.rstrip('.')} ({type(error).__name__})."
