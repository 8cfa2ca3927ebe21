"""Where the body is, and where one leg ends and the other begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Volume = npt.NDArray[np.float32]
Spacing = tuple[float, float, float]

# Body and legs are large: this many pixels across show them as well as 512 do, and faster.
_COARSE = 256
# Tissue is brighter than this share of the mean of what is clearly bright. Subcutaneous fat on a
# water image and badly replaced muscle lie above it; ghosts and padding, at up to a tenth, below.
_TISSUE = 0.15
# A slice at the end of the coil may be dimmer than the volume by this factor, but not by more.
_DIMMEST = 0.4
# Pieces smaller than this share of the largest one are hands, pads and ghosts.
_PIECE = 0.05

# Each leg has at least this share of the area of a slice.
_LEG = 0.2
# How clear the gap must be (1: air from front to back) at which width over height of what is
# seen; in between, in between. Measured on 15 images and 14 label maps of calves and thighs: two
# legs are 1.5 to 3.1 times as wide as high, with a clearness of 0.84 to 1, and single ones 0.4 to
# 1.6, with at most 0.1 for outlines and 0.84 for labels, where it is the space between muscles.
_OUTLINES = ((1.0, 1.3), (0.6, 0.2))
_LABELS = ((1.2, 1.5, 1.8), (0.95, 0.9, 0.3))


@dataclass(frozen=True)
class LegBox:
    """A window of the canonical slices `(z, y, x)`, the same on every slice.

    Parameters
    ----------
    y, x
        Rows and columns of the volume.
    index
        Number of the box, from 0 in the order of x: the patient's right comes first.
    """

    y: slice
    x: slice
    index: int


def body_mask(volume: Volume) -> Mask:
    """Tell tissue from air.

    Parameters
    ----------
    volume
        `(z, y, x)`; brighter is tissue, in any unit.

    Returns
    -------
    True inside the outline of the body, slice by slice: marrow, bone, vessels and gas are filled.
    All False where nothing stands out. The outline is found on pixels of at most 1/256 of the
    slice's longer side, and is as exact as these.

    Notes
    -----
    The threshold is the higher of Otsu's (1979) on the logarithm, which lies above the noise, and
    a share of the mean above Otsu's on the intensities themselves, which lies above ghosts.
    """
    from scipy import ndimage  # heavy, and this module is imported by light ones

    depth, height, width = volume.shape
    step = max(1, round(max(height, width) / _COARSE))
    rows, columns = -(-height // step), -(-width // step)
    padded = np.pad(
        volume,
        ((0, 0), (0, rows * step - height), (0, columns * step - width)),
        mode="edge",
    )
    coarse = padded.reshape(depth, rows, step, columns, step).mean(axis=(2, 4))
    coarse = ndimage.uniform_filter(np.maximum(coarse - min(coarse.min(), 0), 0), (0, 3, 3))
    if coarse.max() <= 0:
        return np.zeros(volume.shape, bool)
    bright = float(coarse[coarse > _otsu(coarse)].mean())
    noise = float(np.expm1(_otsu(np.log1p(coarse * (1000 / bright))))) * bright / 1000
    slices = np.percentile(coarse, 99, axis=(1, 2))
    dim = np.clip(slices / np.percentile(slices, 75), _DIMMEST, 1)
    threshold = np.maximum(_TISSUE * bright * dim, noise)
    mask = coarse > threshold[:, None, None]
    in_plane = np.zeros((3, 3, 3), bool)
    in_plane[1] = ndimage.generate_binary_structure(2, 1)
    mask = ndimage.binary_fill_holes(mask, in_plane)
    mask = ndimage.binary_opening(mask, in_plane)
    pieces, count = ndimage.label(mask)
    if count > 1:
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        mask = (sizes >= _PIECE * sizes.max())[pieces]
    fine: Mask = mask.repeat(step, axis=1).repeat(step, axis=2)[:, :height, :width]
    return fine


def gap_between_legs(mask: Mask, spacing: Spacing, *, outlines: bool = False) -> int | None:
    """Find the column that divides two legs.

    In each slice, the extent of the mask from front to back has a valley between two humps along
    x. Its depth, against the lower hump, says how clear the gap is there; the column is the one
    that is clearest over all slices with the halves most alike, and the middle of them where a
    whole range is free. Slices in which the legs touch count with the valley that is left; slices
    through the pelvis say nothing.

    Parameters
    ----------
    mask
        `(z, y, x)`: where any muscle is labelled, or a body mask.
    spacing
        `(dz, dy, dx)` in mm.
    outlines
        Whether the mask shows whole legs with their skin, as `body_mask` does. These have no
        spaces between muscles, so that a shallow valley is enough: legs pressed together.

    Returns
    -------
    The first column of the leg at larger x, or None if there is only one leg.
    """
    from scipy import ndimage

    columns = np.flatnonzero(mask.any(axis=(0, 1)))
    rows = np.flatnonzero(mask.any(axis=(0, 2)))
    if columns.size < 2:
        return None
    there = mask.any(axis=1)
    front, back = mask.argmax(axis=1), mask.shape[1] - mask[:, ::-1].argmax(axis=1)
    extent = np.where(there, back - front, 0) * spacing[1]
    smooth = max(1, round(10 / spacing[2]))  # 1 cm: finer than a leg, coarser than a vein
    extent = ndimage.uniform_filter1d(extent, smooth, axis=1, mode="constant")
    lower_hump = np.minimum(
        np.maximum.accumulate(extent, axis=1),
        np.maximum.accumulate(extent[:, ::-1], axis=1)[:, ::-1],
    )
    depth = 1 - np.divide(extent, lower_hump, out=np.ones_like(extent), where=lower_hump > 0)
    area = mask.sum(axis=1).cumsum(axis=1).astype(float)
    share = area / np.maximum(area[:, -1:], 1)
    smaller = np.minimum(share, 1 - share)
    depth[(smaller < _LEG) | (area[:, -1:] < 0.1 * area.max())] = 0

    clear = depth.mean(axis=0)
    best = int((depth * np.sqrt(smaller)).mean(axis=0).argmax())
    # The legs part in some slices only: those that show it best decide, at this one column.
    deciding = np.sort(depth[:, best])[::-1][: max(1, len(depth) // 3)]
    width_mm = (columns[-1] - columns[0] + 1) * spacing[2]
    height_mm = (rows[-1] - rows[0] + 1) * spacing[1]
    needed = np.interp(width_mm / height_mm, *(_OUTLINES if outlines else _LABELS))
    if deciding.mean() < needed:
        return None
    free = clear >= clear[best] - 0.01
    first = last = best
    while first > 0 and free[first - 1]:
        first -= 1
    while last + 1 < len(free) and free[last + 1]:
        last += 1
    return (first + last + 1) // 2


def leg_boxes(
    volume: Volume, spacing: Spacing, margin_mm: float, crop: Literal["leg", "body", "none"]
) -> list[LegBox]:
    """Find the windows to work in.

    Parameters
    ----------
    volume
        `(z, y, x)`.
    spacing
        `(dz, dy, dx)` in mm.
    margin_mm
        Room around the tissue; never beyond the volume.
    crop
        `"leg"`: one box for each leg, or for the body if there is only one; `"body"`: one box;
        `"none"`: the whole slice.

    Returns
    -------
    One or two boxes, ordered by x, which together hold all of the body on every slice. Boxes of
    two legs that are near each other overlap by their margins, half of it on either side of the
    gap. Where there is no body to be seen, the box is the whole slice.
    """
    _, height, width = volume.shape
    whole = LegBox(slice(0, height), slice(0, width), 0)
    if crop == "none":
        return [whole]
    mask = body_mask(volume)
    if not mask.any():
        return [whole]
    gap = gap_between_legs(mask, spacing, outlines=True) if crop == "leg" else None
    sides = [slice(0, width)] if gap is None else [slice(0, gap), slice(gap, width)]
    shown = np.any(mask, axis=0)
    boxes = []
    for index, side in enumerate(sides):
        y, x = np.nonzero(shown[:, side])
        rows = _extent(y, margin_mm / spacing[1], height)
        columns = _extent(x + side.start, margin_mm / spacing[2], width)
        boxes.append(LegBox(rows, columns, index))
    return boxes


def _extent(places: npt.NDArray[np.intp], margin: float, length: int) -> slice:
    """From the first to the last of these places, with a margin, within an axis of this length."""
    room = int(np.ceil(margin))
    return slice(max(0, int(places.min()) - room), min(length, int(places.max()) + 1 + room))


def _otsu(values: npt.NDArray[Any]) -> float:
    """Otsu's threshold: the one that leaves the least variance within the two classes."""
    counts, edges = np.histogram(values, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1].astype(float)
    above = counts.sum() - below
    moment = np.cumsum(counts * centres)
    total = moment[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (total * below - moment[:-1] * counts.sum()) ** 2 / (below * above)
    return float(centres[int(np.nanargmax(between))])
