"""The one training loop, for segmentation and for every pretext task.

A step is a pure function of the weights and of (seed, step): the order of the images and every
random change are drawn from generators seeded with these two. So a training that was stopped
goes on bit for bit as if it had not been, on a CPU with the same number of threads.

A step for which there is not enough memory is done again with half its images, and so are all
later ones. The number of steps stays, and each step's share of the shuffled images, of which it
takes the first half: with every epoch another one. So step and batch still say which images.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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
from napari_ssl_muscle.learning.network.flops import flops_of
from napari_ssl_muscle.learning.network.unet import UNet
from napari_ssl_muscle.learning.settings import TrainingSettings
from napari_ssl_muscle.learning.training import device as devices
from napari_ssl_muscle.learning.training.batch_fitting import BatchFitter
from napari_ssl_muscle.learning.training.checkpoint import (
    TrainingState,
    load_checkpoint,
    save_checkpoint,
)
from napari_ssl_muscle.learning.training.optimizer import MovingAverage, make_optimizer, rate_at
from napari_ssl_muscle.learning.training.task import Task

CHECKPOINT_SECONDS = 120.0
"""A checkpoint is written at least this often."""

FEWEST_TIMED = 20
"""Steps from which on the speed of a training is worth telling."""


SaveBest = Callable[[nn.Module, TrainingState], None]
"""Writes the model file; called with the weights to keep, in evaluation mode."""


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended.

    Attributes
    ----------
    place
        Steps done and the best validation.
    stopped
        The user stopped it before its planned end.
    """

    place: TrainingState
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
) -> TrainingResult:
    """Train `net` on `task` and keep the best weights.

    Parameters
    ----------
    net
        On the CPU; frozen parts have ``requires_grad`` off already.
    task
        What is learned.
    settings
        Optimiser, schedule, length, seed. Without a length: 50 epochs.
    run
        Folder of the checkpoint.
    save_best
        Called at each best validation (without validation images: at each checkpoint).
    emit, stop
        The stream of events, and the question whether to end.
    action
        What the work is called in `Started`.
    resume
        Go on from the checkpoint in `run`.

    Raises
    ------
    BadInput
        If there is nothing to train on, or `resume` finds no fitting checkpoint.
    """
    if len(task) == 0:
        raise BadInput("There is no image to train on; accept or label at least one slice.")
    with devices.threads(settings.threads):
        device = devices.choose_device(settings.device)
        return _Loop(net, task, settings, run, save_best, emit, stop, device).run_all(
            action, resume=resume
        )


