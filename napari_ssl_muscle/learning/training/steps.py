"""The steps of a training: what changes the weights, repeatable bit for bit.

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
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from napari_ssl_muscle.learning.network.flops import flops_of
from napari_ssl_muscle.learning.network.unet import UNet
from napari_ssl_muscle.learning.settings import TrainingSettings
from napari_ssl_muscle.learning.training import device as devices
from napari_ssl_muscle.learning.training.batch_fitting import BatchFitter
from napari_ssl_muscle.learning.training.optimizer import MovingAverage, make_optimizer, rate_at
from napari_ssl_muscle.learning.training.task import Task


class Stepper:
    """A network on its device with optimiser and moving average, and the steps that train it.

    Parameters
    ----------
    net
        On the CPU; frozen parts have ``requires_grad`` off already.
    task, settings
        What is learned, and how.
    device
        Where to compute.
    on_halved
        Called with the old and the new number of images when memory does not suffice.
    """

    def __init__(
        self,
        net: nn.Module,
        task: Task,
        settings: TrainingSettings,
        device: torch.device,
        on_halved: Callable[[int, int], None],
    ) -> None:
        self.task, self.settings, self.device = task, settings, device
        # Channels last: measured 1.2 to 2 times faster on a CPU, and what GPUs want as well.
        self.net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = make_optimizer(self.net.parameters(), settings)
        self.average = MovingAverage(self.net, settings.average) if settings.average else None
        self._averaged = copy.deepcopy(self.net) if self.average is not None else self.net
        self._always_frozen = net.frozen if isinstance(net, UNet) else frozenset()
        self.fitter = BatchFitter(settings.batch, on_halved)
        self.per_epoch = -(-len(task) // settings.batch)
        self.images_seen = 0
        self._image_size = (0, 0)
        self._order: tuple[int, list[int]] = (-1, [])

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last step."""
        rate: float = self.optimizer.param_groups[0]["lr"]
        return rate

    def step(self, step: int, total: int) -> Tensor:
        """Do step number `step` (from 0) of `total`; return its loss, which stays on the device."""
        settings = self.settings
        epoch, index = divmod(step, self.per_epoch)
        if self._order[0] != epoch:
            shuffle = torch.Generator().manual_seed(_seed(settings.seed, 0, epoch))
            self._order = epoch, torch.randperm(len(self.task), generator=shuffle).tolist()
        chosen = self._order[1][index * settings.batch : (index + 1) * settings.batch]
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(step, max(total, 1), settings)
        self._hold_encoder(step < round(settings.decoder_first * total))
        self.net.train()
        # What follows the gradients does not depend on the batch: a smaller one would not help.
        loss = self.fitter.fit(partial(self._gradients, step, chosen))
        if settings.clip is not None:
            nn.utils.clip_grad_norm_(self.net.parameters(), settings.clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.net)
        return loss

    def _hold_encoder(self, held: bool) -> None:
        """Keep the encoder as it is, or let it learn.

        The optimiser has its weights all the time, and passes over those without a gradient.
        """
        net: nn.Module = self.net
        if not isinstance(net, UNet) or "encoder" in self._always_frozen:
            return
        if held == ("encoder" in net.frozen):
            return
        net.frozen = self._always_frozen | ({"encoder"} if held else set())
        for parameter in net.encoder.parameters():
            parameter.requires_grad_(not held)
            parameter.grad = None

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
            self._image_size = images.shape[-2], images.shape[-1]
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
        self.images_seen += len(images)
        return loss.detach()

    def weights(self) -> nn.Module:
        """Return the network to validate and save (averaged, if asked for), in evaluation mode."""
        if self.average is not None:
            self._averaged.load_state_dict(self.average.state)
        weights: nn.Module = self._averaged.eval()
        return weights

    def time_steps(self, most: float = math.inf) -> tuple[float, float]:
        """Return the seconds of a step and of a validation, tried on copies: nothing is learned.

        Parameters
        ----------
        most
            Seconds after which no more steps are tried; two are in any case.

        Returns
        -------
        A step's seconds are the mean over an epoch, whose last batch may be small.
        """
        net, optimizer, average = self.net, self.optimizer, self.average
        self.net = copy.deepcopy(net)
        self.optimizer = make_optimizer(self.net.parameters(), self.settings)
        self.average = None
        try:
            started = time.monotonic()
            for_an_image: list[float] = []
            for trial in range(6):
                began, before = time.monotonic(), self.images_seen
                self.step(trial, 0).item()
                seconds = time.monotonic() - began
                for_an_image.append(seconds / (self.images_seen - before))
                if trial > 0 and time.monotonic() - started > most:
                    break
            # The first ones are slow: memory is laid out. The median, as others use the machine.
            image = statistics.median(for_an_image[min(2, len(for_an_image) - 1) :])
            images = min(len(self.task) / self.per_epoch, self.fitter.images)
            began = time.monotonic()
            self.task.validate(self.net.eval(), self.device)
            return image * images, time.monotonic() - began
        finally:
            self.net, self.optimizer, self.average = net, optimizer, average

    def gflop_per_image(self) -> float | None:
        """Return the arithmetic of an image in a step; None for a network that is no U-Net."""
        net: nn.Module = self.net
        if not isinstance(net, UNet):
            return None
        flops = flops_of(net.network, *self._image_size, net.in_channels, net.classes)
        return flops.training(net.frozen)


def _seed(seed: int, stream: int, count: int) -> int:
    """Mix seed, stream and counter into 63 bits (splitmix64's finaliser), far from each other."""
    value = (seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03 + count + 1) & (2**64 - 1)
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return (value ^ (value >> 31)) >> 1
