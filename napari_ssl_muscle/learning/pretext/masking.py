"""Pretext corruptions: masked squares as published, noise, and the description of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.pretext.swapping import swap_squares
from napari_ssl_muscle.learning.settings import PretextSettings

_DRAWS = 64
"""Positions drawn at a time; only a number of speed."""


def draw_squares(
    shape: tuple[int, int],
    kernel: int,
    percent: float,
    rng: np.random.Generator,
    *,
    exact: bool = False,
    body: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Mask K×K squares at random positions until the covered share first reaches `percent`.

    Parameters
    ----------
    shape
        Rows and columns of the image. Squares lie wholly inside it and may overlap.
    kernel
        Side of the squares in pixels (the study's K).
    percent
        Share of the image to cover, above 0 and up to 100.
    rng
        Where the positions come from.
    exact
        Clip the last square so that the covered share is met to the pixel; otherwise it is
        overshot by less than ``kernel**2`` pixels.
    body
        Only squares whose centre lies in it are taken, and the share is that of the body.

    Raises
    ------
    BadInput
        If the percentage is 0 or above 100, or the square is larger than the image.
    """
    if not 0 < percent <= 100:
        raise BadInput(f"The masked percentage must be above 0 and at most 100, not {percent:g}.")
    rows, columns = shape
    if not 1 <= kernel <= min(shape):
        raise BadInput(
            f"A square of {kernel} pixels does not fit into an image of {rows} × {columns}; "
            "choose a smaller kernel size."
        )
    # Shares are of the body, and only its pixels count; an empty image is masked nowhere.
    counted = np.ones(shape, dtype=bool) if body is None else np.asarray(body, dtype=bool)
    target = int(np.ceil(int(counted.sum()) * percent / 100 - 1e-9))
    half = kernel // 2
    allowed = counted[half : rows - kernel + half + 1, half : columns - kernel + half + 1]
    corners = None if body is None else np.argwhere(allowed)
    masked = np.zeros(shape, dtype=bool)
    if target == 0 or (corners is not None and len(corners) == 0):
        return masked
    covered = 0
    misses = 0
    while covered < target:
        if corners is None:
            tops = rng.integers(0, rows - kernel + 1, _DRAWS)
            lefts = rng.integers(0, columns - kernel + 1, _DRAWS)
        else:
            tops, lefts = corners[rng.integers(0, len(corners), _DRAWS)].T
        for top, left in zip(tops.tolist(), lefts.tolist(), strict=True):
            square = masked[top : top + kernel, left : left + kernel]
            fresh = counted[top : top + kernel, left : left + kernel] & ~square
            gained = int(fresh.sum())
            misses = 0 if gained else misses + 1
            if exact and covered + gained > target:
                # The first pixels of the square, row by row, as many as are still wanted.
                wanted = np.argwhere(fresh)[: target - covered]
                square[wanted[:, 0], wanted[:, 1]] = True
                covered = target
                break
            square[...] = True
            covered += gained
            if covered >= target:
                break
        if misses > 4 * _DRAWS:
            # Squares that cover nothing new change nothing, so leaving them out of the draw
            # changes no probability; but a last corner may be reached from one place only.
            corners = np.argwhere(_covers_any(counted & ~masked, kernel) & allowed)
            misses = 0
            if len(corners) == 0:  # thin parts of the body that no allowed square reaches
                break
    return masked


