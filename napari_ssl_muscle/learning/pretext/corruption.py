"""The interface of every corruption, and their names."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from napari_ssl_muscle.learning.pretext.masking import MaskedSquares
from napari_ssl_muscle.learning.pretext.noise import AddedNoise
from napari_ssl_muscle.learning.settings import PretextSettings


class Corruption(Protocol):
    """Takes something from images that the network has to give back."""

    def __call__(
        self, images: Tensor, bodies: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Corrupt a batch.

        Parameters
        ----------
        images
            ``(n, c, rows, columns)``, zero mean and unit deviation.
        bodies
            ``(n, rows, columns)`` bool, where there is tissue; None where that is not known.
        generator
            On the CPU: the same seed hides the same pixels whatever the device.

        Returns
        -------
        corrupted
            Like `images`.
        changed
            ``(n, 1, rows, columns)`` bool, the pixels that the network has to restore.
        """
        ...


def make_corruption(settings: PretextSettings) -> Corruption:
    """Return the corruption that the settings name."""
    if settings.corruption == "noise":
        return AddedNoise(settings.noise)
    return MaskedSquares(
        kernel=settings.kernel_size,
        percent=settings.mask_percent,
        fill=settings.fill,
        exact=settings.exact,
        inside_body=settings.inside_body,
    )
