from pathlib import Path

import pytest

from napari_ssl_muscle.scans.naming import (
    LABEL_ENDINGS,
    PREDICTION_ENDING,
    as_file_name,
    case_name,
    has_role,
    is_image,
    label_files,
    label_map_name,
    says_labels,
    split_channel,
    stem_of,
    visit_name,
    with_nifti_suffix,
)


def test_suffixes_of_formats():
    assert stem_of(Path("a/leg.T1w.nii.gz")) == "leg.T1w"
    assert stem_of(Path("leg.IMG.GZ")) == "leg"
    assert stem_of(Path(".nii")) == ".nii"
    assert is_image(Path("LEG.NII"))
    assert is_image(Path("leg.img"))
    assert not is_image(Path("leg.txt"))
    assert with_nifti_suffix(Path("x/leg.nii")) == Path("x/leg.nii.gz")
    assert with_nifti_suffix(Path("leg.v2")) == Path("leg.v2.nii.gz")


def test_what_ends_a_label_maps_name_and_what_is_left():
    for ending in (*LABEL_ENDINGS, PREDICTION_ENDING, "-mask", "_GT"):
        assert says_labels(f"leg{ending}")
        assert has_role(Path(f"leg{ending}.nii"))
        assert case_name(Path(f"leg{ending}.nii.gz")) == "leg"
    assert case_name(Path("leg_pred_seg.nii.gz")) == "leg"
    assert case_name(Path("_seg.nii.gz")) == "_seg"


@pytest.mark.parametrize("ending", ["_ref", "_reference", "_ground-truth", "_predicted"])
def test_only_in_a_comparison_a_reference_is_a_label_map(ending):
    assert has_role(Path(f"leg{ending}.nii.gz"))
    assert not says_labels(f"leg{ending}")


def test_a_mask_or_a_prediction_beside_a_scan_is_not_its_truth():
    assert not {"_mask", PREDICTION_ENDING} & set(LABEL_ENDINGS)


def test_label_maps_of_one_visit():
    assert visit_name(Path("sub-01_ses-2_T1w_dseg.nii.gz")) == "sub-01_ses-2"
    assert visit_name(Path("sub-01 copy_run-1_seg.nii.gz")) == "sub-01_run-1"
    assert visit_name(Path("leg_0001_seg.nii.gz")) == "leg"
    assert split_channel("leg_0001") == ("leg", "0001")
    assert split_channel("leg_001") == ("leg_001", None)


def test_files_of_a_label_map():
    assert label_map_name("sub-1") == "sub-1_dseg.nii.gz"
    names = [path.name for path in label_files(Path("x/leg_dseg"))]
    assert names == ["leg_dseg.nii.gz", "leg_dseg.label", "leg_dseg.tsv"]
    assert label_files(Path("leg.nii"))[0] == Path("leg.nii")


def test_names_that_every_file_system_takes():
    assert as_file_name("Müller: leg/left?") == "Müller_leg_left"
    assert as_file_name("…") == "scan"
