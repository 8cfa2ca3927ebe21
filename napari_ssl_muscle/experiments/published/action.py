"""Repeat the published study: check the request, plan, run the trials, write the report."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.provenance import versions
from napari_ssl_muscle.experiments.published.cohort import (
    LabelledCohort,
    folds_of,
    open_labelled,
    summary_of,
)
from napari_ssl_muscle.experiments.published.files import (
    CHOICES,
    DICE,
    PLAN,
    TRIALS,
    read_plan,
    read_trials,
    seen_from,
    write_plan,
)
from napari_ssl_muscle.experiments.published.plan import Experiment, Plan
from napari_ssl_muscle.experiments.published.presets import (
    PRESETS,
    defaults_of_varied,
    experiments_of,
)
from napari_ssl_muscle.experiments.published.runner import remaining_trials, run_plan
from napari_ssl_muscle.experiments.published.text import format_final, format_plan
from napari_ssl_muscle.experiments.published.training import write_splits
from napari_ssl_muscle.experiments.published.workers.choice import choose_workers
from napari_ssl_muscle.experiments.report import write_report
from napari_ssl_muscle.files import is_empty
from napari_ssl_muscle.jobs.cli_options import shell_command
from napari_ssl_muscle.jobs.job import Job
from napari_ssl_muscle.jobs.run import Outcome, PreparedJob
from napari_ssl_muscle.jobs.run_folder import check_writable
from napari_ssl_muscle.jobs.settings import ExperimentsJob, FinetuneJob, PretrainJob
from napari_ssl_muscle.learning.events import Emit, ShouldStop, Started, emit_warnings
from napari_ssl_muscle.learning.settings import preset
from napari_ssl_muscle.scans.cohort import open_cohort

_SETTINGS = ("steps", "epochs", "width", "depth", "size", "spacing", "device")
"""Overrides that every training of the study gets."""


def prepare(job: ExperimentsJob) -> PreparedJob:
    """Check the request and make the plan, or compare it with the one in the folder.

    Raises
    ------
    BadInput
        If an experiment is unknown, a grid is empty, there are too few subjects, the folder holds
        something else, or the workers cannot be used.
    """
    check_writable(job.out)
    before = _plan_in(job.out)
    scans = [folder.absolute() for folder in job.scans or ()]
    experiments = experiments_of(job.preset, job.experiment, job.only, scans)
    workers = choose_workers(job)
    for folder in scans:
        open_cohort(folder)
    if not job.dry_run:
        workers.check()
    found = open_labelled(job)
    plan = plan_of(job, found, experiments)
    if before is not None:
        plan = continued(before, plan, job.out)

    def work(emit: Emit, stop: ShouldStop) -> Outcome:
        emit_warnings(emit, found.warnings)
        if job.dry_run:
            trials, missing = remaining_trials(plan, job.out)
            return Outcome({"text": format_plan(plan, trials, missing, workers.count)})
        return _run(job, plan, emit, stop)

    return work


def _run(job: ExperimentsJob, plan: Plan, emit: Emit, stop: ShouldStop) -> Outcome:
    write_plan(plan, job.out)
    write_splits(plan, job.out)
    with choose_workers(job).open(plan, job.out) as workers:
        emit(Started(action="experiments", device=workers.describe()))
        finished = run_plan(plan, job.out, workers, emit, stop)
    files = [write_report(job.out), *(job.out / name for name in (TRIALS, CHOICES, DICE))]
    result = {
        "text": format_final(read_trials(job.out)),
        "files": [str(path) for path in files],
        "report": str(files[0]),
        "out": str(job.out),
    }
    return Outcome(result, stopped=not finished)


def plan_of(job: ExperimentsJob, found: LabelledCohort, experiments: Sequence[Experiment]) -> Plan:
    """Return the plan that a job asks for.

    Raises
    ------
    BadInput
        If there are too few labelled subjects or slices.
    """
    chosen = PRESETS[job.preset]
    folds = folds_of(found, by_subject=chosen.by_subject, most=chosen.folds)
    given = {name: value for name in _SETTINGS if (value := getattr(job, name)) is not None}
    if job.steps is not None and job.epochs is not None:
        raise BadInput("--steps and --epochs both say how long to train; give one of them.")
    defaults = defaults_of_varied(job.preset, preset(job.preset))
    common = {**defaults, **chosen.base, **given, "threads": job.threads}
    if job.epochs is not None:
        common.pop("steps", None)
    lengths = {} if job.pretrain_steps is None else {"steps": job.pretrain_steps, "epochs": None}
    base = {
        "pretrain": _fields_of(PretrainJob, {**common, **lengths}),
        "finetune": _fields_of(FinetuneJob, common),
    }
    return Plan(
        preset=job.preset,
        experiments=tuple(experiments),
        folds=folds,
        cohort=summary_of(found),
        scans=tuple(os.path.normpath(folder.absolute()) for folder in job.scans or ()),
        base=base,
        carried=chosen.carried,
        seeds=tuple(range(job.seeds or chosen.seeds)),
        labelled_counts=_labelled_counts(job, min(_training_counts(folds)), chosen.labelled),
        threads=job.threads,
        device=job.device or "auto",
        versions=versions(),
        command=shell_command(_seen_from_out(job)),
        created=datetime.date.today().isoformat(),
    )


def _seen_from_out(job: ExperimentsJob) -> ExperimentsJob:
    """Return the job as one would write it in the study's folder."""
    scans = [Path(seen_from(job.out, folder)) for folder in job.scans or ()]
    cohort = Path(seen_from(job.out, job.cohort))
    return job.model_copy(update={"cohort": cohort, "out": Path(), "scans": scans or None})


