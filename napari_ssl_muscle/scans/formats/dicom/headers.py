"""From a DICOM file to its frames: where each lies and how it was acquired.

Only the elements in `_ELEMENTS` are read. Name, ID and birth date of a patient never leave this
module: a patient is an opaque key that holds for this process. UIDs become hashes, and the date of
a study only orders the studies of one patient.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_ssl_muscle.scans.formats.dicom.library import pydicom

Vector = tuple[float, float, float]

_IDENTITY = ("PatientID", "PatientName", "PatientBirthDate", "IssuerOfPatientID")
_ELEMENTS = (
    *_IDENTITY,
    "SOPClassUID",
    "Modality",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "ImageType",
    "FrameOfReferenceUID",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "SliceThickness",
    "SpacingBetweenSlices",
    "EchoTime",
    "RepetitionTime",
    "FlipAngle",
    "MagneticFieldStrength",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "InstanceNumber",
    "TriggerTime",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)

# Hashes of patients differ from process to process, so that a short number cannot be found by
# trying all of them.
_SALT = secrets.token_bytes(16)


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What all frames of one volume share; frames that differ in any of it are other volumes.

    Attributes
    ----------
    patient
        Opaque key of the patient in this process.
    study, series, frame_of_reference
        Hashes of the UIDs.
    study_order
        Orders the studies of one patient in time; never to be shown or written.
    number
        Number of the series, 0 if unknown.
    description
        Free text of the scanner's operator: for choosing on the screen, never to be written.
    image_type
        Values of Image Type, or of Frame Type.
    echo_time, repetition_time
        In ms, None if unknown.
    flip_angle
        In degrees.
    field_strength
        In tesla.
    pixel_spacing
        Between rows and between columns, in mm; None if unknown.
    colour
        Whether pixels have several samples.
    """

    patient: str
    study: str
    study_order: str
    series: str
    frame_of_reference: str
    modality: str
    number: int
    description: str
    image_type: tuple[str, ...]
    echo_time: float | None
    repetition_time: float | None
    flip_angle: float | None
    field_strength: float | None
    rows: int
    columns: int
    pixel_spacing: tuple[float, float] | None
    colour: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """One slice in a file.

    Attributes
    ----------
    index
        Number of the frame in a multi-frame file, from 0; None in a file with one slice.
    position
        Of the centre of the first pixel, in mm, LPS; None if unknown.
    orientation
        Direction cosines of the rows and of the columns (6 numbers), LPS; None if unknown.
    thickness
        Slice thickness in mm, or the spacing between slices where that is given; None if unknown.
    repeats
        Acquisition, temporal position and stack, each None if unknown: what may tell volumes
        apart that lie at the same place.
    """

    path: Path
    index: int | None
    acquisition: Acquisition
    position: Vector | None
    orientation: tuple[float, ...] | None
    thickness: float | None
    repeats: tuple[int | None, ...]


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM does, with or without the preamble."""
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError:
        return False
    # Without a preamble a data set begins with an element of the group 0002 or 0008.
    return start[128:] == b"DICM" or start[:4] in (b"\x02\x00\x00\x00", b"\x08\x00\x05\x00")


def read_frames(path: Path) -> list[Frame]:
    """Read the frames of a DICOM file; pixels are not touched.

    Returns
    -------
    In stored order; empty for a DICOM file without pixels (a report, a document).

    Raises
    ------
    Exception
        Whatever pydicom raises for a file that it cannot read; `find_series` counts those.
    """
    data: Any = pydicom().dcmread(
        path, stop_before_pixels=True, specific_tags=list(_ELEMENTS), force=True
    )
    if not data.get("Rows") or not data.get("Columns"):
        return []
    groups = data.get("PerFrameFunctionalGroupsSequence")
    if groups:
        shared = (data.get("SharedFunctionalGroupsSequence") or [None])[0]
        return list(_multi_frames(path, data, shared, groups))
    several = int(data.get("NumberOfFrames") or 1) > 1
    return [
        Frame(
            path=path,
            index=None,
            acquisition=_acquisition(data, data),
            # Several frames without functional groups have no places of their own.
            position=None if several else _vector(data.get("ImagePositionPatient"), 3),
            orientation=_vector(data.get("ImageOrientationPatient"), 6),
            thickness=_number(data.get("SpacingBetweenSlices"))
            or _number(data.get("SliceThickness")),
            repeats=(
                _whole(data.get("TemporalPositionIdentifier")),
                _whole(data.get("AcquisitionNumber")),
                None,
            ),
        )
    ]


def _multi_frames(path: Path, data: Any, shared: Any, groups: Any) -> Iterator[Frame]:
    """Read the functional groups of an enhanced multi-frame image (PS3.3 C.7.6.16)."""
    for index, own in enumerate(groups):

        def group(name: str, own: Any = own) -> Any:
            for holder in (own, shared):
                found = holder.get(name) if holder is not None else None
                if found:
                    return found[0]
            return {}

        content = group("FrameContentSequence")
        measures = group("PixelMeasuresSequence")
        stack = content.get("StackID")
        yield Frame(
            path=path,
            index=index,
            acquisition=_acquisition(
                data,
                {
                    "PixelSpacing": measures.get("PixelSpacing"),
                    "ImageType": group("MRImageFrameTypeSequence").get("FrameType"),
                    "EchoTime": group("MREchoSequence").get("EffectiveEchoTime"),
                    "RepetitionTime": group("MRTimingAndRelatedParametersSequence").get(
                        "RepetitionTime"
                    ),
                    "FlipAngle": group("MRTimingAndRelatedParametersSequence").get("FlipAngle"),
                },
            ),
            position=_vector(group("PlanePositionSequence").get("ImagePositionPatient"), 3),
            orientation=_vector(
                group("PlaneOrientationSequence").get("ImageOrientationPatient"), 6
            ),
            thickness=_number(measures.get("SpacingBetweenSlices"))
            or _number(measures.get("SliceThickness")),
            repeats=(
                _whole(content.get("TemporalPositionIndex")),
                _whole(content.get("FrameAcquisitionNumber")),
                None if stack is None else int.from_bytes(str(stack).encode()[:8], "big"),
            ),
        )


def _acquisition(data: Any, frame: Any) -> Acquisition:
    spacing = _vector(frame.get("PixelSpacing") or data.get("PixelSpacing"), 2)
    image_type = frame.get("ImageType") or data.get("ImageType") or ()
    return Acquisition(
        patient=_patient(data),
        study=_hash(data.get("StudyInstanceUID")),
        study_order=f"{data.get('StudyDate') or ''} {data.get('StudyTime') or ''}",
        series=_hash(data.get("SeriesInstanceUID")),
        frame_of_reference=_hash(data.get("FrameOfReferenceUID")),
        modality=str(data.get("Modality") or ""),
        number=_whole(data.get("SeriesNumber")) or 0,
        description=str(data.get("SeriesDescription") or ""),
        image_type=(image_type,) if isinstance(image_type, str) else tuple(map(str, image_type)),
        echo_time=_number(frame.get("EchoTime") or data.get("EchoTime")),
        repetition_time=_number(frame.get("RepetitionTime") or data.get("RepetitionTime")),
        flip_angle=_number(frame.get("FlipAngle") or data.get("FlipAngle")),
        field_strength=_number(data.get("MagneticFieldStrength")),
        rows=int(data.Rows),
        columns=int(data.Columns),
        pixel_spacing=None if spacing is None else (spacing[0], spacing[1]),
        colour=int(data.get("SamplesPerPixel") or 1) > 1,
    )


def _patient(data: Any) -> str:
    identity = "\0".join(str(data.get(name) or "") for name in _IDENTITY)
    return hashlib.sha256(_SALT + identity.encode()).hexdigest()[:16]


def _hash(uid: Any) -> str:
    """Return a hash of a UID: the UID cannot be had from it, equal ones are equal."""
    return hashlib.sha256(str(uid).encode()).hexdigest()[:16] if uid else ""


def _number(value: Any) -> float | None:
    try:
        return None if value in (None, "") else round(float(value), 6)
    except (TypeError, ValueError):
        return None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _vector(values: Any, length: int) -> Any:
    """Return so many numbers as a tuple, or None if they are not all there."""
    try:
        numbers = tuple(round(float(value), 6) for value in values or ())
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == length else None
