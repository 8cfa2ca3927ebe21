import pytest

from napari_ssl_muscle.scans.name_parts import (
    Channel,
    channel_of,
    contradictions,
    likely_person,
    likely_persons,
    subject_and_session,
)


@pytest.mark.parametrize(
    ("name", "subject", "session"),
    [
        ("sub-01_ses-2_acq-x", "sub-01", "ses-2"),
        ("sub-01", "sub-01", None),
        ("Jo_ses-2", "Jo", "ses-2"),
        ("Thigh_001", "Thigh_001", None),
    ],
)
def test_subject_and_session(name, subject, session):
    assert subject_and_session(name) == (subject, session)


@pytest.mark.parametrize(
    ("scan", "labels", "against"),
    [
        ("sub-01_run-1_T1w", "sub-01_run-2", ("run-1 against run-2",)),
        ("sub-01_run-1_T1w", "sub-01_run-01", ()),
        ("sub-01_run-1_T1w", "sub-01_desc-manual", ()),
        ("sub-01_acq-tra_T1w", "sub-01_acq-cor", ("acq-tra against acq-cor",)),
        ("sub-01_acq-dixonwater_T1w", "sub-01_acq-dixonfat", ()),
        ("sub-01_acq-fat_T1w", "sub-01_acq-water_space-orig", ()),
        ("sub-01_echo-1_part-mag_MEGRE", "sub-01_echo-2_part-phase", ()),
        ("sub-01_hemi-L_T1w", "sub-01_hemi-R", ("hemi-L against hemi-R",)),
        ("sub-01_chunk-1_rec-a_T1w", "sub-01_chunk-2_rec-a", ("chunk-1 against chunk-2",)),
        ("sub-01_T1w", "sub-01_T2w", ("T1w against T2w",)),
        ("sub-01_T1w", "sub-01_muscles", ()),
        ("leg", "leg", ()),
    ],
)
def test_labels_belong_to_a_scan_if_all_parts_that_both_names_carry_agree(scan, labels, against):
    assert {text.lower() for text in contradictions(scan, labels)} == {t.lower() for t in against}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("leg_water", Channel("leg", "water")),
        ("P01-FAT", Channel("P01", "FAT")),
        ("water_leg", Channel("leg", "water")),
        ("leg_out_of_phase", Channel("leg", "outphase")),
        ("leg", None),
        ("water", None),
        ("leg_left", None),
    ],
)
def test_images_of_one_acquisition(name, found):
    assert channel_of(name) == found


@pytest.mark.parametrize(
    ("name", "person"),
    [
        ("P01_pre", "P01"),
        ("P01_post_left", "P01"),
        ("P01-L", "P01"),
        ("P01_visit2", "P01"),
        ("P01_20240131", "P01"),
        ("P01_T1w_water", "P01"),
        ("THIGH_022_0001", "THIGH_022"),
        ("Thigh_001", "Thigh_001"),
        ("Thigh_0001", "Thigh_0001"),
        ("lega", "lega"),
        ("scan_1", "scan_1"),
        ("t2map", "t2map"),
        ("patient 7 baseline", "patient_7"),
    ],
)
def test_whom_a_scan_is_likely_of(name, person):
    assert likely_person(name) == person


def test_likely_persons_are_those_with_several_names():
    names = ["P01_post", "P01_pre", "P02_pre", "sub-01", "sub-01_pre", "X"]
    assert likely_persons(names) == {"p01": ("P01_post", "P01_pre")}
