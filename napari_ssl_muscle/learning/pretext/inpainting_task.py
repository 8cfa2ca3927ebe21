"""The task of restoring corrupted images, for the one training loop."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from napari_ssl_muscle.learning.data.augment import augment
from napari_ssl_muscle.learning.data.image_cache import ImageStore, Item
from napari_ssl_muscle.learning.data.slices import common_size
from napari_ssl_muscle.learning.pretext.masking import make_corruption
from napari_ssl_muscle.learning.settings import AugmentSettings, PretextSettings
from napari_ssl_muscle.learning.training.batch_fitting import BatchFitter
from napari_ssl_muscle.learning.training.loop import Batch

VALIDATION_SEED = 20_251
"""Validation images are corrupted the same way every time, or their errors could not compare."""

AT_ONCE = 16
"""Validation images per forward pass, where there is memory for as many."""


class InpaintingTask:
    """Restore corrupted images: train on some images of a store, validate on others.

    Parameters
    ----------
    store
        Prepared images; targets are not looked at.
    training, validation
        Which images train, and which select the best weights (may be none).
    pretext
        Corruption, scored pixels, mask channel.
    augmentation
        How training images are changed at random before they are corrupted.
    size
        Rows and columns of the images; None fits the largest.
    multiple
        Image sizes are multiples of this (2 to the network's depth).
    """

    metric = "masked_error"
    larger_is_better = False

    def __init__(
        self,
        store: ImageStore,
        training: Sequence[Item],
        validation: Sequence[Item],
        *,
        pretext: PretextSettings,
        augmentation: AugmentSettings,
        size: int | None,
        multiple: int,
    ) -> None:
        self.store = store
        self.training = list(training)
        self.validation = list(validation)
        self.pretext = pretext
        self.corrupt = make_corruption(pretext)
        self._augmentation = augmentation
        self._fitter = BatchFitter(AT_ONCE)
        used = sorted({item.series for item in self.training})
        self.size = (
            (size, size) if size is not None else common_size(store.shapes(used or [0]), multiple)
        )

    def __len__(self) -> int:
        """Return the number of training images."""
        return len(self.training)

    def batch(self, indices: Sequence[int]) -> Batch:
        """Return some training images and, where squares ask for it, their bodies."""
        return self.load([self.training[index] for index in indices])

    def loss(self, net: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return the mean squared error of the restored images.

        Averaged over all pixels of all images as published, or over the masked ones only, each
        image weighing by how much of it was masked.
        """
        images, bodies = augment(*batch, self._augmentation, generator)
        # Masks are drawn on the CPU, so that a seed hides the same pixels on every device.
        drawn = torch.Generator().manual_seed(generator.initial_seed())
        corrupted, changed = self.corrupt(images, _as_mask(bodies), drawn)
        restored = net(self.with_mask(corrupted, changed)).float()
        error: Tensor = (restored - images) ** 2
        if self.pretext.scored == "image":
            return error.mean()
        return (error * changed).sum() / (changed.sum() * images.shape[1]).clamp_min(1)

    def validate(self, net: nn.Module, device: torch.device) -> dict[str, float]:
        """Return the mean squared error inside the masks, over the whole image, and of a constant.

        "constant_error" is the error inside the masks of the best constant (0, the image's mean):
        what a network that has learned nothing reaches.
        """
        if not self.validation:
            return {}
        inside, whole, constant, pixels, masked = 0.0, 0.0, 0.0, 0, 0
        for start in range(0, len(self.validation), AT_ONCE):
            generator = torch.Generator().manual_seed(VALIDATION_SEED + start)
            images, bodies = self.load(self.validation[start : start + AT_ONCE])
            corrupted, changed = self.corrupt(images, _as_mask(bodies), generator)
            restored = self.restore(net, corrupted, changed, device)
            error = (restored - images) ** 2
            inside += float((error * changed).sum())
            whole += float(error.sum())
            constant += float((images**2 * changed).sum())
            masked += int(changed.sum()) * images.shape[1]
            pixels += images.numel()
        return {
            "masked_error": inside / max(masked, 1),
            "image_error": whole / pixels,
            "constant_error": constant / max(masked, 1),
        }

    def restore(
        self, net: nn.Module, corrupted: Tensor, changed: Tensor, device: torch.device
    ) -> Tensor:
        """Return what `net`, in evaluation mode, makes of corrupted images; all on the CPU."""
        return self._fitter.in_parts(
            lambda given: net(given.to(device)).float().cpu(), self.with_mask(corrupted, changed)
        )

    def with_mask(self, corrupted: Tensor, changed: Tensor) -> Tensor:
        """Append the channel that tells the network where the holes are, if it is asked for."""
        if not self.pretext.mask_channel:
            return corrupted
        return torch.cat([corrupted, changed.to(corrupted.dtype)], dim=1)

    def load(self, items: Sequence[Item]) -> Batch:
        """Return images, and where the corruption asks for it their bodies (uint8), by item."""
        bodies = None
        if self.pretext.corruption == "squares" and self.pretext.inside_body:
            bodies = self.store.bodies(items, self.size)
        return self.store.images(items, self.size), bodies


def _as_mask(bodies: Tensor | None) -> Tensor | None:
    return None if bodies is None else bodies == 1
