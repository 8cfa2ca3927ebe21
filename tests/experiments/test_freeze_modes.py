"""Four fine-tunings that differ in nothing but what is kept fixed."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
from click.testing import Result
from pydantic import ValidationError

from napari_ssl_muscle.actions import run_job
from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.freeze_modes import arm_of
from napari_ssl_muscle.experiments.freeze_results import format_learning, read_comparison
from napari_ssl_muscle.jobs.cli_options import arguments
from napari_ssl_muscle.jobs.job_file import read_job, what_is_wrong
from napari_ssl_muscle.jobs.run import JobFailed
from napari_ssl_muscle.jobs.run_folder import read_epochs
from napari_ssl_muscle.jobs.settings import CompareFreezingJob, FinetuneJob
from napari_ssl_muscle.learning import finetune as learning
from napari_ssl_muscle.learning.data.image_cache import ImageStore
from napari_ssl_muscle.learning.data.validation_split import Holdout
from napari_ssl_muscle.learning.events import (
    EpochEnd,
    Event,
    Finished,
    Note,
    Progress,
    Started,
    Stopped,
)
from napari_ssl_muscle.learning.models.card import read_card
from napari_ssl_muscle.learning.settings import Recipe
from napari_ssl_muscle.learning.training.steps import Stepper
from napari_ssl_muscle.phantom.cohort import write_phantom
from napari_ssl_muscle.phantom.settings import PhantomSettings
from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.scans.split import read_split
from napari_ssl_muscle.scans.volume import open_label_map
from napari_ssl_muscle.study.study import Study

MODES = ["none", "encoder", "decoder", "both"]
STEPS = 4
TINY: dict[str, Any] = {
    "preset": "quick",
    "steps": STEPS,
    "validate_every": 2,
    "augment": False,
    "threads": 1,
    "device": "cpu",
}
Slices = set[tuple[str, int]]


def a_job(out: Path, model: Path, **more: Any) -> CompareFreezingJob:
    return CompareFreezingJob.model_validate({"out": out, "init": str(model), **TINY, **more})


@dataclass
class Run:
    out: Path
    result: dict[str, Any]
    events: list[Event]


@pytest.fixture(scope="module")
def whole(cohort: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A comparison that nobody stopped."""
    out = tmp_path_factory.mktemp("whole") / "my comparison"
    events: list[Event] = []
    return Run(out, run_job(a_job(out, model, cohort=cohort), events.append), events)


def weights(path: Path) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in safetensors.torch.load_file(path).items()}


@pytest.mark.parametrize("mode", MODES)
def test_what_is_fixed_stays_and_all_else_learns(whole: Run, model: Path, mode: str) -> None:
    before, after = weights(model), weights(whole.out / mode / "checkpoint.safetensors")
    fixed = {"none": (), "both": ("encoder.", "decoder.")}.get(mode, (f"{mode}.",))
    for name, value in before.items():
        same = np.array_equal(value, after[f"net/{name}"])
        assert same == name.startswith(tuple(fixed)), name


def test_each_is_a_run_of_its_own_and_only_what_is_fixed_differs(whole: Run, cohort: Path) -> None:
    jobs, splits, names = [], set(), []
    for mode in MODES:
        job = read_job(whole.out / mode / "job.json")
        assert isinstance(job, FinetuneJob)
        assert (job.freeze, job.out) == (mode, whole.out / mode)
        jobs.append(job.model_copy(update={"freeze": "none", "out": whole.out}))
        splits.add(read_split(whole.out / mode / "split.json").hash)
        names.append(read_card(whole.out / mode / "model.safetensors").name)
        assert list(read_epochs(whole.out / mode)) == [2, 4]
        assert (whole.out / mode / "metrics.csv").is_file()
    assert all(job == jobs[0] for job in jobs)
    assert len(splits) == 1
    assert names == [f"my comparison-{mode}" for mode in MODES]


