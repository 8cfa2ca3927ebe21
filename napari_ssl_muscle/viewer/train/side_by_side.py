"""What two models make of one scan: both predict it, and their labels are shown side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_ssl_muscle.learning.events import Emit, ShouldStop
from napari_ssl_muscle.learning.segment import SegmentedScan, Segmenter
from napari_ssl_muscle.viewer.layers.grid import GridView, is_wide, picture, remove_layers
from napari_ssl_muscle.viewer.layers.scan_layers import (
    OpenScan,
    contrast_limits,
    ensure_info,
    info_of,
    layers_of,
    show_table,
    to_small_type,
    unwrap,
)
from napari_ssl_muscle.viewer.segment.worker import scan_to_segment
from napari_ssl_muscle.viewer.session import session_of
from napari_ssl_muscle.viewer.train.mask_layer import volume

TITLES = ("Old model", "New model")
_MARGIN = 0.4
"""What is shown around the muscles, as a part of their height and width."""


@dataclass(frozen=True, eq=False)
class FrontScan:
    """The scan that a person works on: its image layer, and whose it is."""

    image: Any
    scan: OpenScan


def scan_in_front(viewer: Any) -> FrontScan | None:
    """Return the scan whose labels are corrected, or else that of the chosen layer.

    Where neither tells, the topmost scan; None if none is open.
    """
    viewer = unwrap(viewer)
    active = unwrap(viewer.layers.selection.active)
    sessions = session_of(viewer).corrections
    corrections = sessions.of(active) or sessions.only()
    info = info_of(active) if active is not None else None
    if corrections is not None:
        scan = corrections.scan
    elif info is not None:
        scan = info.scan
    else:
        images = [
            layer
            for layer in viewer.layers
            if (known := info_of(layer)) is not None and known.role == "image"
        ]
        if not images:
            return None
        scan = ensure_info(images[-1]).scan
    found = layers_of(viewer, scan, "image")
    return FrontScan(found[0], scan) if found else None


def predict_both(
    models: tuple[Path, Path], image: np.ndarray, scan: OpenScan, emit: Emit, stop: ShouldStop
) -> tuple[SegmentedScan, SegmentedScan]:
    """Let both models label a scan; meant for a worker thread.

    Parameters
    ----------
    models
        Files of the old and the new model.
    image
        The scan's voxels, canonical ``(z, y, x)`` or ``(y, x)``.
    scan
        Whose scan it is.
    emit, stop
        Stream of events, and the question whether to end.

    Raises
    ------
    BadInput
        If a model and the scan do not fit.
    StoppedByUser
        If `stop` said so.
    """
    segmenter = Segmenter()
    segmenter.load(models[0])  # a file that is no model is refused before anything is counted
    slices = scan.geometry.canonical_shape[0]
    progress = segmenter.begin("segmenting", len(models) * slices, emit)
    found = []
    for model, title in zip(models, TITLES, strict=True):
        given = scan_to_segment(scan, (image,), title.lower())
        found.append(segmenter.segment(model, given, progress, stop))
        progress.end()
    return found[0], found[1]


class SideBySide:
    """Two panels in napari's grid: the scan with the old and with the new model's labels.

    The layers are pictures: neither scans to work on nor labels to save, and they go when the
    panels are left. The user's own layers are only hidden meanwhile.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = unwrap(viewer)
        self._grid = GridView(self._viewer)
        self._layers: list[Any] = []
        self._active: Any = None

    @property
    def shown(self) -> bool:
        """Whether the panels are there."""
        return bool(self._layers)

    def show(self, front: FrontScan, answers: tuple[SegmentedScan, SegmentedScan]) -> str:
        """Show both predictions on the present slice, and return where they are, in words."""
        self.leave()
        from napari.layers import Image, Labels

        layers = self._viewer.layers
        self._active = layers.selection.active
        data = volume(front.image.data)
        limits = getattr(front.image, "contrast_limits", None) or contrast_limits(data)
        box = _around([answer.labels for answer in answers])
        place = {**front.scan.placement, "translate": _corner(front.scan, box)}
        for title, answer in zip(TITLES, answers, strict=True):
            self._layers.append(
                Image(
                    data[:, *box],
                    name=f"Scan, {title.lower()}",
                    contrast_limits=tuple(limits),
                    colormap="gray",
                    metadata=picture(),
                    **place,
                )
            )
            labels = Labels(
                to_small_type(answer.labels)[:, *box],
                name=title,
                opacity=0.5,
                metadata=picture(),
                **place,
            )
            show_table(labels, answer.table)
            labels.editable = False
            labels.name_overlay.visible = True
            self._layers.append(labels)
        for index, layer in enumerate(self._layers):
            layers.insert(index, layer)
        images = self._layers[::2]
        layers.link_layers(images, ("contrast_limits", "gamma"))
        height, width = (
            (side.stop - side.start) * step
            for side, step in zip(box, front.scan.geometry.spacing[1:], strict=True)
        )
        below = is_wide(height, width)
        self._grid.enter(self._layers, (2, 1) if below else (1, 2), stacked=2)
        return "above" if below else "on the left"

    def leave(self) -> None:
        """Take the panels away, and show again what was shown before."""
        if not self._layers:
            return
        shown, self._layers = self._layers, []
        active, self._active = self._active, None
        self._grid.leave()
        layers = self._viewer.layers
        remove_layers(self._viewer, shown)
        if active is not None and active in layers:
            layers.selection.active = active


def _around(labels: Sequence[np.ndarray]) -> tuple[slice, slice]:
    """Return the rows and columns to show: those of the muscles in any slice, and some more."""
    inside = np.any([(one > 0).any(axis=0) for one in labels], axis=0)
    found = []
    for axis, length in enumerate(inside.shape):
        there = np.flatnonzero(inside.any(axis=1 - axis))
        first, last = (int(there[0]), int(there[-1]) + 1) if there.size else (0, length)
        more = round(_MARGIN * (last - first)) + 1
        found.append(slice(max(0, first - more), min(length, last + more)))
    return found[0], found[1]


def _corner(scan: OpenScan, box: tuple[slice, slice]) -> tuple[float, float, float]:
    """Return where the first voxel of a part of the scan lies, in mm."""
    z, y, x = scan.placement["translate"]
    _, dy, dx = scan.geometry.spacing
    return z, y + box[0].start * dy, x + box[1].start * dx
