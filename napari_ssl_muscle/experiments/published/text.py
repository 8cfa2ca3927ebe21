"""A study as text: its trials, how long they will take on this device, and the final table."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from napari_ssl_muscle.experiments.published.plan import Plan
from napari_ssl_muscle.experiments.published.training import job_of
from napari_ssl_muscle.experiments.published.trial import SCRATCH, Trial, arm_title, cell_name
from napari_ssl_muscle.jobs.recipe import recipe_of
from napari_ssl_muscle.jobs.settings import FinetuneJob
from napari_ssl_muscle.jobs.text import format_duration
from napari_ssl_muscle.learning.network.flops import FROZEN, flops_of
from napari_ssl_muscle.learning.settings import Recipe
from napari_ssl_muscle.learning.training.time_estimate import DEFAULT_EPOCHS
from napari_ssl_muscle.text_table import aligned, counted, number

_OVERHEAD = 1.3
"""Validations, checkpoints, reading and scoring beside the steps."""

_LEAST = 3.0
"""Seconds that a trial takes beside its steps: reading scans, scoring."""


def format_plan(plan: Plan, trials: Sequence[Trial], missing: Sequence[Trial], workers: int) -> str:
    """Return the list of trials and the time that those not done yet will take.

    Which settings are carried on is known only as the study goes; the list takes the first of
    each grid where nothing is known yet, and the number of trainings hardly depends on that.

    Parameters
    ----------
    plan
        The study.
    trials
        Its distinct trials.
    missing
        Those that are not done.
    workers
        How many run at the same time.
    """
    lines = []
    left = {trial.id for trial in missing}
    for experiment in plan.experiments:
        its = [trial for trial in trials if trial.experiment == experiment.key]
        number = f"{experiment.key}. " if experiment.key.isdecimal() else ""
        lines += ["", f"{number}{experiment.name}: {counted(len(its), 'trial')}"]
        lines += [f"  {'' if trial.id in left else 'done: '}{_line(trial)}" for trial in its]
    rate, device = _seconds_per_gflop(plan)
    # Where a run has been trained for another trial, only its scoring is left.
    trained = {trial.run for trial in trials if trial.id not in left}
    seconds = 0.0
    for trial in missing:
        seconds += _LEAST + (0 if trial.run in trained else _training_seconds(trial, plan, rate))
        trained.add(trial.run)
    seconds /= workers
    at_once = f", {workers} at a time" if workers > 1 else ""
    lines += [
        "",
        f"{counted(len(trials), 'trial')}, {len(trials) - len(missing)} done. The others take "
        f"about {format_duration(seconds)} on this {device}{at_once} (measured: one step).",
    ]
    return "\n".join(lines).lstrip("\n")


def format_final(rows: Sequence[Mapping[str, str]]) -> str:
    """Return the final table of `trials.csv`: 3D Dice of each arm; empty before it is there.

    Folds and seeds are averaged; trials of the split by slice are left out.
    """
    final = [row for row in rows if row["experiment"] == "final" and row["leaking"] == "0"]
    scored = [row for row in final if row["kind"] == "finetune"]
    arms = list(dict.fromkeys(row["arm"] for row in scored))
    if not arms:
        return ""
    table = [["Dice (3D, per subject)", *(arm_title(arm) for arm in arms)]]
    for part in ("validation", "test"):
        values = [
            [float(dice) for row in scored if row["arm"] == arm and (dice := row[f"{part}_dice"])]
            for arm in arms
        ]
        table.append([part, *(number(fmean(each) if each else None, 3) for each in values)])
    return aligned(table)


def _line(trial: Trial) -> str:
    start = "" if trial.kind == "pretrain" or trial.start == SCRATCH else "pretrained"
    what = {"pretrain": "pretrain", "finetune": "fine-tune"}[trial.kind]
    parts = [what, arm_title(trial.arm), cell_name(trial.cell), trial.fold]
    if trial.experiment == "labelled" and trial.kind == "finetune":
        parts.append(f"{len(trial.labelled)} labelled")
    parts += [start, f"seed {trial.seed}", "tested" if trial.tested else ""]
    return ", ".join(part for part in parts if part)


def _training_seconds(trial: Trial, plan: Plan, rate: float) -> float:
    job = job_of(trial, plan, Path())
    recipe = recipe_of(job)
    training = recipe.training
    steps = training.steps
    if steps is None:
        images = _images(trial, plan) * (2 if recipe.slices.crop == "leg" else 1)
        steps = (training.epochs or DEFAULT_EPOCHS) * -(-images // training.batch)
    freeze = job.freeze if isinstance(job, FinetuneJob) else "none"
    work = _flops(recipe, plan, FROZEN[freeze])
    return _OVERHEAD * steps * training.batch * work * rate


def _images(trial: Trial, plan: Plan) -> int:
    """Return about how many slices a trial trains on."""
    fold = plan.fold(trial.fold)
    total = len(fold.train) + len(fold.validation) + len(fold.test)
    if trial.kind == "pretrain":
        return max(1, plan.cohort.slices * (total - len(fold.test)) // total)
    count = len(fold.train) if fold.leaking else len(trial.labelled)
    return max(1, plan.cohort.labelled_slices * count // total)


def _size(recipe: Recipe, plan: Plan) -> tuple[int, int]:
    size = recipe.slices.size
    multiple = 2**recipe.network.depth
    rows, columns = (size, size) if size else (plan.cohort.rows, plan.cohort.columns)
    return -(-rows // multiple) * multiple, -(-columns // multiple) * multiple


def _flops(recipe: Recipe, plan: Plan, frozen: frozenset[str] = frozenset()) -> float:
    rows, columns = _size(recipe, plan)
    classes = len(plan.cohort.muscles) + 1
    channels = len(plan.cohort.channels)
    return flops_of(recipe.network, rows, columns, channels, classes).training(frozen)


def _seconds_per_gflop(plan: Plan) -> tuple[float, str]:
    """Time a step of the plan's network on random numbers; return that and the device."""
    import torch

    from napari_ssl_muscle.learning.network.unet import UNet
    from napari_ssl_muscle.learning.training.device import choose_device, describe, threads

    job = FinetuneJob(cohort=Path(), out=Path(), preset=plan.preset, **dict(plan.base["finetune"]))
    recipe = recipe_of(job)
    device = choose_device(plan.device)
    channels, classes = len(plan.cohort.channels), len(plan.cohort.muscles) + 1
    with threads(plan.threads):
        net = UNet.from_settings(recipe.network, channels, classes).to(device)
        images = torch.randn(2, channels, *_size(recipe, plan), device=device)
        seconds = []
        for _ in range(3):  # the first one is slower
            began = time.perf_counter()
            net(images).square().mean().backward()
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - began)
        name = describe(device)
    return min(seconds[1:]) / 2 / _flops(recipe, plan), name
