"""A study on disk in the format of `experiments.published.files`, with made-up figures."""

import json
from pathlib import Path

import numpy as np

from napari_ssl_muscle.experiments.published.files import (
    CHOICE_COLUMNS,
    CHOICES,
    COUNT_COLUMNS,
    COUNTS,
    DICE,
    DICE_COLUMNS,
    EXAMPLES,
    PLAN,
    RUNS,
    TRIAL_COLUMNS,
    TRIALS,
)
from napari_ssl_muscle.experiments.published.plan import CohortSummary, Experiment, Fold, Plan
from napari_ssl_muscle.experiments.published.trial import Trial, cell_name
from napari_ssl_muscle.files import csv_text, write_json, write_text

MUSCLES = ("vastus lateralis", "rectus <femoris>")
SUBJECTS = ("ann", "ben", "cem")
ARMS = {"baseline": 0.5, "mask10-k16": 0.6, "mask50-k16": 0.5}
"""Arm → its Dice, before subjects and seeds differ."""


def make_plan(keys, seeds, preset="quick", **changes):
    """A plan with some experiments, in which each subject tests once."""
    grids = {
        "0": [{"lr": 0.006}, {"lr": 0.002}],
        "1": [{"lr": 0.006}, {"lr": 0.002}],
        "2": [{"mask_percent": p, "kernel_size": k} for p in (10, 50) for k in (16, 8)],
        "3": [{"freeze": mode} for mode in ("none", "encoder", "decoder", "both")],
        "4": [{"lr": 0.006}, {"lr": 0.002}],
        "6": [{"corruption": "squares"}, {"corruption": "noise"}],
    }
    folds = [
        Fold(
            name=f"test-{tested}",
            unit="subject",
            train=tuple(s for s in SUBJECTS if s != tested),
            test=(tested,),
            held_out={s: (1,) for s in SUBJECTS if s != tested},
        )
        for tested in SUBJECTS
    ]
    folds.append(
        Fold(name="slices", unit="slice", train=("ann:0",), validation=("ben:1",), test=("cem:2",))
    )
    values = {
        "preset": preset,
        "experiments": [
            Experiment(
                key=key,
                name=f"Name of {key}",
                question=f"Question of {key}?",
                cells=tuple(grids.get(key, [{}])),
                varies="pretrain" if key in ("1", "2", "6") else "finetune",
                selects=key in "01234",
                tested=key in ("final", "labelled", "5", "6", "7"),
            )
            for key in keys
        ],
        "folds": folds,
        "cohort": CohortSummary(
            folder=str(Path.home() / "scans" / "thighs"),
            labelled_subjects=SUBJECTS,
            labelled_slices=9,
            subjects=4,
            images=4,
            slices=12,
            rows=24,
            columns=32,
            muscles=MUSCLES,
            channels=("T1",),
            labels_hash="0123456789ab",
        ),
        "base": {"pretrain": {}, "finetune": {}},
        "seeds": seeds,
        "labelled_counts": (1, 2),
        "threads": 1,
        "versions": {"python": "3.11"},
        "command": f"ssl-muscle experiments {Path.home() / 'scans/thighs'} --out /home/jane/out",
        "created": "2026-01-02",
    }
    return Plan(**{**values, **changes})


