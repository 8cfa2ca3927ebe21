import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.pairing import match


def fill(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def paired(predictions, references):
    return {
        p.name: (p.prediction.name, p.reference.name) for p in match(predictions, references).pairs
    }


def test_names_are_matched_without_their_endings(tmp_path):
    predictions = fill(
        tmp_path / "p", "A_seg.nii.gz", "b_prediction.nii", "C_mask.nii.gz", "notes.txt"
    )
    references = fill(tmp_path / "r", "A_dseg.nii.gz", "b-label.nii.gz", "C_ground_truth.nii.gz")
    assert paired(predictions, references) == {
        "A": ("A_seg.nii.gz", "A_dseg.nii.gz"),
        "b": ("b_prediction.nii", "b-label.nii.gz"),
        "C": ("C_mask.nii.gz", "C_ground_truth.nii.gz"),
    }


def test_nnunet_channels_and_bids_names_find_their_label_maps(tmp_path):
    predictions = fill(
        tmp_path / "p",
        "Thigh_001_0001_seg.nii.gz",
        "sub-01_ses-2_acq-dixon_T1w_seg.nii.gz",
        "sub-01_ses-1_T1w_seg.nii.gz",
    )
    references = fill(
        tmp_path / "r",
        "Thigh_001_label.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_desc-manual_dseg.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_desc-manual_dseg.nii.gz",
    )
    assert paired(predictions, references) == {
        "Thigh_001": ("Thigh_001_0001_seg.nii.gz", "Thigh_001_label.nii.gz"),
        "sub-01_ses-1": ("sub-01_ses-1_T1w_seg.nii.gz", "sub-01_ses-1_desc-manual_dseg.nii.gz"),
        "sub-01_ses-2": (
            "sub-01_ses-2_acq-dixon_T1w_seg.nii.gz",
            "sub-01_ses-2_desc-manual_dseg.nii.gz",
        ),
    }


def test_numbers_that_tell_cases_apart_are_kept(tmp_path):
    predictions = fill(tmp_path / "p", "X_0001.nii.gz", "X_0002.nii.gz")
    references = fill(tmp_path / "r", "X_0001_seg.nii.gz", "X_0002_seg.nii.gz")
    assert set(paired(predictions, references)) == {"X_0001", "X_0002"}


def test_images_beside_the_label_maps_are_not_taken_for_them(tmp_path):
    predictions = fill(tmp_path / "p", "sub-1_T1w_seg.nii.gz", "sub-2_T1w_seg.nii.gz")
    bids = fill(
        tmp_path / "bids",
        "sub-1/anat/sub-1_T1w.nii.gz",
        "sub-2/anat/sub-2_T1w.nii.gz",
        "derivatives/labels/sub-1/anat/sub-1_dseg.nii.gz",
    )
    assert paired(predictions, bids) == {"sub-1": ("sub-1_T1w_seg.nii.gz", "sub-1_dseg.nii.gz")}
    predictions = fill(tmp_path / "q", "A_0000.nii.gz")
    nnunet = fill(tmp_path / "nnunet", "imagesTr/A_0000.nii.gz", "labelsTr/A.nii.gz")
    assert paired(predictions, nnunet) == {"A": ("A_0000.nii.gz", "A.nii.gz")}


def test_what_has_no_partner_is_told(tmp_path):
    predictions = fill(tmp_path / "p", "a.nii.gz", "b.nii.gz")
    references = fill(tmp_path / "r", "a.nii.gz", "c.nii.gz")
    found = match(predictions, references)
    assert [p.name for p in found.pairs] == ["a"]
    assert found.notes == [
        "No prediction was found for, so not evaluated: c.nii.gz.",
        "No reference was found for, so not evaluated: b.nii.gz.",
    ]


def test_two_files_are_a_pair_whatever_their_names(tmp_path):
    fill(tmp_path, "mine.nii.gz", "theirs.nii.gz")
    (pair,) = match(tmp_path / "mine.nii.gz", tmp_path / "theirs.nii.gz").pairs
    assert (pair.name, pair.prediction.name) == ("mine", "mine.nii.gz")


def test_predictions_in_a_folder_inside_the_references(tmp_path):
    fill(tmp_path, "a_label.nii.gz", "runs/a_seg.nii.gz", ".part-1/a_seg.nii.gz")
    assert paired(tmp_path / "runs", tmp_path) == {"a": ("a_seg.nii.gz", "a_label.nii.gz")}


@pytest.mark.parametrize(
    ("left", "right", "sentence"),
    [
        (["a.nii.gz"], ["b.nii.gz"], "No prediction in .* a.nii.gz stand against b.nii.gz"),
        (["a_pred.nii.gz", "a_seg.nii.gz"], ["a.nii.gz"], "all label maps of the same case a"),
        (["readme.txt"], ["a.nii.gz"], "no image file"),
    ],
)
def test_what_cannot_be_matched_is_refused_by_name(tmp_path, left, right, sentence):
    predictions, references = fill(tmp_path / "p", *left), fill(tmp_path / "r", *right)
    with pytest.raises(BadInput, match=sentence):
        match(predictions, references)


def test_label_maps_of_another_acquisition_are_not_compared_and_that_is_said(tmp_path):
    predictions = fill(tmp_path / "p", "sub-1_acq-a_seg.nii.gz", "sub-2_acq-a_seg.nii.gz")
    references = fill(tmp_path / "r", "sub-1_acq-b_dseg.nii.gz", "sub-2_acq-a_dseg.nii.gz")
    found = match(predictions, references)
    assert [pair.name for pair in found.pairs] == ["sub-2_acq-a"]
    assert "not of one scan (acq-a against acq-b)" in found.notes[0]
    pair = (predictions / "sub-1_acq-a_seg.nii.gz", references / "sub-1_acq-b_dseg.nii.gz")
    (said,) = match(*pair).notes
    assert "not of one scan (acq-a against acq-b)" in said


def test_of_two_acquisitions_each_finds_its_reference(tmp_path):
    names = [f"sub-1_acq-{acquisition}" for acquisition in "ab"]
    predictions = fill(tmp_path / "p", *(f"{name}_T1w_seg.nii.gz" for name in names))
    references = fill(tmp_path / "r", *(f"{name}_desc-manual_dseg.nii.gz" for name in names))
    assert set(paired(predictions, references).values()) == {
        (f"{name}_T1w_seg.nii.gz", f"{name}_desc-manual_dseg.nii.gz") for name in names
    }


def test_visits_of_one_person_are_said(tmp_path):
    names = ("P01_pre.nii.gz", "P01_post.nii.gz")
    found = match(fill(tmp_path / "p", *names), fill(tmp_path / "r", *names))
    assert found.notes == ["P01_post and P01_pre look like one person; they count as 2 subjects."]


def test_missing_paths_and_a_file_against_a_folder(tmp_path):
    folder = fill(tmp_path / "p", "a.nii.gz")
    with pytest.raises(BadInput, match="does not exist"):
        match(folder, tmp_path / "nowhere")
    with pytest.raises(BadInput, match="a file and a folder"):
        match(folder / "a.nii.gz", folder)


def test_a_name_in_a_folder_for_each_patient_is_of_that_patient(tmp_path):
    folders = ("p001/water", "p002/water")
    references = fill(tmp_path / "r", *(f"{name}_seg.nii.gz" for name in folders))
    beside = fill(tmp_path / "p", *(f"{name}_dseg.nii.gz" for name in folders))
    together = fill(tmp_path / "out", "p001_water_dseg.nii.gz", "p002_water_dseg.nii.gz")
    for predictions in beside, together:
        pairs = match(predictions, references).pairs
        assert [pair.name for pair in pairs] == ["p001_water", "p002_water"]
        assert [pair.reference.parent.name for pair in pairs] == ["p001", "p002"]
