"""Training images a second: the program's own loop and augmentation on a network of width 16."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch
from figures import Figure, print_figures
from torch import Tensor, nn

from napari_ssl_muscle.learning.data.augment import augment
from napari_ssl_muscle.learning.events import ignore_event
from napari_ssl_muscle.learning.network.unet import UNet
from napari_ssl_muscle.learning.settings import AugmentSettings, NetworkSettings, TrainingSettings
from napari_ssl_muscle.learning.training.checkpoint import TrainingState
from napari_ssl_muscle.learning.training.device import choose_device, describe
from napari_ssl_muscle.learning.training.loop import train
from napari_ssl_muscle.learning.training.losses import dice_ce
from napari_ssl_muscle.learning.training.task import Batch

CLASSES = 7
BATCH = 8
STEPS = 14


class NoiseImages:
    """A segmentation task of random images and labels: the arithmetic is the same."""

    metric = "dice"
    larger_is_better = True

    def __init__(self, rows: int, columns: int, count: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randn(count, 1, rows, columns, generator=generator)
        self.targets = torch.randint(CLASSES, (count, rows, columns), generator=generator)
        self.augmentation = AugmentSettings()

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Sequence[int]) -> Batch:
        chosen = list(indices)
        return self.images[chosen], self.targets[chosen].to(torch.uint8)

    def loss(self, net: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        images, targets = augment(*batch, self.augmentation, generator)
        assert targets is not None
        return dice_ce(net(images), targets.long(), 255)

    def validate(self, net: nn.Module, device: torch.device) -> dict[str, float]:
        return {}


def images_per_second(rows: int, columns: int) -> float:
    """Return the speed of the middle step; the first ones warm up."""
    asked: list[float] = []

    def stop() -> bool:
        # The loop asks once before each step.
        asked.append(time.monotonic())
        return False

    def forget(net: nn.Module, state: TrainingState) -> None:
        pass

    net = UNet.from_settings(NetworkSettings(width=16), 1, CLASSES)
    with tempfile.TemporaryDirectory() as folder:
        train(
            net,
            NoiseImages(rows, columns, BATCH * STEPS),
            TrainingSettings(steps=STEPS, batch=BATCH, validate_every=STEPS),
            Path(folder),
            forget,
            emit=ignore_event,
            stop=stop,
        )
    steps = [after - before for before, after in pairwise(asked)]
    return BATCH / median(steps[3:])


def main() -> None:
    where = describe(choose_device("auto"))
    print_figures(
        [
            Figure(
                f"training, width 16, {rows} × {columns}, batch {BATCH}, {where}",
                images_per_second(rows, columns),
                "images/s",
            )
            for rows, columns in ((128, 128), (256, 160))
        ]
    )


if __name__ == "__main__":
    main()
