"""How many images are computed at once: as many as asked for, or fewer where memory is short."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from napari_ssl_muscle.learning.training.memory import is_out_of_memory

T = TypeVar("T")


class BatchFitter:
    """Remembers how many images fit into memory, so that it is found out only once.

    Parameters
    ----------
    images
        How many images to compute at once; the attribute is how many are computed now.
    on_halved
        Called with the old and the new number each time that it is halved.
    """

    def __init__(self, images: int, on_halved: Callable[[int, int], None] | None = None) -> None:
        self.images = images
        self._on_halved = on_halved

    def fit(self, attempt: Callable[[int], T]) -> T:
        """Return what `attempt` gives for a number of images, halved until memory suffices.

        What it changes before it fails must do no harm. What it raises is passed on; lack of
        memory only once it fails for a single image.
        """
        while True:
            try:
                return attempt(self.images)
            except Exception as error:
                if self.images == 1 or not is_out_of_memory(error):
                    raise
            # Not inside the clause above: the error keeps everything that the attempt held.
            before, self.images = self.images, self.images // 2
            free_memory()
            if self._on_halved is not None:
                self._on_halved(before, self.images)

    def in_parts(self, function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Apply a function to images ``(n, …)`` a part at a time; return ``(n, …)`` joined.

        The function must treat each image by itself, as a network in evaluation mode does.
        """
        parts: list[Tensor] = []
        start = 0
        while start < len(images):
            part = self.fit(partial(_apply, function, images, start))
            parts.append(part)
            start += len(part)
        return torch.cat(parts)


def _apply(function: Callable[[Tensor], Tensor], images: Tensor, start: int, size: int) -> Tensor:
    return function(images[start : start + size])


def free_memory() -> None:
    """Give back what is held without need, on the CPU and on a GPU that is in use."""
    gc.collect()
    torch.cuda.empty_cache()  # does nothing where there is none
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
