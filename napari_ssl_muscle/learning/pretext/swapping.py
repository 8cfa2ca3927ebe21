"""The pretext corruption that swaps squares in pairs: nothing is lost, but out of its place."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.settings import PretextSettings

Corner = tuple[int, int]
"""First row and column of a square."""


def draw_pairs(
    shape: tuple[int, int],
    kernel: int,
    percent: float,
    rng: np.random.Generator,
    body: NDArray[np.bool_] | None = None,
) -> list[tuple[Corner, Corner]]:
    """Draw pairs of K×K squares of which no two overlap, until they cover `percent`.

    Parameters
    ----------
    shape
        Rows and columns of the image; squares lie wholly inside it.
    kernel
        Side of the squares in pixels.
    percent
        Share of the image to cover, above 0 and up to 100; less is covered where no further
        square finds a place, which random squares reach at about half of the image.
    rng
        Where the positions come from.
    body
        Only squares whose centre lies in it are taken, and the share is that of the body.

    Raises
    ------
    BadInput
        If the square is larger than the image.
    """
    rows, columns = shape
    if not 1 <= kernel <= min(shape):
        raise BadInput(
            f"A square of {kernel} pixels does not fit into an image of {rows} × {columns}; "
            "choose a smaller kernel size."
        )
    counted = np.ones(shape, dtype=bool) if body is None else np.asarray(body, dtype=bool)
    target = counted.sum() * percent / 100
    half = kernel // 2
    free = np.argwhere(counted[half : rows - kernel + half + 1, half : columns - kernel + half + 1])
    corners: list[Corner] = []
    covered = 0
    while len(free) and (covered < target or len(corners) % 2):
        top, left = free[rng.integers(len(free))].tolist()
        corners.append((top, left))
        covered += int(counted[top : top + kernel, left : left + kernel].sum())
        free = free[(np.abs(free - (top, left)) >= kernel).any(axis=1)]
    return list(zip(corners[::2], corners[1::2], strict=False))  # an odd one stays where it is


def swap_squares(
    settings: PretextSettings, images: Tensor, bodies: Tensor | None, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Swap squares in pairs, in all channels alike; see `masking.Corruption`.

    After Chen et al. (2019, doi:10.1016/j.media.2019.101539), as Dominic et al. (2023,
    arXiv:2210.07936) pretrained for few labels: there up to a quarter of the image.
    """
    rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
    rows, columns = images.shape[-2:]
    tissue = bodies.cpu().numpy() if settings.inside_body and bodies is not None else None
    side = settings.kernel_size
    swapped = images.clone()
    changed = torch.zeros_like(images[:, :1], dtype=torch.bool)
    for index, image in enumerate(images):
        body = None if tissue is None else tissue[index]
        pairs = draw_pairs((rows, columns), side, settings.mask_percent, rng, body)
        for one, other in pairs:
            for (top, left), (y, x) in ((one, other), (other, one)):
                place = (..., slice(top, top + side), slice(left, left + side))
                swapped[index][place] = image[..., y : y + side, x : x + side]
                changed[index][place] = True
    return swapped, changed
