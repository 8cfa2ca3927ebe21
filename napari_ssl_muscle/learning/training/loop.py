"""The one training loop, for segmentation and for every pretext task.

It does the steps of `steps.Stepper`, validates, reports progress, and saves the best weights and
checkpoints.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.events import (
    Checkpoint,
    Emit,
    EpochEnd,
    Note,
    Progress,
    ShouldStop,
    Speed,
    Started,
)
from napari_ssl_muscle.learning.settings import TrainingSettings
from napari_ssl_muscle.learning.training import device as devices
from napari_ssl_muscle.learning.training.checkpoint import (
    TrainingState,
    load_checkpoint,
    save_checkpoint,
)
from napari_ssl_muscle.learning.training.clock import TRIAL, Clock
from napari_ssl_muscle.learning.training.steps import Stepper
from napari_ssl_muscle.learning.training.task import Task
from napari_ssl_muscle.learning.training.time_estimate import DEFAULT_EPOCHS

CHECKPOINT_SECONDS = 120.0
"""A checkpoint is written at least this often."""

PROGRESS_SECONDS = 0.2
"""Progress is reported at most this often."""

FEWEST_TIMED = 20
"""Steps from which on the speed of a training is worth reporting."""

SaveBest = Callable[[nn.Module, TrainingState], None]
"""Writes the model file; called with the weights to keep, in evaluation mode."""


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended; `stopped` by the user before its planned end or not."""

    state: TrainingState
    stopped: bool


def train(
    net: nn.Module,
    task: Task,
    settings: TrainingSettings,
    run: Path,
    save_best: SaveBest,
    *,
    emit: Emit,
    stop: ShouldStop,
    action: str = "training",
    resume: bool = False,
    afterwards: float = 0.0,
) -> TrainingResult:
    """Train `net` on `task` and keep the best weights.

    Parameters
    ----------
    net
        On the CPU; frozen parts have ``requires_grad`` off already.
    task, settings
        What is learned, and how.
    run
        Folder of the checkpoint.
    save_best
        Called at each best validation (without validation images: at each validation).
    emit, stop
        The stream of events, and the question whether to end.
    action
        What the work is called in `Started`.
    resume
        Continue from the checkpoint in `run`.
    afterwards
        Seconds of a training's `minutes` that are left for what comes after it.

    Raises
    ------
    BadInput
        If there is nothing to train on, or `resume` finds no fitting checkpoint.
    """
    if len(task) == 0:
        raise BadInput("There is no image to train on; accept or label at least one slice.")
    with devices.threads(settings.threads):
        loop = _Loop(net, task, settings, run, save_best, emit, afterwards)
        emit(Started(action=action, device=devices.describe(loop.steps.device)))
        if resume:
            loop.resume()
        else:
            loop.plan()
        return loop.run_steps(stop)


