from pathlib import Path

from napari_ssl_muscle.scans.distinct_names import distinct_case_names, distinct_names


def test_the_same_file_name_in_two_folders_is_two_cases():
    files = ["p1/anat/seg.nii.gz", "p2/anat/seg.nii.gz", "p2/x_seg.nii.gz"]
    names = distinct_case_names([Path(file) for file in files])
    assert names == ["p1_seg", "p2_seg", "x"]
    deeper = ["p1/pre/T1.nii.gz", "p1/post/T1.nii.gz", "p2/pre/T1.nii.gz"]
    assert len(set(distinct_case_names([Path(file) for file in deeper]))) == 3


def test_a_name_that_says_only_which_image_it_is_gets_the_patients_folder():
    assert distinct_case_names([Path("p001/water.nii.gz")]) == ["p001_water"]
    assert distinct_case_names([Path("p001/anat/T1w_dseg.nii.gz")]) == ["p001_T1w"]
    assert distinct_case_names([Path("p001/leg7_water.nii.gz")]) == ["leg7_water"]


def test_names_of_scans_without_files_are_numbered():
    assert distinct_names(["leg", "leg", "arm"], [None] * 3) == ["leg", "leg (2)", "arm"]
    same = Path("p1/leg.nii.gz")
    assert distinct_names(["leg", "leg"], [same, same]) == ["leg", "leg (2)"]
