"""How long a training will take, estimated before it starts; nothing here imports torch.

The arithmetic of a training is known beforehand. How fast a computer does it is learned from the
trainings that ran on it: their speeds are kept in a small file in the user's home folder.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from typing import Literal

from napari_ssl_muscle.files import write_json
from napari_ssl_muscle.learning.events import Speed
from napari_ssl_muscle.learning.network.flops import FROZEN, flops_of
from napari_ssl_muscle.learning.settings import FreezeMode, Recipe
from napari_ssl_muscle.paths import speed_file

START_SECONDS = 8.0
"""Starting a process, importing torch and reading a few scans."""

_FORMAT = 1
_KEPT = 30
"""Speeds that are remembered; the oldest go first."""

_ALIKE = 1.5
"""Trainings whose images take up to so many times the arithmetic are as fast as each other."""

_APART = 2.0
"""Within which factor the speed is right for trainings that differ more."""

_SIZE = 256
"""Rows and columns where the scans decide and are not read yet."""

DEFAULT_EPOCHS = 50
"""Length of a training whose recipe names none."""

_SLOW_CORE, _FAST_CORE = 8.0, 60.0
"""GFLOP/s of a CPU core in trainings of width 8 to 64: an old laptop's, a new server's (measured:
8 on AVX2, 25 for width 64 on the same, 110 in bfloat16 on AVX-512)."""

_MOST_CORES = 4, 8
"""Cores that are counted for the slow and the fast guess: more of them gain little."""


@dataclass(frozen=True)
class Estimate:
    """How long a training will take, in seconds, and what that is based on.

    `by` is "asked" where the length was given in minutes, "known" if this computer did much the
    same before (on `device`), "alike" if it trained something else before (on `device`), and
    "guess" if it never trained anything.
    """

    shortest: float
    longest: float
    by: Literal["asked", "known", "alike", "guess"]
    device: str = ""


def known_speeds() -> list[Speed]:
    """Return what is remembered, oldest first; nothing where the file is missing or unreadable."""
    try:
        content = json.loads(speed_file().read_text(encoding="utf-8"))
        rows = content["speeds"] if content["format"] == _FORMAT else []
        return [Speed.model_validate(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def remember(speed: Speed) -> None:
    """Keep a speed; it replaces that of an earlier training just like it.

    Raises
    ------
    BadInput
        If the file cannot be written.
    """
    others = [
        known
        for known in known_speeds()
        if known.device != speed.device or abs(known.gflop / speed.gflop - 1) > 0.01
    ]
    rows = [kept.model_dump(exclude={"kind"}) for kept in [*others, speed][-_KEPT:]]
    write_json(speed_file(), {"format": _FORMAT, "speeds": rows})


def estimate(
    recipe: Recipe,
    *,
    only_cpu: bool,
    freeze: FreezeMode = "none",
    images: int | None = None,
    channels: int = 1,
    classes: int = 7,
) -> Estimate | None:
    """Return how long a training takes here.

    None if nothing is known of it: a GPU that never trained, or an unknown number of images.

    Parameters
    ----------
    recipe
        Network, slices, training.
    only_cpu
        PyTorch cannot use a GPU here. Otherwise it may find one, and is trusted to take the same
        device as last time.
    freeze
        Part of the network that does not learn.
    images
        Training images, for a length in epochs.
    channels, classes
        Inputs and outputs of the network.
    """
    training = recipe.training
    if training.minutes is not None and training.steps is None:
        seconds = 60 * training.minutes
        return Estimate(seconds, seconds + START_SECONDS, "asked")
    if training.steps is not None:
        steps = training.steps
    elif images is None:
        return None
    else:
        steps = (training.epochs or DEFAULT_EPOCHS) * -(-images // training.batch)
    count = steps * training.batch
    size = recipe.slices.size or _SIZE
    work = flops_of(recipe.network, size, size, channels, classes).training(FROZEN[freeze])
    speeds = [s for s in known_speeds() if s.device.startswith("CPU") or not only_cpu]
    if speeds:
        return _from_speeds(speeds, work, count, size_known=recipe.slices.size is not None)
    if not only_cpu:
        return None
    cores = os.cpu_count() or 1
    fast = _FAST_CORE * min(cores, _MOST_CORES[1])
    slow = _SLOW_CORE * min(cores, _MOST_CORES[0])
    return Estimate(
        START_SECONDS + count * work / fast, START_SECONDS + count * work / slow, "guess"
    )


def _from_speeds(speeds: list[Speed], work: float, count: int, *, size_known: bool) -> Estimate:
    device = speeds[-1].device
    # Of trainings that are equally alike, the newer one.
    nearest = min(
        reversed([speed for speed in speeds if speed.device == device]),
        key=lambda speed: abs(math.log(speed.gflop / work)),
    )
    ratio = work / nearest.gflop
    seconds = count * nearest.seconds * ratio
    if size_known and 1 / _ALIKE <= ratio <= _ALIKE:
        return Estimate(seconds + START_SECONDS, seconds + START_SECONDS, "known", device)
    return Estimate(
        seconds / _APART + START_SECONDS, seconds * _APART + START_SECONDS, "alike", device
    )
