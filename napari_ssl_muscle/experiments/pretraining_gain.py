"""Does pretraining help? The same fine-tunings from scratch and from pretrained weights.

Every trial names the subjects that train and those that test; every arm is run with the same
seeds, steps and settings, and differs in nothing but the weights that it starts from. Pretraining
never sees the images of a trial's test subjects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.alignment import labelled_slices
from napari_ssl_muscle.evaluation.dice import dice_per_class
from napari_ssl_muscle.evaluation.statistics import paired_difference
from napari_ssl_muscle.experiments.arms import read_rows, train_arm, write_rows
from napari_ssl_muscle.jobs.settings import FinetuneJob, PretrainJob
from napari_ssl_muscle.jobs.training_data.labelled import (
    choose_channels,
    choose_muscles,
    labelled_cases,
)
from napari_ssl_muscle.learning.events import Emit, Note, ShouldStop
from napari_ssl_muscle.scans.cohort import open_cohort, table_of

SCRATCH, PRETRAINED = "scratch", "pretrained"


@dataclass(frozen=True)
class Trial:
    """Who trains and who tests."""

    train: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def name(self) -> str:
        """Training subjects, joined."""
        return "+".join(self.train)


@dataclass(frozen=True)
class GainPlan:
    """What is compared.

    Attributes
    ----------
    scans
        Folders whose scans pretraining learns from (labels are not read).
    out
        Folder of the results and of the runs.
    labelled
        Numbers of labelled subjects to fine-tune from.
    test
        Subjects that test; none: each single subject trains in turn and the others test.
    seeds
        How many seeds each fine-tuning gets: 0, 1, ….
    finetune, pretrain
        Settings of the jobs besides cohort, folder, subjects and seed.
    """

    cohort: Path
    scans: tuple[Path, ...]
    out: Path
    labelled: tuple[int, ...] = (1,)
    test: tuple[str, ...] = ()
    seeds: int = 3
    finetune: dict[str, Any] = field(default_factory=dict)
    pretrain: dict[str, Any] = field(default_factory=dict)


def trials_of(subjects: Sequence[str], labelled: Sequence[int], test: Sequence[str]) -> list[Trial]:
    """Return the trials of a plan.

    Raises
    ------
    BadInput
        If there are too few subjects, or a test subject is not there.
    """
    unknown = [name for name in test if name not in subjects]
    if unknown:
        raise BadInput(
            f"There is no labelled subject {unknown[0]}; there are {', '.join(subjects)}."
        )
    if not test:
        if len(subjects) < 2:
            raise BadInput("One labelled subject can train or test, not both; label a second one.")
        return [Trial((name,), tuple(s for s in subjects if s != name)) for name in subjects]
    others = [name for name in subjects if name not in test]
    if max(labelled) > len(others):
        raise BadInput(
            f"{max(labelled)} labelled subjects were asked for, but only {len(others)} are left "
            "beside those that test; ask for fewer."
        )
    return [Trial(tuple(others[:count]), tuple(test)) for count in labelled]


def run_gain(plan: GainPlan, emit: Emit, stop: ShouldStop) -> Path:
    """Run what is missing of a plan; return gain.csv, in which rows are saved as they come.

    Raises
    ------
    BadInput
        If the plan or one of its jobs cannot be done.
    JobFailed
        If anything else went wrong.
    """
    cohort = open_cohort(plan.cohort)
    subjects = tuple(dict.fromkeys(case.subject for case in cohort.labelled))
    trials = trials_of(subjects, plan.labelled, plan.test)
    path = plan.out / "gain.csv"
    rows = read_rows(path)
    done = {(row["trial"], row["arm"], row["seed"]) for row in rows}
    todo = [
        (trial, arm, seed)
        for trial in trials
        for seed in range(plan.seeds)
        for arm in (SCRATCH, PRETRAINED)
        if (trial.name, arm, str(seed)) not in done
    ]
    for number, (trial, arm, seed) in enumerate(todo, 1):
        if stop():
            break
        emit(Note(text=f"Fine-tuning {number} of {len(todo)}: {trial.name}, {arm}, seed {seed}."))
        jobs = jobs_of(plan, trial, arm, seed)
        if not all(train_arm(job, emit, stop) for job in jobs) or stop():
            break
        rows += _test(plan, jobs[-1], trial, arm, seed)
        write_rows(path, rows)
    return path


def jobs_of(
    plan: GainPlan, trial: Trial, arm: str, seed: int
) -> tuple[PretrainJob, FinetuneJob] | tuple[FinetuneJob]:
    """Return the trainings of one arm, the fine-tuning last.

    The pretraining is the same for all trials with the same test subjects.
    """
    runs = plan.out / "runs"
    pretrained = runs / f"pretraining-without-{'+'.join(trial.test)}"
    finetuning = FinetuneJob(
        cohort=plan.cohort,
        out=runs / f"{trial.name}-{arm}-{seed}",
        init=str(pretrained) if arm == PRETRAINED else None,
        train_on=list(trial.train),
        **{"seed": seed, **plan.finetune},
    )
    if arm == SCRATCH:
        return (finetuning,)
    settings = {"seed": 0, **plan.pretrain}
    scans, tested = list(plan.scans), list(trial.test)
    pretraining = PretrainJob(cohorts=scans, out=pretrained, leave_out=tested, **settings)
    return pretraining, finetuning


def _test(
    plan: GainPlan, job: FinetuneJob, trial: Trial, arm: str, seed: int
) -> list[dict[str, str]]:
    """Segment the test subjects; return rows of gain.csv: Dice in 3D over slices with labels."""
    from napari_ssl_muscle.learning.data.image_cache import read_channels
    from napari_ssl_muscle.learning.models.model_file import load_model
    from napari_ssl_muscle.learning.predict import segment_volume

    cohort = open_cohort(plan.cohort)
    table = choose_muscles(table_of(cohort), job.muscles)
    channels = choose_channels(cohort, job.channels)
    model = load_model(job.out)
    rows = []
    cases, _ = labelled_cases(cohort, channels, subjects=list(trial.test))
    for case in cases:
        assert case.labels is not None
        values = case.labels.read()
        seen = labelled_slices(values)
        geometry = case.scans[0].geometry
        found = segment_volume(
            model,
            read_channels(case),
            geometry.spacing,
            geometry=geometry,
            thread_count=job.threads,
        )
        predicted, reference = table.encode(found.labels)[seen], table.encode(values)[seen]
        dice = dice_per_class(predicted, reference, range(1, len(table.muscles) + 1))
        rows += [
            {
                "labelled": str(len(trial.train)),
                "trial": trial.name,
                "arm": arm,
                "seed": str(seed),
                "test_subject": case.subject,
                "muscle": name,
                "dice": "" if dice[index] is None else f"{dice[index]:.5f}",
                "model": str(job.out.relative_to(plan.out)),
            }
            for index, name in enumerate(table.names, 1)
        ]
    return rows


def mean_dice(rows: Sequence[dict[str, str]], arm: str) -> dict[str, list[float]]:
    """Return test subject → mean Dice over muscles for each fine-tuning of an arm."""
    dice: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        if row["arm"] == arm and row["dice"]:
            key = row["test_subject"], row["trial"], row["seed"]
            dice.setdefault(key, []).append(float(row["dice"]))
    means: dict[str, list[float]] = {}
    for (subject, _, _), values in sorted(dice.items()):
        means.setdefault(subject, []).append(fmean(values))
    return means


def summary(rows: Sequence[dict[str, str]]) -> str:
    """Return a table as text: per number of labelled subjects, both arms and their difference.

    The unit is the test subject, its seeds averaged; with two subjects an interval is wide.
    """
    lines = ["labelled  scratch  pretrained  difference (95 % t interval over test subjects)"]
    for count in sorted({row["labelled"] for row in rows}, key=int):
        part = [row for row in rows if row["labelled"] == count]
        first, second = mean_dice(part, SCRATCH), mean_dice(part, PRETRAINED)
        both = sorted(set(first) & set(second))
        if not both:
            continue
        first, second = ({name: dice[name] for name in both} for dice in (first, second))
        lines.append(
            f"{count:>8}  {_grand_mean(first):7.4f}  {_grand_mean(second):10.4f}  "
            + _difference(first, second)
        )
        lines += [
            f"          {name}: {_three_digits(first[name])} | {_three_digits(second[name])}"
            for name in both
        ]
    return "\n".join(lines)


def _grand_mean(values: dict[str, list[float]]) -> float:
    return fmean(fmean(each) for each in values.values())


def _difference(first: dict[str, list[float]], second: dict[str, list[float]]) -> str:
    if len(first) < 2:
        difference = _grand_mean(second) - _grand_mean(first)
        return f"{difference:+.4f} (one test subject: no interval)"
    interval = paired_difference(first, second)
    return f"{interval.mean:+.4f} ({interval.t[0]:+.4f} to {interval.t[1]:+.4f})"


def _three_digits(values: Sequence[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)
