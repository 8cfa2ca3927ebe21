"""Which scans of some folders take part in a pretraining."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.training_data.unlabelled import UnlabelledCases, unlabelled_cases
from napari_ssl_muscle.scans.cohort import open_cohort


def save(path: Path, shift: float = 0, shape: tuple[int, ...] = (12, 12, 4)) -> Path:
    """Write a scan whose first voxel lies at `shift` mm."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.eye(4)
    affine[0, 3] = shift
    voxels = np.random.default_rng(0).random(shape, np.float32)
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


@pytest.fixture
def dixon(tmp_path: Path) -> Path:
    """nnU-Net: fat and water of two patients, and the fat image alone of a third."""
    folder = tmp_path / "dixon"
    for name in ("a_0000", "a_0001", "b_0000", "b_0001", "c_0000"):
        save(folder / "imagesTr" / f"{name}.nii.gz")
    return folder


def gathered(*folders: Path, **more: object) -> UnlabelledCases:
    return unlabelled_cases([open_cohort(folder) for folder in folders], **more)  # type: ignore[arg-type]


def test_every_image_counts_by_itself_and_keeps_its_subject(dixon: Path) -> None:
    found = gathered(dixon)
    assert [(case.name, case.subject) for case in found.cases] == [
        ("a (0000)", "a"),
        ("a (0001)", "a"),
        ("b (0000)", "b"),
        ("b (0001)", "b"),
        ("c", "c"),
    ]
    assert all(len(case.scans) == 1 and case.labels is None for case in found.cases)
    assert "5 image(s) of 3 subject(s)." in found.notes


def test_chosen_channels_are_learned_together(dixon: Path) -> None:
    found = gathered(dixon, channels=["0001", "0000"])
    assert [case.name for case in found.cases] == ["a", "b"]
    assert [scan.path.name for scan in found.cases[0].scans] == ["a_0001.nii.gz", "a_0000.nii.gz"]


def test_a_file_that_is_found_twice_counts_once(dixon: Path) -> None:
    found = gathered(dixon, dixon / "imagesTr")
    assert len(found.cases) == 5


def test_subjects_are_left_out_wherever_their_files_are_found(dixon: Path) -> None:
    """The folder of images alone calls each file a subject; it must not bring them back."""
    found = gathered(dixon / "imagesTr", dixon, leave_out=["a"])
    assert {case.subject for case in found.cases}.isdisjoint({"a", "a_0000", "a_0001"})
    assert len(found.cases) == 3


def test_echoes_on_one_grid_count_as_one_subject(tmp_path: Path) -> None:
    for name, shift in (("x_te1", -50), ("x_te2", -50), ("y_te1", -20)):
        save(tmp_path / f"{name}.nii.gz", shift)
    found = gathered(tmp_path)
    assert [case.subject for case in found.cases] == ["x_te1", "x_te1", "y_te1"]
    assert any("x_te1, x_te2 lie on the same grid" in note for note in found.notes)
    left = gathered(tmp_path, leave_out=["x_te2"])
    assert [case.name for case in left.cases] == ["y_te1"]


def test_one_grid_for_everybody_says_nothing_of_subjects(tmp_path: Path) -> None:
    for name in ("x", "y", "z"):
        save(tmp_path / f"{name}.nii.gz", -50)
    assert len({case.subject for case in gathered(tmp_path).cases}) == 3


def test_a_scan_that_cannot_be_opened_is_left_out_with_a_warning(dixon: Path) -> None:
    broken = dixon / "imagesTr" / "b_0001.nii.gz"
    broken.write_bytes(broken.read_bytes()[:40])
    save(dixon / "imagesTr" / "d_0000.nii.gz", shape=(12, 12, 4, 2))
    found = gathered(dixon)
    assert [case.name for case in found.cases] == ["a (0000)", "a (0001)", "b (0000)", "c"]
    assert len(found.warnings) == 2
    assert "b_0001.nii.gz" in found.warnings[0]
    assert "--volume" in found.warnings[1]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"leave_out": ["nobody"]}, "no subject nobody to leave out; there is a, b, c"),
        ({"leave_out": ["a", "b", "c"]}, "No scan is left"),
        ({"channels": ["0007"]}, "No scan has a channel 0007; there is 0000, 0001"),
        ({"channels": ["0000", "0001"], "leave_out": ["a", "b"]}, "channels 0000, 0001 together"),
    ],
)
def test_what_leaves_no_scan_is_said(dixon: Path, more: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        gathered(dixon, **more)


def test_label_maps_are_no_scans_to_learn_from(tmp_path: Path) -> None:
    for name, shift in (("a", 0), ("b", 5)):
        save(tmp_path / f"{name}.nii.gz", shift)
    drawn = np.zeros((12, 12, 4), np.float32)
    drawn[2:9, 3:9], drawn[4:6, 4:6] = 1, 2
    nib.save(nib.Nifti1Image(drawn, np.eye(4)), tmp_path / "THIGH_01.nii.gz")
    found = gathered(tmp_path)
    assert [case.name for case in found.cases] == ["a", "b"]
    assert "THIGH_01.nii.gz looks like a label map" in found.warnings[0]
