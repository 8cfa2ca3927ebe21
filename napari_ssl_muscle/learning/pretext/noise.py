"""Denoising: Gaussian noise is added everywhere, and every pixel is to be restored."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class AddedNoise:
    """Add noise of `level` standard deviations to every pixel (Vincent et al. 2008)."""

    level: float

    def __call__(
        self, images: Tensor, bodies: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return noisy images and an all-true map of what changed."""
        noise = torch.randn(images.shape, generator=generator).to(images.device)
        everywhere = torch.ones_like(images[:, :1], dtype=torch.bool)
        return images + self.level * noise, everywhere
