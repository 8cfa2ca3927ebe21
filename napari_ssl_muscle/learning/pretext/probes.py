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
from napari_ssl_muscle.learning.pretext.inpainting_task import VALIDATION_SEED, InpaintingTask
from napari_ssl_muscle.learning.pretext.masking import mean_distance_to_visible
from napari_ssl_muscle.learning.settings import PretextSettings

COUNT = 6
"""Probe slices: enough to see a leg from end to end, few enough to cost nothing."""

COPYING = 10.0
"""AvgDist in pixels under which the task is mostly copying (Xie et al. 2022: best at 10 to 20)."""

ARRAYS = "probes.npz"
STRIPS = "probes.png"


class Probes:
    """Some validation slices with fixed masks, on which one watches a pretraining learn.

    Parameters
    ----------
    task
        The pretext task.
    items
        Where the probe slices are taken from, spread evenly.
    """

    def __init__(self, task: InpaintingTask, items: Sequence[Item]) -> None:
        self.task = task
        places = np.linspace(0, len(items) - 1, min(COUNT, len(items))).round().astype(int)
        self.items = [items[place] for place in places]
        images, bodies = task.load(self.items)
        generator = torch.Generator().manual_seed(VALIDATION_SEED)
        mask = None if bodies is None else bodies == 1
        self.images, self.mask = images, mask
        self.corrupted, self.changed = task.corrupt(images, mask, generator)

    def describe(self) -> str:
        """Say how much is masked, how far from anything visible, and whether that is too easy.

        The overshoot is what the last square covers beyond the share that was asked for.
        """
        return describe_masks(
            self.changed[:, 0].numpy(),
            None if self.mask is None else self.mask.numpy(),
            self.task.pretext,
        )

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
        write_whole(folder / STRIPS, lambda part: _save_strips(part, arrays))
        return path


def describe_masks(
    holes: NDArray[np.bool_], bodies: NDArray[np.bool_] | None, pretext: PretextSettings
) -> str:
    """Say how much is masked, how far from anything visible, and whether that is too easy.

    The overshoot is what the last square covers beyond the share that was asked for.

    Parameters
    ----------
    holes
        ``(n, rows, columns)``, true where masked.
    bodies
        Where there is tissue, if the share is that of the body.
    pretext
        What was asked for.
    """
    if pretext.corruption != "squares":
        return "Every pixel is changed, and every pixel is to be restored."
    share = 100 * holes.mean()
    counted, area = holes, np.full(len(holes), holes[0].size)
    inside = ""
    if bodies is not None:
        counted, area = holes & bodies, bodies.sum(axis=(1, 2))
        inside = f" ({100 * counted.sum() / max(1, area.sum()):.1f} % of the body)"
    target = np.ceil(area * pretext.mask_percent / 100 - 1e-9)
    more = float((counted.sum(axis=(1, 2)) - target).mean())
    overshoot = ""
    if more > 0:
        overshoot = (
            f", on average {more:.0f} pixels more than the {pretext.mask_percent:g} % asked "
            f"for (always under {pretext.kernel_size}² = {pretext.kernel_size**2})"
        )
    distance = float(np.mean([mean_distance_to_visible(hole) for hole in holes]))
    text = (
        f"Masked: {share:.1f} % of the image{inside}{overshoot}; a masked pixel is on average "
        f"{distance:.1f} pixels from a visible one."
    )
    if distance < COPYING:
        text += " That is near: the task is mostly copying from the neighbourhood."
    return text


def _save_npz(path: Path, arrays: dict[str, NDArray[np.float32]]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _save_strips(path: Path, arrays: dict[str, NDArray[np.float32]]) -> None:
    from matplotlib.image import imsave

    low, high = np.percentile(arrays["original"], [0.5, 99.5])
    rows = []
    for index in range(len(arrays["original"])):
        strip = [
            np.clip((arrays[name][index] - low) / (high - low), 0, 1)
            for name in ("original", "masked", "reconstruction")
        ]
        strip.append(np.clip(arrays["error"][index] / (high - low), 0, 1))
        rows.append(np.hstack(strip))
    imsave(path, np.vstack(rows), cmap="gray", vmin=0, vmax=1, format="png")
