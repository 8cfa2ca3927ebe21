"""The engine of experiments: train arms one after the other, and save rows as they come.

An arm is one training of an experiment. It is a job, so plain data, with a run folder of its own:
one that is finished is not trained again, and one that was stopped or killed is continued.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_ssl_muscle.files import csv_text, write_text
from napari_ssl_muscle.jobs.actions import finetune, pretrain
from napari_ssl_muscle.jobs.run import PreparedJob, run_prepared
from napari_ssl_muscle.jobs.run_folder import CHECKPOINT, EVENTS, JOB, MODEL
from napari_ssl_muscle.jobs.settings import FinetuneJob, PretrainJob
from napari_ssl_muscle.learning.events import (
    Emit,
    EpochEnd,
    Event,
    Failed,
    Finished,
    Note,
    Progress,
    ShouldStop,
    Started,
    Stopped,
    from_line,
)

_PREPARE: dict[str, Callable[[Any], PreparedJob]] = {
    "finetune": finetune.prepare,
    "pretrain": pretrain.prepare,
}


def train_arm(
    job: FinetuneJob | PretrainJob,
    emit: Emit,
    stop: ShouldStop,
    prepare: Callable[[Any], PreparedJob] | None = None,
) -> bool:
    """Train an arm in its run folder, unless that has been done; continue it if it was stopped.

    Parameters
    ----------
    job
        The training; its `resume` does not matter.
    emit, stop
        Stream of events, closing ones included, and the question whether to end.
    prepare
        Checks the job in place of its action's own function.

    Returns
    -------
    bool
        Whether it is finished; False if the user stopped it.

    Raises
    ------
    BadInput, JobFailed
        As `run_prepared`; also if the folder holds a run with other settings.
    """
    run = job.out
    if is_finished(run):
        return True
    if stop():
        return False
    resume = (run / CHECKPOINT).is_file()
    if not resume and (run / JOB).is_file() and not (run / MODEL).exists():
        # It was killed before there was anything to continue. A run with a model is never deleted:
        # without its checkpoint, the training is refused instead.
        shutil.rmtree(run)
    job = job.model_copy(update={"resume": resume})
    run_prepared(job, prepare or _PREPARE[job.action], emit, stop)
    return is_finished(run)


def is_finished(run: Path) -> bool:
    """Return whether a run came to its end, by the last line of its log."""
    if not (run / MODEL).is_file() or not (run / EVENTS).is_file():
        return False
    lines = (run / EVENTS).read_text(encoding="utf-8", errors="replace").splitlines()
    try:
        return bool(lines) and isinstance(from_line(lines[-1]), Finished)
    except ValueError:
        return False


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows that were saved so far; none where there is no file yet."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV, whole or not at all; the columns are those of the first row."""
    write_text(path, csv_text(list(rows[0]), rows))


class JoinedEvents:
    """One stream of events from arms that are trained one after the other.

    Progress counts the steps of all arms, epochs name their arm, and a note that comes before the
    first step of several arms is emitted once. Closing events are left to the job as a whole.

    Parameters
    ----------
    emit
        Takes the joined stream.
    titles
        Name of each arm → what progress and notes call it, in the order of training.
    action
        What the joined stream says has started.
    """

    def __init__(self, emit: Emit, titles: Mapping[str, str], action: str) -> None:
        self._emit = emit
        self._titles = titles
        self._action = action
        self._arm, self._index = "", 0
        self._steps: int | None = None
        self._training = False
        self._started = False
        self._notes: set[str] = set()
        self._seconds_per_step = 0.0

    def begin(self, arm: str, steps: int | None = None) -> None:
        """Take the events that follow as those of an arm; `steps` is its length if it is known."""
        self._arm, self._index = arm, list(self._titles).index(arm)
        self._steps = steps or self._steps
        self._training = False

    def emit(self, event: Event) -> None:
        """Pass on an event of the arm's training."""
        if isinstance(event, Started):
            self._training = True
            if not self._started:
                self._started = True
                self._emit(event.model_copy(update={"action": self._action}))
        elif isinstance(event, Progress):
            self._emit(self._overall(event))
        elif isinstance(event, EpochEnd):
            self._emit(event.model_copy(update={"arm": self._arm}))
        elif isinstance(event, Note):
            if self._training:
                text = f"{self._titles[self._arm]}: {event.text}"
                self._emit(event.model_copy(update={"text": text}))
            elif event.text not in self._notes:
                self._notes.add(event.text)
                self._emit(event)
        elif not isinstance(event, Finished | Stopped | Failed):
            self._emit(event)

    def _overall(self, event: Progress) -> Progress:
        count = len(self._titles)
        text = f"{self._titles[self._arm]} ({self._index + 1} of {count})"
        if not self._training:  # its scans are being read
            if event.text:
                text = f"{text}: {event.text}"
            if self._steps is None:
                return event.model_copy(update={"text": text})
            before = self._index * self._steps
            return Progress(done=before, total=count * self._steps, text=text)
        self._steps = event.total
        left = event.seconds_left
        if left is not None:
            # The others are taken to be as slow as this one: they differ by less than twice.
            if rest := event.total - event.done:
                self._seconds_per_step = left / rest
            left += (count - self._index - 1) * self._steps * self._seconds_per_step
        return Progress(
            done=self._index * self._steps + event.done,
            total=count * self._steps,
            text=text,
            seconds_left=left,
        )
