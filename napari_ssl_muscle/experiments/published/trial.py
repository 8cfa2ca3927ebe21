"""A trial: one training of the study, as data.

Two trials that train exactly the same share one run folder: the winner of an experiment is a cell
of the next one, too, and is not trained again. A run is named by the hash of everything that its
weights depend on, so a study that is continued, extended, or spread over several workers finds
what is done already.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Value = str | int | float | bool
"""Value of a setting that an experiment varies."""

SCRATCH = "scratch"
"""Start of a fine-tuning that has no pretrained weights."""

BASELINE = "baseline"
"""The arm without pretraining."""


class Trial(BaseModel):
    """One training of the study and what is scored after it.

    Attributes
    ----------
    experiment
        Key of its `Experiment`: "0" to "7", "final", "labelled".
    arm
        What it starts from: "baseline" (from scratch), or the masking of its pretraining,
        "mask10-k16" (10 % in squares of 16 pixels). A column of the final table.
    cell
        The settings in which the trials of an experiment differ, by the names of
        `learning.settings`: {"lr": 1e-05, "optimizer": "adam"}. Empty in the final table.
    kind
        A pretraining has no Dice of its own; fine-tunings name it in `start`. It is listed once in
        a fold, where it is needed first.
    fold
        Name of its `Fold`, which says who trains, validates and tests.
    labelled
        The labelled subjects that it may learn from; of the fold's training subjects. Empty in a
        pretraining, which looks at no label.
    seed
        Of the training. The split does not depend on it.
    settings
        Fields of its job besides folders and subjects (`FinetuneJob`, `PretrainJob`).
    cohorts
        Folders beside the cohort whose scans a pretraining learns from.
    start
        "scratch", or the run of the pretraining that a fine-tuning starts from.
    fold_hash
        Hash of the fold.
    tested
        Whether the test set is scored: only where nothing is chosen by it any more.
    """

    model_config = ConfigDict(frozen=True)

    experiment: str
    arm: str
    cell: dict[str, Value]
    kind: Literal["pretrain", "finetune"]
    fold: str
    labelled: tuple[str, ...] = ()
    seed: int
    settings: dict[str, Any]
    cohorts: tuple[str, ...] = ()
    start: str = SCRATCH
    fold_hash: str
    tested: bool = False

    @property
    def id(self) -> str:
        """What the trial is called in the tables; unique in a study."""
        parts = [self.experiment, self.kind, self.arm, cell_name(self.cell), self.fold]
        if self.experiment == "labelled":
            parts.append(f"{len(self.labelled)} labelled")
        return "/".join([*(part for part in parts if part), f"seed {self.seed}"])

    @property
    def run(self) -> str:
        """Name of its run folder in `runs/`, by everything that the weights depend on."""
        content = [
            self.kind,
            self.settings,
            self.fold_hash,
            sorted(self.labelled),
            self.seed,
            self.start,
            list(self.cohorts),
        ]
        text = json.dumps(content, sort_keys=True, default=str)
        return f"{self.kind}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def cell_name(cell: Mapping[str, Value]) -> str:
    """Return a cell as one word for each setting: "lr=1e-05 optimizer=adam"."""
    return " ".join(f"{name}={value}" for name, value in cell.items())


def arm_name(mask_percent: float, kernel_size: int) -> str:
    """Return the arm of a masking: "mask10-k16"."""
    return f"mask{mask_percent:g}-k{kernel_size}"


def arm_title(arm: str) -> str:
    """Return an arm as a heading: "Baseline", "10 %, K 16"."""
    if arm == BASELINE:
        return "Baseline"
    percent, _, kernel = arm.removeprefix("mask").partition("-k")
    return f"{percent} %, K {kernel}" if kernel else arm
