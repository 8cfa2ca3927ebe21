"""Run one trial, and what every kind of worker has in common."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Protocol

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.arms import train_arm
from napari_ssl_muscle.experiments.published.files import COUNTS, RUNS, read_plan
from napari_ssl_muscle.experiments.published.plan import Plan
from napari_ssl_muscle.experiments.published.run_result import keep_result
from napari_ssl_muscle.experiments.published.scoring import score
from napari_ssl_muscle.experiments.published.training import job_of, parts_of
from napari_ssl_muscle.experiments.published.trial import Trial
from napari_ssl_muscle.learning.events import Emit, ShouldStop, StoppedByUser, ignore_event


def run_trial(
    trial: Trial, plan: Plan, out: Path, emit: Emit = ignore_event, *, stop: ShouldStop
) -> bool:
    """Train a trial, or continue it, and score it; return False if it was stopped.

    Raises
    ------
    BadInput, JobFailed
        As a training.
    """
    run = out / RUNS / trial.run
    if not train_arm(job_of(trial, plan, out), emit, stop):
        return False
    keep_result(run, trial)
    for part in parts_of(trial):
        if not (run / COUNTS.format(part=part)).is_file():
            try:
                score(trial, plan, out, part, stop)
            except StoppedByUser:
                return False
    return True


class Workers(Protocol):
    """Something that runs trials, several at a time or one."""

    @property
    def count(self) -> int:
        """How many run at the same time."""

    def describe(self) -> str:
        """Where the trials run, for the user: "2 worker processes"."""

    def submit(self, trial: Trial) -> None:
        """Take a trial that is ready."""

    def next_done(self, emit: Emit, stop: ShouldStop) -> Trial | None:
        """Wait for one of the trials to be done; None if the user stopped it.

        Raises
        ------
        BadInput, JobFailed
            If a trial cannot be done.
        """


class ThisProcess:
    """Runs the trials one after the other, here."""

    count = 1

    def __init__(self, plan: Plan, out: Path) -> None:
        self._plan, self._out = plan, out
        self._waiting: deque[Trial] = deque()

    def describe(self) -> str:
        """Return "one after the other"."""
        return "one after the other"

    def submit(self, trial: Trial) -> None:
        """Put a trial at the end of the queue."""
        self._waiting.append(trial)

    def next_done(self, emit: Emit, stop: ShouldStop) -> Trial | None:
        """Run the first trial of the queue."""
        trial = self._waiting.popleft()
        done = run_trial(trial, self._plan, self._out, emit, stop=stop)
        return trial if done else None


def check_shared(out: Path) -> Plan:
    """Return the plan as a worker sees it.

    Raises
    ------
    BadInput
        If a worker does not see the folder.
    """
    try:
        return read_plan(out)
    except BadInput:
        raise BadInput(
            f"A worker does not see {out}; workers need the folder of the experiments and the "
            "cohort under the same paths, as on a shared disk."
        ) from None
