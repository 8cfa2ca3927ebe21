"""Where the study of a scan is proposed: scans that lie together share one."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.study.places import proposed_study, study_places
from napari_ssl_muscle.study.study import Study


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("names", "study"),
    [
        (("a.nii.gz", "b.nii.gz"), "muscle-study"),
        (("imagesTr/a_0000.nii.gz", "imagesTr/b_0000.nii.gz"), "muscle-study"),
        (("p1/water.nii.gz", "p2/water.nii.gz", "p3/water.nii.gz"), "muscle-study"),
        (
            ("sub-1/ses-1/anat/sub-1_ses-1_T1w.nii.gz", "sub-2/anat/sub-2_T1w.nii.gz"),
            "derivatives/ssl-muscle",
        ),
    ],
    ids=["folder", "nnU-Net", "folder for each patient", "BIDS"],
)
def test_scans_that_lie_together_share_a_study_at_the_top(
    tmp_path: Path, names: tuple[str, ...], study: str
) -> None:
    cohort = tmp_path / "project" / "cohort"
    make(cohort, *names)
    assert {proposed_study(cohort / name) for name in names} == {cohort / study}


def test_unrelated_folders_are_no_patients(tmp_path: Path) -> None:
    make(tmp_path, "one/leg.nii.gz", "two/leg.nii.gz", "papers/x.pdf", "code/y.py", "old/z.txt")
    assert proposed_study(tmp_path / "one" / "leg.nii.gz") == tmp_path / "one" / "muscle-study"


def test_a_study_of_an_older_version_is_found_and_gone_on_with(tmp_path: Path) -> None:
    make(tmp_path, "p1/water.nii.gz", "p2/water.nii.gz")
    scan = tmp_path / "p1" / "water.nii.gz"
    old = tmp_path / "p1" / "muscle-study"
    Study.create(old, default_table("thigh")).close()
    assert old in study_places(scan)
    assert proposed_study(scan) == old
    assert proposed_study(tmp_path / "p2" / "water.nii.gz") == tmp_path / "muscle-study"
