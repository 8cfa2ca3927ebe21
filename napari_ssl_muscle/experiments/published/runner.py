"""Run the trials of a plan: what is ready goes to workers, and the tables grow.

Where the trials run is a `Workers`: this process, one after the other, or a dask cluster
(`workers/`). What is done is told by the run folders alone, so a study that was killed goes on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from napari_ssl_muscle.experiments.published.plan import Plan
from napari_ssl_muscle.experiments.published.schedule import Schedule, schedule
from napari_ssl_muscle.experiments.published.tables import Tables
from napari_ssl_muscle.experiments.published.training import Key, is_done, key_of
from napari_ssl_muscle.experiments.published.trial import SCRATCH, Trial
from napari_ssl_muscle.experiments.published.workers.one_trial import Workers
from napari_ssl_muscle.learning.events import Emit, Event, Note, Progress, ShouldStop


@dataclass
class Counts:
    """How far a study is: distinct trainings and tests, and the seconds of those done here."""

    done: int = 0
    running: int = 0
    total: int = 0
    here: int = 0
    seconds: float = 0.0

    def progress(self, workers: int, text: str = "") -> Progress:
        """Return how far it is as an event."""
        left = max(self.total - self.done - self.running, 0)
        words = f"{self.running} running, {left} waiting"
        remaining = None
        if self.here:
            remaining = self.seconds / self.here * (self.total - self.done) / workers
        return Progress(
            done=self.done,
            total=self.total,
            unit="trial",
            text=f"{words}; {text}" if text else words,
            seconds_left=remaining,
        )


def run_plan(plan: Plan, out: Path, workers: Workers, emit: Emit, stop: ShouldStop) -> bool:
    """Run what is missing of a plan, writing the tables as trials end; False if it was stopped.

    Raises
    ------
    BadInput, JobFailed
        If a trial cannot be done; those that are done stay.
    """
    return _Run(plan, out, workers, emit, stop).run()


def remaining_trials(plan: Plan, out: Path) -> tuple[list[Trial], list[Trial]]:
    """Return the distinct trials of a plan, as far as known or assumed, and those not done yet."""
    tables = Tables(plan, out)
    known: dict[str, float] = {}
    while True:
        found = schedule(plan, known)
        new = {
            trial.run: tables.score(trial.run)
            for trial in found.trials
            if trial.kind == "finetune" and trial.run not in known and is_done(trial, out)
        }
        if not new:
            break
        known |= new
    distinct = {
        key_of(trial): trial for trial in reversed(schedule(plan, known, assume=True).trials)
    }
    trials = list(reversed(distinct.values()))
    return trials, [trial for trial in trials if not is_done(trial, out)]


class _Run:
    """One run of a plan, until it is done or stopped."""

    def __init__(
        self, plan: Plan, out: Path, workers: Workers, emit: Emit, stop: ShouldStop
    ) -> None:
        self._plan, self._out, self._workers = plan, out, workers
        self._emit, self._stop = emit, stop
        self._tables = Tables(plan, out)
        self._scores: dict[str, float] = {}
        self._done: set[Key] = set()
        self._running: dict[Key, float] = {}
        self._counts = Counts()
        self._began = time.monotonic()
        self._warned: set[str] = set()

    def run(self) -> bool:
        """Run to the end; return whether it was reached."""
        while True:
            found = self._look()
            done = [trial for trial in found.trials if key_of(trial) in self._done]
            self._tables.write(done, found.choices)
            self._submit(found)
            self._report()
            if not self._running:
                return True
            trial = self._workers.next_done(self._on_event, self._stop)
            if trial is None:
                return False
            self._finish(trial)

    def _look(self) -> Schedule:
        """Return the schedule with everything that is done by now, on disk, too."""
        while True:
            found = schedule(self._plan, self._scores)
            new = [
                trial
                for trial in found.trials
                if (key := key_of(trial)) not in self._done
                and key not in self._running
                and is_done(trial, self._out)
            ]
            if not new:
                return found
            for trial in new:
                self._take(trial)

    def _take(self, trial: Trial) -> None:
        self._done.add(key_of(trial))
        if trial.kind == "finetune":
            self._scores[trial.run] = self._tables.score(trial.run)

    def _submit(self, found: Schedule) -> None:
        """Hand over what is ready: its pretraining is done, and nobody works on its run."""
        at_work = {run for run, _ in self._running}
        trained = {run for run, _ in self._done}
        for trial in found.trials:
            key = key_of(trial)
            if key in self._done or trial.run in at_work:
                continue
            if trial.start == SCRATCH or trial.start in trained:
                self._running[key] = time.monotonic()
                at_work.add(trial.run)
                self._workers.submit(trial)

    def _finish(self, trial: Trial) -> None:
        self._running.pop(key_of(trial), None)
        self._counts.here += 1
        self._counts.seconds = (time.monotonic() - self._began) * self._workers.count
        self._take(trial)

    def _report(self, text: str = "") -> None:
        assumed = schedule(self._plan, self._scores, assume=True)
        counts = self._counts
        counts.total = len({key_of(trial) for trial in assumed.trials} | self._done)
        counts.done = len(self._done)
        counts.running = min(len(self._running), self._workers.count)
        self._emit(counts.progress(self._workers.count, text))

    def _on_event(self, event: Event) -> None:
        """Pass on what a training in this process says, as far as it concerns the whole."""
        if isinstance(event, Progress):
            unit = f"{event.unit} " if event.unit else ""
            self._emit(
                self._counts.progress(
                    self._workers.count, f"this one at {unit}{event.done} of {event.total}"
                )
            )
        elif isinstance(event, Note) and event.warning and event.text not in self._warned:
            self._warned.add(event.text)
            self._emit(event)
