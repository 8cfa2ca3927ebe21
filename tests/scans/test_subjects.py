"""What a table beside a cohort says of persons, channels, sides and stations."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.cohort import list_cohort, open_cohort
from napari_ssl_muscle.scans.subjects import Told, name_of_scan, read_subjects, write_told


def scan(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.ones((4, 5, 3), np.int16), np.eye(4)), path)
    return path


def say(folder: Path, *lines: str) -> None:
    table = "\n".join(("scan subject session channel side station", *lines))
    (folder / "subjects.tsv").write_text(table.replace(" ", "\t"))


def found(folder: Path) -> list[tuple[str, str, str | None, list[str]]]:
    return [
        (case.name, case.subject, case.session, list(case.images))
        for case in open_cohort(folder).cases
    ]


def test_names_say_side_and_station_and_the_table_corrects_them(tmp_path: Path) -> None:
    for name in ("P1_left_thigh", "P2_calf", "P3_hemi-R", "P4_l"):
        scan(tmp_path / f"{name}.nii.gz")
    said = [(case.side, case.station) for case in list_cohort(tmp_path).cases]
    assert said == [("left", "thigh"), (None, "calf"), ("right", None), (None, None)]
    say(tmp_path, "P1_left_thigh n/a n/a n/a R pelvis")
    case = open_cohort(tmp_path).cases[0]
    assert (case.side, case.station, case.subject) == ("right", "pelvis", "P1_left_thigh")


def test_images_whose_channels_are_told_become_one_case(tmp_path: Path) -> None:
    for name in ("IM1", "IM2", "IM3", "IM2_seg"):
        scan(tmp_path / f"{name}.nii.gz")
    say(tmp_path, "IM1 A 1 water", "IM2.nii.gz A 1 fat", "IM3 A 2 water")
    assert found(tmp_path) == [
        ("IM1", "A", "1", ["water", "fat"]),
        ("IM3", "A", "2", ["water"]),
    ]
    case = open_cohort(tmp_path).cases[0]
    assert case.labels_for(["water"]) is None
    assert case.labels_for(["fat"]) == tmp_path / "IM2_seg.nii.gz"


def test_one_session_alone_does_not_make_one_case_of_several(tmp_path: Path) -> None:
    for name in ("IM1", "IM2"):
        scan(tmp_path / f"{name}.nii.gz")
    say(tmp_path, "IM1 A 1", "IM2 A 1")
    assert [name for name, *_ in found(tmp_path)] == ["IM1", "IM2"]


def test_images_of_two_persons_are_taken_apart(tmp_path: Path) -> None:
    for name in ("P1_water", "P1_fat"):
        scan(tmp_path / f"{name}.nii.gz")
    say(tmp_path, "P1_fat B")
    assert found(tmp_path) == [("P1_fat", "B", None, ["fat"]), ("P1_water", "P1", None, ["water"])]


def test_channels_are_corrected_and_never_double(tmp_path: Path) -> None:
    for channel in ("water", "fat"):
        scan(tmp_path / f"p1/{channel}.nii.gz")
        scan(tmp_path / f"p2/{channel}.nii.gz")
    say(tmp_path, "p1/water.nii.gz n/a n/a fat", "p1/fat.nii.gz n/a n/a water")
    first, second = open_cohort(tmp_path).cases
    assert {c: path.name for c, path in first.images.items()} == {
        "fat": "water.nii.gz",
        "water": "fat.nii.gz",
    }
    assert list(second.images) == ["fat", "water"]
    say(tmp_path, "p1/water.nii.gz n/a n/a fat")
    cohort = open_cohort(tmp_path)
    assert len(cohort.cases[0].images) == 2
    assert any("Two images of p1 are said to be fat" in problem for problem in cohort.problems)


@pytest.mark.parametrize("layout", ["flat", "bids", "nnunet", "folders"])
def test_every_layout_reads_the_table(tmp_path: Path, layout: str) -> None:
    path = {
        "flat": "A.nii.gz",
        "bids": "sub-1/anat/sub-1_T1w.nii.gz",
        "nnunet": "imagesTr/A_0000.nii.gz",
        "folders": "A/t1.nii.gz",
    }[layout]
    file = scan(tmp_path / path)
    listed = list_cohort(tmp_path)
    assert listed.layout == layout
    name = name_of_scan(file, tmp_path, listed.cases)
    write_told(tmp_path, {name: Told("X", "2", "water", "left", "calf")})
    (case,) = open_cohort(tmp_path).cases
    assert (case.subject, case.session, case.side, case.station) == ("X", "2", "left", "calf")
    assert case.images == {"water": file}
    assert case.subject_known


def test_what_is_written_keeps_other_lines_and_columns(tmp_path: Path) -> None:
    table = tmp_path / "subjects.tsv"
    table.write_text("scan\tsubject\tage\nA\tX\t40\nB\tY\t50\n")
    write_told(tmp_path, {"A": Told(subject="Z", side="left"), "C": Told(channel="fat")})
    assert table.read_text() == (
        "scan\tsubject\tage\tchannel\tside\n"
        "B\tY\t50\tn/a\tn/a\n"
        "A\tZ\t40\tn/a\tleft\n"
        "C\tn/a\tn/a\tfat\tn/a\n"
    )
    assert read_subjects(tmp_path)["A"] == Told("Z", None, None, "left", None)
    write_told(tmp_path, {"A": Told(), "C": Told()})
    assert list(read_subjects(tmp_path)) == ["B"]


def test_a_side_that_is_none_is_refused(tmp_path: Path) -> None:
    scan(tmp_path / "A.nii.gz")
    say(tmp_path, "A n/a n/a n/a up")
    with pytest.raises(BadInput, match="left, right or both"):
        open_cohort(tmp_path)


def test_a_table_of_another_kind_is_not_overwritten(tmp_path: Path) -> None:
    table = tmp_path / "subjects.tsv"
    table.write_text("participant_id\tage\n1\t2\n")
    with pytest.raises(BadInput, match="no table of subjects"):
        write_told(tmp_path, {"A": Told("X")})
    assert table.read_text() == "participant_id\tage\n1\t2\n"


def test_names_alone_are_read_for_a_list(tmp_path: Path) -> None:
    (tmp_path / "A.nii.gz").write_bytes(b"no image")
    (case,) = list_cohort(tmp_path).cases
    assert case.name == "A"
