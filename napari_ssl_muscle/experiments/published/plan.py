"""The plan of a repetition of the published study: experiments, folds, and what all share.

It is `plan.json` in the study's folder, written before the first training. Nothing here imports
torch.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from napari_ssl_muscle.experiments.published.trial import Value
from napari_ssl_muscle.scans.split import Split

FORMAT = 1

ExperimentsPreset = Literal["poster", "quick"]


class Experiment(BaseModel):
    """One question of the study, and the cells that answer it.

    Attributes
    ----------
    key
        "0" to "7"; "final" is the final table, "labelled" scratch against pretrained at few
        labelled subjects.
    name, question
        A heading, and a sentence.
    cells
        Settings that differ, each cell with the same names, in the order of the tables.
    varies
        Whose settings the cells are: "pretrain", "finetune" or "both".
    selects
        Whether the cell with the highest validation Dice is taken over by the experiments that
        follow (0 to 4), in each fold by its own validation data.
    tested
        Whether its trials are scored on the test set.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    name: str
    question: str
    cells: tuple[dict[str, Value], ...]
    varies: Literal["pretrain", "finetune", "both"] = "finetune"
    selects: bool = False
    tested: bool = False


class Fold(BaseModel):
    """Who trains, validates and tests.

    Attributes
    ----------
    name
        "subjects" (75, 12.5 and 12.5 % of the subjects, as published but by subject),
        "test-SUBJECT+SUBJECT" (fewer than 8 labelled subjects: each tests once), or "slices" (as
        published; leaking).
    unit
        What `train`, `validation` and `test` name: subjects, or slices as "case:z".
    train, validation, test
        The members. `validation` is empty where held-out slices of the training subjects validate.
    held_out
        Case → slices (canonical z, from 0) that validate, where no subject does.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    unit: Literal["subject", "slice"]
    train: tuple[str, ...]
    validation: tuple[str, ...] = ()
    test: tuple[str, ...]
    held_out: dict[str, tuple[int, ...]] = {}

    @property
    def leaking(self) -> bool:
        """Whether slices of one subject both train and test."""
        return self.unit == "slice"

    @cached_property
    def hash(self) -> str:
        """Hash of the split as in `split.json` and on model cards; with held-out slices its own."""
        if not self.held_out:
            return Split(self.unit, self.train, self.validation, self.test, 0, (1, 0, 0)).hash
        content = self.model_dump(mode="json", exclude={"name"})
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


class CohortSummary(BaseModel):
    """The cohort of a study, and what of it takes part.

    The folder is absolute here, and in `plan.json` as seen from the study's.
    """

    model_config = ConfigDict(frozen=True)

    folder: str
    labelled_subjects: tuple[str, ...]
    labelled_slices: int
    subjects: int
    """All subjects, with and without labels."""
    images: int
    slices: int
    """Slices of all images, from their headers."""
    rows: int
    columns: int
    """Of the largest image."""
    muscles: tuple[str, ...]
    channels: tuple[str, ...]
    labels_hash: str
    """Of names, sizes and labelled slices of the label maps: another one is another study."""


class Plan(BaseModel):
    """Everything in `plan.json`.

    Attributes
    ----------
    preset
        "quick" is a demonstration that is too short to conclude from.
    base
        Settings of jobs that every pretraining and every fine-tuning has unless a cell or the
        winner of an earlier experiment says otherwise.
    carried
        Arms besides the baseline that experiment 2 passes on whatever its outcome, as the study
        published them; empty: its best two in each fold.
    seeds
        Seeds of every training.
    labelled_counts
        Numbers of labelled subjects at which scratch and pretrained are compared.
    threads
        CPU threads of each training; another number changes the last bits of the weights.
    command
        The shell command that made (or last extended) the study, for its own folder.
    created
        Date, ISO.
    """

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    preset: ExperimentsPreset
    experiments: tuple[Experiment, ...]
    folds: tuple[Fold, ...]
    cohort: CohortSummary
    scans: tuple[str, ...] = ()
    base: dict[Literal["pretrain", "finetune"], dict[str, Any]]
    carried: tuple[str, ...] = ()
    seeds: tuple[int, ...]
    labelled_counts: tuple[int, ...] = ()
    threads: int
    device: str = "auto"
    versions: dict[str, str] = {}
    command: str = ""
    created: str = ""

    def experiment(self, key: str) -> Experiment | None:
        """Return the experiment of that key, if it takes part."""
        return next((found for found in self.experiments if found.key == key), None)

    def fold(self, name: str) -> Fold:
        """Return the fold of that name; a `KeyError` if there is none."""
        return {fold.name: fold for fold in self.folds}[name]
