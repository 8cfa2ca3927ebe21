"""Pretext masks and reconstructions brought back to the scan, for display."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from napari_ssl_muscle.learning.data.slices import Frame, find_frames, fit, image_size, to_grid
from napari_ssl_muscle.learning.pretext.masking import MaskDescription, describe_masks, draw_masks
from napari_ssl_muscle.learning.settings import Recipe
from napari_ssl_muscle.scans.body_mask import body_mask


@dataclass(frozen=True)
class ScanMasks:
    """Masks as a pretraining would draw them on a scan.

    `masks` are ``(z, y, x)`` uint8 on the voxels of the scan, 1 where masked; they are described
    as measured on the images that the network sees.
    """

    masks: NDArray[np.uint8]
    description: MaskDescription


def masks_on_scan(
    volume: NDArray[np.float32],
    spacing: tuple[float, float, float],
    recipe: Recipe,
    *,
    seed: int = 0,
    left: bool = False,
) -> ScanMasks:
    """Draw masks on every slice of a scan as its images would get them in a pretraining.

    They are drawn on the images that the network sees (cropped, resampled, padded) and brought
    back to the voxels of the scan without smoothing.

    Parameters
    ----------
    volume
        ``(z, y, x)``, canonical axes.
    spacing
        ``(dz, dy, dx)`` in mm.
    recipe
        Slices, network depth and pretext; the corruption is "squares".
    seed
        Another seed draws other masks.
    left
        What a leg that is alone in the scan is taken for.

    Raises
    ------
    BadInput
        If the square is larger than the images or the percentage makes no sense.
    """
    pretext = recipe.pretext
    frames = find_frames(volume[None], spacing, recipe.slices, left=left)
    shapes = [frame.shape for frame in frames]
    size = image_size(recipe.slices, shapes, 2**recipe.network.depth)
    tissue = body_mask(volume).astype(np.uint8) if pretext.inside_body else None
    rng = np.random.default_rng(seed)
    masks = np.zeros(volume.shape, np.uint8)
    holes, bodies = [], []
    for frame in frames:
        seen = None
        if tissue is not None:
            seen = fit(to_grid(tissue, frame), size, fill=0).numpy() == 1
        drawn = draw_masks(len(volume), size, pretext, rng, seen)
        own = frame.own_columns
        window = masks[:, frame.y, frame.x]
        window[:, :, own] = _to_voxels(drawn, frame)[:, :, own]
        masked = drawn.any(axis=(1, 2))  # a slice without a body is masked nowhere
        holes.append(drawn[masked])
        if seen is not None:
            bodies.append(seen[masked])
    everything = np.concatenate(holes)
    if not len(everything):
        return ScanMasks(
            masks, MaskDescription("Nothing is masked: no body was found in this scan.")
        )
    found = np.concatenate(bodies) if bodies else None
    return ScanMasks(masks, describe_masks(everything, found, pretext))


@dataclass(frozen=True)
class ImagePlacement:
    """Where a canvas of network pixels lies in a scan: mm, ``(y, x)``.

    `pixel` is the pixel size, `corner` the centre of the canvas's first pixel from the centre of
    the scan's first voxel.
    """

    pixel: tuple[float, float]
    corner: tuple[float, float]


def side_by_side(
    images: NDArray[np.float32],
    legs: NDArray[np.int64],
    frames: Sequence[Frame],
    spacing: tuple[float, float, float],
    fill: float,
) -> tuple[NDArray[np.float32], ImagePlacement]:
    """Put the images of all legs of a scan where they belong, at the network's pixel size.

    Parameters
    ----------
    images
        ``(n, rows, columns)``, leg after leg, each with the same slices.
    legs
        ``(n,)`` which of the scan's frames each is of.
    frames, spacing
        The scan's; ``(dz, dy, dx)`` in mm.
    fill
        Value where no leg is.

    Returns
    -------
    ndarray
        Float32 ``(slices, rows, columns)``; each column belongs to one leg.
    ImagePlacement
        Where it lies.
    """
    first = frames[0]
    pixel = (
        first.window[0] * spacing[1] / first.shape[0],
        first.window[1] * spacing[2] / first.shape[1],
    )
    top = min(frame.y.start for frame in frames)
    start = min(frame.x.start for frame in frames)

    def at(frame: Frame) -> tuple[int, int]:
        return (
            round((frame.y.start - top) * spacing[1] / pixel[0]),
            round((frame.x.start - start) * spacing[2] / pixel[1]),
        )

    rows = max(at(frame)[0] + frame.shape[0] for frame in frames)
    columns = max(at(frame)[1] + frame.shape[1] for frame in frames)
    count = int((legs == 0).sum())
    canvas = np.full((count, rows, columns), fill, np.float32)
    for leg, frame in enumerate(frames):
        part = fit(torch.from_numpy(images[legs == leg]), frame.shape, fill=fill)
        if frame.mirrored:
            part = part.flip(-1)
        y, x = at(frame)
        share = frame.shape[1] / frame.window[1]
        own = frame.own_columns
        own = slice(round(own.start * share), round(own.stop * share))
        canvas[:, y : y + frame.shape[0], x + own.start : x + own.stop] = part[:, :, own].numpy()
    corner = (
        top * spacing[1] + (pixel[0] - spacing[1]) / 2,
        start * spacing[2] + (pixel[1] - spacing[2]) / 2,
    )
    return canvas, ImagePlacement(pixel, corner)


def _to_voxels(drawn: NDArray[np.bool_], frame: Frame) -> NDArray[np.uint8]:
    """Bring masks of the network's images to the voxels of the frame's window."""
    part = fit(torch.from_numpy(drawn.astype(np.uint8)), frame.shape, fill=0)
    if frame.mirrored:
        part = part.flip(-1)
    if frame.shape == frame.window:
        return part.numpy()
    voxels = F.interpolate(part[:, None], size=frame.window, mode="nearest-exact")
    masks: NDArray[np.uint8] = voxels[:, 0].numpy()
    return masks
