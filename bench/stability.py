"""How far the seeds of one recipe lie apart: the same training with many seeds, each tested.

Usage: bench/stability.py COHORT OUT [option ...]      --help lists the options

Rows are saved as they come in OUT/stability.csv, and the same command goes on where it was stopped.
Trainings are of one thread; their time is that of the processor, which does not count what else the
machine was doing. A training that was continued has none.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from napari_ssl_muscle.experiments.arms import is_finished, read_rows, train_arm, write_rows
from napari_ssl_muscle.experiments.pretraining_gain import (
    SCRATCH,
    GainPlan,
    Trial,
    jobs_of,
    score_arm,
    trials_of,
)
from napari_ssl_muscle.jobs.run_folder import CHECKPOINT
from napari_ssl_muscle.learning.events import ignore_event, never_stop
from napari_ssl_muscle.scans.cohort import open_cohort

LOST = 0.3
"""Dice under which a muscle counts as lost."""

Rows = list[dict[str, str]]


def main(arguments: Sequence[str]) -> None:
    """Train and test what is missing; print the table after each training."""
    asked = options(arguments)
    cohort = open_cohort(asked.cohort)
    subjects = list(dict.fromkeys(case.subject for case in cohort.labelled))
    trials = trials_of(subjects, asked.labelled or [1], asked.test or [])
    plan = plan_of(asked)
    path = asked.out / "stability.csv"
    rows = read_rows(path)
    for seed in asked.seeds:
        for trial in trials:
            if any(row["trial"] == trial.name and row["seed"] == str(seed) for row in rows):
                continue
            rows += train_and_test(plan, trial, seed)
            write_rows(path, rows)
            print(f"\n{table(rows)}", flush=True)
    print(f"\n{table(rows)}\n{path}")


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cohort", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--labelled", type=int, action="append", help="labelled subjects; repeat")
    parser.add_argument("--test", action="append", help="subject that tests; repeat")
    parser.add_argument("--seeds", type=seeds_of, default=range(10), help="0-9, or 3-4")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--warmup", type=float, help="in place of the preset's")
    parser.add_argument("--balance", type=float, help="in place of the preset's")
    parser.add_argument("--channel", help="channel to learn from")
    return parser.parse_args(arguments)


def seeds_of(text: str) -> range:
    """Read "0-9", both included, or a single seed."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def plan_of(asked: argparse.Namespace) -> GainPlan:
    """Return the plan whose arm from scratch is trained."""
    settings = {
        "preset": asked.preset,
        "steps": asked.steps,
        "warmup": asked.warmup,
        "balance": asked.balance,
        "channels": [asked.channel] if asked.channel else None,
        # Nothing but the labelled slices decides: no validation, the last weights are kept.
        "split": "none",
        "threads": 1,
        "device": "cpu",
    }
    return GainPlan(cohort=asked.cohort, scans=(), out=asked.out, finetune=settings)


def train_and_test(plan: GainPlan, trial: Trial, seed: int) -> Rows:
    """Train from scratch, test, and return rows with the processor's and the clock's seconds."""
    job = jobs_of(plan, trial, SCRATCH, seed)[-1]
    whole = not (job.out / CHECKPOINT).is_file() and not is_finished(job.out)
    processor, clock = time.process_time(), time.monotonic()
    train_arm(job, ignore_event, never_stop)
    spent = {
        "cpu_seconds": f"{time.process_time() - processor:.0f}" if whole else "",
        "wall_seconds": f"{time.monotonic() - clock:.0f}" if whole else "",
    }
    return [{**row, **spent} for row in score_arm(plan, job, trial, SCRATCH, seed)]


def table(rows: Rows) -> str:
    """Return mean and spread over seeds of the mean Dice, the worst muscle, and the time."""
    lines = ["trained on: mean Dice over seeds, their SD and range; lowest muscle; CPU seconds"]
    for name in dict.fromkeys(row["trial"] for row in rows):
        part = [row for row in rows if row["trial"] == name]
        means = [_mean(part, seed) for seed in dict.fromkeys(row["seed"] for row in part)]
        low = min((row for row in part if row["dice"]), key=lambda row: float(row["dice"]))
        lost = {
            (row["seed"], row["muscle"])
            for row in part
            if row["dice"] and float(row["dice"]) < LOST
        }
        seconds = [float(row["cpu_seconds"]) for row in part if row["cpu_seconds"]]
        lines += [
            f"{name}: {fmean(means):.3f}, SD {stdev(means) if len(means) > 1 else 0:.3f}, "
            f"{min(means):.3f} to {max(means):.3f} ({len(means)} seeds); "
            f"{low['muscle']} {float(low['dice']):.3f} (seed {low['seed']}), "
            f"{len(lost)} lost; " + (f"{max(seconds):.0f} s at most" if seconds else "no time"),
            "    " + " ".join(f"{mean:.3f}" for mean in means),
        ]
    return "\n".join(lines)


def _mean(rows: Rows, seed: str) -> float:
    return fmean(float(row["dice"]) for row in rows if row["seed"] == seed and row["dice"])


if __name__ == "__main__":
    main(sys.argv[1:])
