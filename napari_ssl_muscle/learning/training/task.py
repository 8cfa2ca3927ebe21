"""What a training loop needs to know of what is learned, and the base of tasks on stored images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from napari_ssl_muscle.learning.data.image_cache import ImageStore
from napari_ssl_muscle.learning.data.slices import image_size
from napari_ssl_muscle.learning.data.validation_split import Holdout
from napari_ssl_muscle.learning.settings import Recipe
from napari_ssl_muscle.learning.training.batch_fitting import BatchFitter

AT_ONCE = 16
"""Validation images per forward pass, where there is memory for as many."""

Batch = tuple[Tensor, Tensor | None]
"""Images ``(n, c, rows, columns)`` and what the task compares with, on the CPU."""


class Task(Protocol):
    """What is learned; the loop knows nothing else of it."""

    metric: str
    """Name of the figure of `validate` that selects the best weights."""

    larger_is_better: bool

    def __len__(self) -> int:
        """Return the number of training images."""
        ...

    def batch(self, indices: Sequence[int]) -> Batch:
        """Return some training images by index."""
        ...

    def loss(self, net: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return the loss of a batch that is on the device; all randomness from `generator`."""
        ...

    def validate(self, net: nn.Module, device: torch.device) -> dict[str, float]:
        """Return figures of the validation images; empty where there are none."""
        ...


class ImageTask:
    """Base of tasks that train on some images of a store and validate on others.

    Parameters
    ----------
    store
        Prepared images.
    chosen
        Which images train, and which select the best weights (may be none).
    recipe
        Image size, network depth, augmentation, and what the task reads of it.
    """

    def __init__(self, store: ImageStore, chosen: Holdout, recipe: Recipe) -> None:
        self.store = store
        self.training, self.validation = chosen.training, chosen.validation
        self.augmentation = recipe.augment
        self.multiple = 2**recipe.network.depth
        self.fitter = BatchFitter(AT_ONCE)
        used = sorted({item.series for item in self.training}) or [0]
        self.size = image_size(recipe.slices, store.shapes(used), self.multiple)

    def __len__(self) -> int:
        """Return the number of training images."""
        return len(self.training)
