"""A trial as the job that trains it, and whether that has been done."""

from __future__ import annotations

from pathlib import Path

from napari_ssl_muscle.experiments.published.cohort import split_of
from napari_ssl_muscle.experiments.published.files import COUNTS, FOLDS, RESULT, RUNS
from napari_ssl_muscle.experiments.published.plan import Plan
from napari_ssl_muscle.experiments.published.trial import SCRATCH, Trial
from napari_ssl_muscle.jobs.settings import FinetuneJob, PretrainJob
from napari_ssl_muscle.scans.split import write_split

VALIDATION, TEST = "validation", "test"
"""Parts of a fold that are scored."""


def job_of(trial: Trial, plan: Plan, out: Path) -> PretrainJob | FinetuneJob:
    """Return the training of a trial, with its run folder below `out`."""
    fold = plan.fold(trial.fold)
    run = out / RUNS / trial.run
    cohort = Path(plan.cohort.folder)
    split_file = split_path(out, trial.fold)
    common = {"out": run, "preset": plan.preset, "seed": trial.seed, **trial.settings}
    several = list(plan.cohort.channels) if len(plan.cohort.channels) > 1 else None
    if trial.kind == "pretrain":
        if fold.leaking:
            common["split_file"] = split_file
        else:
            common["leave_out"] = list(fold.test)
        folders = [cohort, *map(Path, trial.cohorts)]
        return PretrainJob(cohorts=folders, channels=several, **common)
    if not fold.leaking:
        common["train_on"] = [*trial.labelled, *_validating(trial, plan)]
    if "split" not in common:
        if fold.held_out:
            common["split"] = "block"
        else:
            common |= {"split": fold.unit, "split_file": split_file}
    return FinetuneJob(
        cohort=cohort,
        channels=list(plan.cohort.channels),
        muscles=list(plan.cohort.muscles),
        init=None if trial.start == SCRATCH else str(out / RUNS / trial.start),
        **common,
    )


def _validating(trial: Trial, plan: Plan) -> tuple[str, ...]:
    return () if trial.settings.get("split") == "none" else plan.fold(trial.fold).validation


def parts_of(trial: Trial) -> list[str]:
    """Return the parts of the fold on which a trial is scored."""
    if trial.kind == "pretrain":
        return []
    validates = trial.settings.get("split") != "none"
    return [VALIDATION] * validates + [TEST] * trial.tested


def is_done(trial: Trial, out: Path) -> bool:
    """Return whether a trial has been trained and scored."""
    run = out / RUNS / trial.run
    files = [RESULT, *(COUNTS.format(part=part) for part in parts_of(trial))]
    return all((run / name).is_file() for name in files)


def split_path(out: Path, fold: str) -> Path:
    """Return the file with the split of a fold."""
    return out / FOLDS / f"{fold}.json"


def write_splits(plan: Plan, out: Path) -> None:
    """Write the split of each fold that has one, unless it is there."""
    for fold in plan.folds:
        path, split = split_path(out, fold.name), split_of(fold)
        if split is not None and not path.exists():
            write_split(path, split)


Key = tuple[str, bool]
"""What is run once: a run, and whether it is tested."""


def key_of(trial: Trial) -> Key:
    """Return what trials that need the same work have in common."""
    return trial.run, trial.tested
