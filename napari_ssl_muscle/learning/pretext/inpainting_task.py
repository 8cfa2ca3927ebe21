"""The task of restoring corrupted images, for the one training loop."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from napari_ssl_muscle.learning.data.augment import augment
from napari_ssl_muscle.learning.data.image_cache import ImageStore, Item
from napari_ssl_muscle.learning.data.validation_split import Holdout
from napari_ssl_muscle.learning.pretext.masking import (
    make_corruption,
    needs_bodies,
    network_input,
)
from napari_ssl_muscle.learning.settings import Recipe
from napari_ssl_muscle.learning.training.batch_fitting import BatchFitter
from napari_ssl_muscle.learning.training.task import AT_ONCE, Batch, ImageTask

VALIDATION_SEED = 20_251
"""Validation images are corrupted the same way every time, or their errors could not compare."""


class InpaintingTask(ImageTask):
    """Restore images that the recipe's pretext corrupts; targets are not used.

    Training images are augmented before they are corrupted.
    """

    metric = "masked_error"
    larger_is_better = False

    def __init__(self, store: ImageStore, chosen: Holdout, recipe: Recipe) -> None:
        super().__init__(store, chosen, recipe)
        self.pretext = recipe.pretext
        self._corruption = make_corruption(recipe.pretext)

    def batch(self, indices: Sequence[int]) -> Batch:
        """Return some training images and, where squares ask for it, their bodies."""
        return self.load([self.training[index] for index in indices])

    def loss(self, net: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return the mean squared error of the restored images.

        Averaged over all pixels of all images as published, or over the masked ones only, each
        image weighing by how much of it was masked.
        """
        images, bodies = augment(*batch, self.augmentation, generator)
        # Masks are drawn on the CPU, so that a seed hides the same pixels on every device.
        drawn = torch.Generator().manual_seed(generator.initial_seed())
        corrupted, changed = self.corrupt(images, bodies, drawn)
        given = network_input(corrupted, changed, self.pretext.mask_channel)
        restored = net(given).float()
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
            corrupted, changed = self.corrupt(images, bodies, generator)
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
        given = network_input(corrupted, changed, self.pretext.mask_channel)
        return restore(net, given, self.fitter, device)

    def corrupt(
        self, images: Tensor, bodies: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return corrupted images and what changed; see `masking.Corruption`.

        `bodies` is 1 where there is tissue.
        """
        return self._corruption(images, None if bodies is None else bodies == 1, generator)

    def load(self, items: Sequence[Item]) -> Batch:
        """Return images, and where the corruption asks for it their bodies (uint8), by item."""
        bodies = self.store.bodies(items, self.size) if needs_bodies(self.pretext) else None
        return self.store.images(items, self.size), bodies


def restore(net: nn.Module, given: Tensor, fitter: BatchFitter, device: torch.device) -> Tensor:
    """Return what `net`, on `device` in evaluation mode, makes of its input; both on the CPU."""
    return fitter.in_parts(lambda part: net(part.to(device)).float().cpu(), given)
