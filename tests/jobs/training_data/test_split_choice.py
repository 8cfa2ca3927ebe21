"""What is set apart: the test set that a pretraining leaves out, and slices by name."""

from napari_ssl_muscle.jobs.training_data.split_choice import (
    persons_apart,
    slice_names,
    slices_of_test_set,
    subjects_of_test_set,
)
from napari_ssl_muscle.scans.split import Split

FRACTIONS = (0.4, 0.3, 0.3)


def test_of_a_split_by_subject_those_with_scans_are_left_out() -> None:
    split = Split("subject", ("a",), ("b",), ("c", "d"), 0, FRACTIONS)
    assert subjects_of_test_set(split, {"a", "b", "c"}) == ["c"]
    assert slices_of_test_set(split) == {}
    assert subjects_of_test_set(None, {"a"}) == []


def test_of_a_split_by_slice_slices_are_left_out() -> None:
    names = slice_names({"leg:1": [0, 4], "leg:2": [7]})
    assert names == ["leg:1:0", "leg:1:4", "leg:2:7"]
    split = Split("slice", ("x:0",), ("x:1",), tuple(names), 0, FRACTIONS)
    assert slices_of_test_set(split) == {"leg:1": {0, 4}, "leg:2": {7}}
    assert subjects_of_test_set(split, {"leg:1"}) == []


def test_likely_persons_in_several_sets_are_said() -> None:
    split = Split("subject", ("P01_pre", "P02"), ("P03",), ("P01_post",), 0, FRACTIONS)
    (said,) = persons_apart(split, [("P01_post", "P01_pre"), ("P02", "P02_left")])
    assert "P01_post and P01_pre (training, test)" in said
    assert persons_apart(split, [("P02", "P02_left")]) == []
