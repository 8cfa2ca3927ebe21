"""A synthetic cohort on disk: BIDS folders, label tables, and the true volumes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from napari_ssl_muscle import __version__
from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import write_json, write_text, write_whole
from napari_ssl_muscle.phantom.scan import phantom_scan
from napari_ssl_muscle.phantom.settings import PhantomSettings
from napari_ssl_muscle.scans.muscles import default_table, write_tsv
from napari_ssl_muscle.scans.naming import SUBJECTS_TABLE, label_files, label_map_name

BIDS_VERSION = "1.10.0"

TRUE_VOLUMES, TRUE_VOLUME, TRUE_FAT = "true_volumes.tsv", "volume_ml", "fat_percent"
"""The table of what is true, and its columns of figures."""


def write_phantom(
    folder: Path,
    settings: PhantomSettings,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a synthetic cohort as a BIDS folder with labels under `derivatives/labels`.

    Parameters
    ----------
    folder
        A new or empty folder.
    settings
        Every session of every subject is written.
    progress
        Called after every scan with the number of scans written and the number in all.

    Raises
    ------
    BadInput
        If the folder is not empty or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} exists and is not empty; choose a new folder for the phantom.")
    labels = folder / "derivatives" / "labels"
    _describe(folder, labels, settings)
    dixon = settings.contrast == "dixon"
    volumes = [f"participant_id\tsession_id\tmuscle\tside\t{TRUE_VOLUME}\tintended_factor"]
    volumes[0] += f"\t{TRUE_FAT}" if dixon else ""
    scans = ["scan\tsubject\tsession\tmonth"]
    wanted = list(
        product(
            range(1, settings.subjects + 1),
            range(1, settings.sessions + 1),
            range(1, settings.repeats + 1),
        )
    )
    for done, (subject, session, repeat) in enumerate(wanted, 1):
        scan = phantom_scan(subject, session, settings, repeat)
        again = "" if repeat == 1 else f"r{repeat}"
        names = f"sub-{subject:02d}", f"ses-{session:02d}{again}"
        place = Path(*names, "anat")
        stem = "_".join(names)
        images = {"" if settings.contrast == "t1" else "_acq-water": scan.image}
        if scan.fat_image is not None:
            images["_acq-fat"] = scan.fat_image
        for acquisition, image in images.items():
            write_volume(
                folder / place / f"{stem}{acquisition}_T1w.nii.gz",
                image.astype(np.int16),
                scan.affine,
            )
        label_map, _, table = label_files(labels / place / label_map_name(stem))
        write_volume(label_map, scan.labels, scan.affine)
        write_tsv(default_table("thigh"), table)
        scans.append("\t".join([stem, *names, str(session - 1)]))
        for key, volume in scan.volumes_ml.items():
            muscle, side = key.rsplit(" ", 1)
            row = [*names, muscle, side, f"{volume:.4f}", f"{scan.factors[key]:.6f}"]
            if dixon:
                row.append(f"{scan.fat_percent[key]:.4f}" if key in scan.fat_percent else "n/a")
            volumes.append("\t".join(row))
        if progress is not None:
            progress(done, len(wanted))
    if settings.repeats > 1:  # their names do not say that they are of one visit
        write_text(folder / SUBJECTS_TABLE, "\n".join(scans) + "\n")
    write_text(labels / TRUE_VOLUMES, "\n".join(volumes) + "\n")
    return folder


def _describe(folder: Path, labels: Path, settings: PhantomSettings) -> None:
    """Write what BIDS asks for: descriptions of both folders and the list of subjects."""
    about = (
        f"Made by napari-ssl-muscle {__version__}: seed {settings.seed}, "
        f"{settings.subjects} subjects, {settings.sessions} monthly sessions, "
        f"contrast {settings.contrast}."
    )
    maker = {"Name": "napari-ssl-muscle", "Version": __version__}
    for described, name, kind in (
        (folder, "Synthetic thigh cohort", "raw"),
        (labels, "True muscles of the synthetic thigh cohort", "derivative"),
    ):
        write_json(
            described / "dataset_description.json",
            {
                "Name": name,
                "BIDSVersion": BIDS_VERSION,
                "DatasetType": kind,
                "License": "CC0",
                "GeneratedBy": [{**maker, "Description": about}],
            },
        )
    write_text(folder / "README", f"Synthetic thighs; no person was scanned. {about}\n")
    subjects = "".join(f"sub-{subject:02d}\n" for subject in range(1, settings.subjects + 1))
    write_text(folder / "participants.tsv", "participant_id\n" + subjects)


def write_volume(path: Path, volume: NDArray[np.generic], affine: NDArray[np.float64]) -> None:
    """Write a (z, y, x) array as NIfTI with axes x, y, z in millimetres, whole or not at all."""
    image = nib.Nifti1Image(np.ascontiguousarray(volume.transpose(2, 1, 0)), affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm", "sec")  # type: ignore[no-untyped-call]
    image.set_qform(affine, code=1)  # type: ignore[no-untyped-call]
    image.set_sform(affine, code=1)  # type: ignore[no-untyped-call]
    write_whole(path, lambda part: nib.save(image, part))
