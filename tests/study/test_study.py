"""A study: what a person said about slices, kept for tomorrow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.cohort import open_cohort
from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.scans.volume import open_label_map, open_scan
from napari_ssl_muscle.study import study_folder
from napari_ssl_muscle.study.slice_states import SliceStates
from napari_ssl_muscle.study.study import Study
from napari_ssl_muscle.study.training_cases import training_cases

SLICES = 12
TABLE = default_table("thigh")


def write_scan(path: Path, seed: int = 0, slices: int = SLICES) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).random((6, 5, slices)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, np.diag([2.0, 2.0, 5.0, 1.0])), path)
    return path


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return write_scan(tmp_path / "scans" / "sub-01_ses-2_T1w.nii.gz")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study.create(tmp_path / "study", TABLE)


def accept(study: Study, case: str, *slices: int) -> None:
    for z in slices:
        study.set_states(case, {z: "accepted"})


def labels() -> np.ndarray:
    return np.broadcast_to(np.arange(1, SLICES + 1)[:, None, None] % 6 + 1, (SLICES, 5, 6)).astype(
        np.uint8
    )


# --- states and what is held out


def test_every_fourth_accepted_slice_is_held_out_in_the_order_of_acceptance(
    study: Study, scan: Path, tmp_path: Path
) -> None:
    first, second = study.add_scan(scan), study.add_scan(write_scan(tmp_path / "b.nii.gz", 1))
    accept(study, first, 7, 1)
    study.set_states(second, {3: "accepted as empty"})
    assert study.held_out(first) | study.held_out(second) == frozenset()
    accept(study, second, 5)
    accept(study, first, 2, 0, 4, 6)
    assert (study.held_out(first), study.held_out(second)) == ({6}, {5})


def test_what_is_held_out_never_changes_again(study: Study, scan: Path) -> None:
    case = study.add_scan(scan)
    accept(study, case, 0, 1, 2, 3)
    for state in ("touched", "accepted", "predicted", "accepted as empty", "unseen", "accepted"):
        for z in (3, 1, 0, 2):
            study.set_states(case, {z: state})  # type: ignore[arg-type]
            assert study.held_out(case) == {3}
    study.close()
    again = Study.open(study.folder)
    accept(again, case, 3, 2, 1, 0)
    assert again.held_out(case) == {3}
    accept(again, case, 8, 9, 10)
    assert again.held_out(case) == {3}
    accept(again, case, 11)
    assert again.held_out(case) == {3, 11}


def test_states_are_there_tomorrow(study: Study, scan: Path) -> None:
    case = study.add_scan(scan, subject="Anna", channel="water")
    study.set_states(case, dict.fromkeys(range(SLICES), "predicted"))
    study.set_states(case, {2: "touched", 3: "accepted", 4: "accepted as empty", 5: "unseen"})
    before = study.states(case)
    assert 5 not in before
    study.close()
    again = Study.open(study.folder)
    assert again.note is None
    assert again.states(case) == before
    assert (again.accepted(case), again.accepted_empty(case)) == ({3, 4}, {4})
    assert (again.scans[case].subject, again.scans[case].channel) == ("Anna", "water")
    assert again.table == TABLE


def test_a_prediction_leaves_what_a_person_said(study: Study, scan: Path) -> None:
    case = study.add_scan(scan)
    study.set_states(case, {1: "touched", 2: "accepted", 3: "accepted as empty"})
    assert study.confidence(case) is None
    confidence = np.linspace(0.2, 0.9, SLICES, dtype=np.float32)
    study.set_prediction(case, confidence)
    study.close()
    again = Study.open(study.folder)
    np.testing.assert_allclose(again.confidence(case), confidence, atol=1e-4)
    assert again.states(case) == {
        **dict.fromkeys(range(SLICES), "predicted"),
        **{1: "touched", 2: "accepted", 3: "accepted as empty"},
    }
    assert again.done(case) == {2, 3}
    with pytest.raises(BadInput, match="has 3 slices"):
        again.set_prediction(case, [0.1, 0.2, 0.3])


def test_what_is_held_out_is_done_even_after_it_was_touched(study: Study, scan: Path) -> None:
    case = study.add_scan(scan)
    accept(study, case, 0, 1, 2, 3)
    study.set_states(case, {0: "touched", 3: "touched"})
    assert study.done(case) == {1, 2, 3}


def test_an_acceptance_is_never_on_disk_without_its_decision(
    study: Study, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = study.add_scan(scan)
    accept(study, case, 0, 1, 2)
    write = study_folder.write_json

    def cut_off(path: Path, content: object) -> None:
        if path.name == study_folder.STATES:
            raise BadInput("no space")
        write(path, content)

    monkeypatch.setattr(study_folder, "write_json", cut_off)
    with pytest.raises(BadInput, match="no space"):
        accept(study, case, 9)
    crashed = Study.read(study.folder)
    assert (crashed.accepted(case), crashed.held_out(case)) == ({0, 1, 2}, {9})
    monkeypatch.undo()
    accept(study, case, 9)  # nothing new in memory, but it was not written yet
    assert Study.read(study.folder).accepted(case) == {0, 1, 2, 9}


def test_a_slice_that_is_not_there_is_refused(study: Study, scan: Path) -> None:
    case = study.add_scan(scan)
    with pytest.raises(BadInput, match=f"has no slice {SLICES}; it has {SLICES}"):
        study.set_states(case, {SLICES: "accepted"})
    with pytest.raises(BadInput, match="no scan other"):
        study.set_states("other", {0: "accepted"})
    assert study.states(case) == {}


def test_held_out_slices_must_have_been_accepted() -> None:
    with pytest.raises(ValueError, match="never accepted"):
        SliceStates.from_held_out({"first accepted": [], "held out": [["a", 1]]})


# --- scans by reference


def test_a_scan_is_added_once_and_its_name_stays_its_own(
    study: Study, scan: Path, tmp_path: Path
) -> None:
    case = study.add_scan(scan)
    assert case == "sub-01_ses-2_T1w"
    assert study.scans[case].subject == "sub-01"
    copy = tmp_path / "copy.nii.gz"
    shutil.copy(scan, copy)
    assert study.add_scan(copy) == study.case_of(copy) == case
    other = write_scan(tmp_path / "elsewhere" / scan.name, 1)
    assert study.case_of(other) is None
    assert study.add_scan(other) == f"{case}-2"
    assert study.add_scan(write_scan(tmp_path / "x.nii.gz", 2), case="a/b: *") == "a_b"


def test_study_and_scans_may_move_together_or_apart(study: Study, scan: Path) -> None:
    case = study.add_scan(scan)
    study.close()
    root = study.folder.parent
    together = root / "new place"
    together.mkdir()
    shutil.copytree(study.folder, together / "study")
    shutil.copytree(scan.parent, together / "scans")
    assert together in Study.read(together / "study").open_scan(case).path.parents
    shutil.rmtree(together / "scans")
    assert Study.read(together / "study").open_scan(case).path == scan


def test_a_scan_that_has_gone_or_changed_is_noticed_and_can_be_found_again(
    study: Study, scan: Path
) -> None:
    case = study.add_scan(scan)
    assert study.problems == []
    moved = scan.rename(scan.with_name("moved.nii.gz"))
    assert "not there any more" in study.problems[0]
    other = write_scan(scan.with_name("other.nii.gz"), 5)
    with pytest.raises(BadInput, match="not the scan that was added"):
        study.relocate(case, other)
    study.relocate(case, moved)
    study.close()
    again = Study.open(study.folder)
    assert again.problems == []
    assert again.open_scan(case).path == moved
    shutil.copy(other, moved)
    assert "has changed since" in again.problems[0]
    write_scan(moved, slices=SLICES - 1)
    assert "another grid" in again.problems[0]


# --- labels


def test_only_accepted_slices_are_in_the_labels_for_training(study: Study, scan: Path) -> None:
    case = study.add_scan(scan)
    accept(study, case, 2, 5)
    study.set_states(case, {3: "touched", 4: "accepted as empty"})
    path = study.save_labels(case, labels())
    kept = open_label_map(path)
    assert kept.geometry.differs_from(open_scan(scan).geometry) is None
    expected = np.zeros_like(labels())
    expected[[2, 5]] = labels()[[2, 5]]
    np.testing.assert_array_equal(kept.read(), expected)
    everything = study.working_labels(case)
    assert everything is not None
    np.testing.assert_array_equal(everything, labels())
    # A slice whose acceptance is taken back leaves at the next saving.
    study.set_states(case, {5: "touched"})
    study.save_labels(case, labels(), open_scan(scan).geometry)
    assert not open_label_map(path).read()[5].any()
    (found,) = training_cases(study)
    assert (found.name, found.subject, found.scan.path) == (case, "sub-01", scan)
    assert (found.labels, found.accepted, found.accepted_empty) == (path, {2, 4}, {4})


def test_labels_of_another_size_are_refused(study: Study, scan: Path) -> None:
    case = study.add_scan(scan)
    with pytest.raises(BadInput, match="another size"):
        study.save_labels(case, labels()[1:])
    assert study.working_labels(case) is None


def test_the_labels_folder_can_be_read_as_label_maps_with_names(study: Study, scan: Path) -> None:
    case = study.add_scan(scan)
    accept(study, case, 1)
    study.save_labels(case, labels())
    shutil.copy(scan, study.labels_path(case).with_name(f"{case}.nii.gz"))
    cohort = open_cohort(study.folder / "labels")
    assert [c.labels is not None for c in cohort.cases] == [True]


def test_the_model_to_go_on_with_is_there_tomorrow(study: Study, tmp_path: Path) -> None:
    """Also when it is chosen while the study is open in a window, and after a move."""
    assert study.model is None
    run = study.next_run() / "model.safetensors"
    run.parent.mkdir(parents=True)
    run.touch()
    Study.read(study.folder).set_model(run)
    assert study.model == str(run)
    study.set_states(study.add_scan(write_scan(tmp_path / "other.nii.gz", 3)), {0: "touched"})
    study.close()
    moved = study.folder.rename(tmp_path / "moved")
    again = Study.open(moved)
    assert again.model == str(moved / "runs" / "001-finetune" / "model.safetensors")
    again.set_model("thigh-starter")
    assert again.model == "thigh-starter"
    outside = tmp_path / "outside.safetensors"
    outside.touch()
    again.set_model(outside)
    assert again.model == str(outside)
    outside.unlink()
    assert again.model is None
    again.close()


def test_runs_are_numbered(study: Study) -> None:
    assert study.next_run() == study.folder / "runs" / "001-finetune"
    (study.folder / "runs" / "009-compare").mkdir(parents=True)
    (study.folder / "runs" / "notes").mkdir()
    assert study.next_run("pretrain").name == "010-pretrain"


# --- opening


def test_a_second_window_is_noticed_and_reading_is_always_allowed(study: Study) -> None:
    with pytest.raises(BadInput, match="open in another window"):
        Study.open(study.folder)
    assert Study.read(study.folder).table == TABLE
    study.close()
    Study.open(study.folder).close()


CHILD = """
import sys
from pathlib import Path
from napari_ssl_muscle.study.study import Study