class _Loop:
    def __init__(
        self,
        net: nn.Module,
        task: Task,
        settings: TrainingSettings,
        run: Path,
        save_best: SaveBest,
        emit: Emit,
        afterwards: float = 0.0,
    ) -> None:
        self.task, self.settings, self.run = task, settings, run
        self.save_best, self.emit = save_best, emit
        self.state = TrainingState()
        device = devices.choose_device(settings.device)
        self.steps = Stepper(net, task, settings, device, self._on_halved)
        self.interval = max(settings.validate_every, self.steps.per_epoch)
        self.clock = self._clock(afterwards)

    def resume(self) -> None:
        """Take over weights, optimiser and state from the checkpoint."""
        steps = self.steps
        self.state = load_checkpoint(self.run, steps.net, steps.optimizer, steps.average)
        if self.state.images != len(self.task):
            raise BadInput(
                f"The run in {self.run} learned from {self.state.images} images and now there are "
                f"{len(self.task)}; put its scans back, or start a new run."
            )
        steps.fitter.images = self.state.batch(self.settings.batch)

    def plan(self) -> None:
        """Set the number of steps of a new training."""
        self.state.images = len(self.task)
        self.state.total = self._planned_steps()

    def _planned_steps(self) -> int:
        settings = self.settings
        if settings.steps is not None:
            return settings.steps
        if settings.minutes is None:
            return (settings.epochs or DEFAULT_EPOCHS) * self.steps.per_epoch
        assert self.clock is not None
        began = time.monotonic()
        seconds, self.clock.validation = self.steps.time_steps(TRIAL * self.clock.seconds)
        self.state.seconds = time.monotonic() - began
        total = max(1, self.clock.plan(0, self.state.seconds, seconds))
        self.emit(
            Note(
                text=f"{settings.minutes:g} minutes are about {total} steps here "
                f"({seconds:.2f} s each); the number is kept to the clock.",
                detail=True,
            )
        )
        return total

    def _clock(self, afterwards: float) -> Clock | None:
        """Return what keeps to the minutes that were asked for, if they were."""
        settings = self.settings
        if settings.steps is not None or settings.minutes is None:
            return None
        most = None if settings.epochs is None else settings.epochs * self.steps.per_epoch
        return Clock(60 * settings.minutes - afterwards, self.interval, most)

    def run_steps(self, stop: ShouldStop) -> TrainingResult:
        """Do the steps that are left, until the end, `stop`, or the patience is over."""
        state, steps = self.state, self.steps
        losses: list[Tensor] = []  # since the last validation
        unreported = 0  # the last of them, whose mean was not reported yet
        first = state.step
        started = saved = reported = time.monotonic()
        began = started - state.seconds
        if self.clock is not None:
            self.clock.start(state.step, state.seconds)
        steps.images_seen = 0
        speed_reported = stopped = False
        while state.step < state.total:
            if stop():
                stopped = True
                break
            losses.append(steps.step(state.step, state.total))
            unreported += 1
            state.step += 1
            now = time.monotonic()
            state.seconds = now - began
            if self.clock is not None:
                state.total = self.clock.look(state.step, state.seconds, state.total)
            if now - reported > PROGRESS_SECONDS or state.step == state.total:
                reported = now
                left = (now - started) / (state.step - first) * (state.total - state.step)
                if self.clock is not None and state.total != self.clock.most:
                    left = max(0.0, self.clock.seconds - state.seconds)
                self._report_progress(losses[-unreported:], left)
                unreported = 0
            if state.step % self.interval == 0 or state.step == state.total:
                self._validate(losses)
                losses, unreported = [], 0
                self._save()
                saved = time.monotonic()
                if self.clock is not None:
                    self.clock.validated(saved - now)
                if not speed_reported:  # already now: the end may come without warning
                    speed_reported = self._report_speed(state.step - first, saved - started)
                if (
                    self.settings.patience is not None
                    and state.since_best >= self.settings.patience
                ):
                    self.emit(
                        Note(text=f"No better validation for {state.since_best} rounds: ended.")
                    )
                    break
            elif now - saved > CHECKPOINT_SECONDS:
                self._save()
                saved = time.monotonic()
        self._report_speed(state.step - first, time.monotonic() - started)
        if stopped and state.step > first:
            self._save()
        if state.best_step < 0 and state.step > 0:
            self.save_best(steps.weights(), state)
        return TrainingResult(state, stopped)

    def _report_progress(self, losses: list[Tensor], seconds_left: float) -> None:
        state, per_epoch = self.state, self.steps.per_epoch
        self.emit(
            Progress(
                done=state.step,
                total=state.total,
                unit="step",
                # With an image or two, each step is an epoch.
                text=f"epoch {(state.step - 1) // per_epoch + 1}" if per_epoch > 1 else "",
                seconds_left=seconds_left,
                loss=float(torch.stack(losses).mean()),
            )
        )

    def _report_speed(self, steps: int, seconds: float) -> bool:
        """Report how long an image takes, unless too few were timed; return whether it was."""
        if steps < FEWEST_TIMED or (gflop := self.steps.gflop_per_image()) is None:
            return False
        device = devices.describe(self.steps.device)
        self.emit(Speed(device=device, gflop=gflop, seconds=seconds / self.steps.images_seen))
        return True

    def _on_halved(self, before: int, after: int) -> None:
        self.state.smaller.append([self.state.step, after])
        self.emit(
            Note(
                text=f"Not enough memory for a batch of {before}: goes on with {after}.",
                warning=True,
            )
        )

    def _validate(self, losses: list[Tensor]) -> None:
        state, task = self.state, self.task
        mean = float(torch.stack(losses).mean())
        if not math.isfinite(mean):
            raise BadInput(
                f"The loss became infinite before step {state.step}; "
                f"choose a learning rate below {self.settings.lr:g}."
            )
        weights = self.steps.weights()
        with torch.no_grad():
            found = task.validate(weights, self.steps.device)
        better = False
        if found:
            value = found[task.metric]
            better = state.best is None or (
                value > state.best if task.larger_is_better else value < state.best
            )
            state.since_best = 0 if better else state.since_best + 1
        if better:
            state.best, state.best_step, state.best_metrics = value, state.step, found
            self.save_best(weights, state)
        self.emit(
            EpochEnd(
                epoch=state.step // self.steps.per_epoch,
                step=state.step,
                metrics={"train_loss": mean, "lr": self.steps.learning_rate, **found},
                best=better,
            )
        )
        if not found:
            self.save_best(weights, state)

    def _save(self) -> None:
        state, steps = self.state, self.steps
        path = save_checkpoint(self.run, steps.net, steps.optimizer, steps.average, state)
        self.emit(Checkpoint(step=state.step, path=str(path), best=state.best_step == state.step))
