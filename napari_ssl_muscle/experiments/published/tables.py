"""The tables of a study, made from the run folders of the trials that are done."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from napari_ssl_muscle.experiments.published.files import (
    CHOICE_COLUMNS,
    CHOICES,
    DICE,
    DICE_COLUMNS,
    RESULT,
    RUNS,
    TRIAL_COLUMNS,
    TRIALS,
    read_counts,
)
from napari_ssl_muscle.experiments.published.plan import Plan
from napari_ssl_muscle.experiments.published.schedule import UNSCORED, Choice
from napari_ssl_muscle.experiments.published.scoring import BACKGROUND
from napari_ssl_muscle.experiments.published.training import TEST, VALIDATION, parts_of
from napari_ssl_muscle.experiments.published.trial import Trial, cell_name
from napari_ssl_muscle.files import csv_text, write_text

Dice = dict[str, dict[str, float | None]]
"""Subject → muscle → 3D Dice; None for a muscle in neither prediction nor reference."""


class Tables:
    """Write the tables of a study; what a run says is read once.

    Parameters
    ----------
    plan, out
        The study and its folder.
    """

    def __init__(self, plan: Plan, out: Path) -> None:
        self._plan, self._out = plan, out
        self._dice: dict[tuple[str, str], tuple[Dice, dict[str, int]]] = {}
        self._runs: dict[str, dict[str, Any]] = {}

    def score(self, run: str) -> float:
        """Return the validation Dice of a run that is done; `UNSCORED` if there is none."""
        mean = mean_dice(self._dice_of(run, VALIDATION)[0])
        return UNSCORED if mean is None else mean

    def write(self, trials: Sequence[Trial], choices: Iterable[Choice]) -> None:
        """Write trials.csv, dice.csv and choices.csv of the trials that are done."""
        rows = [self._trial_row(trial) for trial in trials]
        write_text(self._out / TRIALS, csv_text(TRIAL_COLUMNS, rows))
        dice = [row for trial in trials for row in self._dice_rows(trial)]
        write_text(self._out / DICE, csv_text(DICE_COLUMNS, dice))
        chosen = [_choice_row(choice) for choice in choices]
        write_text(self._out / CHOICES, csv_text(CHOICE_COLUMNS, chosen))

    def _dice_of(self, run: str, part: str) -> tuple[Dice, dict[str, int]]:
        if (run, part) not in self._dice:
            self._dice[run, part] = dice_of_counts(read_counts(self._out, run, part))
        return self._dice[run, part]

    def _trial_row(self, trial: Trial) -> dict[str, Any]:
        fold = self._plan.fold(trial.fold)
        about = self._about(trial)
        scored = parts_of(trial)
        dice = {
            part: mean_dice(self._dice_of(trial.run, part)[0]) if part in scored else None
            for part in (VALIDATION, TEST)
        }
        return {
            "trial": trial.id,
            "experiment": trial.experiment,
            "arm": trial.arm,
            "cell": cell_name(trial.cell),
            "kind": trial.kind,
            "fold": trial.fold,
            "split": fold.unit,
            "leaking": int(fold.leaking),
            "split_hash": trial.fold_hash,
            "seed": trial.seed,
            "labelled": len(_labelled(trial, self._plan)) if trial.kind == "finetune" else None,
            "labelled_subjects": " ".join(_labelled(trial, self._plan)),
            "start": trial.start if trial.kind == "finetune" else None,
            "run": trial.run,
            "settings": json.dumps(trial.settings, sort_keys=True),
            **about,
            "validation_dice": dice[VALIDATION],
            "test_dice": dice[TEST],
        }

    def _dice_rows(self, trial: Trial) -> list[dict[str, Any]]:
        rows = []
        for part in parts_of(trial):
            dice, slices = self._dice_of(trial.run, part)
            rows += [
                {
                    "trial": trial.id,
                    "part": part,
                    "subject": subject,
                    "muscle": muscle,
                    "dice": value,
                    "slices": slices[subject],
                }
                for subject, muscles in dice.items()
                for muscle, value in muscles.items()
            ]
        return rows

    def _about(self, trial: Trial) -> dict[str, Any]:
        """Return the columns that a run's own files give."""
        if trial.run not in self._runs:
            text = (self._out / RUNS / trial.run / RESULT).read_text(encoding="utf-8")
            self._runs[trial.run] = json.loads(text)
        return self._runs[trial.run]


def _labelled(trial: Trial, plan: Plan) -> tuple[str, ...]:
    """Return the subjects whose labels train; of the split by slice, all."""
    if trial.kind == "pretrain":
        return ()
    if plan.fold(trial.fold).leaking:
        return plan.cohort.labelled_subjects
    return trial.labelled


def _choice_row(choice: Choice) -> dict[str, Any]:
    return {
        "experiment": choice.experiment,
        "arm": choice.arm,
        "fold": choice.fold,
        "cell": choice.cell,
        "validation_dice": None if choice.dice == UNSCORED else choice.dice,
        "seeds": choice.seeds,
        "rank": choice.rank,
        "chosen": int(choice.chosen),
    }


def dice_of_counts(rows: Iterable[Mapping[str, str]]) -> tuple[Dice, dict[str, int]]:
    """Return 3D Dice per subject and muscle from counts, and subject → slices scored.

    A subject's sessions are added up. Background is left out.
    """
    totals: dict[str, dict[str, list[int]]] = {}
    slices: dict[str, set[tuple[str, str]]] = {}
    for row in rows:
        slices.setdefault(row["subject"], set()).add((row["case"], row["slice"]))
        if row["muscle"] == BACKGROUND:
            continue
        total = totals.setdefault(row["subject"], {}).setdefault(row["muscle"], [0, 0])
        total[0] += int(row["both"])
        total[1] += int(row["predicted"]) + int(row["reference"])
    dice: Dice = {
        subject: {
            muscle: 2 * both / either if either else None
            for muscle, (both, either) in muscles.items()
        }
        for subject, muscles in totals.items()
    }
    return dice, {subject: len(found) for subject, found in slices.items()}


def mean_dice(dice: Dice) -> float | None:
    """Return the mean over subjects of the mean over muscles; None if nothing counts."""
    means = []
    for muscles in dice.values():
        counted = [value for value in muscles.values() if value is not None]
        if counted:
            means.append(fmean(counted))
    return fmean(means) if means else None
