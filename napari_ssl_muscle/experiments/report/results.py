"""The results of a study, read from its folder, and the questions that tables and figures ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Json

from napari_ssl_muscle.evaluation.dice import SliceCounts
from napari_ssl_muscle.evaluation.statistics import Score
from napari_ssl_muscle.experiments.published.files import (
    RUNS,
    read_choices,
    read_counts,
    read_dice,
    read_plan,
    read_trials,
)
from napari_ssl_muscle.experiments.published.plan import Experiment, Plan
from napari_ssl_muscle.experiments.published.trial import BASELINE

Part = Literal["validation", "test"]

BACKGROUND = "background"
"""What counts call the background."""


class TrialRow(BaseModel):
    """A row of `trials.csv` (`TRIAL_COLUMNS`), typed; None is an empty field."""

    model_config = ConfigDict(frozen=True)

    trial: str
    experiment: str
    arm: str
    cell: str = ""
    kind: str
    fold: str
    leaking: bool
    split_hash: str = ""
    seed: int
    labelled: int | None = None
    labelled_subjects: str = ""
    start: str = ""
    run: str
    settings: Json[dict[str, Any]] = {}
    steps: int | None = None
    best_step: int | None = None
    seconds: float | None = None
    device: str = ""
    threads: int | None = None
    parameters: int | None = None
    trainable: int | None = None
    validation_dice: float | None = None
    test_dice: float | None = None
    masked_error: float | None = None
    image_error: float | None = None
    constant_error: float | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> TrialRow:
        """Read a row."""
        return cls.model_validate({name: text for name, text in row.items() if text})


@dataclass(frozen=True, eq=False)
class Results:
    """Everything that the report is made of.

    Attributes
    ----------
    out
        The study's folder.
    plan
        What was asked.
    trials
        The trials that are finished, in the order of the plan.
    dice
        (trial, part) → subject → muscle → 3D Dice; None for a muscle that does not count.
    choices
        Rows of `choices.csv`.
    """

    out: Path
    plan: Plan
    trials: tuple[TrialRow, ...]
    dice: Mapping[tuple[str, str], Mapping[str, Mapping[str, float | None]]]
    choices: tuple[Mapping[str, str], ...]

    @cached_property
    def muscles(self) -> tuple[str, ...]:
        """The muscles, in the order of the classes."""
        return self.plan.cohort.muscles

    @cached_property
    def _by_run(self) -> dict[str, TrialRow]:
        return {trial.run: trial for trial in self.trials}

    def experiment(self, key: str) -> Experiment | None:
        """Return the experiment of that key, if it is in the plan."""
        return self.plan.experiment(key)

    def finetunings(
        self, experiment: str, arm: str | None = None, *, leaking: bool = False
    ) -> list[TrialRow]:
        """Return the finished fine-tunings of an experiment, all arms or one."""
        return [
            trial
            for trial in self.trials
            if trial.experiment == experiment
            and trial.kind == "finetune"
            and trial.leaking == leaking
            and arm in (None, trial.arm)
        ]

    def arms(self, experiment: str) -> list[str]:
        """Return the arms of an experiment, the baseline first, by how much is masked."""
        found = {trial.arm for trial in self.trials if trial.experiment == experiment}
        return sorted(found, key=lambda arm: (arm != BASELINE, _digits(arm)))

    def pretraining_of(self, trial: TrialRow) -> TrialRow | None:
        """Return the pretraining that a fine-tuning started from; None from scratch."""
        return self._by_run.get(trial.start)

    def scores(
        self, trials: Iterable[TrialRow], part: Part, muscle: str | None = None
    ) -> list[Score]:
        """Return the Dice of each trial on each subject: of one muscle, or the mean over them."""
        found = []
        for trial in trials:
            for subject, muscles in self.dice.get((trial.trial, part), {}).items():
                values = [muscles.get(muscle)] if muscle else list(muscles.values())
                counted = [value for value in values if value is not None]
                if counted:
                    found.append(Score(subject, trial.seed, fmean(counted)))
        return found

    def counts(self, trials: Iterable[TrialRow], part: Part) -> dict[int, dict[str, SliceCounts]]:
        """Return seed → subject → voxels per slice, over all folds of the trials."""
        found: dict[int, dict[str, SliceCounts]] = {}
        for trial in trials:
            rows = read_counts(self.out, trial.run, part)
            for subject, counts in slice_counts(rows, self.muscles).items():
                subjects = found.setdefault(trial.seed, {})
                there = subjects.get(subject)
                subjects[subject] = counts if there is None else there + counts
        return found

    def run_folder(self, trial: TrialRow) -> Path:
        """Return the folder of a trial's run."""
        return self.out / RUNS / trial.run


def read_results(out: Path) -> Results:
    """Read a study's folder.

    Raises
    ------
    BadInput
        If it holds no plan, or that of another program or a newer version.
    """
    plan = read_plan(out)
    dice: dict[tuple[str, str], dict[str, dict[str, float | None]]] = {}
    for row in read_dice(out):
        subjects = dice.setdefault((row["trial"], row["part"]), {})
        subjects.setdefault(row["subject"], {})[row["muscle"]] = _number(row["dice"])
    return Results(
        out=out,
        plan=plan,
        trials=tuple(TrialRow.from_row(row) for row in read_trials(out)),
        dice=dice,
        choices=tuple(read_choices(out)),
    )


def slice_counts(
    rows: Iterable[Mapping[str, str]], muscles: Iterable[str]
) -> dict[str, SliceCounts]:
    """Return subject → voxels per slice, from the rows of a `counts-*.csv`, background first."""
    names = (BACKGROUND, *muscles)
    place = {name: index for index, name in enumerate(names)}
    found: dict[str, dict[tuple[str, str], np.ndarray]] = {}
    for row in rows:
        slices = found.setdefault(row["subject"], {})
        array = slices.setdefault(
            (row["case"], row["slice"]), np.zeros((3, len(names)), dtype=np.int64)
        )
        values = int(row["both"]), int(row["predicted"]), int(row["reference"])
        array[:, place[row["muscle"]]] = values
    return {
        subject: SliceCounts(tuple(range(len(names))), *np.stack(list(slices.values()), axis=1))
        for subject, slices in found.items()
    }


def _number(text: str) -> float | None:
    return float(text) if text else None


def _digits(arm: str) -> list[float]:
    """Return the numbers in an arm's name, so that 5 % comes before 10 %."""
    parts = "".join(c if c.isdigit() or c == "." else " " for c in arm).split()
    return [float(part) for part in parts]
