"""Two pretrainings on the same slices of an open scan: computing it, and showing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
from napari_ssl_muscle.viewer.layers.grid import is_wide
from napari_ssl_muscle.viewer.layers.scan_layers import OpenScan
from napari_ssl_muscle.viewer.train.mask_layer import volume
from napari_ssl_muscle.viewer.train.picture_grid import PictureGrid, inside_masks

if TYPE_CHECKING:
    from napari_ssl_muscle.learning.pretext.comparison import ReconstructionComparison
    from napari_ssl_muscle.learning.pretext.mask_preview import ImagePlacement

LETTERS = "AB"
_ORIGINAL = "Original"
_MASKED = "Masked input"
_RESTORED = tuple(f"Reconstruction {letter}" for letter in LETTERS)
_ERRORS = tuple(f"Absolute error {letter}" for letter in LETTERS)


@dataclass(frozen=True, eq=False)
class ReconstructionRequest:
    """Two model files, a scan's image, the number of slices, and the seed of the masks."""

    models: tuple[Path, Path]
    image: np.ndarray
    scan: OpenScan
    slices: int
    seed: int


@dataclass(frozen=True, eq=False)
class ReconstructionAnswer:
    """The pictures of a comparison and their errors.

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
            stacks[restored], stacks[error] = inside_masks(
                holes, original, stacks[restored], stacks[error]
            )
    return stacks


class ReconstructionLayers(PictureGrid):
    """The six layers of a comparison, in two columns if they are wide and in three if not."""

    def show(self, found: ReconstructionAnswer, scan: OpenScan) -> None:
        """Show a comparison; the layers of the one before are removed."""
        z, y, x = scan.placement["translate"]
        pixel, corner = found.place.pixel, found.place.corner
        place = {
            **scan.placement,
            "scale": (scan.geometry.spacing[0], *pixel),
            "translate": (z, y + corner[0], x + corner[1]),
        }
        _, rows, columns = found.pictures[_ORIGINAL].shape
        wide = is_wide(rows * pixel[0], columns * pixel[1])
        names = (
            (_ORIGINAL, _MASKED, _RESTORED[0], _ERRORS[0], _RESTORED[1], _ERRORS[1])
            if wide
            else (_ORIGINAL, *_RESTORED, _MASKED, *_ERRORS)
        )
        pictures = {name: found.pictures[name] for name in names}
        self.show_pictures(pictures, _ERRORS, place, (3, 2) if wide else (2, 3))

    def shown_slice(self, scan: OpenScan, count: int) -> int:
        """Return the scan's slice that the viewer shows, between 0 and `count` - 1."""
        axis = self._viewer.dims.ndim - 3
        z = self._viewer.dims.point[axis] - scan.placement["translate"][0]
        return int(np.clip(round(z / scan.geometry.spacing[0]), 0, count - 1))
