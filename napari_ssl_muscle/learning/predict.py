"""From a scan and a model to a label map on the scan's own voxels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.data.scan_check import (
    differences_from_training,
    differences_of_prediction,
    headline,
)
from napari_ssl_muscle.learning.data.scan_traits import PredictionTraits, prediction_traits
from napari_ssl_muscle.learning.data.slices import (
    Frame,
    common_size,
    find_frames,
    fit,
    to_images,
    to_window,
)
from napari_ssl_muscle.learning.events import ShouldStop, StoppedByUser, never_stop
from napari_ssl_muscle.learning.islands import drop_islands
from napari_ssl_muscle.learning.leg_sides import dividing_column, find_legs, lone_leg
from napari_ssl_muscle.learning.models.card import check_segments
from napari_ssl_muscle.learning.models.model_file import Model
from napari_ssl_muscle.learning.training.batch_fitting import BatchFitter
from napari_ssl_muscle.learning.training.device import choose_device, threads
from napari_ssl_muscle.scans.geometry import Geometry

BATCH = 8
"""Images per forward pass: more gains nothing on a CPU and costs memory."""


@dataclass(frozen=True)
class Segmentation:
    """A predicted label map.

    Attributes
    ----------
    labels
        Label values ``(z, y, x)`` on the scan's canonical grid, uint8 or uint16.
    confidence
        Per slice ``(z,)`` float32: mean probability of the chosen class over what was labelled
        muscle (1 where nothing was).
    notes
        Sentences that the user should read.
    uncertainty
        Per voxel ``(z, y, x)`` uint8: 255 × (1 − probability of the chosen class), 0 outside of
        the frames; None where it was not asked for.
    islands_ml
        mL of islands that were set to background. Confidence and uncertainty are those of the
        network's own labels, with islands.
    unlike
        How the scan and its labels differ from the training scans, the worst first; the notes
        have one line on all of it.
    traits
        The prediction in a few numbers.
    """

    labels: NDArray[np.integer[Any]]
    confidence: NDArray[np.float32]
    notes: list[str]
    uncertainty: NDArray[np.uint8] | None = None
    islands_ml: float = 0.0
    unlike: tuple[str, ...] = ()
    traits: PredictionTraits | None = None


def segment_volume(
    model: Model,
    channels: NDArray[np.float32],
    spacing: tuple[float, float, float],
    *,
    geometry: Geometry | None = None,
    device: str = "auto",
    thread_count: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    stop: ShouldStop = never_stop,
    uncertainty: bool = False,
    without_islands: bool = True,
) -> Segmentation:
    """Segment a scan.

    Parameters
    ----------
    model
        A segmentation model.
    channels
        ``(c, z, y, x)`` float32, canonical axes.
    spacing
        ``(dz, dy, dx)`` in mm.
    geometry
        The scan's, which tells left from right; None where it is not known.
    device, thread_count
        Where to compute.
    progress
        Called with ``(images done, images in all)``.
    stop
        Asked between batches.
    uncertainty
        Also return the uncertainty of each voxel.
    without_islands
        Set to background what lies apart from its muscle; see `learning.islands`.

    Raises
    ------
    BadInput
        If the model is no segmentation model or expects another number of channels.
    StoppedByUser
        If `stop` said so.
    """
    card = model.card
    check_segments(card)
    if len(channels) != card.in_channels:
        raise BadInput(
            f"The model '{card.name}' expects {card.in_channels} channel(s) "
            f"({', '.join(card.channels) or 'unnamed'}) but the scan has {len(channels)}; "
            "choose another model."
        )
    frames = find_frames(channels, spacing, card.slices)
    candidates = [[frame] for frame in frames]
    if card.slices.mirror and card.slices.crop == "leg" and len(frames) == 1:
        # A leg alone may be left or right: both are tried, and the surer result is kept.
        candidates = [[frames[0], replace(frames[0], mirrored=True)]]
    depth = channels.shape[1]
    total = depth * sum(len(each) for each in candidates)
    classes = np.zeros(channels.shape[1:], dtype=np.uint8)
    doubt = np.zeros(channels.shape[1:], dtype=np.uint8) if uncertainty else None
    probability, muscle_pixels = np.zeros(depth), np.zeros(depth)
    fitter = BatchFitter(BATCH)
    with threads(thread_count), torch.inference_mode():
        where = choose_device(device)
        net = model.net.to(where, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        done = 0

        def advance(images: int) -> None:
            nonlocal done
            if stop():
                raise StoppedByUser
            done += images
            if progress is not None and images:
                progress(done, total)

        segment = partial(_segment_frame, replace(model, net=net), channels, where, fitter, advance)
        looks_left = None
        for tried in candidates:
            best = max((segment(frame) for frame in tried), key=lambda each: each.confidence)
            frame, own = best.frame, best.frame.own_columns
            looks_left = frame.mirrored if len(tried) > 1 else None
            classes[:, frame.y, frame.own_x] = best.classes[:, :, own]
            if doubt is not None:
                doubt[:, frame.y, frame.own_x] = best.uncertainty[:, :, own]
            probability += best.probability
            muscle_pixels += best.muscle_pixels
    legs, side_notes = _legs(model, frames, classes, channels, spacing, geometry, looks_left)
    dropped = drop_islands(classes, legs, spacing) if without_islands else 0
    confidence = np.where(muscle_pixels > 0, probability / np.maximum(muscle_pixels, 1), 1.0)
    labelled = float(muscle_pixels.sum())
    traits = prediction_traits(
        classes, card.classes.count, float(probability.sum()) / max(labelled, 1.0), channels[0]
    )
    unlike = [
        *differences_from_training(card, channels, spacing),
        *differences_of_prediction(card, traits, dropped / max(labelled, 1.0)),
    ]
    notes = [*([headline(card, unlike)] if unlike else []), *side_notes]
    if fitter.images < BATCH:
        notes.append(
            f"Not enough memory for {BATCH} images at once: went on with {fitter.images}. "
            "The result is the same."
        )
    labels = card.classes.decode(classes, legs)
    millilitres = dropped * float(np.prod(spacing)) / 1000
    return Segmentation(
        labels,
        confidence.astype(np.float32),
        notes,
        doubt,
        millilitres,
        tuple(unlike),
        traits,
    )


def _legs(
    model: Model,
    frames: list[Frame],
    classes: NDArray[np.uint8],
    channels: NDArray[np.float32],
    spacing: tuple[float, float, float],
    geometry: Geometry | None,
    looks_left: bool | None,
) -> tuple[NDArray[np.uint8], list[str]]:
    """Return the leg of each voxel, and sentences on it where the model's labels have sides."""
    card = model.card
    column = dividing_column(frames, channels, spacing, card.slices)
    if not card.sides_from_leg or not classes.any():
        return find_legs(classes, column), []
    if column is None:
        lone, note = lone_leg(frames[0], geometry, looks_left, card.classes)
        return find_legs(classes, None, lone), [note]
    notes = []
    if geometry is not None and not geometry.sided:
        notes.append(
            "The scan's file does not tell left from right: the leg on the right of the picture "
            "is named left, as radiologists look at it. Check it."
        )
    return find_legs(classes, column), notes


