"""The prepared images of a training: read once, kept small in memory, the rest on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.data.muscle_classes import MuscleClasses
from napari_ssl_muscle.learning.data.slices import (
    Frame,
    find_frames,
    fit,
    lies_left,
    to_grid,
    to_images,
)
from napari_ssl_muscle.learning.settings import SliceSettings
from napari_ssl_muscle.scans.body_mask import body_mask
from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.scans.volume import check_same_grid

UNLABELLED = 255
"""Target value of pixels that no loss and no score looks at."""

MEMORY_LIMIT = 400 * 2**20
"""Bytes of prepared images kept in memory; more go to files, so memory does not grow."""


@dataclass(frozen=True)
class Series:
    """The prepared images of one frame (one leg) of one case.

    `spacing` is ``(dz, dy, dx)`` in mm of the scan; `labelled` says of each slice whether it may
    train or score a segmentation.
    """

    case: str
    subject: str
    frame: Frame
    spacing: tuple[float, float, float]
    labelled: tuple[bool, ...]


@dataclass(frozen=True, order=True)
class Item:
    """One image: which series, which slice (canonical z)."""

    series: int
    z: int


_Kept = NDArray[Any] | Path | None


class ImageStore:
    """Prepared images (and targets) of many cases, one image at a time.

    Parameters
    ----------
    folder
        Where images go that do not fit into `memory` (bytes). It is made when it is needed.
    settings
        Crop and pixel size.
    table
        The muscles that are learned, as `classes`; None prepares images without targets.
    with_bodies
        Also prepare where there is tissue, for masks that stay inside the body.
    """

    def __init__(
        self,
        folder: Path,
        settings: SliceSettings,
        table: MuscleTable | None = None,
        *,
        with_bodies: bool = False,
        memory: int = MEMORY_LIMIT,
    ) -> None:
        self.settings = settings
        self.classes = MuscleClasses.for_training(table or MuscleTable(()))
        self.table = table
        self.series: list[Series] = []
        self._folder = folder
        self._with_bodies = with_bodies
        self._memory = memory
        # By series: in memory, or the file that it went to, or None where there is none.
        self._images: list[_Kept] = []
        self._targets: list[_Kept] = []
        self._bodies: list[_Kept] = []

    def add(self, case: TrainingCase) -> list[int]:
        """Read a case, prepare it, and return the indices of its series.

        Raises
        ------
        BadInput
            If a file cannot be used, or scan and label map lie on different grids.
        """
        channels = read_channels(case)
        spacing = case.scans[0].geometry.spacing
        left = lies_left(case.scans[0].geometry)
        classes = None
        if self.table is not None and case.labels is not None:
            check_same_grid(case.scans[0], case.labels)
            values = case.labels.read()
            classes = self.classes.encode(values)
            if self.table.ignored:
                classes[np.isin(values, self.table.ignored)] = UNLABELLED
            left = self._named_left(values, left)
        body = body_mask(channels[0]).astype(np.uint8) if self._with_bodies else None
        added = []
        for frame in find_frames(channels, spacing, self.settings, left=left):
            images = to_images(channels, frame).numpy()
            targets = None
            labelled = [False] * len(images)
            if classes is not None:
                targets = to_grid(classes, frame).numpy()
                # A leg of a slice without any label was not drawn: unlabelled, not background.
                labelled = [
                    (
                        bool(((targets[z] > 0) & (targets[z] < UNLABELLED)).any())
                        or z in case.accepted_empty
                    )
                    and z not in case.held_out
                    for z in range(len(targets))
                ]
            added.append(len(self.series))
            self.series.append(Series(case.name, case.subject, frame, spacing, tuple(labelled)))
            self._keep(self._images, images, "images")
            self._keep(self._targets, targets, "targets")
            self._keep(
                self._bodies, None if body is None else to_grid(body, frame).numpy(), "bodies"
            )
        return added

    def items(self, series: Sequence[int], *, labelled: bool) -> list[Item]:
        """List the images of some series; `labelled` leaves out those without labels."""
        return [
            Item(index, z)
            for index in series
            for z, has in enumerate(self.series[index].labelled)
            if has or not labelled
        ]

    def images(self, items: Sequence[Item], size: tuple[int, int]) -> Tensor:
        """Return float32 ``(n, c, *size)``, cut or padded with air around the centre."""
        return torch.stack([fit(self._read(self._images[i.series], i.z), size) for i in items])

    def targets(self, items: Sequence[Item], size: tuple[int, int]) -> Tensor:
        """Return class indices uint8 ``(n, *size)``; padding is `UNLABELLED`."""
        stack = []
        for item in items:
            kept = self._targets[item.series]
            if kept is None:
                stack.append(torch.full(size, UNLABELLED, dtype=torch.uint8))
            else:
                stack.append(fit(self._read(kept, item.z), size, fill=UNLABELLED))
        return torch.stack(stack)

    def bodies(self, items: Sequence[Item], size: tuple[int, int]) -> Tensor:
        """Return where there is tissue, uint8 0 or 1 ``(n, *size)``."""
        return torch.stack(
            [fit(self._read(self._bodies[i.series], i.z), size, fill=0) for i in items]
        )

    def shapes(self, series: Sequence[int]) -> list[tuple[int, int]]:
        """Rows and columns of the images of some series."""
        return [self.series[index].frame.shape for index in series]

    def close(self) -> None:
        """Delete what was put into files."""
        for kept in [*self._images, *self._targets, *self._bodies]:
            if isinstance(kept, Path):
                kept.unlink(missing_ok=True)
        if self._folder.is_dir() and not any(self._folder.iterdir()):
            self._folder.rmdir()

    def _keep(self, kept: list[_Kept], array: NDArray[Any] | None, name: str) -> None:
        if array is not None and array.nbytes > self._memory:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{len(kept):05d}-{name}.npy"
            np.save(path, array)
            kept.append(path)
            return
        self._memory -= 0 if array is None else array.nbytes
        kept.append(array)

    def _named_left(self, values: NDArray[np.integer[Any]], left: bool) -> bool:
        """Return whether labels name a leg that is alone left; `left` where they name no side."""
        named_left, named_right = self.classes.legs_of(values) if self.classes.sides else (0, 0)
        return left if named_left == named_right else named_left > named_right

    @staticmethod
    def _read(kept: _Kept, z: int) -> Tensor:
        assert kept is not None
        if isinstance(kept, Path):
            # Opened for this one slice only: Windows cannot delete a file that is mapped.
            return torch.from_numpy(np.load(kept, mmap_mode="r")[z].copy())
        return torch.from_numpy(kept[z])


def read_channels(case: TrainingCase) -> NDArray[np.float32]:
    """Read a case's scans as ``(c, z, y, x)`` float32.

    Raises
    ------
    BadInput
        If the channels lie on different grids, or a file cannot be used.
    """
    first = case.scans[0]
    for other in case.scans[1:]:
        difference = first.geometry.differs_from(other.geometry)
        if difference is not None:
            raise BadInput(
                f"{other.path} and {first.path} are channels of one case but lie on different "
                f"grids ({difference}); resample one onto the other first."
            )
    return np.stack([scan.read() for scan in case.scans])