def _fields_of(kind: type[Job], settings: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in settings.items()
        if name in kind.model_fields and value is not None
    }


def _training_counts(folds: Sequence[Any]) -> list[int]:
    return [len(fold.train) for fold in folds if not fold.leaking]


def _labelled_counts(job: ExperimentsJob, most: int, proposed: int | None) -> tuple[int, ...]:
    """Return the numbers of labelled subjects: those asked for, or 1, 2, 4, … as far as there are.

    Unless asked for, none is above `proposed`.
    """
    if job.labelled is None:
        most = most if proposed is None else min(most, proposed)
        return tuple(2**k for k in range(most.bit_length()) if 2**k <= most)
    wrong = [count for count in job.labelled if not 1 <= count <= most]
    if wrong:
        raise BadInput(
            f"Scratch and pretrained cannot be compared at {wrong[0]} labelled subjects; "
            f"1 to {most} train beside those that test."
        )
    return tuple(sorted(set(job.labelled)))


def _plan_in(out: Path) -> Plan | None:
    """Return the plan of the folder; None for a new one; refuse a folder of something else."""
    if not out.is_dir() or is_empty(out):
        return None
    if not (out / PLAN).is_file():
        raise BadInput(
            f"{out} holds other files and no {PLAN} of experiments; choose an empty --out."
        )
    return read_plan(out)


_COMPARED = {
    "preset": "preset",
    "cohort": "cohort",
    "folds": "split",
    "base": "settings",
    "scans": "--scans",
    "seeds": "number of --seeds",
    "labelled_counts": "--labelled",
    "carried": "maskings",
}
"""Fields of a plan that cannot change, and what the user calls them."""


def continued(before: Plan, now: Plan, out: Path) -> Plan:
    """Return the plan of a study that goes on: it may have more experiments than before.

    Raises
    ------
    BadInput
        If it is another study.
    """
    # The cohort may have moved: the hash of its labels tells whether it is the same.
    there = before.cohort.model_copy(update={"folder": now.cohort.folder})
    before = before.model_copy(update={"cohort": there})
    different = [
        what for name, what in _COMPARED.items() if getattr(before, name) != getattr(now, name)
    ]
    cells = {found.key: found.cells for found in before.experiments}
    changed = [f.key for f in now.experiments if cells.get(f.key, f.cells) != f.cells]
    different += [f"grid of experiment {changed[0]}"] if changed else []
    if different:
        raise BadInput(
            f"The experiments in {out} were started with another {' and '.join(different)}; "
            "go on with the same, or choose another --out."
        )
    new = {found.key: found for found in (*before.experiments, *now.experiments)}
    order = list(experiments_order(new))
    return now.model_copy(
        update={"experiments": tuple(new[key] for key in order), "created": before.created}
    )


def experiments_order(keys: Any) -> list[str]:
    """Return keys of experiments in the order of the study."""
    known = ["0", "1", "2", "3", "4", "final", "labelled", "5", "6", "7"]
    return sorted(keys, key=known.index)
