"""Scratch against pretrained: the same in everything else, nothing of the test seen before."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.arms import read_rows
from napari_ssl_muscle.experiments.pretraining_gain import (
    GainPlan,
    Trial,
    run_gain,
    scores,
    summary,
    trials_of,
)
from napari_ssl_muscle.jobs.job_file import read_job
from napari_ssl_muscle.learning.events import Event, never_stop
from napari_ssl_muscle.learning.models.card import read_card
from napari_ssl_muscle.phantom.cohort import write_phantom
from napari_ssl_muscle.phantom.settings import PhantomSettings


def test_each_subject_trains_in_turn() -> None:
    assert trials_of(["a", "b"], (1,), ()) == [Trial(("a",), ("b",)), Trial(("b",), ("a",))]


def test_named_test_subjects_never_train() -> None:
    trials = trials_of(["a", "b", "c", "d"], (1, 2), ("b",))
    assert [trial.train for trial in trials] == [("a",), ("a", "c")]
    assert all(trial.test == ("b",) for trial in trials)


def test_likely_persons_never_train_where_they_test() -> None:
    names, persons = ["a_post", "a_pre", "b", "c"], [("a_post", "a_pre")]
    in_turn = {trial.train: trial.test for trial in trials_of(names, (1,), (), persons)}
    assert in_turn[("a_pre",)] == ("b", "c")
    assert in_turn[("b",)] == ("a_post", "a_pre", "c")
    (trial,) = trials_of(names, (1,), ("a_pre",), persons)
    assert trial == Trial(("b",), ("a_pre",))
    with pytest.raises(BadInput, match="label a second one"):
        trials_of(["a_post", "a_pre"], (1,), (), persons)


def test_settings_of_the_fine_tunings_are_options_and_are_checked(
    shell: Callable[..., Result], tmp_path: Path
) -> None:
    assert "--warmup" in shell("gain", "--help").output
    result = shell("gain", tmp_path, "--out", tmp_path / "out", "--warmup", 2)
    assert result.exit_code == 2
    assert "--warmup" in result.output
    assert not (tmp_path / "out").exists()


def test_too_few_subjects_are_said() -> None:
    with pytest.raises(BadInput, match="only 1 are left"):
        trials_of(["a", "b"], (2,), ("b",))
    with pytest.raises(BadInput, match="no labelled subject x"):
        trials_of(["a", "b"], (1,), ("x",))
    with pytest.raises(BadInput, match="label a second one"):
        trials_of(["a"], (1,), ())


def row(arm: str, seed: int, subject: str, dice: float, muscle: str = "m") -> dict[str, str]:
    return {
        "labelled": "1",
        "trial": "t",
        "arm": arm,
        "seed": str(seed),
        "test_subject": subject,
        "muscle": muscle,
        "dice": f"{dice}",
        "model": "",
    }


def test_summary_pairs_subjects_after_averaging_seeds() -> None:
    rows = [
        row(arm, seed, subject, base + gain * (arm == "pretrained") + 0.02 * seed)
        for arm in ("scratch", "pretrained")
        for seed in (0, 1)
        for subject, base, gain in (("a", 0.5, 0.1), ("b", 0.7, 0.2))
    ]
    assert [score.value for score in scores(rows, "scratch")] == [0.5, 0.52, 0.7, 0.72]
    text = summary(rows)
    assert "0.6100" in text  # scratch: mean of 0.51 and 0.71
    assert "+0.1500" in text
    # Two differences, 0.1 and 0.2: half width 12.706 * 0.0707 / sqrt(2).
    assert "-0.485 to +0.785" in text
    assert "0.014 | 0.014" in text  # seeds
    assert "no evidence either way" in text


def test_one_test_subject_has_no_interval() -> None:
    rows = [row(arm, 0, "a", 0.5) for arm in ("scratch", "pretrained")]
    assert "one test subject: no interval" in summary(rows)


def test_muscles_are_shown_one_by_one() -> None:
    rows = [
        row(arm, 0, subject, dice, muscle)
        for arm in ("scratch", "pretrained")
        for subject in "ab"
        for muscle, dice in (("gracilis", 0.25), ("sartorius", 0.75))
    ]
    lines = summary(rows).splitlines()
    assert [line.split() for line in lines if line.startswith("gracilis")] == [
        ["gracilis", "0.250", "0.250"]
    ]


def test_what_only_one_arm_has_tested_does_not_count() -> None:
    rows = [
        row("scratch", 0, "a", 0.5),
        row("scratch", 0, "b", 0.1),
        row("pretrained", 0, "a", 0.6),
    ]
    assert [score.subject for score in scores(rows, "scratch")] == ["a"]


def test_a_small_plan_runs_and_goes_on(tmp_path: Path) -> None:
    cohort = tmp_path / "cohort"
    write_phantom(cohort, PhantomSettings(subjects=2, sessions=1, slices=8, size=64), None)
    small = {"preset": "quick", "width": 4, "depth": 2, "size": 48, "spacing": 5.0, "threads": 1}
    plan = GainPlan(
        cohort=cohort,
        scans=(cohort,),
        out=tmp_path / "out",
        seeds=1,
        finetune={**small, "steps": 2, "split": "none"},
        pretrain={**small, "steps": 2, "kernel_size": 4},
    )
    events: list[Event] = []
    path = run_gain(plan, events.append, never_stop)
    rows = read_rows(path)
    assert len(rows) == 2 * 2 * 6  # directions, arms, muscles
    for trained, tested in (("sub-01", "sub-02"), ("sub-02", "sub-01")):
        pretext = tmp_path / "out" / "runs" / f"pretraining-without-{tested}"
        assert read_card(pretext / "model.safetensors").training_subjects == [trained]
        jobs = [
            read_job(tmp_path / "out" / "runs" / f"{trained}-{arm}-0" / "job.json")
            for arm in ("scratch", "pretrained")
        ]
        assert jobs[0].init is None  # type: ignore[union-attr]
        assert jobs[1].init == str(pretext)  # type: ignore[union-attr]
        same = [job.model_copy(update={"init": None, "out": Path()}) for job in jobs]
        assert same[0] == same[1]
    before = path.read_bytes()
    again: list[Event] = []
    run_gain(plan, again.append, never_stop)
    assert path.read_bytes() == before
    assert not again  # nothing was left to do