class _Loop:
    def __init__(
        self,
        net: nn.Module,
        task: Task,
        settings: TrainingSettings,
        run: Path,
        save_best: SaveBest,
        emit: Emit,
        stop: ShouldStop,
        device: torch.device,
    ) -> None:
        self.task, self.settings, self.run = task, settings, run
        self.save_best, self.emit, self.stop, self.device = save_best, emit, stop, device
        # Channels last: measured 1.2 to 2 times faster on a CPU, and what GPUs want as well.
        self.net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = make_optimizer(self.net.parameters(), settings)
        self.average = MovingAverage(self.net, settings.average) if settings.average else None
        self.kept = copy.deepcopy(self.net) if self.average is not None else self.net
        self.place = TrainingState()
        self.fitter = BatchFitter(settings.batch, self._on_smaller)
        self.per_epoch = -(-len(task) // settings.batch)
        self.shape = (0, 0)  # rows and columns of the images
        self.seen = 0  # images since the start or continuation
        self.order: tuple[int, list[int]] = (-1, [])

    def run_all(self, action: str, *, resume: bool) -> TrainingResult:
        place, settings = self.place, self.settings
        self.emit(Started(action=action, device=devices.describe(self.device)))
        if resume:
            self.place = place = load_checkpoint(self.run, self.net, self.optimizer, self.average)
            if place.images != len(self.task):
                raise BadInput(
                    f"The run in {self.run} learned from {place.images} images and now there are "
                    f"{len(self.task)}; put its scans back, or start a new run."
                )
            self.fitter.images = place.batch(settings.batch)
        else:
            place.images = len(self.task)
            place.total = self._planned_steps()
        interval = max(settings.validate_every, self.per_epoch)
        losses: list[Tensor] = []
        untold = 0  # the last of them, whose mean was not told yet
        began = time.monotonic() - place.seconds
        saved = told = time.monotonic()
        first = place.step
        started = time.monotonic()
        self.seen = 0
        told_speed = stopped = False
        while place.step < place.total:
            if self.stop():
                stopped = True
                break
            losses.append(self._step(place.step))
            untold += 1
            place.step += 1
            now = time.monotonic()
            place.seconds = now - began
            if now - told > 0.2 or place.step == place.total:
                told = now
                left = (now - started) / (place.step - first) * (place.total - place.step)
                epoch = f"epoch {(place.step - 1) // self.per_epoch + 1}"
                self.emit(
                    Progress(
                        done=place.step,
                        total=place.total,
                        # With an image or two, each step is an epoch.
                        text=epoch if self.per_epoch > 1 else "",
                        seconds_left=left,
                        loss=float(torch.stack(losses[-untold:]).mean()),
                    )
                )
                untold = 0
            if place.step % interval == 0 or place.step == place.total:
                self._validate(losses)
                losses, untold = [], 0
                self._save()
                saved = time.monotonic()
                if not told_speed:  # already now: the end may come without warning
                    told_speed = self._tell_speed(place.step - first, saved - started)
                if settings.patience is not None and place.since_best >= settings.patience:
                    self.emit(
                        Note(text=f"No better validation for {place.since_best} rounds: ended.")
                    )
                    break
            elif now - saved > CHECKPOINT_SECONDS:
                self._save()
                saved = time.monotonic()
        self._tell_speed(place.step - first, time.monotonic() - started)
        if stopped and place.step > first:
            self._save()
        if place.best_step < 0 and place.step > 0:
            self.save_best(self._weights(), place)
        return TrainingResult(place, stopped)

    def _planned_steps(self) -> int:
        settings = self.settings
        if settings.steps is not None:
            return settings.steps
        if settings.minutes is None:
            return (settings.epochs or 50) * self.per_epoch
        seconds, validation = self._time_steps()
        interval = max(settings.validate_every, self.per_epoch)
        total = max(1, int(60 * settings.minutes / (seconds + validation / interval)))
        if settings.epochs is not None:
            total = min(total, settings.epochs * self.per_epoch)
        self.emit(
            Note(
                text=f"{settings.minutes:g} minutes are about {total} steps here "
                f"({seconds:.2f} s each)."
            )
        )
        return total

    def _time_steps(self) -> tuple[float, float]:
        """Seconds of a step and of a validation, tried on copies so that nothing is learned."""
        net, optimizer, kept = self.net, self.optimizer, self.kept
        self.net = copy.deepcopy(net)
        self.optimizer = make_optimizer(self.net.parameters(), self.settings)
        average, self.average = self.average, None
        try:
            times = []
            for trial in range(6):
                began = time.monotonic()
                self._step(trial).item()
                times.append(time.monotonic() - began)
            began = time.monotonic()
            self.task.validate(self.net.eval(), self.device)
            return sorted(times[2:])[1], time.monotonic() - began
        finally:
            self.net, self.optimizer, self.kept, self.average = net, optimizer, kept, average

    def _step(self, step: int) -> Tensor:
        settings = self.settings
        epoch, index = divmod(step, self.per_epoch)
        if self.order[0] != epoch:
            shuffle = torch.Generator().manual_seed(_seed(settings.seed, 0, epoch))
            self.order = epoch, torch.randperm(len(self.task), generator=shuffle).tolist()
        chosen = self.order[1][index * settings.batch : (index + 1) * settings.batch]
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(step, max(self.place.total, 1), settings)
        self.net.train()
        # What follows the gradients does not depend on the batch: a smaller one would not help.
        loss = self.fitter.fit(partial(self._gradients, step, chosen))
        if settings.clip is not None:
            nn.utils.clip_grad_norm_(self.net.parameters(), settings.clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.net)
        return loss

    def _gradients(self, step: int, chosen: list[int], batch: int) -> Tensor:
        """Compute the gradients of a step; return its loss. The weights are left alone.

        If it fails, the running statistics of normalisation layers are put back.
        """
        settings = self.settings
        # Copying these few numbers costs a thousandth of a step.
        before = [(buffer, buffer.clone()) for buffer in self.net.buffers()]
        self.optimizer.zero_grad(set_to_none=True)
        try:
            images, targets = self.task.batch(chosen[:batch])
            self.shape = images.shape[-2], images.shape[-1]
            images = images.to(self.device, non_blocking=True, memory_format=torch.channels_last)
            targets = None if targets is None else targets.to(self.device, non_blocking=True)
            generator = torch.Generator(self.device).manual_seed(_seed(settings.seed, 1, step))
            with devices.autocast(self.device, settings):
                loss = self.task.loss(self.net, (images, targets), generator)
            loss.backward()  # type: ignore[no-untyped-call]
        except Exception:
            self.optimizer.zero_grad(set_to_none=True)
            for buffer, value in before:
                buffer.copy_(value)
            raise
        self.seen += len(images)
        return loss.detach()

    def _tell_speed(self, steps: int, seconds: float) -> bool:
        """Tell how long an image takes, unless there were too few; return whether it was told."""
        net: nn.Module = self.net
        if steps < FEWEST_TIMED or not isinstance(net, UNet):
            return False
        work = flops_of(net.network, *self.shape, net.in_channels, net.classes)
        self.emit(
            Speed(
                device=devices.describe(self.device),
                gflop=work.training(net.frozen),
                seconds=seconds / self.seen,
            )
        )
        return True

    def _on_smaller(self, before: int, after: int) -> None:
        self.place.smaller.append([self.place.step, after])
        self.emit(
            Note(
                text=f"Not enough memory for a batch of {before}: goes on with {after}.",
                warning=True,
            )
        )

    def _weights(self) -> nn.Module:
        if self.average is not None:
            self.kept.load_state_dict(self.average.state)
        kept: nn.Module = self.kept.eval()
        return kept

    def _validate(self, losses: list[Tensor]) -> None:
        place, task = self.place, self.task
        mean = float(torch.stack(losses).mean())
        if not math.isfinite(mean):
            raise BadInput(
                f"The loss became infinite before step {place.step}; "
                f"choose a learning rate below {self.settings.lr:g}."
            )
        weights = self._weights()
        with torch.no_grad():
            found = task.validate(weights, self.device)
        better = False
        if found:
            value = found[task.metric]
            better = place.best is None or (
                value > place.best if task.larger_is_better else value < place.best
            )
            place.since_best = 0 if better else place.since_best + 1
        if better:
            place.best, place.best_step, place.best_metrics = value, place.step, found
            self.save_best(weights, place)
        self.emit(
            EpochEnd(
                epoch=place.step // self.per_epoch,
                step=place.step,
                metrics={
                    "train_loss": mean,
                    "lr": self.optimizer.param_groups[0]["lr"],
                    **found,
                },
                best=better,
            )
        )
        if not found:
            self.save_best(weights, place)

    def _save(self) -> None:
        path = save_checkpoint(self.run, self.net, self.optimizer, self.average, self.place)
        self.emit(
            Checkpoint(
                step=self.place.step,
                path=str(path),
                best=self.place.best_step == self.place.step,
            )
        )


def _seed(seed: int, stream: int, count: int) -> int:
    """Mix seed, stream and counter into 63 bits (splitmix64's finaliser), far from each other."""
    value = (seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03 + count + 1) & (2**64 - 1)
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return (value ^ (value >> 31)) >> 1
