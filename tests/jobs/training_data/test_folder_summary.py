"""What a folder with scans holds, said before a training."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.training_data.folder_summary import (
    FolderSummary,
    summarise_labelled,
    summarise_unlabelled,
)
from napari_ssl_muscle.phantom.cohort import write_phantom
from napari_ssl_muscle.phantom.settings import PhantomSettings
from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.scans.volume import open_label_map
from napari_ssl_muscle.study.study import Study


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "phantom"
    return write_phantom(folder, PhantomSettings(subjects=2, sessions=1, slices=9, size=48))


def test_a_cohort_is_counted_in_scans_subjects_muscles_and_slices(cohort: Path) -> None:
    found = summarise_labelled(cohort)
    assert found.folder == cohort
    assert found.text == "2 labelled scans of 2 subjects (2 scans in all), 6 muscles."
    assert found.slices == 2 * 9
    assert found.muscles == found.usual == default_table("thigh").names
    assert not found.is_study


def test_a_study_is_counted_in_accepted_slices(cohort: Path, tmp_path: Path) -> None:
    with_labels = next(cohort.rglob("*_dseg.nii.gz"))
    study = Study.create(tmp_path / "study", default_table("thigh"))
    case = study.add_scan(next(cohort.rglob("*_T1w.nii.gz")))
    with pytest.raises(BadInput, match="no accepted slice to learn from yet"):
        summarise_labelled(study.folder)
    study.set_states(case, dict.fromkeys(range(9), "accepted"))
    study.save_labels(case, open_label_map(with_labels).read())
    held_out = len(study.held_out(case))
    found = summarise_labelled(study.folder)
    study.close()
    assert held_out
    assert found.is_study
    assert found.slices == 9 - held_out
    assert found.text == (
        f"A study: {9 - held_out} accepted slices of 1 scan to learn from; "
        f"{held_out} slice{'s' * (held_out != 1)} held out to compare models on."
    )


def test_unlabelled_scans_are_counted_and_what_is_broken_is_a_problem(tmp_path: Path) -> None:
    for index in range(6):
        (tmp_path / f"broken{index}.nii.gz").write_bytes(b"not a scan")
    affine = np.eye(4)
    nib.save(nib.Nifti1Image(np.ones((12, 12, 5), np.float32), affine), tmp_path / "leg.nii.gz")
    found = summarise_unlabelled([tmp_path])
    assert found.folders == (tmp_path,)
    assert found.text == "1 image of 1 subject; labels are not needed."
    assert found.slices == 5
    assert len(found.problems) == 6


def test_a_description_names_the_first_problems_and_counts_the_others() -> None:
    problems = tuple(f"problem {index}" for index in range(5))
    found = FolderSummary((Path("a"),), "Scans.", (), problems, 0)
    assert found.description.splitlines() == [
        "Scans.",
        "⚠ problem 0",
        "⚠ problem 1",
        "⚠ problem 2",
        "⚠ … and 2 more.",
    ]
