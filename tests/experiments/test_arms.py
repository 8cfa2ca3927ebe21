"""The engine of experiments: arms are trained once, continued, and emit one stream of events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.arms import JoinedEvents, is_finished, train_arm
from napari_ssl_muscle.jobs.job_file import write_job
from napari_ssl_muscle.jobs.settings import FinetuneJob
from napari_ssl_muscle.jobs.text import FREEZE_TITLES
from napari_ssl_muscle.learning.events import EpochEnd, Event, Note, Progress, Started, never_stop


def arm_in(out: Path, cohort: Path) -> FinetuneJob:
    length = {"steps": 4, "validate_every": 2}
    small = {"width": 4, "depth": 2, "size": 48, "spacing": 5.0, "threads": 1, "device": "cpu"}
    return FinetuneJob.model_validate(
        {"cohort": cohort, "out": out, "preset": "quick", **length, **small}
    )


def test_an_arm_is_trained_once_and_continued_where_it_was_stopped(
    cohort: Path, tmp_path: Path
) -> None:
    events: list[Event] = []

    def stop() -> bool:
        return any(isinstance(event, EpochEnd) for event in events)

    whole, stopped = arm_in(tmp_path / "whole", cohort), arm_in(tmp_path / "stopped", cohort)
    assert train_arm(whole, events.append, never_stop)
    assert is_finished(whole.out)
    events.clear()
    assert train_arm(whole, events.append, lambda: True)
    assert not events

    assert not train_arm(stopped, events.append, stop)
    # The best weights until then are there, but they are no result of the arm.
    assert (stopped.out / "model.safetensors").is_file()
    assert not is_finished(stopped.out)
    assert train_arm(stopped, events.append, never_stop)
    one, two = (
        safetensors.numpy.load_file(job.out / "checkpoint.safetensors") for job in (whole, stopped)
    )
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, two[name], name)


def test_an_arm_that_is_stopped_before_it_begins_leaves_nothing(
    cohort: Path, tmp_path: Path
) -> None:
    job = arm_in(tmp_path / "run", cohort)
    assert not train_arm(job, [].append, lambda: True)
    assert not job.out.exists()


def test_a_folder_with_a_model_is_never_deleted(cohort: Path, tmp_path: Path) -> None:
    job = arm_in(tmp_path / "run", cohort)
    job.out.mkdir()
    write_job(job.out / "job.json", job)
    (job.out / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(BadInput, match="already holds a training"):
        train_arm(job, [].append, never_stop)
    assert (job.out / "model.safetensors").read_bytes() == b"weights"
    (job.out / "model.safetensors").unlink()
    assert train_arm(job, [].append, never_stop)


def test_time_left_is_that_of_all_arms() -> None:
    events: list[Event] = []
    stream = JoinedEvents(events.append, FREEZE_TITLES, "comparing")
    stream.begin("encoder", 100)
    stream.emit(Progress(done=1, total=2, text="Reading a"))
    stream.emit(Started(action="fine-tuning", device="CPU"))
    stream.emit(Progress(done=60, total=100, seconds_left=20))
    reading, _, training = events
    assert reading == Progress(done=100, total=400, text="Encoder fixed (2 of 4): Reading a")
    assert isinstance(training, Progress)
    assert (training.done, training.total) == (160, 400)
    assert training.seconds_left == pytest.approx(20 + 2 * 100 * 0.5)


def test_what_happens_to_one_of_them_is_said_of_that_one() -> None:
    events: list[Event] = []
    stream = JoinedEvents(events.append, FREEZE_TITLES, "comparing")
    for mode in ("none", "both"):
        stream.begin(mode)
        stream.emit(Note(text="Validated on b."))
        stream.emit(Started(action="fine-tuning", device="CPU"))
        stream.emit(Note(text="No better validation."))
    assert [event.text for event in events if isinstance(event, Note)] == [
        "Validated on b.",
        "Nothing fixed: No better validation.",
        "All but last layer fixed: No better validation.",
    ]
