"""The shell segments DICOM: the series that suit the model, or those that are asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import generate_uid

from napari_ssl_muscle.actions import run_job
from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.settings import SegmentJob
from napari_ssl_muscle.scans.dicom_scans import chosen_scans, is_dicom_place
from napari_ssl_muscle.scans.formats.dicom.listing import find_series
from tests.jobs.conftest import write_model
from tests.scans.formats.dicom_files import oblique, voxels, write_series


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Water and phase of a Dixon scan, and two echoes of another series."""
    folder, study = tmp_path / "export", generate_uid()
    for number, kind, contrast in ((5, "M", "W"), (7, "P", "P")):
        write_series(
            folder,
            voxels((4, 16, 16), seed=number),
            orientation=oblique(20),
            uids=(study, generate_uid()),
            prefix=contrast,
            SeriesNumber=number,
            ImageType=["DERIVED", "PRIMARY", kind, contrast],
        )
    uids = (study, generate_uid())
    for echo in (1, 2):
        write_series(
            folder,
            voxels((3, 16, 16), seed=echo),
            uids=uids,
            prefix=f"E{echo}-",
            SeriesNumber=9,
            EchoTime=1.2 * echo,
        )
    return folder


def segmented(export: Path, tmp_path: Path, **options: Any) -> list[str]:
    """Segment with a model of water images; return the names without the study's hash."""
    out = tmp_path / "labels"
    model = write_model(tmp_path / "water.safetensors", channels=["water"])
    job = SegmentJob(scans=[export], model=str(model), out=out, **options)
    run_job(job, lambda _: None)
    return sorted(path.name.split("_", 1)[1] for path in out.glob("*_dseg.nii.gz"))


def test_what_suits_the_model_is_segmented_on_the_grid_of_the_series(
    export: Path, tmp_path: Path
) -> None:
    assert segmented(export, tmp_path) == ["acq-5_water_dseg.nii.gz"]
    (file,) = (tmp_path / "labels").glob("*.nii.gz")
    image: Any = nib.load(file)
    (water,) = (s for s in find_series(export).series if s.contrast == "water")
    assert water.affine is not None
    np.testing.assert_allclose(image.affine, water.affine, atol=1e-4)
    assert image.shape == water.shape
    record = (tmp_path / "labels" / "segment.json").read_text(encoding="utf-8")
    assert "Secret" not in record
    (entry,) = json.loads(record)["scans"].values()
    assert Path(entry["scans"][0]).parent == export


def test_series_and_echo_are_chosen_by_number(export: Path, tmp_path: Path) -> None:
    assert segmented(export, tmp_path, series=[9], echo=[2]) == [
        "acq-9_echo-2_magnitude_dseg.nii.gz"
    ]


def test_a_phase_image_that_is_asked_for_comes_with_a_warning(export: Path) -> None:
    (scan,) = chosen_scans(export, [7], None, None)
    (note,) = scan.first.notes
    assert "phase image" in note


@pytest.mark.parametrize(
    ("options", "said"),
    [({"series": [4]}, "no series 4"), ({"series": [7]}, "water"), ({"echo": [3]}, "echo")],
)
def test_what_is_not_there_is_refused(
    export: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        segmented(export, tmp_path, **options)


def test_series_of_what_is_no_dicom_is_refused(scan: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no DICOM"):
        segmented(scan, tmp_path, series=[1])


def test_a_cohort_with_dicom_in_it_stays_a_cohort(cohort: Path, export: Path) -> None:
    assert not is_dicom_place(cohort)
    assert is_dicom_place(export)
    assert is_dicom_place(export.parent)
