"""Cohorts as people lay them out, and every sentence about what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.cohort import (
    label_files_of,
    labels_of,
    open_cohort,
    table_of,
)
from napari_ssl_muscle.scans.inspection import coverage, inspect
from napari_ssl_muscle.scans.muscles import default_table, table_beside

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
LABEL = '  1  0 0 0  1 1 1 "VL"\n  2  0 0 0  1 1 1 "VM"\n'
TSV = "index\tname\n1\tvastus lateralis\n2\tvastus medialis\n"


def scan(path, shape=(4, 5, 3), size=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(0).integers(1, 900, shape).astype(np.int16)
    nib.save(nib.Nifti1Image(data, np.diag([size, size, 5, 1])), path)
    return path


def labels(path, values=(1, 2), shape=(4, 5, 3), size=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.zeros(shape, np.uint8)
    for value in values:
        data[value % 4, :, 1] = value
    nib.save(nib.Nifti1Image(data, np.diag([size, size, 5, 1])), path)
    return path


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


class TestBids:
    def fill(self, folder):
        for subject, session in (("01", "1"), ("01", "2"), ("02", "1")):
            stem = f"sub-{subject}_ses-{session}"
            place = Path(f"sub-{subject}", f"ses-{session}", "anat")
            scan(folder / place / f"{stem}_T1w.nii.gz")
            if session == "1":
                labels(folder / "derivatives" / "manual" / place / f"{stem}_dseg.nii.gz")
                text(folder / "derivatives" / "manual" / place / f"{stem}_dseg.tsv", TSV)
        text(folder / "dataset_description.json", "{}")
        return folder

    def test_sessions_subjects_and_labels(self, tmp_path):
        cohort = open_cohort(self.fill(tmp_path))
        assert cohort.layout == "bids"
        assert [case.name for case in cohort.cases] == [
            "sub-01_ses-1",
            "sub-01_ses-2",
            "sub-02_ses-1",
        ]
        assert cohort.subjects == ("sub-01", "sub-02")
        assert [case.session for case in cohort.cases] == ["ses-1", "ses-2", "ses-1"]
        assert cohort.channels == ("T1w",)
        assert [case.name for case in cohort.labelled] == ["sub-01_ses-1", "sub-02_ses-1"]
        assert cohort.table is not None
        assert cohort.table.names == ("vastus lateralis", "vastus medialis")
        assert cohort.problems == ()
        assert table_of(cohort) == cohort.table
        for case in cohort.cases:
            for path in case.images.values():
                assert labels_of(path) == case.labels

    def test_without_sessions(self, tmp_path):
        scan(tmp_path / "sub-A" / "anat" / "sub-A_T1w.nii.gz")
        own = labels(tmp_path / "sub-A" / "anat" / "sub-A_dseg.nii.gz")
        (case,) = open_cohort(tmp_path).cases
        assert (case.name, case.subject, case.session) == ("sub-A", "sub-A", None)
        assert case.labels == own
        assert set(case.images) == {"T1w"}

    def test_acquisitions_of_one_suffix_become_channels(self, tmp_path):
        for subject in ("01", "02"):
            for acquisition in ("acq-fat_", "acq-water_"):
                if (subject, acquisition) != ("02", "acq-fat_"):
                    scan(tmp_path / f"sub-{subject}/anat/sub-{subject}_{acquisition}T1w.nii.gz")
            scan(tmp_path / f"sub-{subject}/anat/sub-{subject}_T2w.nii.gz")
        cohort = open_cohort(tmp_path)
        assert cohort.channels == ("T2w", "acq-fat_T1w", "acq-water_T1w")
        assert set(cohort.cases[1].images) == {"T2w", "acq-water_T1w"}
        assert cohort.problems == ("sub-02 has no image of channel acq-fat_T1w.",)

    def test_of_several_label_maps_the_manual_one_is_taken(self, tmp_path):
        path = scan(tmp_path / "sub-A" / "anat" / "sub-A_T1w.nii.gz")
        for name in ("auto", "manual"):
            labels(tmp_path / "derivatives" / name / "sub-A" / "anat" / "sub-A_dseg.nii.gz")
        cohort = open_cohort(tmp_path)
        (case,) = cohort.cases
        assert case.labels is not None
        assert "manual" in case.labels.parts
        assert any("sub-A has 2 label maps" in problem for problem in cohort.problems)
        assert len(label_files_of(path)) == 2

    def test_labels_without_a_scan(self, tmp_path):
        self.fill(tmp_path)
        labels(tmp_path / "derivatives" / "x" / "sub-09" / "anat" / "sub-09_dseg.nii.gz")
        assert any("sub-09_dseg.nii.gz has no scan" in p for p in open_cohort(tmp_path).problems)

    def test_tables_that_contradict_each_other(self, tmp_path):
        self.fill(tmp_path)
        other = tmp_path / "derivatives/manual/sub-02/ses-1/anat/sub-02_ses-1_dseg.tsv"
        text(other, "index\tname\n1\tsartorius\n")
        cohort = open_cohort(tmp_path)
        assert cohort.table is None
        assert any("contradict each other: label 1 is" in problem for problem in cohort.problems)
        with pytest.raises(BadInput, match="contradict each other"):
            table_of(cohort)

    def test_tables_that_each_hold_a_part(self, tmp_path):
        self.fill(tmp_path)
        other = tmp_path / "derivatives/manual/sub-02/ses-1/anat/sub-02_ses-1_dseg.tsv"
        text(other, "index\tname\n2\tVM\n3\tsartorius\n")
        table = open_cohort(tmp_path).table
        assert table is not None
        assert table.values == (1, 2, 3)

    def test_labels_of_one_run_are_not_those_of_another(self, tmp_path):
        anat = tmp_path / "sub-1/anat"
        runs = [scan(anat / f"sub-1_run-{run}_T1w.nii.gz") for run in (1, 2)]
        own = labels(tmp_path / "derivatives/x/sub-1/anat/sub-1_run-2_dseg.nii.gz")
        text(tmp_path / "derivatives/x/dseg.tsv", TSV)
        cohort = open_cohort(tmp_path)
        (case,) = cohort.cases
        assert case.labels_for(["run-1_T1w"]) is None
        assert case.labels_for(["run-2_T1w"]) == own
        assert [labels_of(run) for run in runs] == [None, own]
        (said,) = cohort.problems
        assert "sub-1_run-1_T1w.nii.gz has no labels of its own" in said
        assert "run-1 against run-2" in said

    def test_each_of_two_runs_has_its_labels(self, tmp_path):
        for run in (1, 2):
            scan(tmp_path / f"sub-1/anat/sub-1_run-{run}_T1w.nii.gz")
            labels(tmp_path / f"sub-1/anat/sub-1_run-{run}_dseg.nii.gz")
        text(tmp_path / "dseg.tsv", TSV)
        cohort = open_cohort(tmp_path)
        for run in (1, 2):
            path = cohort.cases[0].labels_for([f"run-{run}_T1w"])
            assert path is not None
            assert path.name == f"sub-1_run-{run}_dseg.nii.gz"
        assert cohort.problems == ()

    @pytest.mark.parametrize(
        "place",
        [
            "derivatives/manual/dseg.tsv",
            "derivatives/manual/desc-x_dseg.tsv",
            "derivatives/manual/sub-A/dseg.tsv",
            "derivatives/dseg.tsv",
            "dseg.tsv",
        ],
    )
    def test_a_table_at_a_higher_level_holds_for_all_below(self, tmp_path, place):
        scan(tmp_path / "sub-A/anat/sub-A_T1w.nii.gz")
        path = tmp_path / "derivatives/manual/sub-A/anat/sub-A_desc-x_dseg.nii.gz"
        labels(path)
        text(tmp_path / place, TSV)
        text(tmp_path / "derivatives/manual/desc-y_dseg.tsv", "index\tname\n1\tgracilis\n")
        cohort = open_cohort(tmp_path)
        assert cohort.table is not None
        assert cohort.table.names == ("vastus lateralis", "vastus medialis")
        assert table_beside(path) == cohort.table

    def test_files_that_were_not_fetched_are_named(self, tmp_path):
        self.fill(tmp_path)
        image = tmp_path / "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz"
        drawn = tmp_path / "derivatives/manual/sub-02/ses-1/anat/sub-02_ses-1_dseg.nii.gz"
        for path in (image, drawn):
            path.unlink()
        image.symlink_to("../../.git/annex/objects/aa/SHA256E-s1--00.nii.gz")
        drawn.write_text("/annex/objects/SHA256E-s1--00.nii.gz")
        cohort = open_cohort(tmp_path)
        assert len(cohort.cases) == 3
        assert len(cohort.labelled) == 1
        said = " ".join(cohort.problems)
        assert f"{image} is a link to a file that is not here" in said
        assert f"{drawn} is a pointer to a file that is not here" in said
        assert "Until then sub-02_ses-1 has no labels" in said


class TestNnunet:
    def fill(self, folder):
        for name in ("leg_01", "leg_02"):
            for channel in ("0000", "0001"):
                scan(folder / "imagesTr" / f"{name}_{channel}.nii.gz")
            labels(folder / "labelsTr" / f"{name}.nii.gz")
        scan(folder / "imagesTs" / "leg_03_0000.nii.gz")
        scan(folder / "imagesTs" / "leg_03_0001.nii.gz")
        return folder

    def test_without_a_dataset_json(self, tmp_path):
        text(self.fill(tmp_path) / "muscles.label", LABEL)
        cohort = open_cohort(tmp_path)
        assert cohort.layout == "nnunet"
        assert cohort.channels == ("0000", "0001")
        assert [case.subject for case in cohort.cases] == ["leg_01", "leg_02", "leg_03"]
        assert [case.name for case in cohort.labelled] == ["leg_01", "leg_02"]
        assert cohort.table is not None
        assert cohort.table.names == ("vastus lateralis", "vastus medialis")
        assert cohort.problems == ()
        assert labels_of(cohort.cases[0].images["0001"]) == cohort.cases[0].labels
        assert labels_of(cohort.cases[2].images["0001"]) is None

    @pytest.mark.parametrize("key", ["channel_names", "modality"])
    def test_with_a_dataset_json(self, tmp_path, key):
        content = {key: {"0": "fat", "1": "water"}, "labels": {"background": 0, "VM": 2, "VL": 1}}
        text(self.fill(tmp_path) / "dataset.json", json.dumps(content))
        cohort = open_cohort(tmp_path)
        assert cohort.channels == ("fat", "water")
        assert cohort.cases[0].images["water"].name == "leg_01_0001.nii.gz"
        assert cohort.table is not None
        assert cohort.table.values == (2, 1)

    def test_what_nobody_annotated_is_no_muscle(self, tmp_path):
        named = {"background": 0, "VL": 1, "VM": 2, "whole": [1, 2], "ignore": 3}
        text(self.fill(tmp_path) / "dataset.json", json.dumps({"labels": named}))
        labels(tmp_path / "labelsTr" / "leg_01.nii.gz", (1, 2, 3))
        cohort = open_cohort(tmp_path)
        table = table_of(cohort)
        assert table.names == ("vastus lateralis", "vastus medialis")
        assert table.ignored == (3,)
        assert all(report.problems == () for report in inspect(cohort))

    def test_the_same_name_for_two_channels(self, tmp_path):
        content = {"channel_names": {"0": "MRI", "1": "MRI"}, "labels": {"background": 0, "VL": 1}}
        text(self.fill(tmp_path) / "dataset.json", json.dumps(content))
        assert open_cohort(tmp_path).channels == ("0000", "0001")

    def test_a_broken_dataset_json_is_said(self, tmp_path):
        text(self.fill(tmp_path) / "dataset.json", "{")
        cohort = open_cohort(tmp_path)
        assert len(cohort.cases) == 3
        assert any("dataset.json" in problem for problem in cohort.problems)

    def test_a_missing_channel_and_labels_without_an_image(self, tmp_path):
        text(self.fill(tmp_path) / "muscles.label", LABEL)
        (tmp_path / "imagesTr" / "leg_01_0001.nii.gz").unlink()
        labels(tmp_path / "labelsTr" / "leg_09.nii.gz")
        problems = open_cohort(tmp_path).problems
        assert "leg_01 has no image of channel 0001." in problems
        assert any("leg_09.nii.gz has no image" in problem for problem in problems)

    def test_subjects_in_bids_names(self, tmp_path):
        scan(tmp_path / "imagesTr" / "sub-1_ses-1_0000.nii.gz")
        scan(tmp_path / "imagesTr" / "sub-1_ses-2_0000.nii.gz")
        assert open_cohort(tmp_path).subjects == ("sub-1",)


class TestFlat:
    @pytest.mark.parametrize("ending", ["_seg", "_dseg", "_label", "_labels"])
    def test_labels_beside_images(self, tmp_path, ending):
        scan(tmp_path / "leg.nii")
        scan(tmp_path / "other.nii.gz")
        own = labels(tmp_path / f"leg{ending}.nii.gz")
        text(tmp_path / "muscles.label", LABEL)
        cohort = open_cohort(tmp_path)
        assert cohort.layout == "flat"
        assert [case.name for case in cohort.cases] == ["leg", "other"]
        assert [case.labels for case in cohort.cases] == [own, None]
        assert cohort.channels == ("image",)
        assert cohort.table is not None
        assert cohort.problems == ()
        assert labels_of(tmp_path / "leg.nii") == own

    def test_sessions_of_one_subject(self, tmp_path):
        for name in ("A_ses-1", "A_ses-2", "B"):
            scan(tmp_path / f"{name}.nii.gz")
        cohort = open_cohort(tmp_path)
        assert [case.subject for case in cohort.cases] == ["A", "A", "B"]

    def test_fat_and_water_images_are_channels_of_one_case(self, tmp_path):
        for name in ("A_water", "A_fat", "B_water", "C"):
            scan(tmp_path / f"{name}.nii.gz")
        own = labels(tmp_path / "A_seg.nii.gz")
        cohort = open_cohort(tmp_path)
        assert {case.name: set(case.images) for case in cohort.cases} == {
            "A": {"water", "fat"},
            "B": {"water"},
            "C": {"image"},
        }
        assert [case.labels for case in cohort.cases] == [own, None, None]
        assert labels_of(tmp_path / "A_fat.nii.gz") == own

    def test_a_folder_of_water_images_has_one_image_each(self, tmp_path):
        for name in ("A_water", "B_water"):
            scan(tmp_path / f"{name}.nii.gz")
        cohort = open_cohort(tmp_path)
        assert [case.name for case in cohort.cases] == ["A_water", "B_water"]
        assert cohort.channels == ("image",)

    def test_masks_are_neither_scans_nor_labels(self, tmp_path):
        scan(tmp_path / "A.nii.gz")
        labels(tmp_path / "A_mask.nii.gz")
        cohort = open_cohort(tmp_path)
        assert [case.name for case in cohort.cases] == ["A"]
        assert cohort.labelled == ()
        assert "A_mask.nii.gz is a mask or label map by its name" in cohort.problems[0]

    def test_visits_of_one_person_are_said(self, tmp_path):
        for name in ("P01_pre", "P01_post", "P02"):
            scan(tmp_path / f"{name}.nii.gz")
        cohort = open_cohort(tmp_path)
        assert cohort.persons == {"p01": ("P01_post", "P01_pre")}
        assert not cohort.subjects_told
        (said,) = cohort.problems
        assert "P01_post and P01_pre" in said
        assert "subjects.tsv" in said

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
    def test_a_table_says_whose_the_scans_are(self, tmp_path, encoding):
        for name in ("P01_pre", "P01_post", "P02"):
            scan(tmp_path / f"{name}.nii.gz")
        lines = "scan\tsubject\tsession\nP01_pre\tJosé\t1\nP01_post.nii.gz\tJosé\t2\nP02\tX\tn/a\n"
        (tmp_path / "subjects.tsv").write_bytes(lines.encode(encoding))
        cohort = open_cohort(tmp_path)
        assert [(case.subject, case.session) for case in cohort.cases] == [
            ("José", "2"),
            ("José", "1"),
            ("X", None),
        ]
        assert cohort.subjects_told
        assert cohort.persons == {}
        assert cohort.problems == ()

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("file\tperson\n", "must name the columns scan, subject"),
            ("scan\tsubject\nP\t\n", "Line 2"),
            ("scan\tsubject\nP\tA\nP\tB\n", "two things of P"),
        ],
    )
    def test_a_table_of_subjects_that_cannot_be_used(self, tmp_path, content, words):
        scan(tmp_path / "P.nii.gz")
        text(tmp_path / "subjects.tsv", content)
        with pytest.raises(BadInput, match=words):
            open_cohort(tmp_path)

    def test_capitals_and_pairs_are_read_like_all_others(self, tmp_path):
        scan(tmp_path / "a.nii.gz").rename(tmp_path / "A.NII.GZ")
        nib.save(
            nib.Nifti1Pair(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4)),
            tmp_path / "B.img",
        )
        assert [case.name for case in open_cohort(tmp_path).cases] == ["A", "B"]

    def test_predictions_and_hidden_files_are_no_scans(self, tmp_path):
        scan(tmp_path / "leg.nii.gz")
        labels(tmp_path / "leg_prediction.nii.gz")
        text(tmp_path / "._leg.nii.gz", "macOS")
        cohort = open_cohort(tmp_path)
        assert [case.name for case in cohort.cases] == ["leg"]
        assert cohort.labelled == ()

    def test_labels_without_a_scan(self, tmp_path):
        scan(tmp_path / "leg.nii.gz")
        labels(tmp_path / "arm_seg.nii.gz")
        assert any("arm_seg.nii.gz has no scan" in p for p in open_cohort(tmp_path).problems)

    def test_without_a_table_labels_keep_their_numbers(self, tmp_path):
        scan(tmp_path / "leg.nii.gz")
        labels(tmp_path / "leg_seg.nii.gz", (1, 3))
        cohort = open_cohort(tmp_path)
        assert any("No muscle table was found" in problem for problem in cohort.problems)
        assert table_of(cohort).names == ("label 1", "label 3")
        assert table_of(cohort).values == (1, 3)


class TestPatientFolders:
    def test_the_folder_is_the_subject_and_the_file_the_channel(self, tmp_path):
        for patient in ("p001", "p002"):
            scan(tmp_path / patient / "water.nii.gz")
            scan(tmp_path / patient / f"{patient}_fat.nii.gz")
            text(tmp_path / patient / "labels.label", LABEL)
        own = labels(tmp_path / "p001" / "labels.nii.gz")
        cohort = open_cohort(tmp_path)
        assert cohort.layout == "folders"
        assert [(case.name, case.subject) for case in cohort.cases] == [
            ("p001", "p001"),
            ("p002", "p002"),
        ]
        assert cohort.channels == ("fat", "water")
        assert [case.labels for case in cohort.cases] == [own, None]
        assert labels_of(tmp_path / "p001" / "water.nii.gz") == own
        assert cohort.table is not None
        assert cohort.problems == ()

    def test_folders_below_are_visits(self, tmp_path):
        for visit in ("pre", "post"):
            scan(tmp_path / "p001" / visit / "T1.nii.gz")
        (post, pre) = open_cohort(tmp_path).cases
        assert (post.name, post.subject, post.session) == ("p001_post", "p001", "post")
        assert (pre.name, set(pre.images)) == ("p001_pre", {"T1"})

    def test_names_without_anything_in_common_are_no_channels(self, tmp_path):
        scan(tmp_path / "p001" / "IM0042.nii.gz")
        scan(tmp_path / "p002" / "IM0107.nii.gz")
        assert open_cohort(tmp_path).channels == ("image",)

    def test_labels_of_one_image_are_not_those_of_another(self, tmp_path):
        for name in ("T1", "water", "fat"):
            scan(tmp_path / "p001" / f"{name}.nii.gz")
        own = labels(tmp_path / "p001" / "water_seg.nii.gz")
        (case,) = open_cohort(tmp_path).cases
        assert case.labels_for(["T1"]) is None
        assert case.labels_for(["fat"]) == own


class TestWrong:
    def fill(self, folder):
        scan(folder / "a.nii.gz")
        labels(folder / "a_seg.nii.gz")
        text(folder / "muscles.label", LABEL)
        return folder

    def problems(self, folder):
        """The only sentence about a cohort, from headers and from a full look."""
        cohort = open_cohort(folder)
        deep = [problem for report in inspect(cohort) for problem in report.problems]
        return cohort.problems, deep

    def test_nothing_wrong(self, tmp_path):
        assert self.problems(self.fill(tmp_path)) == ((), [])

    @pytest.mark.parametrize("name", ["no", "file.txt", "empty"])
    def test_no_cohort(self, tmp_path, name):
        text(tmp_path / "file.txt", "")
        (tmp_path / "empty").mkdir()
        with pytest.raises(BadInput, match=name):
            open_cohort(tmp_path / name)

    def test_an_unreadable_scan(self, tmp_path):
        self.fill(tmp_path)
        text(tmp_path / "b.nii.gz", "hello")
        shallow, deep = self.problems(tmp_path)
        assert len(shallow) == len(deep) == 1
        assert "b.nii.gz is not an image" in shallow[0]

    def test_a_truncated_scan_is_found_by_a_full_look(self, tmp_path):
        self.fill(tmp_path)
        whole = scan(tmp_path / "b.nii.gz", (40, 50, 9)).read_bytes()
        (tmp_path / "b.nii.gz").write_bytes(whole[: len(whole) // 2])
        shallow, deep = self.problems(tmp_path)
        assert shallow == ()
        assert len(deep) == 1
        assert "b.nii.gz is cut short" in deep[0]

    def test_labels_on_another_grid(self, tmp_path):
        self.fill(tmp_path)
        labels(tmp_path / "a_seg.nii.gz", size=2.0)
        shallow, _ = self.problems(tmp_path)
        assert len(shallow) == 1
        assert "a.nii.gz and" in shallow[0]
        assert "same grid" in shallow[0]

    def test_channels_on_different_grids(self, tmp_path):
        scan(tmp_path / "imagesTr" / "a_0000.nii.gz")
        scan(tmp_path / "imagesTr" / "a_0001.nii.gz", size=2.0)
        shallow, _ = self.problems(tmp_path)
        assert "a_0001.nii.gz do not lie on the same grid" in shallow[0]

    def test_values_outside_the_table(self, tmp_path):
        labels(self.fill(tmp_path) / "a_seg.nii.gz", (1, 7))
        cohort = open_cohort(tmp_path)
        (report,) = inspect(cohort)
        assert "a_seg.nii.gz holds the label values 7" in report.problems[0]
        with pytest.raises(BadInput, match="holds the label values 7"):
            table_of(cohort)

    def test_no_labelled_slice(self, tmp_path):
        labels(self.fill(tmp_path) / "a_seg.nii.gz", ())
        (report,) = inspect(open_cohort(tmp_path))
        assert report.labelled_slices == 0
        assert "a_seg.nii.gz has no labelled slice." in report.problems[0]

    def test_labels_of_another_grid_are_not_counted(self, tmp_path):
        self.fill(tmp_path)
        labels(tmp_path / "a_seg.nii.gz", shape=(4, 6, 25))
        (report,) = inspect(open_cohort(tmp_path))
        assert report.labelled_slices is None
        assert "do not lie on the same grid" in report.problems[0]

    def test_labels_in_air_are_said(self, tmp_path):
        self.fill(tmp_path)
        image = np.random.default_rng(0).normal(5, 1, (40, 40, 3))
        drawn = np.zeros((40, 40, 3), np.uint8)
        image[4:18, 4:36] += 200
        drawn[6:16, 6:34] = 1
        nib.save(nib.Nifti1Image(image, np.eye(4)), tmp_path / "a.nii.gz")
        for seen, said in ((drawn, 0), (drawn[::-1], 1)):
            nib.save(
                nib.Nifti1Image(np.ascontiguousarray(seen), np.eye(4)), tmp_path / "a_seg.nii.gz"
            )
            (report,) = inspect(open_cohort(tmp_path))
            assert sum("lie outside of the body" in text for text in report.problems) == said

    def test_several_volumes(self, tmp_path):
        scan(tmp_path / "a.nii.gz", (4, 5, 3, 6))
        cohort = open_cohort(tmp_path)
        assert "holds 6 volumes; choose one with --volume." in cohort.problems[0]
        assert inspect(cohort)[0].volumes == 6

    def test_a_missing_affine(self, tmp_path):
        nib.save(nib.Nifti1Image(np.eye(5, dtype=np.int16)[..., None], None), tmp_path / "a.nii.gz")
        assert "a.nii.gz has no affine" in open_cohort(tmp_path).problems[0]

    def test_label_maps_alone(self, tmp_path):
        labels(tmp_path / "THIGH_01.nii.gz")
        _, deep = self.problems(tmp_path)
        assert "looks like a label map without a scan" in deep[0]
        with pytest.raises(BadInput, match="neither labels nor a muscle table"):
            table_of(open_cohort(tmp_path))


def test_a_report_says_what_a_case_holds(tmp_path):
    scan(tmp_path / "a.nii.gz")
    labels(tmp_path / "a_seg.nii.gz", (2,))
    text(tmp_path / "muscles.label", LABEL)
    (report,) = inspect(open_cohort(tmp_path))
    assert report.shape == (3, 5, 4)
    assert report.spacing == (5.0, 1.0, 1.0)
    assert report.labelled_slices == 1
    assert report.muscles == ("vastus medialis",)


def test_muscles_in_no_scan_or_in_few_are_said():
    table = default_table("thigh").select(["VL", "sartorius", "gracilis"])
    counts = [{table.values[0]: 90, table.values[2]: 1}, *3 * [{table.values[0]: 80}]]
    (said,) = coverage(counts, table)
    assert said.startswith("sartorius is labelled in no scan, gracilis in 1 of 4 (1 voxel);")
    assert coverage(counts, table.select(["VL"])) == []


real = pytest.mark.skipif(not SHARED.is_dir(), reason="the real scans are not here")


@pytest.mark.real
@real
def test_the_real_cohort():
    cohort = open_cohort(SHARED / "thigh")
    assert cohort.layout == "nnunet"
    assert cohort.channels == ("0000", "0001")
    assert cohort.subjects == ("Thigh_001", "Thigh_002", "Thigh_003")
    assert [case.name for case in cohort.labelled] == ["Thigh_001", "Thigh_002"]
    assert cohort.problems == ()
    assert table_of(cohort).values == tuple(range(1, 12))
    reports = inspect(cohort, read_images=False)
    assert [report.labelled_slices for report in reports] == [14, 13, None]
    assert [report.shape for report in reports] == [(16, 512, 512)] * 3
    assert len(reports[0].muscles) == 11


@pytest.mark.real
@real
def test_the_real_unlabelled_scans():
    cohort = open_cohort(SHARED / "unlabelled")
    assert cohort.layout == "flat"
    assert len(cohort.cases) == len(list((SHARED / "unlabelled").glob("*.nii.gz")))
    assert cohort.labelled == ()
    (said,) = cohort.problems
    assert "siemens_thigh_te345 and siemens_thigh_te460" in said or "more" in said
    assert ("ge_thigh_te345", "ge_thigh_te460") in cohort.persons.values()
