"""The experiments as a whole, with the smallest trainings: tables, refusals, going on."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from napari_ssl_muscle.actions import run_job
from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.published.files import (
    PLAN,
    REPORT,
    read_choices,
    read_counts,
    read_dice,
    read_plan,
)
from napari_ssl_muscle.jobs.job_file import read_job
from napari_ssl_muscle.jobs.settings import FinetuneJob, PretrainJob
from napari_ssl_muscle.learning.events import Event, Progress
from napari_ssl_muscle.learning.models.card import read_card
from tests.experiments.published.conftest import toy_job

Table = Callable[[Path], list[dict[str, str]]]


def test_every_trial_is_a_run_and_a_row_and_the_report_is_written(
    finished: Path, table: Table
) -> None:
    rows = table(finished)
    assert {row["experiment"] for row in rows} == {"0", "1", "2", "3", "4", "final", "labelled"}
    assert {row["run"] for row in rows} == {path.name for path in (finished / "runs").iterdir()}
    for row in rows:
        run = finished / "runs" / row["run"]
        assert (run / "model.safetensors").is_file()
        assert not (run / "checkpoint.safetensors").exists()
        tested = row["experiment"] in ("final", "labelled") and row["kind"] == "finetune"
        assert bool(row["test_dice"]) == tested
        assert (row["leaking"] == "1") == (row["fold"] == "slices")
    chosen = [row for row in read_choices(finished) if row["chosen"] == "1"]
    assert len([row for row in chosen if row["experiment"] == "2"]) == 2  # folds
    assert "Demonstration, too short to conclude" in (finished / REPORT).read_text(encoding="utf-8")


def test_nothing_of_the_test_subject_is_seen_in_its_fold(finished: Path, table: Table) -> None:
    for row in table(finished):
        if row["fold"] != "test-sub-01":
            continue
        job = read_job(finished / "runs" / row["run"] / "job.json")
        if isinstance(job, PretrainJob):
            assert job.leave_out == ["sub-01"]
        else:
            assert isinstance(job, FinetuneJob)
            assert job.train_on == ["sub-02"]
        card = read_card(finished / "runs" / row["run"] / "model.safetensors")
        assert card.training_subjects == ["sub-02"]
        assert not card.transductive


def test_validation_scores_just_the_slices_that_were_held_out(finished: Path, table: Table) -> None:
    fold = read_plan(finished).fold("test-sub-01")
    row = next(r for r in table(finished) if r["fold"] == fold.name and r["experiment"] == "0")
    counts = read_counts(finished, row["run"], "validation")
    ((_, block),) = fold.held_out.items()
    assert {int(count["slice"]) for count in counts} == set(block)
    # The same ones as the training's own validation, which says so from 1.
    card = read_card(finished / "runs" / row["run"] / "model.safetensors")
    assert f"slices {block[0] + 1} to {block[-1] + 1} of" in card.dice_note


def test_dice_is_that_of_the_counts(finished: Path, table: Table) -> None:
    row = next(r for r in table(finished) if r["experiment"] == "final")
    counts = read_counts(finished, row["run"], "test")
    dice = {
        (r["subject"], r["muscle"]): r["dice"]
        for r in read_dice(finished)
        if r["trial"] == row["trial"] and r["part"] == "test"
    }
    totals = np.zeros((len(dice), 2))
    for k, (subject, muscle) in enumerate(dice):
        for count in counts:
            if (count["subject"], count["muscle"]) == (subject, muscle):
                both, either = int(count["both"]), int(count["predicted"]) + int(count["reference"])
                totals[k] += both, either
    assert [float(value) for value in dice.values()] == pytest.approx(
        2 * totals[:, 0] / totals[:, 1], rel=1e-6
    )
    assert float(row["test_dice"]) == pytest.approx(np.mean([float(v) for v in dice.values()]))


def test_examples_are_on_the_scans_grid(finished: Path, table: Table) -> None:
    row = next(r for r in table(finished) if r["experiment"] == "final")
    with np.load(finished / "runs" / row["run"] / "examples-test.npz") as found:
        assert found["subjects"].tolist() == ["sub-01"]
        assert found["image_0"].shape == found["reference_0"].shape == (64, 64)
        assert found["reference_0"].max() == len(read_plan(finished).cohort.muscles)


def test_the_report_and_the_final_table_come_at_the_end(finished: Path, toy_cohort: Path) -> None:
    result = run_job(toy_job(toy_cohort, finished))
    assert result["report"] == str(finished / "report.html")
    assert Path(result["report"]).is_file()
    heading, validation, test = result["text"].splitlines()
    assert heading.split("  ")[-2:] == ["Baseline", "10 %, K 16"]
    assert validation.startswith("validation ")
    assert test.startswith("test ")


def test_a_study_that_is_done_trains_nothing_again(finished: Path, toy_cohort: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.glob("runs/*/*")}
    events: list[Event] = []
    run_job(toy_job(toy_cohort, finished), events.append)
    assert {path: path.stat().st_mtime_ns for path in finished.glob("runs/*/*")} == before
    last = [event for event in events if isinstance(event, Progress)][-1]
    assert last.done == last.total


def test_cohort_and_study_can_be_moved_and_the_plan_names_no_folder_above_them(
    finished: Path, toy_cohort: Path, tmp_path: Path, table: Table
) -> None:
    shutil.copytree(toy_cohort, tmp_path / "cohort")
    out = shutil.copytree(finished, tmp_path / "study")
    assert str(finished.parent) not in (out / PLAN).read_text(encoding="utf-8")
    runs = {path.name for path in (out / "runs").iterdir()}
    run_job(toy_job(tmp_path / "cohort", out))
    assert table(out) == table(finished)
    assert {path.name for path in (out / "runs").iterdir()} == runs
    assert read_plan(out).cohort.folder == str(tmp_path / "cohort")
    assert str(tmp_path) not in (out / PLAN).read_text(encoding="utf-8")


class Killed(BaseException):
    """Ends a training as a kill would: nothing tidies up after it."""


def test_a_killed_study_goes_on_to_the_same_table(
    finished: Path, toy_cohort: Path, tmp_path: Path, table: Table
) -> None:
    out = tmp_path / "out"

    def kill_at(text: str, done: int) -> Callable[[Event], None]:
        def emit(event: Event) -> None:
            if isinstance(event, Progress) and event.done == done and text in event.text:
                raise Killed

        return emit

    # Between two trials, and inside of one.
    for text, done in (("waiting", 2), ("this one at step", 3)):
        with pytest.raises(Killed):
            run_job(toy_job(toy_cohort, out, experiment=[1]), kill_at(text, done))
        assert len(table(out)) == done
    run_job(toy_job(toy_cohort, out, experiment=[1]))
    assert table(out) == [row for row in table(finished) if row["experiment"] in ("0", "1")]


def test_a_stopped_study_says_so_and_goes_on(toy_cohort: Path, tmp_path: Path) -> None:
    out, asked = tmp_path / "out", []
    job = toy_job(toy_cohort, out, experiment=[0], only=["lr=0.006"])

    def emit(event: Event) -> None:
        if isinstance(event, Progress) and event.done == 1:
            asked.append(True)

    run_job(job, emit, lambda: bool(asked))
    assert len(list((out / "runs").iterdir())) == 1
    run_job(job)
    assert len(list((out / "runs").iterdir())) == 2


def test_experiments_can_be_added_but_nothing_else_changed(
    toy_cohort: Path, tmp_path: Path, table: Table
) -> None:
    out = tmp_path / "out"
    run_job(toy_job(toy_cohort, out, experiment=[0], only=["lr=0.006"]))
    plan = json.loads((out / PLAN).read_text(encoding="utf-8"))
    assert [found["key"] for found in plan["experiments"]] == ["0"]
    for changed, sentence in (
        ({"steps": 3}, "another settings"),
        ({"seeds": 2}, "another number of --seeds"),
        ({"only": ["lr=0.002"]}, "another grid of experiment 0"),
    ):
        with pytest.raises(BadInput, match=sentence):
            run_job(
                toy_job(toy_cohort, out, **{"experiment": [0], "only": ["lr=0.006"], **changed})
            )
    run_job(toy_job(toy_cohort, out, experiment=[1], only=["lr=0.006"]))
    assert {row["experiment"] for row in table(out)} == {"0", "1"}


def test_a_folder_of_something_else_is_left_alone(toy_cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(BadInput, match="choose an empty --out"):
        run_job(toy_job(toy_cohort, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_dry_run_lists_the_trials_and_writes_nothing(
    toy_cohort: Path, tmp_path: Path, shell: Callable[..., Result], finished: Path, table: Table
) -> None:
    out = tmp_path / "out"
    words = ["experiments", toy_cohort, "--out", out, "--dry-run", "--workers", 1]
    words += ["--steps", 2, "--width", 4, "--depth", 2, "--size", 48, "--spacing", 5]
    words += ["--only", "lr=0.006,mask_percent=10", "--labelled", 1]
    result = shell(*words)
    assert result.exit_code == 0, result.output
    assert not out.exists()
    assert "2. Masking" in result.output
    assert "fine-tune, 10 %, K 16, freeze=encoder, test-sub-01, pretrained" in result.output
    # As many trainings as a whole study turned out to have, where no grid had a choice.
    count = len({(r["run"], bool(r["test_dice"])) for r in table(finished)})
    assert f"{count} trials, 0 done" in result.output
    assert " on this CPU" in result.output


def test_the_published_preset_at_toy_size(tmp_path: Path) -> None:
    from napari_ssl_muscle.phantom.cohort import write_phantom
    from napari_ssl_muscle.phantom.settings import PhantomSettings

    cohort, out = tmp_path / "cohort", tmp_path / "out"
    write_phantom(cohort, PhantomSettings(subjects=3, sessions=1, slices=3, size=32), None)
    only = ["lr=1e-5", "optimizer=adam", "momentum=0.9", "batch=1", "kernel_size=16"]
    settings = {"size": None, "spacing": None, "only": [*only, "mask_percent=10"]}
    run_job(toy_job(cohort, out, preset="poster", experiment=[2], seeds=1, **settings))
    with (out / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["fold"], row["arm"]) for row in rows} == {
        ("subjects", "baseline"),
        ("subjects", "mask10-k16"),
    }
    card = read_card(out / "runs" / rows[-1]["run"] / "model.safetensors")
    assert card.recipe is not None
    assert (card.recipe.slices.crop, card.recipe.training.loss) == ("none", "ce")
    assert card.recipe.training.optimizer == "adam"
