"""Segmenting what is in the window: in a worker thread, up to the voxels that change.

The same function segments here and for the shell, so both give the same labels.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_ssl_muscle.evaluation.provenance import Provenance
from napari_ssl_muscle.jobs.record import model_hash
from napari_ssl_muscle.learning.events import Emit, Progress, ShouldStop, Started
from napari_ssl_muscle.learning.torch_import import import_torch
from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.viewer.layers.changes import Changes, find_changes
from napari_ssl_muscle.viewer.layers.scan_layers import OpenScan, to_small_type


@dataclass(frozen=True, eq=False)
class SegmentRequest:
    """What the form asks for.

    Parameters
    ----------
    model
        The model's file.
    images
        One array per channel of the model: canonical (z, y, x), or (y, x).
    scan
        Whose scan it is.
    current
        The labels that are shown now and that the new ones are compared with; None if there is
        no such layer, or one that cannot take them.
    """

    model: Path
    images: tuple[np.ndarray, ...]
    scan: OpenScan
    current: np.ndarray | None


@dataclass(frozen=True, eq=False)
class SegmentAnswer:
    """What came out.

    Attributes
    ----------
    labels
        Label values (z, y, x).
    changes
        Against `SegmentRequest.current`; None if there was none, or its type cannot hold them.
    table
        The model's muscles.
    provenance
        Which model this is, for an evaluation of the labels.
    found
        The names of those that were found.
    notes
        Sentences that the user should read.
    seconds
        From reading the model to the labels.
    confidence
        How sure the model was of each slice, `(z,)` from 0 to 1.
    uncertainty
        255 × (1 − probability of the chosen class) of each voxel, (z, y, x) uint8. It costs a
        twentieth of the time at most, so it is always asked for.
    """

    labels: np.ndarray
    changes: Changes | None
    table: MuscleTable
    provenance: Provenance
    found: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float
    confidence: np.ndarray | None = None
    uncertainty: np.ndarray | None = None


class Segmenter:
    """Segments requests; keeps the last model in memory for the next one."""

    def __init__(self) -> None:
        self._key: tuple[Path, int, int] | None = None
        self._model: Any = None
        self._provenance = Provenance()

    def run(self, request: SegmentRequest, emit: Emit, stop: ShouldStop) -> SegmentAnswer:
        """Segment; meant for a worker thread.

        Raises
        ------
        BadInput
            If the model and the scan do not fit.
        StoppedByUser
            If `stop` said so.
        """
        began = time.monotonic()
        import_torch()
        # Here, because they import torch: the window opens without it.
        from napari_ssl_muscle.learning.predict import segment_volume
        from napari_ssl_muscle.learning.training.device import choose_device, describe

        model = self._load(request.model)
        channels = np.stack(
            [image.reshape((1,) * (3 - image.ndim) + image.shape) for image in request.images]
        ).astype(np.float32, copy=False)
        slices = channels.shape[1]
        emit(Started(action="segmenting", device=describe(choose_device("auto")), total=slices))

        def progress(done: int, total: int) -> None:
            spent = time.monotonic() - began
            left = spent / done * (total - done) if done else None
            emit(Progress(done=slices * done // total, total=slices, seconds_left=left))

        found = segment_volume(
            model,
            channels,
            request.scan.geometry.spacing,
            progress=progress,
            stop=stop,
            uncertainty=True,
        )
        labels = to_small_type(found.labels)
        current = request.current
        fits = (
            current is not None
            and current.shape == labels.shape
            and int(labels.max(initial=0)) <= np.iinfo(current.dtype).max
        )
        table = model.card.table
        present = set(np.unique(labels).tolist())
        return SegmentAnswer(
            labels=labels,
            changes=find_changes(current, labels) if fits and current is not None else None,
            table=table,
            provenance=self._provenance,
            found=tuple(m.name for m in table.muscles if m.value in present),
            notes=(*_known_subject(model.card, request.scan), *found.notes),
            seconds=time.monotonic() - began,
            confidence=found.confidence,
            uncertainty=found.uncertainty,
        )

    def _load(self, path: Path) -> Any:
        from napari_ssl_muscle.learning.models.model_file import load_model

        stat = path.stat() if path.exists() else None
        key = (path, stat.st_mtime_ns, stat.st_size) if stat is not None else None
        if key is None or key != self._key:
            self._model, self._key = load_model(path), key
            card = self._model.card
            self._provenance = Provenance(
                model=card.name,
                model_hash=model_hash(path),
                split_hash=card.split_hash,
                leaking=card.leaking,
                training_subjects=frozenset(card.training_subjects),
            )
        return self._model


def _known_subject(card: Any, scan: OpenScan) -> list[str]:
    """Say so if the model has learned from this very subject."""
    from napari_ssl_muscle.scans.naming import subject_and_session

    names = {scan.name, subject_and_session(scan.name)[0]}
    if scan.file is not None:
        names |= {scan.file.name, subject_and_session(scan.file.name)[0]}
    known = {name.removeprefix("sub-") for name in card.training_subjects}
    if known & {name.removeprefix("sub-") for name in names}:
        return [
            f"The model {card.name} was trained on a subject of this name; "
            "its labels here say nothing about how it does on others."
        ]
    return []
