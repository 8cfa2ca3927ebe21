"""DICOM as scans: which series are chosen, and which belong together as channels of one scan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.formats.dicom.contrast import Contrast
from napari_ssl_muscle.scans.formats.dicom.headers import is_dicom
from napari_ssl_muscle.scans.formats.dicom.listing import Export, find_series
from napari_ssl_muscle.scans.formats.dicom.series import Series, echo_number
from napari_ssl_muscle.scans.formats.dicom.volumes import (
    holds_dicom,
    named,
    volume_of,
    volumes_with,
)
from napari_ssl_muscle.scans.layouts import look_through
from napari_ssl_muscle.scans.naming import is_image
from napari_ssl_muscle.scans.volume import Scan, scan_of_dicom

_FIRST: tuple[Contrast, ...] = ("water", "magnitude", "inphase", "opposedphase", "fat")
"""Which channel stands for a scan first: in water, muscles are told apart best."""


def is_dicom_place(path: Path) -> bool:
    """Whether it is a DICOM file, or a folder of DICOM and of no cohort."""
    if not path.is_dir():
        return not is_image(path) and is_dicom(path)
    try:
        return not look_through(path).cases and holds_dicom(path)
    except OSError:
        return False


def can_be_opened(path: Path) -> bool:
    """Whether a path is an image file, by its name or as DICOM, or a folder."""
    return is_image(path) or path.is_dir() or is_dicom(path)


@dataclass
class DicomScan:
    """Images of one study on one grid: the channels of a scan.

    Attributes
    ----------
    images
        Channel (contrast, and echo where there are several) → scan.
    """

    images: dict[str, Scan] = field(default_factory=dict)

    @property
    def first(self) -> Scan:
        """The image by which the scan is called."""
        return next(iter(self.images.values()))


def choose(
    series: Iterable[Series], numbers: Sequence[int] | None, echoes: Sequence[int] | None
) -> list[Series]:
    """Return the volumes that were asked for; those that a model can use if none were.

    Parameters
    ----------
    numbers
        Numbers of series.
    echoes
        Numbers of echoes within a series and contrast, from 1 for the shortest echo time.

    Raises
    ------
    BadInput
        If there is no series, or no echo, of such a number.
    """
    found = list(series)
    if numbers is None:
        chosen = [volume for volume in found if volume.suggested]
    else:
        missing = sorted(set(numbers) - {volume.acquisition.number for volume in found})
        if missing:
            there = ", ".join(str(n) for n in sorted({v.acquisition.number for v in found}))
            raise BadInput(f"There is no series {missing[0]}; there are {there}.")
        chosen = [volume for volume in found if volume.acquisition.number in numbers]
    if echoes is not None:
        chosen = [volume for volume in chosen if (echo_number(volume, found) or 1) in echoes]
        if not chosen:
            raise BadInput("No series has an echo of that number (--echo counts from 1).")
    return chosen


def dicom_scans(chosen: Sequence[Series], found: Sequence[Series]) -> list[DicomScan]:
    """Put chosen volumes together where they are images of one study on one grid.

    Of two with the same contrast, the second is a scan of its own.

    Parameters
    ----------
    found
        All volumes of the place that they are from.

    Raises
    ------
    BadInput
        If one of them cannot be used.
    """
    wanted = {id(series) for series in chosen}
    scans: list[DicomScan] = []
    for volume in named(found):
        if id(volume.series) not in wanted:
            continue
        scan = scan_of_dicom(volume)
        place = next((one for one in scans if _belongs(scan, volume.channel, one)), None)
        if place is None:
            place = DicomScan()
            scans.append(place)
        place.images[volume.channel] = scan
    for one in scans:
        one.images = dict(sorted(one.images.items(), key=lambda image: _rank(image[1])))
    return scans


def export_of_file(path: Path) -> Export:
    """List the volumes that a DICOM file has a part in, as `find_series` lists a folder's.

    Raises
    ------
    BadInput
        If it holds no image.
    """
    return Export([volume.series for volume in volumes_with(path)])


def chosen_scans(
    place: Path, numbers: Sequence[int] | None, echoes: Sequence[int] | None, volume: int | None
) -> list[DicomScan]:
    """Return the scans of a DICOM file or folder that were asked for, as `choose` does.

    Parameters
    ----------
    volume
        Which volume of a multi-frame file; it comes before series and echoes.

    Raises
    ------
    BadInput
        If there is no image, none of that number, or none that can be used.
    """
    if place.is_dir():
        export = find_series(place)
        chosen = choose(export.series, numbers, echoes)
    else:
        export = export_of_file(place)
        whole = [series for series in export.series if series.problem is None]
        if volume is not None:
            chosen = [volume_of(place, volume).series]
        elif numbers is None and echoes is None and len(whole) == 1:
            chosen = export.series  # a phase image, say, is asked for by its file
        else:
            chosen = choose(export.series, numbers, echoes)
    if not chosen:
        raise BadInput(
            f"No series of {place} can be used; see what is there with ssl-muscle dicom {place}."
        )
    return dicom_scans(chosen, export.series)


def _rank(scan: Scan) -> int:
    assert scan.dicom is not None
    contrast = scan.dicom.series.contrast
    return _FIRST.index(contrast) if contrast in _FIRST else len(_FIRST)


def _belongs(scan: Scan, channel: str, to: DicomScan) -> bool:
    assert scan.dicom is not None
    assert to.first.dicom is not None
    one, other = scan.dicom.series.acquisition, to.first.dicom.series.acquisition
    return (
        channel not in to.images
        and (one.study, one.frame_of_reference) == (other.study, other.frame_of_reference)
        and scan.geometry.differs_from(to.first.geometry) is None
    )
