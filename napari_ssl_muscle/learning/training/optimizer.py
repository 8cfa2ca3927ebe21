"""Optimiser, learning-rate schedule and the moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from napari_ssl_muscle.learning.settings import TrainingSettings

FLOOR = 0.01
"""Share of the peak learning rate at which the cosine schedule ends."""


def make_optimizer(
    parameters: Iterable[nn.Parameter], settings: TrainingSettings
) -> torch.optim.Optimizer:
    """Return the optimiser over the parameters that may change.

    The study's "momentum" is RMSprop's own; for Adam and AdamW it is beta1.
    """
    chosen = [parameter for parameter in parameters if parameter.requires_grad]
    if settings.optimizer == "rmsprop":
        return torch.optim.RMSprop(
            chosen,
            lr=settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
    kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    return kind(
        chosen,
        lr=settings.lr,
        betas=(settings.momentum, 0.999),
        weight_decay=settings.weight_decay,
    )


def rate_at(step: int, total: int, settings: TrainingSettings) -> float:
    """Return the learning rate of a step (0-based) out of `total`: linear rise, then schedule."""
    rise = round(settings.warmup * total)
    if step < rise:
        return settings.lr * (step + 1) / rise
    if settings.schedule == "constant":
        return settings.lr
    done = (step - rise) / max(1, total - rise)
    return settings.lr * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


class MovingAverage:
    """Exponential moving average of weights and buffers.

    Early averages weigh the few values that there are evenly: the decay of update n is at most
    ``(1 + n) / (10 + n)``, as in TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.state = {name: value.detach().clone() for name, value in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Take in the weights as they are now."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in net.state_dict().items():
            kept = self.state[name]
            if kept.dtype.is_floating_point:
                # A weight that never changes must stay as it is to the last bit (freezing).
                kept.add_(value - kept, alpha=1 - decay)
            else:
                kept.copy_(value)


def flatten(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's state as named tensors, for a checkpoint."""
    named: dict[str, Tensor] = {}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            named[f"{index}.{name}"] = value if isinstance(value, Tensor) else torch.tensor(value)
    return named


def restore(optimizer: torch.optim.Optimizer, named: dict[str, Tensor]) -> None:
    """Put back what `flatten` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in named.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
