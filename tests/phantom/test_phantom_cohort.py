from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.phantom.cohort import write_phantom
from napari_ssl_muscle.phantom.scan import phantom_scan
from napari_ssl_muscle.phantom.settings import PhantomSettings
from napari_ssl_muscle.scans.muscles import default_table, read_table

SETTINGS = PhantomSettings(subjects=2, sessions=2, slices=3, size=64, seed=3)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantom(tmp_path_factory.mktemp("phantom") / "cohort", SETTINGS)


def test_layout_is_bids(cohort: Path) -> None:
    files = {path.relative_to(cohort).as_posix() for path in cohort.rglob("*") if path.is_file()}
    expected = {
        "README",
        "dataset_description.json",
        "participants.tsv",
        "derivatives/labels/dataset_description.json",
        "derivatives/labels/true_volumes.tsv",
    }
    for subject in ("sub-01", "sub-02"):
        for session in ("ses-01", "ses-02"):
            place, stem = f"{subject}/{session}/anat", f"{subject}_{session}"
            expected |= {
                f"{place}/{stem}_T1w.nii.gz",
                f"derivatives/labels/{place}/{stem}_dseg.nii.gz",
                f"derivatives/labels/{place}/{stem}_dseg.tsv",
            }
    assert files == expected
    description = json.loads((cohort / "dataset_description.json").read_text(encoding="utf-8"))
    assert description["Name"]
    assert description["BIDSVersion"]
    participants = (cohort / "participants.tsv").read_text(encoding="utf-8").split()
    assert participants == ["participant_id", "sub-01", "sub-02"]


def test_files_hold_the_scan_as_made(cohort: Path) -> None:
    scan = phantom_scan(2, 1, SETTINGS)
    image = nib.load(cohort / "sub-02/ses-01/anat/sub-02_ses-01_T1w.nii.gz")
    labels = nib.load(cohort / "derivatives/labels/sub-02/ses-01/anat/sub-02_ses-01_dseg.nii.gz")
    assert image.get_data_dtype() == np.int16
    assert labels.get_data_dtype() == np.uint8
    assert np.array_equal(np.asarray(image.dataobj).T, scan.image)
    assert np.array_equal(np.asarray(labels.dataobj).T, scan.labels)
    for each in (image, labels):
        assert np.allclose(each.affine, scan.affine, atol=1e-4)
        assert each.header.get_xyzt_units()[0] == "mm"
        assert int(each.header["sform_code"]) == 1
        assert np.allclose(each.header.get_qform(), each.affine, atol=1e-4)


def test_label_table_is_the_default_one(cohort: Path) -> None:
    table = read_table(cohort / "derivatives/labels/sub-01/ses-01/anat/sub-01_ses-01_dseg.tsv")
    assert table.same_muscles(default_table("thigh"))
    assert table.values == default_table("thigh").values


def test_true_volumes_are_written_down(cohort: Path) -> None:
    path = cohort / "derivatives" / "labels" / "true_volumes.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == 2 * 2 * 6 * 2
    written = {
        (row["participant_id"], row["session_id"], f"{row['muscle']} {row['side']}"): row
        for row in rows
    }
    scan = phantom_scan(1, 2, SETTINGS)
    for name, volume in scan.volumes_ml.items():
        row = written["sub-01", "ses-02", name]
        assert float(row["volume_ml"]) == pytest.approx(volume, abs=1e-3)
        assert float(row["intended_factor"]) == pytest.approx(scan.factors[name], abs=1e-5)


def test_water_contrast_is_named_in_the_file(tmp_path: Path) -> None:
    settings = PhantomSettings(subjects=1, sessions=1, slices=1, size=32, contrast="water")
    folder = write_phantom(tmp_path / "new", settings)
    assert [path.name for path in folder.rglob("*_T1w.nii.gz")] == [
        "sub-01_ses-01_acq-water_T1w.nii.gz"
    ]


def test_an_existing_cohort_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(BadInput, match="not empty"):
        write_phantom(tmp_path, SETTINGS)
    with pytest.raises(BadInput, match="not empty"):
        write_phantom(tmp_path / "precious.txt", SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    settings = PhantomSettings(subjects=1, sessions=1, slices=1, size=32)
    assert (write_phantom(tmp_path, settings) / "participants.tsv").is_file()


def test_stopping_leaves_only_whole_files(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def stop_after_two(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_phantom(tmp_path / "new", SETTINGS, stop_after_two)
    assert seen == [(1, 4), (2, 4)]
    images = sorted((tmp_path / "new").rglob("*.nii.gz"))
    assert len(images) == 4
    for path in images:
        assert np.asarray(nib.load(path).dataobj).shape == (64, 64, 3)
    assert not list((tmp_path / "new").rglob(".part-*"))
