"""From a volume to the images that the network sees, and exactly back.

A volume is cut to frames (one per leg, the body, or the whole slice; the same window on every
slice), each frame is resampled in plane to the model's pixel size, and each image is brought to
zero mean and unit standard deviation, as published. A frame knows its way back, so that label
maps come out on the voxels of the scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.settings import SliceSettings
from napari_ssl_muscle.scans.body_mask import leg_boxes
from napari_ssl_muscle.scans.geometry import Geometry

LARGEST = 2048
"""Pixels along a side of a resampled image; a thigh at 0.3 mm has fewer."""


@dataclass(frozen=True)
class Frame:
    """A window of the canonical slices, and the grid that it is resampled to.

    Attributes
    ----------
    y, x
        The window in voxels of the canonical volume.
    shape
        Rows and columns after resampling. Pixel edges of window and grid coincide, so the true
        pixel size is ``window * spacing / shape``, within half a pixel of what was asked for.
    own_x
        The columns that this frame alone may label; neighbouring windows overlap by their margins.
    mirrored
        The images show the window mirrored: a left leg that is to look like a right one.
    """

    y: slice
    x: slice
    shape: tuple[int, int]
    own_x: slice
    mirrored: bool = False

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns of the window in voxels of the volume."""
        return self.y.stop - self.y.start, self.x.stop - self.x.start

    @property
    def own_columns(self) -> slice:
        """`own_x` counted from the window's first column."""
        return slice(self.own_x.start - self.x.start, self.own_x.stop - self.x.start)


