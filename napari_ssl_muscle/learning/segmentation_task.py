"""The task of segmenting muscles, for the one training loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from napari_ssl_muscle.learning.data.augment import augment
from napari_ssl_muscle.learning.data.image_cache import UNLABELLED, ImageStore
from napari_ssl_muscle.learning.data.slices import common_size
from napari_ssl_muscle.learning.data.validation_split import Holdout
from napari_ssl_muscle.learning.settings import Recipe, TrainingSettings
from napari_ssl_muscle.learning.training import losses
from napari_ssl_muscle.learning.training.task import AT_ONCE, Batch, ImageTask


def make_loss(settings: TrainingSettings) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the settings' loss of logits ``(n, k, r, c)`` against class indices ``(n, r, c)``."""
    if settings.loss == "balanced":
        return partial(losses.balanced, weight=settings.balance)
    return losses.dice_ce if settings.loss == "dice_ce" else losses.cross_entropy_per_class


class SegmentationTask(ImageTask):
    """Segment muscles, with the recipe's loss; the store has targets."""

    metric = "dice"
    larger_is_better = True

    def __init__(self, store: ImageStore, chosen: Holdout, recipe: Recipe) -> None:
        if store.table is None:
            raise ValueError("a segmentation task needs a store with targets")
        super().__init__(store, chosen, recipe)
        self.names = store.classes.names
        self._loss = make_loss(recipe.training)

    def batch(self, indices: Sequence[int]) -> Batch:
        """Return some training images and their class indices."""
        items = [self.training[index] for index in indices]
        return self.store.images(items, self.size), self.store.targets(items, self.size)

    def loss(self, net: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return the loss of a batch after augmentation."""
        images, targets = augment(*batch, self.augmentation, generator)
        assert targets is not None
        loss: Tensor = self._loss(net(images), targets.long())
        return loss

    def validate(self, net: nn.Module, device: torch.device) -> dict[str, float]:
        """Return Dice per muscle and their mean over subjects in 3D, and the mean loss.

        A subject's Dice of a muscle sums over all its validation images, both legs together. A
        muscle that a subject lacks in both label map and prediction does not count there. The
        loss is that of training, over batches of validation images.
        """
        loss, images_seen = 0.0, 0
        found: dict[str, np.ndarray] = {}
        for series in sorted({item.series for item in self.validation}):
            items = [item for item in self.validation if item.series == series]
            size = common_size(self.store.shapes([series]), self.multiple)
            counts = found.setdefault(
                self.store.series[series].subject, np.zeros((len(self.names) + 1, 2))
            )
            for start in range(0, len(items), AT_ONCE):
                part = items[start : start + AT_ONCE]
                images = self.store.images(part, size)
                targets = self.store.targets(part, size).to(device).long()
                logits = self.fitter.in_parts(lambda given: net(given.to(device)), images)
                loss += float(self._loss(logits, targets)) * len(part)
                images_seen += len(part)
                counts += overlap_counts(logits.argmax(dim=1), targets, len(self.names) + 1)
        if not found:
            return {}
        with np.errstate(invalid="ignore"):
            dice = np.array([2 * c[:, 0] / c[:, 1] for c in found.values()])
        per_muscle = _mean_of_counted(dice[:, 1:])
        subjects = _mean_of_counted(dice[:, 1:].T)
        mean = float(_mean_of_counted(subjects[:, None])[0])
        if not np.isfinite(mean):  # no muscle anywhere: nothing to select by
            return {}
        figures = {"dice": mean, "validation_loss": loss / images_seen}
        figures.update(
            (f"dice/{name}", float(value))
            for name, value in zip(self.names, per_muscle, strict=True)
            if np.isfinite(value)
        )
        return figures


def overlap_counts(classes: Tensor, targets: Tensor, count: int) -> np.ndarray:
    """Count pixels per class, ignoring `UNLABELLED`: in both, and in one plus in the other.

    `classes` and `targets` are int64 of equal shape; returned are ``(count, 2)`` float64.
    """
    known = targets != UNLABELLED
    predicted, reference = classes[known], targets[known]
    both = torch.bincount(reference[predicted == reference], minlength=count)
    either = torch.bincount(predicted, minlength=count) + torch.bincount(reference, minlength=count)
    return torch.stack([both, either], dim=1).double().cpu().numpy()


def _mean_of_counted(values: np.ndarray) -> np.ndarray:
    """Mean down the columns over finite values; NaN where there is none."""
    counted = np.isfinite(values)
    total = np.where(counted, values, 0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / counted.sum(axis=0))
