"""What several pretrainings make of the same slices under the same masks; arrays in and out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.data.slices import common_size, find_frames, fit, to_grid, to_images
from napari_ssl_muscle.learning.models.model_file import Model
from napari_ssl_muscle.learning.pretext.comparable import check_comparable, pretext_of
from napari_ssl_muscle.learning.pretext.inpainting_task import VALIDATION_SEED
from napari_ssl_muscle.learning.pretext.masking import make_corruption
from napari_ssl_muscle.learning.settings import PretextSettings
from napari_ssl_muscle.learning.training.batch_fitting import BatchFitter
from napari_ssl_muscle.scans.body_mask import body_mask


@dataclass(frozen=True)
class Reconstruction:
    """What one run made of the images.

    Attributes
    ----------
    name
        The model's name.
    images, errors
        Float32 ``(n, rows, columns)``, first channel: what the network gave, and its absolute
        difference from the original, both over the whole image.
    masked_error, image_error
        Mean squared error of each image ``(n,)`` over all channels, inside the mask (NaN where
        nothing was masked) and over the whole image.
    """

    name: str
    images: NDArray[np.float32]
    errors: NDArray[np.float32]
    masked_error: NDArray[np.float64]
    image_error: NDArray[np.float64]


@dataclass(frozen=True)
class ReconstructionComparison:
    """The same images, the same masks, and every run's reconstruction.

    Attributes
    ----------
    slices, legs
        Of each image ``(n,)``: the canonical z, and which crop of the slice it is (0 is the one
        at the smaller x).
    original, masked
        Float32 ``(n, rows, columns)``, first channel, zero mean and unit deviation.
    holes
        Bool ``(n, rows, columns)``.
    masked_pixels
        Pixels in the mask of each image ``(n,)``.
    constant_error
        Mean squared error inside the mask of a constant (the image's mean), which is what a
        network that has learned nothing reaches.
    runs
        In the order of the models.
    """

    slices: NDArray[np.int64]
    legs: NDArray[np.int64]
    original: NDArray[np.float32]
    masked: NDArray[np.float32]
    holes: NDArray[np.bool_]
    masked_pixels: NDArray[np.int64]
    constant_error: NDArray[np.float64]
    runs: tuple[Reconstruction, ...]


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
    and whichever other slices are looked at.

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
        How to corrupt the images; None takes the first model's settings. Each model is told
        where the holes are if it was trained so.
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
    images, bodies, places = _images(models, channels, spacing, chosen, settings, left)
    corrupted, changed = _corrupt(images, bodies, places, settings, seed)
    return ReconstructionComparison(
        slices=np.array([z for _, z in places]),
        legs=np.array([leg for leg, _ in places]),
        original=images[:, 0].numpy(),
        masked=corrupted[:, 0].numpy(),
        holes=changed[:, 0].numpy(),
        masked_pixels=changed.sum(dim=(1, 2, 3)).numpy(),
        constant_error=_inside(images**2, changed),
        runs=tuple(_restore(model, images, corrupted, changed) for model in models),
    )


def mean_error(errors: NDArray[np.float64], pixels: NDArray[np.int64]) -> float:
    """Return the mean over all masked pixels of all images, as a validation does; NaN for none."""
    there = pixels > 0
    if not there.any():
        return float("nan")
    return float(np.average(errors[there], weights=pixels[there]))


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
    size = (
        (slices.size, slices.size)
        if slices.size is not None
        else common_size(
            [frame.shape for frame in frames], 2 ** max(m.card.network.depth for m in models)
        )
    )
    some = np.ascontiguousarray(channels[:, chosen])
    images = torch.cat([fit(to_images(some, frame), size) for frame in frames])
    places = [(leg, z) for leg in range(len(frames)) for z in chosen]
    if settings.corruption != "squares" or not settings.inside_body:
        return images, None, places
    tissue = body_mask(channels[0])[chosen].astype(np.uint8)
    bodies = torch.cat([fit(to_grid(tissue, frame), size, fill=0) for frame in frames])
    return images, bodies == 1, places


def _corrupt(
    images: Tensor,
    bodies: Tensor | None,
    places: Sequence[tuple[int, int]],
    settings: PretextSettings,
    seed: int,
) -> tuple[Tensor, Tensor]:
    corrupt = make_corruption(settings)
    parts = []
    for index, (leg, z) in enumerate(places):
        one = slice(index, index + 1)
        generator = torch.Generator().manual_seed((seed * 1_009 + leg) * 1_000_003 + z)
        parts.append(corrupt(images[one], None if bodies is None else bodies[one], generator))
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


@torch.inference_mode()
def _restore(model: Model, images: Tensor, corrupted: Tensor, changed: Tensor) -> Reconstruction:
    given = corrupted
    if model.card.mask_channel:
        given = torch.cat([corrupted, changed.to(corrupted.dtype)], dim=1)
    net = model.net.eval()
    device = next(net.parameters()).device
    restored = BatchFitter(8).in_parts(lambda part: net(part.to(device)).float().cpu(), given)
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
