"""What the actions that train have in common: their notes, where they run, their result."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ssl_muscle.jobs.run import Outcome
from napari_ssl_muscle.jobs.settings import FinetuneJob, PretrainJob
from napari_ssl_muscle.learning.events import Emit, Note, ShouldStop, emit_warnings

if TYPE_CHECKING:
    from napari_ssl_muscle.learning.training.session import RunOptions, TrainedModel


def emit_notes(
    emit: Emit, notes: Iterable[str], warnings: Iterable[str], details: Iterable[str] = ()
) -> None:
    """Emit what the user should read before a training: warnings, details of the method, notes."""
    emit_warnings(emit, warnings)
    for text in details:
        emit(Note(text=text, detail=True))
    for text in notes:
        emit(Note(text=text))


def run_options(
    job: FinetuneJob | PretrainJob, emit: Emit, stop: ShouldStop, name: str | None = None
) -> RunOptions:
    """Return where and how a job's training runs; `name` replaces the folder's for the model."""
    from napari_ssl_muscle.learning.training.session import RunOptions

    return RunOptions(job.out, emit, stop, init=job.init, name=name, resume=job.resume)


def training_outcome(
    job: FinetuneJob | PretrainJob, trained: TrainedModel, text: str, files: Iterable[Path] = ()
) -> Outcome:
    """Return how a training ended; `files` stand beside the model."""
    return Outcome(
        {
            "text": text,
            "files": [str(path) for path in (trained.model, *files)],
            "model": str(trained.model),
            "metrics": trained.metrics,
            "out": str(job.out),
        },
        trained.stopped,
    )