def test_the_table_says_what_the_cards_say(whole: Run) -> None:
    with (whole.out / "freezing.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["mode"]: row for row in csv.DictReader(file)}
    found = read_comparison(whole.out)
    assert found is not None
    assert list(rows) == [result.mode for result in found.modes] == MODES
    muscles = default_table("thigh").names
    for result in found.modes:
        row = rows[result.mode]
        card = read_card(whole.out / row["model"])
        assert {name: float(row[f"dice {name}"]) for name in muscles} | {
            "mean": float(row["mean_dice"])
        } == card.dice
        assert result.dice == card.dice
        assert row["split_hash"] == card.split_hash
        assert (row["seed"], row["steps"]) == ("0", str(STEPS))
        assert "torch" in row["versions"]
        assert row["seconds"] == f"{result.seconds:.1f}"
    assert (whole.out / "freezing.png").read_bytes().startswith(b"\x89PNG")
    assert whole.result["metrics"]["encoder"] == found.modes[1].dice["mean"]
    assert "All but last layer fixed" in whole.result["text"]


def test_the_numbers_that_learn_are_counted(whole: Run, model: Path) -> None:
    # Running statistics are no parameters; nobody learns them by gradient.
    sizes = {
        name: value.size
        for name, value in weights(model).items()
        if "running" not in name and "num_batches" not in name
    }
    found = read_comparison(whole.out)
    assert found is not None
    for result in found.modes:
        fixed = {"none": (), "both": ("encoder.", "decoder.")}.get(
            result.mode, (f"{result.mode}.",)
        )
        assert result.parameters == sum(sizes.values())
        assert result.trainable == sum(
            size for name, size in sizes.items() if not name.startswith(tuple(fixed))
        )


def test_four_trainings_tell_one_story(whole: Run) -> None:
    assert [event.kind for event in whole.events].count("started") == 1
    assert isinstance(whole.events[-1], Finished)
    assert [event.kind for event in whole.events].count("finished") == 1
    rounds = [(e.arm, e.step) for e in whole.events if isinstance(e, EpochEnd)]
    assert rounds == [(mode, step) for mode in MODES for step in (2, 4)]
    first = next(i for i, event in enumerate(whole.events) if isinstance(event, Started))
    steps = [event for event in whole.events[first:] if isinstance(event, Progress)]
    assert {event.total for event in steps} == {4 * STEPS}
    done = [event.done for event in steps]
    assert done == sorted(done)
    assert done[-1] == 4 * STEPS
    assert "Decoder fixed (3 of 4)" in [event.text for event in steps]
    told = [event.text for event in whole.events if isinstance(event, Note)]
    assert len(told) == len(set(told))
    assert sum("Validated on subject" in text for text in told) == 1
    assert not (whole.out / "metrics.csv").exists()  # four trainings in one would be nonsense


def stop_in(mode: str) -> tuple[Callable[[Event], None], Callable[[], bool], list[Event]]:
    """Stop once a mode has had its first round."""
    events: list[Event] = []

    def stop() -> bool:
        return any(isinstance(e, EpochEnd) and e.arm == mode for e in events)

    return events.append, stop, events


def test_stopped_it_keeps_what_is_done_and_goes_on_from_there(
    whole: Run, cohort: Path, model: Path, tmp_path: Path
) -> None:
    job = a_job(tmp_path / "my comparison", model, cohort=cohort)
    hear, stop, events = stop_in("decoder")
    result = run_job(job, hear, stop)
    assert isinstance(events[-1], Stopped)
    assert result["modes"] == ["none", "encoder"]
    found = read_comparison(job.out)
    assert found is not None
    assert [r.mode for r in found.modes] == ["none", "encoder"]
    assert (job.out / "decoder" / "checkpoint.safetensors").is_file()
    assert not (job.out / "both").exists()
    kept = {mode: (job.out / mode / "events.jsonl").read_bytes() for mode in ("none", "encoder")}

    result = run_job(job.model_copy(update={"resume": True}))
    assert result["modes"] == MODES
    for mode, log in kept.items():
        assert (job.out / mode / "events.jsonl").read_bytes() == log, "trained once more"
    for mode in MODES:
        one, two = (weights(run / mode / "model.safetensors") for run in (whole.out, job.out))
        for name in one:
            np.testing.assert_array_equal(one[name], two[name], f"{mode} {name}")
    again, first = read_comparison(job.out), read_comparison(whole.out)
    assert again is not None
    assert first is not None
    assert [r.dice for r in again.modes] == [r.dice for r in first.modes]


def test_stopped_at_once_it_leaves_nothing(cohort: Path, model: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    run_job(a_job(tmp_path / "out", model, cohort=cohort), events.append, lambda: True)
    assert isinstance(events[-1], Stopped)
    assert not (tmp_path / "out").exists()


def test_a_mode_that_was_killed_before_a_checkpoint_starts_anew(
    whole: Run, cohort: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "my comparison"
    shutil.copytree(whole.out, out)
    for run in (out, *(out / mode for mode in MODES)):
        text = (run / "job.json").read_text(encoding="utf-8")
        text = text.replace(json.dumps(str(whole.out))[1:-1], json.dumps(str(out))[1:-1])
        (run / "job.json").write_text(text, encoding="utf-8")
    for name in ("checkpoint.safetensors", "model.safetensors", "metrics.csv"):
        (out / "both" / name).unlink()
    (out / "both" / "events.jsonl").write_text("", encoding="utf-8")
    result = run_job(a_job(out, model, cohort=cohort, resume=True))
    assert result["modes"] == MODES


def test_a_failure_of_one_is_told_in_its_own_words_and_keeps_the_others(
    cohort: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = learning.freeze

    def freeze(net: Any, mode: Any) -> None:
        if mode == "decoder":
            raise RuntimeError("the shelf fell down")
        real(net, mode)

    monkeypatch.setattr(learning, "freeze", freeze)
    with pytest.raises(JobFailed, match="It failed unexpectedly: the shelf fell down"):
        run_job(a_job(tmp_path / "out", model, cohort=cohort))
    found = read_comparison(tmp_path / "out")
    assert found is not None
    assert [result.mode for result in found.modes] == ["none", "encoder"]


def test_minutes_are_turned_into_steps_once(
    cohort: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[float] = []

    def time_steps(*_: object) -> tuple[float, float]:
        timed.append(0.25)
        return 0.25, 0.0

    monkeypatch.setattr(Stepper, "time_steps", time_steps)
    run_job(a_job(tmp_path / "out", model, cohort=cohort, steps=None, minutes=0.02))
    found = read_comparison(tmp_path / "out")
    assert found is not None
    # Only the first one is timed (and keeps to the clock): the others do as many steps.
    assert len(timed) == 1
    assert len({result.steps for result in found.modes}) == 1
    job = read_job(tmp_path / "out" / "both" / "job.json")
    assert isinstance(job, FinetuneJob)
    assert (job.steps, job.minutes) == (found.modes[0].steps, None)


@pytest.mark.parametrize(
    ("length", "every"),
    [
        ({"steps": 30}, 2),
        ({"steps": 8000}, 100),
        ({"minutes": 1}, 20),
        ({"steps": 30, "validate_every": 7}, 7),
    ],
)
def test_a_short_training_has_a_curve_too(length: dict[str, Any], every: int) -> None:
    job = CompareFreezingJob.model_validate({"cohort": "c", "out": "o", "init": "m", **length})
    assert arm_of(job, "encoder").validate_every == every
    # With minutes, the others get their steps from the first.
    assert arm_of(job, "both", steps=500).validate_every == every


# --- a study


@pytest.fixture(scope="module")
def long_scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long") / "phantom"
    return write_phantom(folder, PhantomSettings(subjects=1, sessions=1, slices=14, size=48))


@pytest.fixture
def study(tmp_path: Path, long_scan: Path) -> Iterator[Study]:
    made = Study.create(tmp_path / "study", default_table("thigh"))
    made.add_scan(next(long_scan.rglob("*_T1w.nii.gz")))
    yield made
    made.close()


def accept(study: Study, long_scan: Path, slices: range) -> np.ndarray:
    (case,) = study.scans
    labels = open_label_map(next(long_scan.rglob("*_dseg.nii.gz"))).read()
    study.set_states(case, dict.fromkeys(slices, "accepted"))
    study.save_labels(case, labels)
    return labels


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Slices, Slices]]:
    """Return what every training from now on trains and validates on: case and slice."""
    seen: list[tuple[Slices, Slices]] = []
    real = learning.SegmentationTask

    def spy(store: ImageStore, chosen: Holdout, recipe: Recipe) -> Any:
        training, validation = (
            {(store.series[item.series].case, item.z) for item in items}
            for items in (chosen.training, chosen.validation)
        )
        seen.append((training, validation))
        return real(store, chosen, recipe)

    monkeypatch.setattr(learning, "SegmentationTask", spy)
    return seen


def test_from_a_study_a_block_is_set_apart_and_held_out_slices_take_no_part(
    study: Study,
    long_scan: Path,
    model: Path,
    tmp_path: Path,
    trained: list[tuple[Slices, Slices]],
) -> None:
    accept(study, long_scan, range(13))
    (case,) = study.scans
    held_out = study.held_out(case)
    assert held_out
    events: list[Event] = []

    def hear(event: Event) -> None:
        events.append(event)
        if isinstance(event, EpochEnd) and event.arm == "none":
            # The person goes on correcting: accepts a slice, and wipes others out.
            labels = accept(study, long_scan, range(14))
            labels[:5] = 0
            study.save_labels(case, labels)

    run_job(a_job(tmp_path / "out", model, study=study.folder), hear)
    assert len(trained) == 4
    training, validation = trained[0]
    assert all(each == trained[0] for each in trained)
    assert training
    assert validation
    assert not training & validation
    assert not {z for _, z in training | validation} & set(held_out)
    said = "\n".join(event.text for event in events if isinstance(event, Note))
    assert "slices that the study holds out take no part at all" in said
    assert read_comparison(tmp_path / "out").modes[3].dice["mean"] >= 0  # type: ignore[union-attr]


def test_a_comparison_does_not_go_on_with_other_labels(
    study: Study, long_scan: Path, model: Path, tmp_path: Path
) -> None:
    accept(study, long_scan, range(13))
    job = a_job(tmp_path / "out", model, study=study.folder)
    hear, stop, _ = stop_in("none")
    run_job(job, hear, stop)
    accept(study, long_scan, range(14))
    with pytest.raises(BadInput, match="The labels are not those that the comparison in"):
        run_job(job.model_copy(update={"resume": True}))


def test_too_few_slices_to_set_some_apart_are_refused(
    study: Study, long_scan: Path, model: Path, tmp_path: Path
) -> None:
    accept(study, long_scan, range(6))
    with pytest.raises(BadInput, match="here the most are 5 accepted slices that train"):
        run_job(a_job(tmp_path / "out", model, study=study.folder))
    assert not (tmp_path / "out").exists()


# --- requests that are refused


def test_without_a_model_to_start_from_there_is_nothing_to_compare(
    shell: Callable[..., Result], cohort: Path, tmp_path: Path
) -> None:
    result = shell("compare-freezing", cohort, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "without a model to start from there is nothing worth keeping fixed" in result.output


def test_something_must_be_set_apart() -> None:
    with pytest.raises(ValidationError) as caught:
        CompareFreezingJob(cohort=Path("c"), out=Path("o"), init="m", split="none")
    assert "none of them trained on" in what_is_wrong(caught.value)


def test_a_folder_with_runs_in_it_is_refused(cohort: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "encoder").mkdir()
    with pytest.raises(BadInput, match="exists already"):
        run_job(a_job(tmp_path, model, cohort=cohort))
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


def test_the_shell_has_its_options_but_not_the_mode() -> None:
    job = CompareFreezingJob(cohort=Path("c"), out=Path("o"), init="m", minutes=2, seed=3)
    assert arguments(job) == [
        *("compare-freezing", "--out", "o", "--init", "m", "--minutes", "2.0", "--seed", "3", "c")
    ]
    with pytest.raises(ValidationError):
        CompareFreezingJob.model_validate({**job.model_dump(), "freeze": "encoder"})


@pytest.mark.parametrize(
    ("learns", "of", "words"),
    [
        (1_179_591, 1_942_391, "1.2 of 1.9 million"),
        (119, 1_942_391, "119 of 1.9 million"),
        (63, 2_048, "63 of 2,048"),
    ],
)
def test_numbers_that_learn_are_told_in_words(learns: int, of: int, words: str) -> None:
    assert format_learning(learns, of) == words
