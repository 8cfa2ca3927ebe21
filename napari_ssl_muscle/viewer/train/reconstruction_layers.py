"""Two pretrainings on the same slices of an open scan: computing it, and showing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.events import Emit, ShouldStop, Started, report_steps
from napari_ssl_muscle.learning.models.card import read_card
from napari_ssl_muscle.learning.pretext.comparison import (
    ReconstructionErrors,
    ScanToRestore,
    check_comparable,
    masked_errors,
    middle_slices,
    pretext_of,
)
from napari_ssl_muscle.learning.torch_import import import_torch
from napari_ssl_muscle.viewer.layers.grid import GridView, picture
from napari_ssl_muscle.viewer.layers.scan_layers import OpenScan
from napari_ssl_muscle.viewer.train.mask_layer import volume

if TYPE_CHECKING:
    from napari_ssl_muscle.learning.pretext.comparison import ReconstructionComparison
    from napari_ssl_muscle.learning.pretext.mask_preview import ImagePlacement

LETTERS = "AB"
_ORIGINAL = "Original"
_MASKED = "Masked input"
_RESTORED = tuple(f"Reconstruction {letter}" for letter in LETTERS)
_ERRORS = tuple(f"Absolute error {letter}" for letter in LETTERS)
_WIDE = 1.3
"""Pictures this many times as wide as high go into two columns, others into three."""


@dataclass(frozen=True, eq=False)
class ReconstructionRequest:
    """What the form asks for: two model files, a scan's image, how many slices, which masks."""

    models: tuple[Path, Path]
    image: np.ndarray
    scan: OpenScan
    slices: int
    seed: int


@dataclass(frozen=True, eq=False)
class ReconstructionAnswer:
    """What came out.

    Attributes
    ----------
    pictures
        Layer name → float32 ``(z, rows, columns)``; between the compared slices the nearest one
        is repeated, so that there is a picture on every slice of the scan.
    place
        Where the pictures lie in the scan.
    nearest
        ``(z,)``: which compared slice is shown there, counted from 0.
    figures
        The pictures' errors.
    slices
        The compared slices, canonical z.
    masked_only
        Outside the masks the original is shown, because a run was not scored there.
    """

    pictures: dict[str, np.ndarray]
    place: ImagePlacement
    nearest: np.ndarray
    figures: ReconstructionErrors
    slices: np.ndarray
    masked_only: bool


def compare(request: ReconstructionRequest, emit: Emit, stop: ShouldStop) -> ReconstructionAnswer:
    """Let both restore the same masked slices; meant for a worker thread.

    Raises
    ------
    BadInput
        If one is no pretraining, they do not compare, or the scan does not fit them.
    StoppedByUser
        If `stop` said so.
    """
    cards = [read_card(path) for path in request.models]
    check_comparable(cards)
    if len(cards[0].channels) != 1:
        raise BadInput(
            f"{cards[0].name} restores {len(cards[0].channels)} channels together; compare such "
            "runs in the shell with ssl-muscle compare-reconstructions."
        )
    import_torch()
    # Here, because they import torch.
    from napari_ssl_muscle.learning.data.slices import find_frames, lies_left
    from napari_ssl_muscle.learning.models.model_file import load_model
    from napari_ssl_muscle.learning.pretext.mask_preview import side_by_side
    from napari_ssl_muscle.learning.pretext.reconstruction import compare_scans
    from napari_ssl_muscle.learning.training.device import choose_device, describe

    geometry = request.scan.geometry
    image = volume(request.image)
    chosen = np.array(middle_slices(len(image), min(request.slices, len(image))))
    left, pretext = lies_left(geometry), pretext_of(cards[0])
    emit(Started(action="comparing", device=describe(choose_device("cpu")), total=len(chosen)))
    found = compare_scans(
        [load_model(path) for path in request.models],
        [
            ScanToRestore("", lambda: image[None], geometry.spacing, left, [z])
            for z in chosen.tolist()
        ],
        pretext=pretext,
        seed=request.seed,
        progress=report_steps(emit, stop),
    )
    frames = find_frames(image[None], geometry.spacing, cards[0].slices, left=left)
    nearest = np.abs(np.arange(len(image))[:, None] - chosen).argmin(axis=1)
    pictures = {}
    masked_only = any(pretext_of(card).scored == "masked" for card in cards)
    for name, stack in _stacks(found, masked_only).items():
        fill = 0.0 if name in _ERRORS else float(stack.min())
        legs = np.concatenate([one.legs for one in found])
        canvas, place = side_by_side(stack, legs, frames, geometry.spacing, fill)
        pictures[name] = canvas[nearest]
    return ReconstructionAnswer(pictures, place, nearest, masked_errors(found), chosen, masked_only)


def _stacks(found: Sequence[ReconstructionComparison], masked_only: bool) -> dict[str, np.ndarray]:
    """Return layer name → pictures ``(n, rows, columns)``."""
    original = np.concatenate([one.original for one in found])
    holes = np.concatenate([one.holes for one in found])
    stacks = {_ORIGINAL: original, _MASKED: np.concatenate([one.masked for one in found])}
    for index, (restored, error) in enumerate(zip(_RESTORED, _ERRORS, strict=True)):
        stacks[restored] = np.concatenate([one.runs[index].images for one in found])
        stacks[error] = np.concatenate([one.runs[index].errors for one in found])
        if masked_only:
            stacks[restored] = np.where(holes, stacks[restored], original)
            stacks[error] = stacks[error] * holes
    return stacks


class ReconstructionLayers:
    """The six layers of a comparison, side by side in the grid.

    Parameters
    ----------
    viewer
        The napari viewer.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self.grid = GridView(viewer)
        self._layers: list[Any] = []

    def show(self, found: ReconstructionAnswer, scan: OpenScan) -> None:
        """Show a comparison; the layers of the one before give way."""
        for layer in self._layers:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        original = found.pictures[_ORIGINAL]
        low, high = (float(v) for v in np.percentile(original, (0.5, 99.5)))
        high = max(high, low + 1e-3)
        spacing, corner = scan.geometry.spacing, scan.placement["translate"]
        z, y, x = corner
        place = {
            **scan.placement,
            "scale": (spacing[0], *found.place.pixel),
            "translate": (z, y + found.place.corner[0], x + found.place.corner[1]),
        }
        wide = original.shape[2] * found.place.pixel[1] > (
            _WIDE * original.shape[1] * found.place.pixel[0]
        )
        names = (
            (_ORIGINAL, _MASKED, _RESTORED[0], _ERRORS[0], _RESTORED[1], _ERRORS[1])
            if wide
            else (_ORIGINAL, *_RESTORED, _MASKED, *_ERRORS)
        )
        self._layers = [
            self._viewer.add_image(
                found.pictures[name],
                name=name,
                contrast_limits=(0, (high - low) / 2) if name in _ERRORS else (low, high),
                colormap="magma" if name in _ERRORS else "gray",
                metadata=picture(),
                **place,
            )
            for name in names
        ]
        for kind in (False, True):
            alike = [
                layer
                for layer, name in zip(self._layers, names, strict=True)
                if (name in _ERRORS) is kind
            ]
            self._viewer.layers.link_layers(alike, ("contrast_limits",))
        self.grid.enter(self._layers, (3, 2) if wide else (2, 3))

    def shown_slice(self, scan: OpenScan, count: int) -> int:
        """Return the scan's slice that the viewer shows, between 0 and `count` - 1."""
        axis = self._viewer.dims.ndim - 3
        z = self._viewer.dims.point[axis] - scan.placement["translate"][0]
        return int(np.clip(round(z / scan.geometry.spacing[0]), 0, count - 1))
