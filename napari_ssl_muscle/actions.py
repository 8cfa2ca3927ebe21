"""Every action of the program: what the shell runs, and a child process of the window.

A new action is a job in `jobs.settings`, a module with a function `prepare`, and a case here.
Modules are imported when their action runs: help and refusals need none of them.
"""

from __future__ import annotations

from typing import Any, assert_never

from napari_ssl_muscle.jobs.cohort_jobs import FollowJob, ImportJob, MeasureJob, SynthesiseJob
from napari_ssl_muscle.jobs.run import PreparedJob, run_prepared
from napari_ssl_muscle.jobs.settings import (
    AnyJob,
    CompareFreezingJob,
    CompareJob,
    CompareReconstructionsJob,
    EvaluateJob,
    ExperimentsJob,
    FinetuneJob,
    PretrainJob,
    SegmentJob,
)
from napari_ssl_muscle.learning.events import Emit, ShouldStop, ignore_event, never_stop


def prepare(job: AnyJob) -> PreparedJob:
    """Check everything that a job names, without writing anything, and return its work.

    Raises
    ------
    BadInput
        If the request is wrong.
    """
    match job:
        case PretrainJob():
            from napari_ssl_muscle.jobs.actions import pretrain

            return pretrain.prepare(job)
        case FinetuneJob():
            from napari_ssl_muscle.jobs.actions import finetune

            return finetune.prepare(job)
        case CompareFreezingJob():
            from napari_ssl_muscle.experiments import freeze_modes

            return freeze_modes.prepare(job)
        case ExperimentsJob():
            from napari_ssl_muscle.experiments.published import action

            return action.prepare(job)
        case SegmentJob():
            from napari_ssl_muscle.jobs.actions import segment

            return segment.prepare(job)
        case CompareReconstructionsJob():
            from napari_ssl_muscle.jobs.actions import compare_reconstructions

            return compare_reconstructions.prepare(job)
        case CompareJob():
            from napari_ssl_muscle.jobs.actions import compare

            return compare.prepare(job)
        case EvaluateJob():
            from napari_ssl_muscle.jobs.actions import evaluate

            return evaluate.prepare(job)
        case MeasureJob():
            from napari_ssl_muscle.jobs.actions import measure

            return measure.prepare(job)
        case FollowJob():
            from napari_ssl_muscle.jobs.actions import follow

            return follow.prepare(job)
        case ImportJob():
            from napari_ssl_muscle.jobs.actions import import_dicom

            return import_dicom.prepare(job)
        case SynthesiseJob():
            from napari_ssl_muscle.jobs.actions import synthesise

            return synthesise.prepare(job)
    assert_never(job)


def run_job(
    job: AnyJob, emit: Emit = ignore_event, stop: ShouldStop = never_stop
) -> dict[str, Any]:
    """Run a job of any action to its end on this thread; see `run_prepared`.

    Raises
    ------
    BadInput
        If the request was wrong. Nothing was written.
    JobFailed
        If anything else went wrong.
    """
    return run_prepared(job, prepare, emit, stop)
