"""Segmenting a scan with a model file: the shell command and the window both do it here.

Nothing is imported from torch before the first scan: a request that is refused does not wait for
it, and the window opens without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.evaluation.provenance import Provenance, known_subjects
from napari_ssl_muscle.files import file_hash
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.events import Emit, Progress, ShouldStop, Started, StoppedByUser
from napari_ssl_muscle.learning.torch_import import import_torch
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import MuscleTable

if TYPE_CHECKING:
    from napari_ssl_muscle.learning.models.model_file import Model


MANY_ISLANDS = 0.02
"""Share of what a model labelled from which removed islands are warned about: with the starter
model they were 0.1 to 0.6 % on six thigh scans and 2 to 6 % on four that it labelled badly or that
are fat-replaced."""


@dataclass(frozen=True, eq=False)
class ScanToSegment:
    """One scan with all channels that the model needs.

    Attributes
    ----------
    name
        Shown while it is segmented.
    read
        Returns the channels ``(c, z, y, x)`` float32, canonical axes.
    steps
        What it counts for in the progress: its slices, or 1 where scans are counted.
    geometry
        Where its voxels lie.
    subjects
        Names under which a model may have been trained on it.
    """

    name: str
    read: Callable[[], npt.NDArray[np.float32]]
    steps: int
    geometry: Geometry
    subjects: frozenset[str]


@dataclass(frozen=True, eq=False)
class SegmentedScan:
    """A model's labels of a scan.

    Attributes
    ----------
    labels
        Label values ``(z, y, x)`` on the scan's canonical grid.
    table
        What they mean: the model's muscles.
    provenance
        Which model this is, for an evaluation of the labels.
    notes
        Sentences that the user should read.
    confidence, uncertainty
        Of slices ``(z,)`` and voxels ``(z, y, x)``, as in `learning.predict.Segmentation`.
    islands_ml
        mL of islands that were removed.
    voxel_ml
        mL of a voxel.
    unlike
        How the scan and its labels differ from the training scans, the worst first.
    """

    labels: npt.NDArray[np.integer]
    table: MuscleTable
    provenance: Provenance
    notes: tuple[str, ...]
    confidence: npt.NDArray[np.float32]
    uncertainty: npt.NDArray[np.uint8] | None
    islands_ml: float = 0.0
    unlike: tuple[str, ...] = ()
    voxel_ml: float = 0.0

    @property
    def islands_text(self) -> str:
        """What was removed as islands, as a sentence; empty if nothing was."""
        if not self.islands_ml:
            return ""
        amount = f"{self.islands_ml:.0f}" if self.islands_ml >= 10 else f"{self.islands_ml:.1f}"
        volume = f"{amount} mL" if self.islands_ml >= 0.1 else "less than 0.1 mL"
        if not self.many_islands:
            return f"Islands of {volume}, apart from their muscles, were removed."
        return (
            f"Much was removed as islands, apart from their muscles: {volume}, "
            f"{100 * self.islands_share:.0f} % of what the model labelled. Segment without 'Remove "
            "islands' (--no-drop-islands) to see it."
        )

    @property
    def islands_share(self) -> float:
        """Share of what the model labelled that was removed as islands."""
        left = np.count_nonzero(self.labels) * self.voxel_ml
        return self.islands_ml / (self.islands_ml + left) if self.islands_ml else 0.0

    @property
    def many_islands(self) -> bool:
        """Whether so much was removed that a person should look at it."""
        return self.islands_share > MANY_ISLANDS


def case_to_segment(
    case: TrainingCase, *, subjects: frozenset[str] = frozenset(), steps: int | None = None
) -> ScanToSegment:
    """Return scans on disk as what a model segments; they are read once, when that is needed."""

    @cache
    def read() -> npt.NDArray[np.float32]:
        from napari_ssl_muscle.learning.data.image_cache import read_channels

        return read_channels(case)

    geometry = case.scans[0].geometry
    depth = geometry.canonical_shape[0]
    return ScanToSegment(case.name, read, steps or depth, geometry, subjects)


class SegmentProgress:
    """Slices (or scans) done, as `Progress` events with the time that is left."""

    def __init__(self, emit: Emit, total: int) -> None:
        self._emit, self._total = emit, total
        self._before = self._steps = 0
        self._name = ""
        self._began = time.monotonic()

    def begin(self, name: str, steps: int) -> None:
        """Begin with a scan."""
        self._name, self._steps = name, steps
        self._report(self._before)

    def inside(self, done: int, total: int) -> None:
        """Take the images done of this scan: a slice has one for each leg."""
        self._report(self._before + self._steps * done // total)

    def end(self) -> None:
        """Count the scan as done, also one that was left out."""
        self._before += self._steps
        self._report(self._before)

    def _report(self, done: int) -> None:
        left = None
        if done > 0:
            left = (time.monotonic() - self._began) / done * (self._total - done)
        self._emit(Progress(done=done, total=self._total, text=self._name, seconds_left=left))


class Segmenter:
    """Segments scans; the last model stays in memory for the next scan.

    Parameters
    ----------
    device, threads
        Where to compute; see `learning.training.device`.
    """

    def __init__(self, device: str = "auto", threads: int | None = None) -> None:
        self._device, self._threads = device, threads
        self._key: tuple[Path, int, int] | None = None
        self._model: Model | None = None
        self._provenance = Provenance()

    def begin(self, action: str, total: int, emit: Emit) -> SegmentProgress:
        """Emit `Started` with the device, and return the progress over `total` steps.

        Raises
        ------
        BadInput
            If the device is not there.
        """
        progress = SegmentProgress(emit, total)
        emit(Started(action=action, device=self.device(), total=total))
        return progress

    def device(self) -> str:
        """Return what computes, for people."""
        import_torch()
        from napari_ssl_muscle.learning.training.device import choose_device, describe, threads

        with threads(self._threads):
            return describe(choose_device(self._device))

    def load(self, path: Path) -> Model:
        """Return a model, from memory if its file is that of the last one.

        Raises
        ------
        BadInput
            If it is no model.
        """
        import_torch()
        from napari_ssl_muscle.learning.models.model_file import load_model

        stat = path.stat() if path.exists() else None
        key = (path, stat.st_mtime_ns, stat.st_size) if stat is not None else None
        if self._model is None or key is None or key != self._key:
            self._model, self._key = load_model(path), key
            card = self._model.card
            self._provenance = Provenance(
                model=card.name,
                model_hash=file_hash(path),
                split_hash=card.split_hash,
                leaking=card.leaking,
                training_subjects=frozenset(card.training_subjects),
            )
        return self._model

    def segment(
        self,
        path: Path,
        scan: ScanToSegment,
        progress: SegmentProgress,
        stop: ShouldStop,
        *,
        uncertainty: bool = False,
        without_islands: bool = True,
    ) -> SegmentedScan:
        """Segment a scan; meant for a worker thread or a process.

        Parameters
        ----------
        path
            The model's file.
        scan
            The scan.
        progress
            From `begin`.
        stop
            Asked between batches.
        uncertainty
            Also return how unsure the model is of each voxel.
        without_islands
            Set to background what lies apart from its muscle.

        Raises
        ------
        BadInput
            If the scan cannot be read, or the model and the scan do not fit.
        StoppedByUser
            If `stop` said so.
        """
        model = self.load(path)
        # Imported here: see the module.
        from napari_ssl_muscle.learning.predict import segment_volume

        if stop():
            raise StoppedByUser
        progress.begin(scan.name, scan.steps)
        found = segment_volume(
            model,
            scan.read(),
            scan.geometry.spacing,
            geometry=scan.geometry,
            device=self._device,
            thread_count=self._threads,
            progress=progress.inside,
            stop=stop,
            uncertainty=uncertainty,
            without_islands=without_islands,
        )
        notes = list(found.notes)
        if known_subjects(scan.subjects, model.card.training_subjects):
            notes.insert(
                0,
                f"The model {model.card.name} was trained on a subject of this name; "
                "its labels here say nothing about how it does on others.",
            )
        return SegmentedScan(
            labels=found.labels,
            table=model.card.table,
            provenance=replace(
                self._provenance, islands_dropped=without_islands, unlike_training=found.unlike
            ),
            notes=tuple(notes),
            confidence=found.confidence,
            uncertainty=found.uncertainty,
            islands_ml=found.islands_ml,
            unlike=found.unlike,
            voxel_ml=float(np.prod(scan.geometry.spacing)) / 1000,
        )
