"""Fixed probe slices: original, masked input, reconstruction and error, refreshed as it learns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_ssl_muscle.files import write_whole
from napari_ssl_muscle.learning.data.image_cache import Item
from napari_ssl_muscle.learning.models.card import PROBES_FILE
from napari_ssl_muscle.learning.pretext.inpainting_task import VALIDATION_SEED, InpaintingTask
from napari_ssl_muscle.learning.pretext.masking import describe_masks
from napari_ssl_muscle.learning.pretext.strips import write_plain_strips

COUNT = 6
"""Probe slices: enough to see a leg from end to end, few enough to cost nothing."""

ARRAYS = PROBES_FILE
STRIPS = "probes.png"


class Probes:
    """Some images of a task with fixed masks, on which one watches a pretraining learn.

    They are spread evenly over `items`.
    """

    def __init__(self, task: InpaintingTask, items: Sequence[Item]) -> None:
        self.task = task
        chosen = np.linspace(0, len(items) - 1, min(COUNT, len(items))).round().astype(int)
        self.items = [items[index] for index in chosen]
        images, bodies = task.load(self.items)
        generator = torch.Generator().manual_seed(VALIDATION_SEED)
        self.images, self.bodies = images, bodies
        self.corrupted, self.changed = task.corrupt(images, bodies, generator)

    def describe(self) -> str:
        """Describe the masks; see `describe_masks`."""
        bodies = None if self.bodies is None else self.bodies.numpy() == 1
        return describe_masks(self.changed[:, 0].numpy(), bodies, self.task.pretext).text

    @torch.no_grad()
    def arrays(self, net: nn.Module) -> dict[str, NDArray[np.float32]]:
        """Return "original", "masked", "reconstruction" and "error", ``(n, rows, columns)``.

        The first channel only. The error is absolute, over the whole image.
        """
        net.eval()
        device = next(net.parameters()).device
        restored = self.task.restore(net, self.corrupted, self.changed, device)
        return {
            "original": self.images[:, 0].numpy(),
            "masked": self.corrupted[:, 0].numpy(),
            "reconstruction": restored[:, 0].numpy(),
            "error": (restored - self.images)[:, 0].abs().numpy(),
        }

    def write(self, net: nn.Module, folder: Path) -> Path:
        """Write the arrays and a PNG of strips into a run's folder; return the arrays' file."""
        arrays = self.arrays(net)
        path = folder / ARRAYS
        write_whole(path, lambda part: _save_npz(part, arrays))
        write_whole(folder / STRIPS, lambda part: write_plain_strips(part, arrays))
        return path


def _save_npz(path: Path, arrays: dict[str, NDArray[np.float32]]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
