"""Runs, label maps, studies, drafts and comparisons of version 0.1.0 before its modules moved.

`files/` holds what that program wrote; README.md says how. Each test works on a copy.
"""

from __future__ import annotations

import csv
import json
import platform
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from napari_ssl_muscle.cli import main
from napari_ssl_muscle.experiments.freeze_results import read_comparison
from napari_ssl_muscle.experiments.published.files import read_plan, read_trials
from napari_ssl_muscle.experiments.published.schedule import schedule
from napari_ssl_muscle.experiments.report import write_report
from napari_ssl_muscle.jobs.process.find import running_jobs
from napari_ssl_muscle.learning.events import Finished, from_line
from napari_ssl_muscle.learning.models.card import read_card
from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.scans.muscles.table_files import read_table
from napari_ssl_muscle.scans.volume import open_label_map, open_scan
from napari_ssl_muscle.study.correction_store import CorrectionStore

FILES = Path(__file__).with_name("files")

Shell = Callable[..., Result]


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the files, with the home folder among them."""
    root = tmp_path / "old"
    for source in FILES.rglob("*"):
        if source.is_file():
            target = root / source.relative_to(FILES)
            target.parent.mkdir(parents=True, exist_ok=True)
            content = source.read_bytes().replace(b"@ROOT@", root.as_posix().encode())
            target.write_bytes(content.replace(b"@COMPUTER@", platform.node().encode()))
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(root / "home"))
    return root


@pytest.fixture
def shell() -> Shell:
    def run(*words: object) -> Result:
        result = CliRunner().invoke(main, [str(word) for word in words])
        assert result.exit_code == 0, result.output
        return result

    return run


def open_store(scan: Path) -> CorrectionStore:
    opened = open_scan(scan)
    name = scan.name.removesuffix(".nii.gz")
    return CorrectionStore(name, opened.geometry, opened, opened.read())


@pytest.fixture
def store(old: Path) -> Iterator[CorrectionStore]:
    """Return the corrections of the scan that is in a study."""
    opened = open_store(old / "scans" / "leg.nii.gz")
    yield opened
    opened.close()


# --- runs


@pytest.mark.parametrize(("run", "steps"), [("pretrain", 8), ("finetune", 304)])
def test_a_stopped_training_goes_on(old: Path, shell: Shell, run: str, steps: int) -> None:
    shell("run", old / run / "job.json", "--resume")
    lines = (old / run / "events.jsonl").read_text(encoding="utf-8").splitlines()
    events = [from_line(line) for line in lines]
    assert [event.kind for event in events if event.kind in ("stopped", "finished")] == [
        "stopped",
        "finished",
    ]
    assert isinstance(events[-1], Finished)
    table = csv.DictReader((old / run / "metrics.csv").read_text(encoding="utf-8").splitlines())
    rows = list(table)
    assert rows[0]["step"] == ("2" if run == "pretrain" else "100")
    assert int(rows[-1]["step"]) == steps
    assert (old / run / "model.safetensors").is_file()


def test_a_run_can_be_repeated_from_its_job(old: Path, shell: Shell) -> None:
    shell("run", old / "pretrain" / "job.json", "--out", old / "again")
    assert read_card(old / "again" / "model.safetensors").task == "inpainting"


def test_the_card_of_a_run_is_read(old: Path, shell: Shell) -> None:
    card = read_card(old / "finetune" / "model.safetensors")
    assert card.muscle_names == list(default_table("thigh").names)
    assert card.training_subjects == ["sub-02", "sub-03"]
    assert card.split_hash == "3c434bd8502f"
    assert card.network.width == 4
    assert card.recipe is not None
    assert card.recipe.training.steps == 304
    assert card.dice["mean"] == pytest.approx(0.133456, abs=1e-6)
    said = shell("models", "finetune", "--folder", old).output
    for words in ("vastus lateralis", "0.13", "Started from pretrain; frozen: encoder."):
        assert words in said


def test_a_model_starts_a_training_and_a_split_is_used_again(old: Path, shell: Shell) -> None:
    run, before = old / "new", old / "finetune"
    shell(
        *("finetune", old / "cohort", "--init", before, "--split-file", before / "split.json"),
        *("--preset", "quick", "--steps", 1, "--threads", 1, "--out", run),
    )
    assert read_card(run / "model.safetensors").split_hash == "3c434bd8502f"


def test_probes_of_a_pretraining_hold_what_the_window_shows(old: Path) -> None:
    with np.load(old / "pretrain" / "probes.npz") as arrays:
        shapes = [arrays[name].shape for name in ("original", "masked", "reconstruction", "error")]
    assert len(set(shapes)) == 1


# --- label maps


def test_a_model_segments_as_it_did(old: Path, shell: Shell) -> None:
    scan = old / "cohort/sub-01/ses-01/anat/sub-01_ses-01_T1w.nii.gz"
    shell("segment", scan, "--model", old / "finetune", "--out", old / "new", "--threads", 1)
    before, now = (
        open_label_map(old / folder / "sub-01_ses-01_T1w_dseg.nii.gz").read()
        for folder in ("labels", "new")
    )
    assert before.any()
    # Another processor may round the other way.
    assert np.mean(before == now) > 0.99


def test_segmenting_into_a_folder_of_before_adds_to_its_record(old: Path, shell: Shell) -> None:
    scan = old / "cohort/sub-02/ses-01/anat/sub-02_ses-01_T1w.nii.gz"
    shell("segment", scan, "--model", old / "finetune", "--out", old / "labels", "--threads", 1)
    record = json.loads((old / "labels" / "segment.json").read_text(encoding="utf-8"))
    assert set(record["scans"]) == {
        "sub-01_ses-01_T1w_dseg.nii.gz",
        "sub-02_ses-01_T1w_dseg.nii.gz",
    }
    assert {entry["model_hash"] for entry in record["scans"].values()} == set(record["models"])


def test_an_evaluation_finds_the_same_figures(old: Path, shell: Shell) -> None:
    """Among them what the folder's record says: model, split, and whether it was corrected."""
    shell("evaluate", old / "labels", old / "cohort/derivatives/labels", "--out", old / "new")
    before, now = (
        list(csv.DictReader((old / folder / "evaluation.csv").open(encoding="utf-8")))
        for folder in ("figures", "new")
    )
    assert len(now) == 6
    # Later versions have columns more, and none less.
    assert [{name: row[name] for name in before[0]} for row in now] == before
    assert {row["split_hash"] for row in now} == {"3c434bd8502f"}
    assert {row["corrected_by_hand"] for row in now} == {"False"}


