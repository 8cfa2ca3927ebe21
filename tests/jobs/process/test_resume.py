"""A stopped training is found by its folder; whatever else is there is refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.job_file import write_job
from napari_ssl_muscle.jobs.process.job_folder import JobFolder
from napari_ssl_muscle.jobs.process.process_id import this_process
from napari_ssl_muscle.jobs.process.resume import continuation
from napari_ssl_muscle.jobs.run_folder import CHECKPOINT, JOB, append_event
from napari_ssl_muscle.jobs.settings import FinetuneJob, MeasureJob
from napari_ssl_muscle.learning.events import Finished, Stopped

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def stopped(tmp_path: Path) -> FinetuneJob:
    """A training that was stopped after its first checkpoint."""
    job = FinetuneJob(cohort=tmp_path, out=tmp_path / "run", preset="quick")
    write_job(job.out / JOB, job)
    (job.out / CHECKPOINT).write_bytes(b"")
    append_event(job.out, Stopped())
    return job


def test_the_job_goes_on_with_its_own_settings(stopped: FinetuneJob) -> None:
    assert continuation(stopped.out) == stopped.model_copy(update={"resume": True})


def test_a_run_that_was_moved_goes_on_where_it_is(stopped: FinetuneJob, tmp_path: Path) -> None:
    moved = stopped.out.rename(tmp_path / "moved")
    assert continuation(moved).out == moved


def test_what_cannot_go_on_is_refused(stopped: FinetuneJob, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no training"):
        continuation(tmp_path)
    append_event(stopped.out, Finished())
    with pytest.raises(BadInput, match="is complete"):
        continuation(stopped.out)
    measuring = MeasureJob(labels=[tmp_path], out=tmp_path / "measures")
    write_job(measuring.out / JOB, measuring)
    with pytest.raises(BadInput, match="is no training"):
        continuation(measuring.out)


def test_a_training_that_still_runs_is_not_begun_twice(stopped: FinetuneJob) -> None:
    JobFolder.set_up(stopped).note_child(this_process(), 0.0, [])
    with pytest.raises(BadInput, match="still running"):
        continuation(stopped.out)
