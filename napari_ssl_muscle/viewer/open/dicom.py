"""DICOM in the window: listed, chosen by series, and opened with its geometry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.dicom_scans import DicomScan, choose, dicom_scans, export_of_file
from napari_ssl_muscle.scans.formats.dicom.listing import Export, find_series
from napari_ssl_muscle.scans.naming import NIFTI
from napari_ssl_muscle.viewer.layers.scan_layers import LayerData
from napari_ssl_muscle.viewer.open.loading import Cancelled, layers_of_scan, report

if TYPE_CHECKING:
    from napari_ssl_muscle.scans.formats.dicom.series import Series
    from napari_ssl_muscle.viewer.open.loading import UserPrompts

_EVERY = 20
"""Files between two reports: each one lets the window draw."""


def load_dicom(place: Path, ask: UserPrompts | None) -> list[LayerData]:
    """Read series of a DICOM file, a folder or an export as napari layer data.

    Series of one study on one grid (water, fat, in and opposed phase) become the images of one
    scan. A single series that a model can use is opened without a question.

    Raises
    ------
    BadInput
        If there is no image, or a question would have to be asked and no window is open.
    Cancelled
        If the user changed their mind.
    """
    export = _list(place, ask)
    scans = dicom_scans(_chosen(export, place, ask), export.series)
    if ask is None or len(scans) == 1:
        return [data for scan in scans for data in _layers(scan, ask)]
    layers: list[LayerData] = []
    with ask.progress("Reading images…") as go_on:
        for done, scan in enumerate(scans):
            if not go_on(done, len(scans)):
                break  # those that were read are shown
            try:
                layers += _layers(scan, ask)
            except BadInput as problem:
                ask.show_problem(str(problem))
    return layers


def _list(place: Path, ask: UserPrompts | None) -> Export:
    if not place.is_dir():
        return export_of_file(place)
    if ask is None:
        return find_series(place)
    with ask.progress(f"Reading what is in {place.name}…") as go_on:

        def listed(done: int, total: int) -> None:
            if (done % _EVERY == 0 or done == total) and not go_on(done, total):
                raise Cancelled

        return find_series(place, listed)


def _chosen(export: Export, place: Path, ask: UserPrompts | None) -> Sequence[Series]:
    usable = choose(export.series, None, None)
    if len(export.series) == len(usable) == 1:
        for sentence in export.notes() if export.damaged else []:
            report(ask, sentence)
        return usable
    if ask is None:
        if len(usable) == 1:
            return usable
        raise BadInput(
            f"{place} holds {len(export.series)} series of images; open one of its files, or "
            "choose in the window which series to open."
        )
    chosen = ask.ask_series(export)
    if not chosen:
        raise Cancelled
    return chosen


def _layers(scan: DicomScan, ask: UserPrompts | None) -> list[LayerData]:
    from napari_ssl_muscle.scans.cohort import labels_of

    first = scan.first
    assert first.dicom is not None
    named = (one.path.with_name(one.name + NIFTI[0]) for one in scan.images.values())
    labels = next((found for path in named if (found := labels_of(path)) is not None), None)
    return layers_of_scan(
        scan.images,
        labels,
        None,
        ask,
        name=first.name,
        # A series in several folders is not found again by the file of its first slice.
        in_file=first.dicom.together,
    )
