"""From a path to layers: a scan with its ground truth, a label map, or a case of a cohort."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.muscles import MuscleTable, table_beside
from napari_ssl_muscle.scans.name_parts import subject_and_session
from napari_ssl_muscle.scans.naming import NNUNET_LABELS, says_labels, stem_of
from napari_ssl_muscle.viewer.layers.scan_layers import LayerData, OpenScan, image_data, label_data

if TYPE_CHECKING:
    from napari_ssl_muscle.scans.cohort import Case, Cohort
    from napari_ssl_muscle.scans.formats.dicom.listing import Export
    from napari_ssl_muscle.scans.formats.dicom.series import Series
    from napari_ssl_muscle.scans.volume import LabelMap, Scan

_MOST_LABELS = 64
"""Whole numbers with more different values than this are taken for an image."""
_PATCHY = 0.8
"""Share of neighbouring labelled voxels that have the same value, at the least."""


Report = Callable[[int, int], bool]
"""Takes what is done and of how many; returns False if the user wants to end it."""


class UserPrompts(Protocol):
    """Asks what only the user knows, and shows what they should know."""

    def ask_volume(self, name: str, volumes: int) -> int | None:
        """Return which volume of a 4D scan to open, or None."""

    def ask_case(self, cohort: Cohort) -> tuple[Case, list[str]] | None:
        """Return which case and channels of a cohort to open, or None."""

    def ask_series(self, export: Export) -> list[Series] | None:
        """Return which series of DICOM to open, or None."""

    def show_problem(self, sentence: str) -> None:
        """Show a sentence."""

    def progress(self, text: str) -> AbstractContextManager[Report]:
        """Show how far something is, with a way to end it."""


class Cancelled(Exception):  # noqa: N818 - not an error
    """The user changed their mind at a question."""


def load(path: Path, ask: UserPrompts | None = None) -> list[LayerData]:
    """Read a file, a cohort's folder or DICOM as napari layer data.

    Parameters
    ----------
    path
        An image file, a folder of a cohort or of DICOM, or a DICOM file.
    ask
        Who can be asked. Without, a choice that must be made is refused.

    Returns
    -------
    list of layer data
        For a scan its image, its ground truth if there is one, and an empty prediction, or the
        prediction that was saved beside it; for a label map that map.

    Raises
    ------
    BadInput
        If it cannot be opened, or a question would have to be asked and no window is open.
    Cancelled
        If the user changed their mind.
    """
    from napari_ssl_muscle.scans.dicom_scans import is_dicom_place

    if is_dicom_place(path):
        from napari_ssl_muscle.viewer.open.dicom import load_dicom

        return load_dicom(path, ask)
    if path.is_dir():
        return _load_folder(path, ask)
    if _is_label_map(path):
        return _load_labels(path, ask)
    from napari_ssl_muscle.scans.cohort import labels_of

    return load_images({"": path}, labels_of(path), None, ask)


def load_images(
    images: Mapping[str, Path],
    labels: Path | None,
    table: MuscleTable | None,
    ask: UserPrompts | None = None,
    *,
    name: str | None = None,
) -> list[LayerData]:
    """Read the images of one scan, and its label map.

    Parameters
    ----------
    images
        Channel name → file; they must lie on one grid.
    labels
        The ground truth, if there is one.
    table
        The muscle table; by default the one beside the labels.
    ask
        Who can be asked.
    name
        The scan's name; by default from the file's.
    """
    scans = {channel: _open(path, ask) for channel, path in images.items()}
    return layers_of_scan(scans, labels, table, ask, name=name)


def layers_of_scan(
    scans: Mapping[str, Scan],
    labels: Path | None,
    table: MuscleTable | None,
    ask: UserPrompts | None = None,
    *,
    name: str | None = None,
    in_file: bool = True,
) -> list[LayerData]:
    """Read the opened images of one scan, and its label map; see `load_images`.

    Parameters
    ----------
    in_file
        Whether the scan can be opened again by the file of its first image.
    """
    from napari_ssl_muscle.scans.volume import open_label_map

    first = next(iter(scans.values()))
    for other in scans.values():
        if (difference := first.geometry.differs_from(other.geometry)) is not None:
            raise BadInput(
                f"{first.path} and {other.path} do not lie on the same grid ({difference}); "
                "open them one by one."
            )
    truth: LabelMap | None = None
    if labels is not None:
        try:
            truth = open_label_map(labels)
            truth = _on_grid(first, truth)
            table = table or table_beside(labels)
            drawn = truth.read()
        except BadInput as problem:
            # The scan can be used without them.
            report(ask, f"{problem} The scan is opened without ground truth.")
            truth = None
    scan = OpenScan(name or subject_name(first), first.geometry, table=table)
    scan.file = first if in_file else None
    layers = [
        image_data(
            scan,
            file.read(),
            name=_name(file),
            path=file.path if in_file else None,
            channel=channel or None,
            volume=file.volume,
        )
        for channel, file in scans.items()
    ]
    notes = [note for file in scans.values() for note in file.notes]
    for note in dict.fromkeys([*notes, *(truth.content_notes if truth is not None else [])]):
        report(ask, note)
    if truth is not None and _is_of_a_model(truth.path):
        # Labels saved by this program are a prediction to go on with, not ground truth.
        layers.append(label_data(scan, "prediction", drawn, table=table, path=truth.path))
        return layers
    if truth is not None:
        layers.append(label_data(scan, "truth", drawn, table=table, path=truth.path))
    layers.append(label_data(scan, "prediction", table=table))
    return layers


def subject_name(scan: Scan) -> str:
    """Return whose scan it is: "sub-01_ses-02" of a BIDS name, otherwise the file's name."""
    return "_".join(part for part in subject_and_session(scan.name) if part)


