"""Restore the same masked slices with several pretrained networks; arrays in and out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.data.slices import find_frames, fit, image_size, to_grid, to_images
from napari_ssl_muscle.learning.models.model_file import Model
from napari_ssl_muscle.learning.pretext.comparison import (
    Reconstruction,
    ReconstructionComparison,
    ScanToRestore,
    check_comparable,
    pretext_of,
)
from napari_ssl_muscle.learning.pretext.inpainting_task import VALIDATION_SEED, restore
from napari_ssl_muscle.learning.pretext.masking import (
    make_corruption,
    needs_bodies,
    network_input,
)
from napari_ssl_muscle.learning.settings import PretextSettings
from napari_ssl_muscle.learning.training.batch_fitting import BatchFitter
from napari_ssl_muscle.scans.body_mask import body_mask


def compare_scans(
    models: Sequence[Model],
    scans: Sequence[ScanToRestore],
    *,
    pretext: PretextSettings,
    seed: int,
    progress: Callable[[int, int, str], None],
) -> list[ReconstructionComparison]:
    """Let several pretrained networks restore slices of scans, for the shell and the window.

    Parameters
    ----------
    models, pretext, seed
        As in `compare_reconstructions`.
    scans
        What to restore.
    progress
        From `learning.events.report_steps`.

    Raises
    ------
    BadInput
        As in `compare_reconstructions`, or if a scan cannot be read.
    """
    found = []
    for done, scan in enumerate(scans):
        progress(done, len(scans), scan.name)
        found.append(
            compare_reconstructions(
                models,
                scan.read(),
                scan.spacing,
                slices=scan.slices,
                pretext=pretext,
                seed=seed,
                left=scan.left,
            )
        )
    progress(len(scans), len(scans), "")
    return found


def compare_reconstructions(
    models: Sequence[Model],
    channels: NDArray[np.float32],
    spacing: tuple[float, float, float],
    *,
    slices: Sequence[int] | None = None,
    pretext: PretextSettings | None = None,
    seed: int = VALIDATION_SEED,
    left: bool = False,
) -> ReconstructionComparison:
    """Let several pretrained networks restore the same masked slices of a scan.

    Masks depend on the seed, the slice and the leg alone: they are the same for every network
    and whichever other slices are restored.

    Parameters
    ----------
    models
        Pretrainings with the same slice settings and number of channels.
    channels
        ``(c, z, y, x)`` float32, canonical axes.
    spacing
        ``(dz, dy, dx)`` in mm.
    slices
        Which z; None takes all.
    pretext
        How to corrupt the images; None takes the first model's settings. Each model gets
        the mask channel if it was trained with it.
    seed
        Another seed draws other masks.
    left
        What a leg that is alone in the scan is taken for.

    Raises
    ------
    BadInput
        If the models do not compare, expect another number of channels, there is no such slice,
        or the squares are larger than the images.
    """
    cards = [model.card for model in models]
    check_comparable(cards)
    if len(channels) != len(cards[0].channels):
        raise BadInput(
            f"{cards[0].name} restores {len(cards[0].channels)} channel(s) "
            f"({', '.join(cards[0].channels)}) but the scan has {len(channels)}."
        )
    chosen = list(range(channels.shape[1]) if slices is None else slices)
    if not chosen or min(chosen) < 0 or max(chosen) >= channels.shape[1]:
        raise BadInput(f"The scan has slices 0 to {channels.shape[1] - 1}; choose among them.")
    settings = pretext_of(cards[0]) if pretext is None else pretext
    images, bodies, origins = _images(models, channels, spacing, chosen, settings, left)
    corrupted, changed = _corrupt(images, bodies, origins, settings, seed)
    return ReconstructionComparison(
        slices=np.array([z for _, z in origins]),
        legs=np.array([leg for leg, _ in origins]),
        original=images[:, 0].numpy(),
        masked=corrupted[:, 0].numpy(),
        holes=changed[:, 0].numpy(),
        masked_pixels=changed.sum(dim=(1, 2, 3)).numpy(),
        constant_error=_inside(images**2, changed),
        runs=tuple(_restore(model, images, corrupted, changed) for model in models),
    )


def _images(
    models: Sequence[Model],
    channels: NDArray[np.float32],
    spacing: tuple[float, float, float],
    chosen: Sequence[int],
    settings: PretextSettings,
    left: bool,
) -> tuple[Tensor, Tensor | None, list[tuple[int, int]]]:
    """Cut the slices as in training: images, bodies, and (leg, z) of each."""
    slices = models[0].card.slices
    frames = find_frames(channels, spacing, slices, left=left)
    multiple = 2 ** max(model.card.network.depth for model in models)
    size = image_size(slices, [frame.shape for frame in frames], multiple)
    some = np.ascontiguousarray(channels[:, chosen])
    images = torch.cat([fit(to_images(some, frame), size) for frame in frames])
    origins = [(leg, z) for leg in range(len(frames)) for z in chosen]
    if not needs_bodies(settings):
        return images, None, origins
    tissue = body_mask(channels[0])[chosen].astype(np.uint8)
    bodies = torch.cat([fit(to_grid(tissue, frame), size, fill=0) for frame in frames])
    return images, bodies == 1, origins


def _corrupt(
    images: Tensor,
    bodies: Tensor | None,
    origins: Sequence[tuple[int, int]],
    settings: PretextSettings,
    seed: int,
) -> tuple[Tensor, Tensor]:
    corrupt = make_corruption(settings)
    parts = []
    for index, (leg, z) in enumerate(origins):
        one = slice(index, index + 1)
        generator = torch.Generator().manual_seed((seed * 1_009 + leg) * 1_000_003 + z)
        parts.append(corrupt(images[one], None if bodies is None else bodies[one], generator))
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


@torch.inference_mode()
def _restore(model: Model, images: Tensor, corrupted: Tensor, changed: Tensor) -> Reconstruction:
    given = network_input(corrupted, changed, model.card.mask_channel)
    net = model.net.eval()
    restored = restore(net, given, BatchFitter(8), next(net.parameters()).device)
    squared = (restored - images) ** 2
    return Reconstruction(
        model.card.name,
        restored[:, 0].numpy(),
        (restored - images)[:, 0].abs().numpy(),
        _inside(squared, changed),
        squared.double().mean(dim=(1, 2, 3)).numpy(),
    )


def _inside(squared: Tensor, changed: Tensor) -> NDArray[np.float64]:
    """Mean of each image over the masked pixels of all channels; NaN where there are none."""
    total = (squared.double() * changed).sum(dim=(1, 2, 3))
    mean: NDArray[np.float64] = (total / (changed.sum(dim=(1, 2, 3)) * squared.shape[1])).numpy()
    return mean
