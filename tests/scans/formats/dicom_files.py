"""DICOM files as scanners write them, made from numbers: classic and enhanced multi-frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

IDENTITY = {
    "PatientName": "Secret^Name",
    "PatientID": "SECRET-ID-1",
    "PatientBirthDate": "19501224",
    "AccessionNumber": "SECRETACC",
    "InstitutionName": "Secret Hospital",
    "ReferringPhysicianName": "Secret^Doctor",
    "StudyDescription": "Secret study",
    "ProtocolName": "Secret protocol",
    "StationName": "SECRETSTATION",
    "PatientComments": "Secret comment",
    "StudyID": "SECRETSTUDY",
    "StudyDate": "20250102",
    "StudyTime": "101112",
}

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def oblique(degrees: float) -> tuple[float, ...]:
    """Axial slices, tilted about the left-right axis and then about the long axis."""
    a, b = np.deg2rad(degrees), np.deg2rad(degrees / 2)
    row = np.array([np.cos(b), np.sin(b), 0])
    column = np.cross([0, np.sin(a), np.cos(a)], row)
    column /= np.linalg.norm(column)
    return tuple(float(v) for v in (*row, *column))


def voxels(shape: Sequence[int] = (4, 6, 5), seed: int = 0) -> npt.NDArray[np.uint16]:
    """Voxels (slices, rows, columns) that all differ."""
    count = int(np.prod(shape))
    return np.random.default_rng(seed).permutation(count).astype(np.uint16).reshape(shape)


def write_series(
    folder: Path,
    stored: npt.NDArray[Any],
    *,
    orientation: Sequence[float] = AXIAL,
    spacing: tuple[float, float] = (0.8, 1.1),
    step: float = 7.0,
    origin: Sequence[float] = (-40.0, -30.0, 12.0),
    uids: tuple[str, str] | None = None,
    prefix: str = "IM",
    **elements: Any,
) -> list[Path]:
    """Write a classic series, a file a slice, named against the order of the slices.

    Parameters
    ----------
    stored
        (slices, rows, columns); slice 0 lies at `origin`, the others along the normal.
    uids
        Of study and series; new ones where it is None.
    elements
        More elements of every file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study, series = uids or (generate_uid(), generate_uid())
    paths = []
    for z, plane in enumerate(stored):
        data = _file(MRImageStorage, study, series, elements)
        _pixels(data, plane)
        data.PixelSpacing = list(spacing)
        data.SliceThickness = step
        data.ImageOrientationPatient = list(orientation)
        data.ImagePositionPatient = [float(v) for v in _place(orientation, origin, step, z)]
        data.InstanceNumber = z + 1
        for name, value in elements.items():
            setattr(data, name, value(z) if callable(value) else value)
        path = folder / f"{prefix}{len(stored) - z:04d}"
        data.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def write_enhanced(
    path: Path,
    stored: npt.NDArray[Any],
    *,
    orientation: Sequence[float] = AXIAL,
    spacing: tuple[float, float] = (0.8, 1.1),
    step: float = 7.0,
    origin: Sequence[float] = (-40.0, -30.0, 12.0),
    echoes: Sequence[float] = (),
    frame_types: Sequence[Sequence[str]] = (),
    slopes: Sequence[float] = (),
    **elements: Any,
) -> Path:
    """Write one enhanced multi-frame file, echoes and types of frames interleaved.

    Parameters
    ----------
    stored
        (slices, rows, columns), the same voxels for each echo or type of frame; those of the k-th
        are k larger.
    """
    variants = max(len(echoes), len(frame_types), 1)
    data = _file(EnhancedMRImageStorage, generate_uid(), generate_uid(), elements)
    frames, groups = [], []
    for z, plane in enumerate(stored):
        for k in range(variants):
            frames.append(plane + k)
            group = Dataset()
            position = Dataset()
            position.ImagePositionPatient = [float(v) for v in _place(orientation, origin, step, z)]
            group.PlanePositionSequence = [position]
            if echoes:
                echo = Dataset()
                echo.EffectiveEchoTime = echoes[k]
                group.MREchoSequence = [echo]
            if frame_types:
                kind = Dataset()
                kind.FrameType = list(frame_types[k])
                group.MRImageFrameTypeSequence = [kind]
            if slopes:
                value = Dataset()
                value.RescaleSlope, value.RescaleIntercept = slopes[k], 0
                value.RescaleType = "US"
                group.PixelValueTransformationSequence = [value]
            groups.append(group)
    _pixels(data, np.stack(frames))
    data.NumberOfFrames = len(frames)
    shared, plane_orientation, measures = Dataset(), Dataset(), Dataset()
    plane_orientation.ImageOrientationPatient = list(orientation)
    measures.PixelSpacing, measures.SliceThickness = list(spacing), step
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [plane_orientation], [measures]
    data.SharedFunctionalGroupsSequence = [shared]
    data.PerFrameFunctionalGroupsSequence = groups
    for name, value in elements.items():
        setattr(data, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def _place(orientation: Sequence[float], origin: Sequence[float], step: float, z: int) -> Any:
    row, column = np.array(orientation).reshape(2, 3)
    return np.array(origin) + np.cross(row, column) * step * z


def _file(kind: Any, study: str, series: str, elements: Mapping[str, Any]) -> Dataset:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = kind
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID = study, series
    data.FrameOfReferenceUID = generate_uid(entropy_srcs=[study])
    data.Modality, data.SeriesNumber = "MR", 5
    data.SeriesDescription = "Secret description"
    data.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    for name, value in IDENTITY.items():
        setattr(data, name, value)
    block = data.private_block(0x0011, "SECRET CREATOR", create=True)
    block.add_new(0x01, "LO", "Secret private")
    return data


def _pixels(data: Dataset, planes: npt.NDArray[Any]) -> None:
    data.Rows, data.Columns = planes.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    data.PixelData = planes.astype("<u2").tobytes()