study = Study.open(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


def test_a_window_in_another_process_is_noticed_and_a_killed_one_does_not_lock(
    study: Study,
) -> None:
    study.close()
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(study.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    try:
        assert child.stdout.readline() == "open\n"
        with pytest.raises(BadInput, match=rf"open in another window \(process {child.pid} on "):
            Study.open(study.folder)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        child.stdin.close()
    taken = Study.open(study.folder)
    assert taken.note is not None
    assert f"not closed properly by process {child.pid}" in taken.note
    with pytest.raises(BadInput, match=rf"\(process {os.getpid()} on "):
        Study.open(study.folder)
    taken.close()
    assert Study.open(study.folder).note is None


def test_an_abandoned_study_is_let_go(study: Study, tmp_path: Path) -> None:
    def look() -> None:
        Study.create(tmp_path / "other", TABLE)

    look()
    assert Study.open(tmp_path / "other").note is None


def test_a_study_is_made_in_a_new_folder_only(study: Study, tmp_path: Path) -> None:
    study.close()
    with pytest.raises(BadInput, match="holds a study already"):
        Study.create(study.folder, TABLE)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.docx").touch()
    with pytest.raises(BadInput, match="not empty"):
        Study.create(tmp_path / "full", TABLE)
    with pytest.raises(BadInput, match="holds no study"):
        Study.open(tmp_path / "full")
    (study.folder / "study.json").unlink()  # as if its making had been cut short
    Study.create(study.folder, TABLE).close()


@pytest.mark.parametrize("name", ["study.json", "states.json", "heldout.json"])
@pytest.mark.parametrize("content", ["", "[1]", '{"format": 99}'])
def test_a_damaged_file_is_named(study: Study, scan: Path, name: str, content: str) -> None:
    accept(study, study.add_scan(scan), 1)
    study.close()
    (study.folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match=rf"{name} is damaged"):
        Study.open(study.folder)
    (study.folder / name).unlink()
    with pytest.raises(BadInput, match=name):
        Study.open(study.folder)
    assert not (study.folder / "lock.json").read_text(encoding="utf-8")  # let go again


def test_no_text_of_the_scans_header_is_kept(study: Study, tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.random.default_rng(0).random((4, 4, 3)).astype("f4"), np.eye(4))
    image.header["descrip"] = b"PATIENT NAME"
    nib.save(image, tmp_path / "a.nii")
    accept(study, study.add_scan(tmp_path / "a.nii"), 1)
    study.save_labels("a", np.ones((3, 4, 4), np.uint8))
    for path in study.folder.rglob("*"):
        if path.is_file() and path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8") or "{}")
            assert b"PATIENT" not in path.read_bytes()
