"""Segmenting what is in the window: in a worker thread, up to the voxels that change."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_ssl_muscle.learning.events import Emit, ShouldStop
from napari_ssl_muscle.learning.segment import ScanToSegment, SegmentedScan, Segmenter
from napari_ssl_muscle.scans.name_parts import subject_and_session
from napari_ssl_muscle.viewer.layers.changes import Changes, find_changes
from napari_ssl_muscle.viewer.layers.scan_layers import OpenScan, to_small_type


@dataclass(frozen=True, eq=False)
class SegmentRequest:
    """What the form asks for.

    Attributes
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
    drop_islands: bool = True


@dataclass(frozen=True, eq=False)
class SegmentAnswer:
    """What came out.

    Attributes
    ----------
    found
        The model's labels and how sure it was. The uncertainty of voxels costs a twentieth of the
        time at most, so it is always asked for.
    labels
        Its label values in the smallest type that napari takes.
    muscles
        Names of those that were found.
    changes
        Against `SegmentRequest.current`; None if there was none, or its type cannot hold them.
    seconds
        From reading the model to the labels.
    """

    found: SegmentedScan
    labels: np.ndarray
    muscles: tuple[str, ...]
    changes: Changes | None
    seconds: float


def scan_to_segment(
    scan: OpenScan, images: tuple[np.ndarray, ...], name: str = ""
) -> ScanToSegment:
    """Return an open scan as what a model segments."""

    def read() -> np.ndarray:
        volumes = [image.reshape((1,) * (3 - image.ndim) + image.shape) for image in images]
        return np.stack(volumes).astype(np.float32, copy=False)

    names = [scan.name, *([scan.file.name] if scan.file is not None else [])]
    subjects = {*names, *(subject_and_session(each)[0] for each in names)}
    slices = scan.geometry.canonical_shape[0]
    return ScanToSegment(name, read, slices, scan.geometry, frozenset(subjects))


def segment_open_scan(
    segmenter: Segmenter, request: SegmentRequest, emit: Emit, stop: ShouldStop
) -> SegmentAnswer:
    """Segment; meant for a worker thread.

    Raises
    ------
    BadInput
        If the model and the scan do not fit.
    StoppedByUser
        If `stop` said so.
    """
    began = time.monotonic()
    scan = scan_to_segment(request.scan, request.images)
    segmenter.load(request.model)
    progress = segmenter.begin("segmenting", scan.steps, emit)
    found = segmenter.segment(
        request.model,
        scan,
        progress,
        stop,
        uncertainty=True,
        without_islands=request.drop_islands,
    )
    labels, current = to_small_type(found.labels), request.current
    fits = (
        current is not None
        and current.shape == labels.shape
        and int(labels.max(initial=0)) <= np.iinfo(current.dtype).max
    )
    changes = find_changes(current, labels) if fits and current is not None else None
    present = set(np.unique(labels).tolist())
    muscles = tuple(muscle.name for muscle in found.table.muscles if muscle.value in present)
    return SegmentAnswer(found, labels, muscles, changes, time.monotonic() - began)