class Study:
    """Made-up trials of a plan; `write` puts them into a folder."""

    def __init__(self, plan, pictures=False):
        self.plan, self.pictures = plan, pictures
        self.trials, self.dice, self.counts, self.choices = [], [], {}, []
        self._pretrained = {}

    def add_all(self):
        """Add the trials of all experiments, as a whole study has them."""
        for experiment in self.plan.experiments:
            for fold in self.plan.folds:
                if fold.leaking and experiment.key != "final":
                    continue
                for number, cell in enumerate(experiment.cells):
                    self._add_cell(experiment, fold, number, cell)
                if experiment.selects:
                    self._choose(experiment, fold)
        return self

    def _add_cell(self, experiment, fold, number, cell):
        arms = ARMS
        if experiment.key == "0":
            arms = ["baseline"]
        elif experiment.key in ("1", "6"):
            arms = ["mask10-k16"]
        elif experiment.key == "2":
            arms = [f"mask{cell['mask_percent']}-k{cell['kernel_size']}"]
        elif experiment.key == "3":
            arms = ["mask10-k16", "mask50-k16"]
        elif experiment.key == "labelled":
            arms = ["baseline", "mask10-k16"]
        counts = self.plan.labelled_counts if experiment.key == "labelled" else (len(fold.train),)
        for arm in arms:
            for seed in self.plan.seeds:
                for count in counts:
                    level = ARMS.get(arm, 0.5) - 0.05 * number
                    if experiment.key == "labelled":
                        level += 0.03 * (count - 2)
                    self.add(experiment, fold, arm, cell, seed, count, level)
        if experiment.key == "6" and number == 0:
            for seed in self.plan.seeds:
                self.add(experiment, fold, "baseline", {}, seed, 2, 0.5)

    def add(self, experiment, fold, arm, cell, seed, count, level):
        """Add a fine-tuning, after its pretraining if its arm has one."""
        common = {
            "experiment": experiment.key,
            "arm": arm,
            "cell": cell,
            "fold": fold.name,
            "seed": seed,
            "fold_hash": fold.hash,
        }
        start = "scratch"
        if arm != "baseline":
            pretraining = Trial(**common, kind="pretrain", settings={"arm": arm})
            start = pretraining.run
            if start not in self._pretrained:
                self._pretrained[start] = pretraining
                self._row(pretraining, fold, masked_error=0.4, image_error=0.1, constant_error=1.0)
        trial = Trial(
            **common,
            kind="finetune",
            labelled=fold.train[:count],
            settings={"level": level, "arm": arm},
            start=start,
            tested=experiment.tested,
        )
        parts = {} if experiment.key == "labelled" else {"validation": level + 0.1}
        if experiment.tested:
            parts["test"] = level
        means = {}
        for part, value in parts.items():
            subjects = fold.test if part == "test" else ("ben",)
            if fold.leaking:
                subjects = ("cem",)
            scored = [self._score(trial, part, subject, value) for subject in subjects]
            means[f"{part}_dice"] = float(np.mean(scored))
        self._row(trial, fold, labelled=count, trainable=900, parameters=1000, **means)

    def _score(self, trial, part, subject, level):
        """Add counts of three slices with about that Dice; return the mean over muscles."""
        shift = 10 * SUBJECTS.index(subject) + 3 * trial.seed
        rows, dice = self.counts.setdefault((trial.run, part), []), []
        for index, muscle in enumerate(("background", *MUSCLES)):
            both = round(100 * level) + shift if index else 900
            reference = 100 + shift if index else 1000
            rows += [
                dict(
                    zip(
                        COUNT_COLUMNS,
                        (subject, subject, z, muscle, both, reference, reference),
                        strict=True,
                    )
                )
                for z in range(3)
            ]
            if index:
                dice.append(both / reference)
                row = (trial.id, part, subject, muscle, both / reference, 3)
                self.dice.append(dict(zip(DICE_COLUMNS, row, strict=True)))
        return float(np.mean(dice))

    def _row(self, trial, fold, **figures):
        row = dict.fromkeys(TRIAL_COLUMNS) | {
            "trial": trial.id,
            "experiment": trial.experiment,
            "arm": trial.arm,
            "cell": cell_name(trial.cell),
            "kind": trial.kind,
            "fold": fold.name,
            "split": fold.unit,
            "leaking": int(fold.leaking),
            "split_hash": fold.hash,
            "seed": trial.seed,
            "labelled_subjects": " ".join(trial.labelled),
            "start": trial.start if trial.kind == "finetune" else None,
            "run": trial.run,
            "settings": json.dumps(trial.settings),
            "steps": 60,
            "seconds": 30.0,
            "device": "CPU",
            "threads": 1,
        }
        self.trials.append(row | figures)

    def _choose(self, experiment, fold):
        arms = ["pretrained"] if experiment.key in "12" else ["baseline"]
        if experiment.key in "34":
            arms = list(ARMS)[1 if experiment.key == "3" else 0 :]
        for arm in arms:
            for rank, cell in enumerate(experiment.cells, 1):
                chosen = rank <= (2 if experiment.key == "2" else 1)
                # In one fold another cell is better.
                if fold.name == "test-cem" and experiment.key == "0":
                    chosen = rank == 2
                seeds = len(self.plan.seeds)
                row = experiment.key, arm, fold.name, cell_name(cell), 0.5, seeds, rank, int(chosen)
                self.choices.append(dict(zip(CHOICE_COLUMNS, row, strict=True)))

    def write(self, out):
        """Write everything into the study's folder; return it."""
        write_json(out / PLAN, self.plan.model_dump(mode="json"))
        for name, columns, rows in (
            (TRIALS, TRIAL_COLUMNS, self.trials),
            (DICE, DICE_COLUMNS, self.dice),
            (CHOICES, CHOICE_COLUMNS, self.choices),
        ):
            write_text(out / name, csv_text(columns, rows))
        for (run, part), rows in self.counts.items():
            path = out / RUNS / run / COUNTS.format(part=part)
            write_text(path, csv_text(COUNT_COLUMNS, rows))
        for row in self.trials:
            if row["experiment"] == "final" or row["kind"] == "pretrain":
                self._write_run(out / RUNS / row["run"], row)
        return out

    def _write_run(self, run, row):
        run.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(row["seed"])
        steps = range(10, 70, 10)
        metric = "masked_error" if row["kind"] == "pretrain" else "dice"
        lines = [
            {
                "step": step,
                "epoch": step // 10,
                "best": 0,
                "train_loss": str(2 / step + 0.01 * rng.random()),
                # Not validated in every epoch.
                metric: str(step / 100) if step % 20 else None,
            }
            | ({} if row["kind"] == "pretrain" else {"validation_loss": str(1 + rng.random())})
            for step in steps
        ]
        write_text(run / "metrics.csv", csv_text(list(lines[0]), lines))
        if not self.pictures:
            return
        image = np.indices((24, 32)).sum(0).astype(np.float32)
        if row["kind"] == "pretrain":
            stack = np.stack([image, image + rng.normal(0, 3, image.shape)]).astype(np.float32)
            arrays = {"original": stack, "masked": stack.clip(10), "reconstruction": stack[::-1]}
            np.savez(run / "probes.npz", **arrays)
        else:
            labels = np.zeros((24, 32), np.uint8)
            labels[4:10, 4:12], labels[12:20, 14:28] = 1, 2
            fold = self.plan.fold(row["fold"])
            np.savez(
                run / EXAMPLES.format(part="test"),
                subjects=np.array(fold.test[:1]),
                spacing=np.array([[2.0, 1.0]]),
                image_0=image,
                reference_0=labels,
                predicted_0=np.roll(labels, 2, 0),
            )