def _name(scan: Scan) -> str:
    return (
        scan.name
        if scan.volume is None or scan.dicom is not None
        else f"{scan.name} (volume {scan.volume})"
    )


def _open(path: Path, ask: UserPrompts | None) -> Scan:
    from napari_ssl_muscle.scans.formats.nifti import count_volumes, load_header
    from napari_ssl_muscle.scans.volume import open_scan

    volume = None
    if ask is not None and (volumes := count_volumes(load_header(path))) > 1:
        volume = ask.ask_volume(path.name, volumes)
        if volume is None:
            raise Cancelled
    return open_scan(path, volume)


def _on_grid(scan: Scan, labels: LabelMap) -> LabelMap:
    from napari_ssl_muscle.scans.volume import on_grid_of

    return on_grid_of(scan, labels)


def _is_of_a_model(labels: Path) -> bool:
    """Whether the record beside a label map says that a model made it, corrected or not."""
    from napari_ssl_muscle.jobs.record import origin_of_file

    try:
        return origin_of_file(labels)[0] is not None
    except BadInput:
        return False


def _load_labels(path: Path, ask: UserPrompts | None) -> list[LayerData]:
    from napari_ssl_muscle.scans.volume import open_label_map

    labels = open_label_map(path)
    values = labels.read()
    table = table_beside(path)
    for note in labels.notes:
        report(ask, note)
    scan = OpenScan(labels.name, labels.geometry, table=table)
    # A label map that is opened by itself is there to be looked at and corrected.
    return [label_data(scan, "prediction", values, table=table, path=path, name=labels.name)]


def _is_label_map(path: Path) -> bool:
    """Whether a file's name says that it holds labels, or else its folder or its values do."""
    from napari_ssl_muscle.scans.formats.nifti import (
        count_volumes,
        load_header,
        read_voxels,
    )

    if says_labels(stem_of(path)) or path.parent.name in NNUNET_LABELS:
        return True
    image = load_header(path)
    if image.get_data_dtype().kind not in "iu" or count_volumes(image) > 1:
        return False
    values = read_voxels(path, tuple(image.shape[:3]), None)
    if values.dtype.kind not in "iu" or values.min() != 0 or values.max() > 255:
        return False
    if len(np.flatnonzero(np.bincount(values.ravel(), minlength=2))) > _MOST_LABELS:
        return False
    # Labels are patches of one value; in an image, even of few grey levels, neighbours differ.
    here, next_to_it = values[1:], values[:-1]
    inside = (here > 0) & (next_to_it > 0)
    return bool(inside.any() and (here == next_to_it)[inside].mean() > _PATCHY)


def _load_folder(folder: Path, ask: UserPrompts | None) -> list[LayerData]:
    from napari_ssl_muscle.scans.cohort import open_cohort

    cohort = open_cohort(folder)
    choice = _choose(cohort, ask)
    if choice is None:
        raise Cancelled
    case, channels = choice
    return load_images(
        {channel: case.images[channel] for channel in channels},
        case.labels_for(channels),
        cohort.table,
        ask,
        name=case.name,
    )


def _choose(cohort: Cohort, ask: UserPrompts | None) -> tuple[Case, Sequence[str]] | None:
    if len(cohort.cases) == 1 and len(cohort.cases[0].images) == 1:
        return cohort.cases[0], list(cohort.cases[0].images)
    if ask is None:
        raise BadInput(
            f"{cohort.folder} holds {len(cohort.cases)} cases with {len(cohort.channels)} kinds of "
            "image; open one of its files, or choose in the window which case to open."
        )
    return ask.ask_case(cohort)


def report(ask: UserPrompts | None, sentence: str) -> None:
    """Show a sentence, or warn where no window is open."""
    if ask is not None:
        ask.show_problem(sentence)
    else:
        import warnings

        warnings.warn(sentence, stacklevel=2)
