"""Does pretraining help? The same fine-tunings from scratch and from pretrained weights.

Every trial names the subjects that train and those that test; every arm is run with the same
seeds, steps and settings, and differs in nothing but the weights that it starts from. Pretraining
never sees the images of a trial's test subjects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from textwrap import fill
from typing import Any

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.alignment import labelled_slices
from napari_ssl_muscle.evaluation.dice import dice_per_class
from napari_ssl_muscle.evaluation.statistics import (
    VERDICT_RULE,
    Score,
    compare_arms,
    mean_by_subject,
)
from napari_ssl_muscle.experiments.arms import read_rows, train_arm, write_rows
from napari_ssl_muscle.jobs.run_folder import ClaimedFolder
from napari_ssl_muscle.jobs.settings import FinetuneJob, PretrainJob
from napari_ssl_muscle.jobs.training_data.labelled import (
    choose_channels,
    choose_muscles,
    labelled_cases,
)
from napari_ssl_muscle.learning.events import Emit, Note, ShouldStop, emit_warnings
from napari_ssl_muscle.scans.cohort import open_cohort, table_of
from napari_ssl_muscle.scans.subjects import one_person
from napari_ssl_muscle.text_table import aligned, counted, number

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


def trials_of(
    subjects: Sequence[str],
    labelled: Sequence[int],
    test: Sequence[str],
    persons: Iterable[Sequence[str]] = (),
) -> list[Trial]:
    """Return the trials of a plan.

    Parameters
    ----------
    subjects
        The labelled ones.
    labelled, test
        As in `GainPlan`.
    persons
        Groups of subjects that are likely one person: none trains where another one tests.

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
    same = {name: set(group) for group in persons for name in group}
    if not test:
        others_of = {
            name: tuple(s for s in subjects if s not in same.get(name, {name})) for name in subjects
        }
        if not all(others_of.values()):
            raise BadInput("One labelled subject can train or test, not both; label a second one.")
        return [Trial((name,), others) for name, others in others_of.items()]
    tested = set().union(*(same.get(name, {name}) for name in test))
    others = [name for name in subjects if name not in tested]
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
    trials = trials_of(subjects, plan.labelled, plan.test, cohort.persons.values())
    emit_warnings(emit, one_person(cohort.persons.values(), plan.cohort))
    claimed = ClaimedFolder(plan.out)
    try:
        claimed.make()
        return _run_trials(plan, trials, emit, stop)
    finally:
        claimed.release()


def _run_trials(plan: GainPlan, trials: list[Trial], emit: Emit, stop: ShouldStop) -> Path:
    """Run those whose rows are not saved yet."""
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
    for index, (trial, arm, seed) in enumerate(todo, 1):
        if stop():
            break
        emit(Note(text=f"Fine-tuning {index} of {len(todo)}: {trial.name}, {arm}, seed {seed}."))
        jobs = jobs_of(plan, trial, arm, seed)
        if not all(train_arm(job, emit, stop) for job in jobs) or stop():
            break
        rows += score_arm(plan, jobs[-1], trial, arm, seed)
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


def score_arm(
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


def scores(rows: Sequence[Mapping[str, str]], arm: str, muscle: str | None = None) -> list[Score]:
    """Return the Dice of each fine-tuning of an arm: of one muscle, or the mean over muscles.

    A fine-tuning on a test subject is left out while the other arm lacks it.
    """
    dice: dict[str, dict[tuple[str, str, str], list[float]]] = {SCRATCH: {}, PRETRAINED: {}}
    for row in rows:
        if row["dice"] and muscle in (None, row["muscle"]):
            key = row["test_subject"], row["trial"], row["seed"]
            dice[row["arm"]].setdefault(key, []).append(float(row["dice"]))
    both = sorted(set(dice[SCRATCH]) & set(dice[PRETRAINED]))
    return [Score(key[0], int(key[2]), fmean(dice[arm][key])) for key in both]


def summary(rows: Sequence[dict[str, str]], width: int = 100) -> str:
    """Return tables as text: both arms, their difference and verdict, and Dice per muscle.

    The unit is the test subject, its seeds averaged; see `evaluation.statistics`. All numbers of
    labelled subjects are one family of tests.
    """
    counts = sorted({row["labelled"] for row in rows}, key=int)
    parts = {count: [row for row in rows if row["labelled"] == count] for count in counts}
    found = compare_arms(
        {count: (scores(part, SCRATCH), scores(part, PRETRAINED)) for count, part in parts.items()}
    )
    if not found:
        return "No fine-tuning is finished from scratch and from pretrained weights."
    head = [
        "labelled",
        SCRATCH,
        PRETRAINED,
        "difference",
        "95 % t interval",
        "seeds' SD",
        "verdict",
    ]
    lines = [
        [
            count,
            f"{fmean(entry.first.values()):.4f}",
            f"{fmean(entry.second.values()):.4f}",
            f"{entry.difference:+.4f}",
            entry.interval_text,
            " | ".join(number(value, 3) for value in entry.spread),
            entry.verdict,
        ]
        for count, entry in found.items()
    ]
    blocks = [
        "Dice on test subjects, their seeds averaged\n" + aligned([head, *lines], width),
        *(_subject_table(count, parts[count], width) for count in found),
        *(_muscle_table(count, parts[count], width) for count in found),
        fill(VERDICT_RULE, width),
    ]
    return "\n\n".join(blocks)


def _subject_table(count: str, rows: Sequence[Mapping[str, str]], width: int) -> str:
    """Return each test subject with the Dice of each fine-tuning."""
    arms = {arm: scores(rows, arm) for arm in (SCRATCH, PRETRAINED)}
    subjects = dict.fromkeys(score.subject for score in arms[SCRATCH])
    lines = []
    for name in subjects:
        of_arms = ([s.value for s in found if s.subject == name] for found in arms.values())
        lines.append([name, *(" ".join(f"{value:.3f}" for value in found) for found in of_arms)])
    title = f"{counted(int(count), 'labelled subject')}: each fine-tuning"
    return f"{title}\n{aligned([['test subject', *arms], *lines], width)}"


def _muscle_table(count: str, rows: Sequence[Mapping[str, str]], width: int) -> str:
    lines = []
    for muscle in dict.fromkeys(row["muscle"] for row in rows):
        means = [mean_by_subject(scores(rows, arm, muscle)) for arm in (SCRATCH, PRETRAINED)]
        lines.append([muscle, *(number(fmean(m.values()) if m else None, 3) for m in means)])
    title = f"{counted(int(count), 'labelled subject')}: Dice per muscle"
    return f"{title}\n{aligned([['muscle', SCRATCH, PRETRAINED], *lines], width)}"
