"""DICOM volumes as a pseudonymous cohort in the layout of BIDS.

Subjects and sessions are counted; images get the number of their series and their contrast as a
name. Of a header only numbers of the acquisition are kept, in a JSON file beside each image, with
hashes of the UIDs, by which a later import knows what is there already.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy.typing as npt

from napari_ssl_muscle.files import write_json, write_whole
from napari_ssl_muscle.scans.formats.dicom.series import Series, echo_number, volume_hash

BIDS_VERSION = "1.10.0"

STUDY, VOLUME = "SourceStudyHash", "SourceVolumeHash"
"""Fields of the JSON file: hashes of the study's UID and of what tells the volume apart."""

_SUBJECT = re.compile(r"sub-(\d+)")
_SESSION = re.compile(r"ses-(\d+)")


@dataclass(frozen=True, eq=False)
class Target:
    """A volume and the image file that it becomes.

    Attributes
    ----------
    path
        Of the image, `sub-001/ses-1/anat/sub-001_ses-1_acq-5_water.nii.gz` in the cohort's folder.
    done
        Whether an earlier import wrote it.
    """

    series: Series
    path: Path
    done: bool


def plan_cohort(volumes: Sequence[Series], found: Sequence[Series], cohort: Path) -> list[Target]:
    """Choose subject, session and file for each volume.

    Patients and their studies are counted in the order in which they come, after those that the
    cohort holds; a study that it holds already keeps its subject and session, and its patient's
    other studies join that subject.

    Parameters
    ----------
    volumes
        To write, in the order of `find_series`: a patient's studies in the order of time.
    found
        All that `find_series` found, so that names do not depend on what is chosen.
    """
    known = _known(cohort)
    subjects: dict[str, int] = {}
    sessions: dict[str, tuple[int, int]] = {}
    taken: set[Path] = set()
    last_session: dict[int, int] = {}
    for subject, session in known.studies.values():
        last_session[subject] = max(session, last_session.get(subject, 0))
    for series in volumes:
        place = known.studies.get(series.acquisition.study)
        if place is not None:
            subjects.setdefault(series.acquisition.patient, place[0])
            sessions[series.acquisition.study] = place
    last_subject = max([0, *known.subjects])
    targets = []
    for series in volumes:
        made = series.acquisition
        if made.patient not in subjects:
            last_subject += 1
            subjects[made.patient] = last_subject
        subject = subjects[made.patient]
        if made.study not in sessions:
            last_session[subject] = last_session.get(subject, 0) + 1
            sessions[made.study] = (subject, last_session[subject])
        earlier = known.volumes.get(volume_hash(series))
        path = earlier or _free_path(cohort, sessions[made.study], series, found, taken)
        taken.add(path)
        targets.append(Target(series, path, earlier is not None))
    return targets


def write_target(target: Target, voxels: npt.NDArray[Any]) -> None:
    """Write a volume as NIfTI, and the JSON file beside it.

    The JSON file comes first: alone it only says whose study it is, so that an import that was
    killed between the two writes the same files again.

    Parameters
    ----------
    voxels
        (columns, rows, slices), from `read_series`.

    Raises
    ------
    BadInput
        If a file cannot be written.
    """
    series = target.series
    write_json(_sidecar(target.path), _technical(series))
    image: Any = nib.Nifti1Image(voxels, series.affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")
    image.set_qform(series.affine, code="scanner")
    image.set_sform(series.affine, code="scanner")
    write_whole(target.path, lambda part: nib.save(image, part))


def describe_cohort(cohort: Path) -> None:
    """Write the file by which a folder is known as BIDS, where it is missing."""
    description = cohort / "dataset_description.json"
    if not description.exists():
        write_json(
            description,
            {
                "Name": "Imported from DICOM",
                "BIDSVersion": BIDS_VERSION,
                "DatasetType": "raw",
                "GeneratedBy": [{"Name": "napari-ssl-muscle"}],
            },
        )


@dataclass(frozen=True)
class _Known:
    """What a cohort holds: study → subject and session, volume → image, numbers of subjects."""

    studies: Mapping[str, tuple[int, int]]
    volumes: Mapping[str, Path]
    subjects: frozenset[int]


def _known(cohort: Path) -> _Known:
    studies: dict[str, tuple[int, int]] = {}
    volumes: dict[str, Path] = {}
    for sidecar in sorted(cohort.glob("sub-*/ses-*/anat/*.json")):
        subject = _SUBJECT.match(sidecar.name)
        session = _SESSION.search(sidecar.name)
        try:
            content = json.loads(sidecar.read_text(encoding="utf-8"))
            study, volume = content.get(STUDY), content.get(VOLUME)
        except (OSError, ValueError, AttributeError):
            continue  # a file of another program
        image = sidecar.with_suffix(".nii.gz")
        if subject and session and study:
            studies[str(study)] = (int(subject[1]), int(session[1]))
            if volume and image.is_file():
                volumes[str(volume)] = image
    numbers = (_SUBJECT.fullmatch(path.name) for path in cohort.glob("sub-*"))
    return _Known(studies, volumes, frozenset(int(found[1]) for found in numbers if found))


def _free_path(
    cohort: Path,
    place: tuple[int, int],
    series: Series,
    found: Sequence[Series],
    taken: set[Path],
) -> Path:
    subject, session = f"sub-{place[0]:03d}", f"ses-{place[1]}"
    made = series.acquisition
    words = [subject, session, f"acq-{made.number}"]
    echo = echo_number(series, found)
    if echo is not None:
        words.append(f"echo-{echo}")
    folder = cohort / subject / session / "anat"
    path = folder / f"{'_'.join([*words, series.contrast])}.nii.gz"
    repeat = 1
    while path in taken or path.exists():
        repeat += 1
        path = folder / f"{'_'.join([*words, f'run-{repeat}', series.contrast])}.nii.gz"
    return path


def _sidecar(image: Path) -> Path:
    return image.with_name(image.name.removesuffix(".nii.gz") + ".json")


def _technical(series: Series) -> dict[str, Any]:
    """Return what is kept of the header: numbers in the units of BIDS (seconds), and hashes."""
    made = series.acquisition
    content = {
        "SeriesNumber": made.number,
        "EchoTime": _seconds(made.echo_time),
        "RepetitionTime": _seconds(made.repetition_time),
        "FlipAngle": made.flip_angle,
        "MagneticFieldStrength": made.field_strength,
        STUDY: made.study,
        VOLUME: volume_hash(series),
    }
    return {name: value for name, value in content.items() if value is not None}


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds / 1000, 9)