@pytest.mark.parametrize("suffix", [".label", ".tsv"])
def test_the_tables_beside_label_maps_are_read(suffix: str) -> None:
    table = read_table(FILES / "labels" / f"sub-01_ses-01_T1w_dseg{suffix}")
    assert table.same_muscles(default_table("thigh"))


# --- corrections


def test_a_study_has_its_states_labels_and_model(store: CorrectionStore, old: Path) -> None:
    study = store.study
    assert study is not None
    assert study.folder == old / "scans" / "muscle-study"
    assert store.case == "leg"
    assert store.states() == {
        **dict.fromkeys(range(4), "accepted"),
        4: "accepted as empty",
        5: "touched",
    }
    assert study.held_out("leg") == {3}
    assert study.confidence("leg") == [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    assert study.model == str(study.folder / "runs" / "001-finetune" / "model.safetensors")
    assert study.next_run().name == "002-finetune"
    truth = open_label_map(next(old.rglob("sub-01_ses-01_dseg.nii.gz"))).read()
    working, accepted = store.saved(), open_label_map(study.labels_path("leg")).read()
    assert working is not None
    np.testing.assert_array_equal(working[[0, 1, 2, 3, 5]], truth[[0, 1, 2, 3, 5]])
    np.testing.assert_array_equal(accepted[:4], truth[:4])
    assert not accepted[4:].any()


def test_unsaved_strokes_of_a_study_are_replayed(store: CorrectionStore) -> None:
    saved, pending = store.saved(), store.pending()
    assert saved is not None
    assert pending is not None
    assert (pending.changes, pending.voxels) == (2, 6 * 8)
    expected = saved.copy()
    expected[5, 3:9, 4:12] = 5
    expected[5, 3:5, 4] = 0
    np.testing.assert_array_equal(store.replay(saved), expected)


def test_strokes_of_a_draft_are_replayed(old: Path) -> None:
    store = open_store(old / "scans" / "other.nii.gz")
    try:
        assert store.study is None
        assert store.states() == {2: "touched", 3: "touched"}
        expected = np.zeros((6, 32, 32), np.int32)
        expected[2, 10:12, 9] = 3
        expected[3, 12, 9] = 5
        np.testing.assert_array_equal(store.replay(np.zeros_like(expected)), expected)
        # Once accepted, they go into the study that is there, at the end of what it has.
        study = store.make_study(store.proposed_place(), default_table("thigh"))
        assert list(study.scans) == ["leg", "other"]
        np.testing.assert_array_equal(store.replay(np.zeros_like(expected)), expected)
    finally:
        store.close()


def test_models_are_compared_on_the_held_out_slice(old: Path, shell: Shell) -> None:
    study = old / "scans" / "muscle-study"
    out = shell(
        *("compare", old / "finetune", study / "runs/001-finetune"),
        *("--study", study, "--out", old / "new", "--threads", 1),
    )
    assert "vastus lateralis" in out.output


def test_a_study_trains_without_its_held_out_slice(old: Path, shell: Shell) -> None:
    job = old / "scans/muscle-study/runs/001-finetune/job.json"
    said = shell("run", job, "--out", old / "new").output
    assert re.search(r"4 accepted slices train, 1 .*held out", said)
    assert read_card(old / "new" / "model.safetensors").task == "segmentation"


# --- jobs of another window, and experiments


def test_the_end_of_a_job_that_nobody_watched_is_found(old: Path) -> None:
    (found,) = running_jobs()
    assert not found.alive
    assert found.job.action == "finetune"
    assert isinstance(found.end, Finished)
    assert found.end.result["model"] == f"{old.as_posix()}/finetune/model.safetensors"
    assert found.progress is not None
    assert found.progress.done == 8


def test_a_gain_goes_on_with_the_arm_that_is_missing(old: Path, shell: Shell) -> None:
    table = old / "gain" / "gain.csv"
    before = table.read_text(encoding="utf-8")
    said = shell(
        *("gain", old / "cohort", "--out", old / "gain", "--test", "sub-02", "--seeds", 1),
        *("--preset", "quick", "--steps", 1, "--pretrain-steps", 2, "--threads", 1),
    ).output
    assert "Fine-tuning 1 of 1" in said
    after = table.read_text(encoding="utf-8")
    assert after.startswith(before)
    added = list(csv.DictReader(after.splitlines()))[6:]
    assert {row["arm"] for row in added} == {"pretrained"}
    card = read_card(old / "gain/runs/sub-01-pretrained-0/model.safetensors")
    assert "pretraining-without-sub-02" in card.model_dump_json()


def test_a_comparison_of_freeze_modes_is_read(old: Path) -> None:
    found = read_comparison(old / "freezing")
    assert found is not None
    assert [result.mode for result in found.modes] == ["none", "encoder", "decoder", "both"]
    assert [result.trainable for result in found.modes] == [1707, 615, 1127, 35]
    assert found.modes[1].dice["mean"] == pytest.approx(0.1344507, abs=1e-6)
    assert found.start == "finetune"
    job = (old / "freezing" / "job.json").read_text(encoding="utf-8")
    assert json.loads(job)["action"] == "compare-freezing"


def test_experiments_are_read_and_their_runs_keep_their_names(old: Path) -> None:
    plan, rows = read_plan(old / "experiments"), read_trials(old / "experiments")
    assert [found.key for found in plan.experiments] == ["0"]
    assert [fold.name for fold in plan.folds][-1] == "slices"
    assert rows[0]["trial"] == "0/finetune/baseline/lr=0.006/test-sub-01/seed 0"
    # Or a study that goes on would train everything again.
    assert {row["run"] for row in rows} == {trial.run for trial in schedule(plan, {}).trials}
    assert write_report(old / "experiments").is_file()
