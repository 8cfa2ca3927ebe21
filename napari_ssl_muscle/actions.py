"""Every action of the program by its name: what the shell runs, and a child of the window.

A new action is a job in `jobs.settings`, a module with a function `prepare`, and an entry here.
Modules are imported when their action runs: help and refusals need none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from napari_ssl_muscle.jobs.run import PreparedJob, run_prepared
from napari_ssl_muscle.jobs.settings import (
    AnyJob,
    CompareFreezingJob,
    CompareJob,
    CompareReconstructionsJob,
    EvaluateJob,
    FinetuneJob,
    MeasureJob,
    PretrainJob,
    SegmentJob,
)
from napari_ssl_muscle.learning.events import Emit, ShouldStop, ignore_event, never_stop


def _pretrain(job: PretrainJob) -> PreparedJob:
    from napari_ssl_muscle.jobs.actions.pretrain import prepare

    return prepare(job)


def _finetune(job: FinetuneJob) -> PreparedJob:
    from napari_ssl_muscle.jobs.actions.finetune import prepare

    return prepare(job)


def _compare_freezing(job: CompareFreezingJob) -> PreparedJob:
    from napari_ssl_muscle.experiments.freeze_modes import prepare

    return prepare(job)


def _segment(job: SegmentJob) -> PreparedJob:
    from napari_ssl_muscle.jobs.actions.segment import prepare

    return prepare(job)


def _compare_reconstructions(job: CompareReconstructionsJob) -> PreparedJob:
    from napari_ssl_muscle.jobs.actions.compare_reconstructions import prepare

    return prepare(job)


def _compare(job: CompareJob) -> PreparedJob:
    from napari_ssl_muscle.jobs.actions.compare import prepare

    return prepare(job)


def _evaluate(job: EvaluateJob) -> PreparedJob:
    from napari_ssl_muscle.jobs.actions.evaluate import prepare

    return prepare(job)


def _measure(job: MeasureJob) -> PreparedJob:
    from napari_ssl_muscle.jobs.actions.measure import prepare

    return prepare(job)


ACTIONS: Mapping[str, Callable[[Any], PreparedJob]] = MappingProxyType(
    {
        "pretrain": _pretrain,
        "finetune": _finetune,
        "compare-freezing": _compare_freezing,
        "segment": _segment,
        "compare-reconstructions": _compare_reconstructions,
        "compare": _compare,
        "evaluate": _evaluate,
        "measure": _measure,
    }
)
"""Name of an action (stored in every `job.json`) → what prepares it."""


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
    return run_prepared(job, ACTIONS[job.action], emit, stop)
