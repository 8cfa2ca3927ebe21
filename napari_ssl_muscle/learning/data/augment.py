"""Random changes of training images: position and shape, contrast, noise.

Everything is done for a whole batch at once, on the device that trains, from the generator that
is handed in, so that a step can be repeated bit for bit.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_ssl_muscle.learning.data.slices import normalise
from napari_ssl_muscle.learning.settings import AugmentSettings

_CONTROL = 5
"""Control points per axis of the elastic and the bias field: bends of about a muscle's size."""


def augment(
    images: Tensor,
    targets: Tensor | None,
    settings: AugmentSettings,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor | None]:
    """Change a batch at random.

    Parameters
    ----------
    images
        ``(n, c, rows, columns)``, each of zero mean and unit deviation, and so they come back.
    targets
        Class indices ``(n, rows, columns)`` uint8, moved along with the images; or None.
    settings
        What may change, and how far.
    generator
        On the images' device.
    """
    moves = any((settings.rotate, settings.scale, settings.shift, settings.flip, settings.bend))
    if moves:
        grid = _grid(images, settings, generator)
        images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
        if targets is not None:
            moved = F.grid_sample(
                targets[:, None].float(),
                grid,
                mode="nearest",
                padding_mode="border",
                align_corners=False,
            )
            targets = moved[:, 0].round().to(torch.uint8)
    if settings.blur > 0:
        images = _blur(images, settings.blur, generator)
    if settings.contrast > 0:
        images = _contrast(images, settings.contrast, generator)
    if settings.noise > 0:
        level = settings.noise * _uniform(images, (len(images), 1, 1, 1), generator)
        images = images + level * torch.randn(
            images.shape, generator=generator, device=images.device
        )
    if moves or any((settings.blur, settings.contrast, settings.noise)):
        images = normalise(images)
    return images, targets


def _uniform(like: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=like.device)


def _signed(like: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return 2 * _uniform(like, shape, generator) - 1


def _grid(images: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    n, _, rows, columns = images.shape
    angle = math.radians(settings.rotate) * _signed(images, (n,), generator)
    size = torch.exp(math.log1p(settings.scale) * _signed(images, (n,), generator))
    shift = 2 * settings.shift * _signed(images, (n, 2), generator)
    mirror = torch.ones(n, device=images.device)
    if settings.flip:
        mirror = torch.where(_uniform(images, (n,), generator) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
    # grid_sample counts in half images; the ratio keeps a rotation of an oblong image rigid.
    ratio = rows / columns
    theta = torch.stack(
        [
            torch.stack([cos * mirror, -sin * ratio, shift[:, 0]], dim=1),
            torch.stack([sin * mirror / ratio, cos, shift[:, 1]], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta, [n, 1, rows, columns], align_corners=False)
    if settings.bend > 0:
        control = _signed(images, (n, 2, _CONTROL, _CONTROL), generator)
        field = F.interpolate(control, size=(rows, columns), mode="bicubic", align_corners=True)
        strength = settings.bend * _uniform(images, (n, 1, 1, 1), generator)
        pixels = torch.tensor([2 / columns, 2 / rows], device=images.device)
        grid = grid + (field * strength).permute(0, 2, 3, 1) * pixels
    return grid


def _contrast(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    n, c = images.shape[:2]
    low = images.amin(dim=(-2, -1), keepdim=True)
    span = (images.amax(dim=(-2, -1), keepdim=True) - low).clamp_min(1e-6)
    gamma = torch.exp(2 * strength * _signed(images, (n, c, 1, 1), generator))
    unit = ((images - low) / span).clamp(0, 1) ** gamma
    control = _signed(images, (n, 1, _CONTROL, _CONTROL), generator)
    bias = F.interpolate(control, size=images.shape[-2:], mode="bicubic", align_corners=True)
    return unit * torch.exp(strength * bias)


def _blur(images: Tensor, most: float, generator: torch.Generator) -> Tensor:
    n, c, rows, columns = images.shape
    sigma = (most * _uniform(images, (n, 1), generator)).clamp_min(1e-3)
    radius = max(1, math.ceil(2 * most))
    offsets = torch.arange(-radius, radius + 1, device=images.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(c, dim=0)
    flat = F.pad(images.reshape(1, n * c, rows, columns), [radius] * 4, mode="replicate")
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=n * c)
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=n * c)
    return flat.reshape(n, c, rows, columns)