def find_frames(
    channels: NDArray[np.float32],
    spacing: tuple[float, float, float],
    settings: SliceSettings,
    *,
    left: bool = False,
) -> list[Frame]:
    """Find the frames of a scan, at least one, ordered by x.

    Parameters
    ----------
    channels
        ``(c, z, y, x)``; body and air are told apart in the first channel.
    spacing
        ``(dz, dy, dx)`` in mm.
    settings
        Crop, margin and pixel size.
    left
        What a leg that is alone in the scan is taken for. Of two legs the one at the larger x is
        the patient's left.
    """
    boxes = leg_boxes(channels[0], spacing, settings.margin, settings.crop)
    boxes = sorted(boxes, key=lambda box: box.x.start)
    frames = []
    for index, box in enumerate(boxes):
        first, last = box.x.start, box.x.stop
        if index > 0:
            first = max(first, (boxes[index - 1].x.stop + box.x.start) // 2)
        if index + 1 < len(boxes):
            last = min(last, (box.x.stop + boxes[index + 1].x.start) // 2)
        rows, columns = box.y.stop - box.y.start, box.x.stop - box.x.start
        shape = (rows, columns)
        if settings.spacing is not None:
            wanted = (rows * spacing[1] / settings.spacing, columns * spacing[2] / settings.spacing)
            if not max(wanted) <= LARGEST:
                raise BadInput(
                    f"An image of {spacing[2] * columns:.4g} × {spacing[1] * rows:.4g} mm would be "
                    f"resampled to pixels of {settings.spacing:.3g} mm, more than {LARGEST} along "
                    "a side, which no MRI needs; check the voxel sizes in its header and the model."
                )
            shape = (max(1, round(wanted[0])), max(1, round(wanted[1])))
        is_left = index == 1 if len(boxes) == 2 else left
        mirrored = settings.crop == "leg" and settings.mirror and is_left
        frames.append(Frame(box.y, box.x, shape, slice(first, last), mirrored))
    return frames


def lies_left(geometry: Geometry) -> bool:
    """Guess whether a leg that is alone in a scan is a left one: it lies left of the isocentre.

    Used where no better is known; within 3 cm of the isocentre it is taken for a right one.
    """
    if not geometry.sided:
        return False
    middle = np.array([(n - 1) / 2 for n in geometry.canonical_shape] + [1.0])
    return float((geometry.canonical_affine @ middle)[0]) < -30.0


def to_images(channels: NDArray[np.float32], frame: Frame) -> Tensor:
    """Cut, resample and normalise: ``(c, z, y, x)`` to float32 ``(z, c, rows, columns)``.

    Shrinking is antialiased. Each image has zero mean and unit standard deviation over what the
    network sees of it; a constant image becomes zeros.
    """
    cut = np.ascontiguousarray(channels[:, :, frame.y, frame.x].swapaxes(0, 1))
    images = torch.from_numpy(cut)
    if tuple(images.shape[-2:]) != frame.shape:
        images = F.interpolate(
            images, size=frame.shape, mode="bilinear", align_corners=False, antialias=True
        )
    return normalise(images.flip(-1) if frame.mirrored else images)


def to_grid(classes: NDArray[np.uint8], frame: Frame) -> Tensor:
    """Bring class indices ``(z, y, x)`` onto the frame's grid: uint8 ``(z, rows, columns)``.

    Each pixel takes the class that covers most of it. Picking the nearest voxel instead would
    move outlines by half a voxel where the grid is coarser by a whole number.
    """
    cut = torch.from_numpy(np.ascontiguousarray(classes[:, frame.y, frame.x]))
    if frame.mirrored:
        cut = cut.flip(-1)
    if tuple(cut.shape[-2:]) == frame.shape:
        return cut
    share = torch.zeros((len(cut), *frame.shape))
    winner = torch.zeros((len(cut), *frame.shape), dtype=torch.uint8)
    for value in np.unique(cut.numpy()).tolist():
        covered = F.interpolate(
            (cut == value)[:, None].float(),
            size=frame.shape,
            mode="bilinear",
            align_corners=False,
            antialias=True,
        )[:, 0]
        more = covered > share
        winner[more] = value
        share = torch.where(more, covered, share)
    return winner


def to_window(scores: Tensor, frame: Frame) -> Tensor:
    """Bring scores ``(z, k, rows, columns)`` back onto the voxels of the window, bilinearly."""
    if frame.mirrored:
        scores = scores.flip(-1)
    if tuple(scores.shape[-2:]) == frame.window:
        return scores
    return F.interpolate(scores, size=frame.window, mode="bilinear", align_corners=False)


def normalise(images: Tensor) -> Tensor:
    """Give every image and channel ``(n, c, rows, columns)`` zero mean and unit deviation."""
    mean = images.mean(dim=(-2, -1), keepdim=True)
    deviation = images.std(dim=(-2, -1), keepdim=True, correction=0)
    # A slice outside the patient may be constant; rounding must not blow its noise up.
    flat = deviation <= 1e-6 * mean.abs().clamp_min(1e-6)
    return torch.where(flat, torch.zeros_like(images), (images - mean) / deviation.clamp_min(1e-12))


def fit(image: Tensor, size: tuple[int, int], fill: float | None = None) -> Tensor:
    """Cut or pad images ``(..., rows, columns)`` around the centre to `size`.

    Padding has the value `fill`; None takes the smallest of each image, which in MRI is air.
    """
    rows, columns = image.shape[-2:]
    top, left = max(0, (rows - size[0]) // 2), max(0, (columns - size[1]) // 2)
    cut = image[..., top : top + size[0], left : left + size[1]]
    if tuple(cut.shape[-2:]) == size:
        return cut
    if fill is None:
        padded = image.amin(dim=(-2, -1), keepdim=True).expand(*image.shape[:-2], *size).clone()
    else:
        padded = torch.full((*image.shape[:-2], *size), fill, dtype=image.dtype)
    top, left = (size[0] - cut.shape[-2]) // 2, (size[1] - cut.shape[-1]) // 2
    padded[..., top : top + cut.shape[-2], left : left + cut.shape[-1]] = cut
    return padded


def image_size(
    settings: SliceSettings, shapes: Sequence[tuple[int, int]], multiple: int
) -> tuple[int, int]:
    """Return rows and columns of training images: as set, or those of `common_size`."""
    if settings.size is not None:
        return settings.size, settings.size
    return common_size(shapes, multiple)


def common_size(shapes: Sequence[tuple[int, int]], multiple: int) -> tuple[int, int]:
    """Return the smallest size that holds every shape and is a multiple of `multiple`."""
    rows = max(shape[0] for shape in shapes)
    columns = max(shape[1] for shape in shapes)
    return -(-rows // multiple) * multiple, -(-columns // multiple) * multiple