@dataclass(frozen=True)
class _FrameResult:
    """One frame, segmented.

    `classes` and `uncertainty` (255 × (1 − probability)) are those of its window; per slice,
    `probability` is the sum of the chosen class's over the `muscle_pixels`.
    """

    frame: Frame
    classes: NDArray[np.uint8]
    uncertainty: NDArray[np.uint8]
    probability: NDArray[np.float64]
    muscle_pixels: NDArray[np.float64]

    @property
    def confidence(self) -> float:
        return float(self.probability.sum() / max(self.muscle_pixels.sum(), 1))


def _segment_frame(
    model: Model,
    channels: NDArray[np.float32],
    where: torch.device,
    fitter: BatchFitter,
    advance: Callable[[int], None],
    frame: Frame,
) -> _FrameResult:
    card = model.card
    images = to_images(channels, frame)
    size = common_size([frame.shape], 2**card.network.depth)
    mirror = card.recipe is not None and card.recipe.augment.flip
    classes = np.empty((len(images), *frame.window), dtype=np.uint8)
    uncertainty = np.empty_like(classes)
    total, muscle_pixels = np.zeros(len(images)), np.zeros(len(images))

    def segment(start: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        batch = fit(images[start : start + count], size)
        batch = batch.to(where, memory_format=torch.channels_last)
        return _labels(_scores(model.net, batch, mirror=mirror).cpu(), frame)

    start = 0
    while start < len(images):
        advance(0)
        found, probability = fitter.fit(partial(segment, start))
        part = slice(start, start + len(found))
        classes[part] = found
        uncertainty[part] = np.rint(255 * (1 - probability))
        total[part] = (probability * (found > 0)).sum(axis=(1, 2))
        muscle_pixels[part] = (found > 0).sum(axis=(1, 2))
        advance(len(found))
        start += len(found)
    return _FrameResult(frame, classes, uncertainty, total, muscle_pixels)


def _scores(net: torch.nn.Module, images: Tensor, *, mirror: bool) -> Tensor:
    """Class probabilities; those of a model that learned mirrored images too are averaged."""
    scores: Tensor = net(images).softmax(dim=1)
    if mirror:
        scores = (scores + net(images.flip(-1)).softmax(dim=1).flip(-1)) / 2
    return scores


def _labels(scores: Tensor, frame: Frame) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Class indices and the chosen class's probability on the voxels of the frame's window."""
    rows, columns = frame.shape
    top, left = (scores.shape[-2] - rows) // 2, (scores.shape[-1] - columns) // 2
    scores = to_window(scores[..., top : top + rows, left : left + columns].float(), frame)
    probability, found = scores.max(dim=1)
    return found.numpy(), probability.numpy()