def _covers_any(pixels: NDArray[np.bool_], kernel: int) -> NDArray[np.bool_]:
    """Return for every position of a square (its top left corner) whether it covers a pixel."""
    sums = np.pad(pixels.astype(np.int64), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    below = sums[kernel:, kernel:] - sums[kernel:, :-kernel]
    above = sums[:-kernel, kernel:] - sums[:-kernel, :-kernel]
    covers: NDArray[np.bool_] = below > above
    return covers


def mean_distance_to_visible(masked: NDArray[np.bool_]) -> float:
    """Return the mean distance in pixels of a masked pixel to the nearest visible one.

    SimMIM (Xie et al. 2022) calls it AvgDist and finds 10 to 20 pixels best: below, the task is
    mostly copying. Infinite where nothing is visible, 0 where nothing is masked.
    """
    if masked.all():
        return float("inf")
    if not masked.any():
        return 0.0
    return float(distance_transform_edt(masked)[masked].mean())


def draw_masks(
    count: int,
    shape: tuple[int, int],
    settings: PretextSettings,
    rng: np.random.Generator,
    bodies: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Return the masks ``(count, *shape)`` of some images, whose bodies decide where if given."""
    return np.stack(
        [
            draw_squares(
                shape,
                settings.kernel_size,
                settings.mask_percent,
                rng,
                exact=settings.exact,
                body=None if bodies is None else bodies[index],
            )
            for index in range(count)
        ]
    )


Corruption = Callable[[Tensor, Tensor | None, torch.Generator], tuple[Tensor, Tensor]]
"""Takes something from images that the network has to give back.

It is given images ``(n, c, rows, columns)`` of zero mean and unit deviation, bodies
``(n, rows, columns)`` bool (where there is tissue; None where that is not known), and a generator
on the CPU, so that the same seed hides the same pixels whatever the device. It returns the
corrupted images, and ``(n, 1, rows, columns)`` bool: the pixels that the network has to restore.
"""


def make_corruption(settings: PretextSettings) -> Corruption:
    """Return the corruption that the settings name."""
    kinds = {"squares": _mask_squares, "swapped": swap_squares, "noise": _add_noise}
    return partial(kinds[settings.corruption], settings)


def _mask_squares(
    settings: PretextSettings, images: Tensor, bodies: Tensor | None, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
    rows, columns = images.shape[-2:]
    tissue = bodies.cpu().numpy() if settings.inside_body and bodies is not None else None
    masks = draw_masks(len(images), (rows, columns), settings, rng, tissue)
    holes = torch.from_numpy(masks)[:, None].to(images.device)
    fill = (
        images.amin(dim=(-2, -1), keepdim=True)  # in MRI, air
        if settings.fill is None
        else torch.full_like(images[..., :1, :1], settings.fill)
    )
    return torch.where(holes, fill, images), holes


def _add_noise(
    settings: PretextSettings, images: Tensor, bodies: Tensor | None, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Add noise to every pixel (Vincent et al. 2008), so that every pixel is to be restored."""
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    everywhere = torch.ones_like(images[:, :1], dtype=torch.bool)
    return images + settings.noise * noise, everywhere


def network_input(corrupted: Tensor, changed: Tensor, mask_channel: bool) -> Tensor:
    """Return corrupted images, if asked for with a last channel that marks what to restore."""
    return torch.cat([corrupted, changed.to(corrupted.dtype)], dim=1) if mask_channel else corrupted


def needs_bodies(settings: PretextSettings) -> bool:
    """Return whether the corruption depends on where there is tissue."""
    return settings.corruption != "noise" and settings.inside_body


COPYING = 10 / 192
"""AvgDist under which the task is mostly copying, as a share of the image's side.

Xie et al. (2022, arXiv:2111.09886) found 10 to 20 pixels best, on images of 192 x 192 pixels.
"""


@dataclass(frozen=True)
class MaskDescription:
    """The coverage of masks, and a warning where the task is too easy."""

    coverage: str
    warning: str = ""

    @property
    def text(self) -> str:
        """Both in one line."""
        return f"{self.coverage} {self.warning}".rstrip()


def describe_masks(
    holes: NDArray[np.bool_], bodies: NDArray[np.bool_] | None, pretext: PretextSettings
) -> MaskDescription:
    """Describe how much is masked, how far from anything visible, and whether that is too easy.

    The overshoot is what the last square covers beyond the share that was asked for.

    Parameters
    ----------
    holes, bodies
        ``(n, rows, columns)``: what is masked, and where there is tissue if the share is that of
        the body.
    pretext
        What was asked for.
    """
    if pretext.corruption == "noise":
        return MaskDescription("Every pixel is changed, and every pixel is to be restored.")
    share = 100 * holes.mean()
    counted, area = holes, np.full(len(holes), holes[0].size)
    inside = ""
    if bodies is not None:
        counted, area = holes & bodies, bodies.sum(axis=(1, 2))
        inside = f" ({100 * counted.sum() / max(1, area.sum()):.1f} % of the body)"
    if pretext.corruption == "swapped":
        return MaskDescription(f"Swapped: {share:.1f} % of the image{inside}.")
    target = np.ceil(area * pretext.mask_percent / 100 - 1e-9)
    more = float((counted.sum(axis=(1, 2)) - target).mean())
    overshoot = ""
    if more > 0:
        overshoot = (
            f", on average {more:.0f} pixels more than the {pretext.mask_percent:g} % asked "
            f"for (always under {pretext.kernel_size}² = {pretext.kernel_size**2})"
        )
    distance = float(np.mean([mean_distance_to_visible(hole) for hole in holes]))
    text = (
        f"Masked: {share:.1f} % of the image{inside}{overshoot}; a masked pixel is on average "
        f"{distance:.1f} pixels from a visible one."
    )
    near = "That is near: the task is mostly copying from the neighbourhood."
    return MaskDescription(text, near if distance < COPYING * np.sqrt(holes[0].size) else "")
