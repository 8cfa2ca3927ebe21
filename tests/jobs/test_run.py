"""How a job ends: events, log, folder, and what is left on disk."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_ssl_muscle.actions import prepare, run_job
from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import write_whole
from napari_ssl_muscle.jobs.job import Job
from napari_ssl_muscle.jobs.job_file import read_job
from napari_ssl_muscle.jobs.run import JobFailed, Outcome, PreparedJob, format_error, saved_results
from napari_ssl_muscle.jobs.run_folder import CHECKPOINT, EVENTS, JOB, check_writable
from napari_ssl_muscle.jobs.settings import JOBS, FinetuneJob, MeasureJob
from napari_ssl_muscle.learning.events import (
    EpochEnd,
    Event,
    Failed,
    Finished,
    Progress,
    Started,
    Stopped,
    StoppedByUser,
    from_line,
)

Install = Callable[[str, PreparedJob], None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that replaces the work of an action."""

    def replace(action: str, work: PreparedJob) -> None:
        monkeypatch.setattr("napari_ssl_muscle.actions.prepare", lambda job: work)

    return replace


@pytest.fixture
def training(tmp_path: Path) -> FinetuneJob:
    return FinetuneJob(cohort=tmp_path, out=tmp_path / "runs" / "one")


def logged(run: Path) -> list[str]:
    text = (run / EVENTS).read_text(encoding="utf-8")
    return [from_line(line).kind for line in text.splitlines()]


def test_a_run_folder_tells_what_was_asked_and_what_happened(
    training: FinetuneJob, install: Install
) -> None:
    def work(emit: Callable[[Event], None], stop: Callable[[], bool]) -> Outcome:
        emit(Started(action="fine-tuning", device="CPU"))
        emit(Progress(done=1, total=2))
        emit(EpochEnd(epoch=1, step=1, metrics={"dice": 0.5}))
        return Outcome({"files": ["model"]})

    install("finetune", work)
    events: list[Event] = []
    assert run_job(training, events.append) == {"files": ["model"]}
    assert events[-1] == Finished(result={"files": ["model"]})
    assert read_job(training.out / JOB) == training
    # Progress is of the moment; the log keeps what matters tomorrow.
    assert logged(training.out) == ["started", "epoch", "finished"]


def test_a_folder_with_a_run_takes_no_other(training: FinetuneJob, install: Install) -> None:
    install("finetune", lambda emit, stop: Outcome())
    run_job(training)
    before = (training.out / EVENTS).read_bytes()
    events: list[Event] = []
    with pytest.raises(BadInput, match="already holds a training"):
        run_job(training, events.append)
    assert [event.kind for event in events] == ["failed"]
    assert (training.out / EVENTS).read_bytes() == before


def test_a_run_continues_with_its_own_settings_only(
    training: FinetuneJob, install: Install
) -> None:
    install("finetune", lambda emit, stop: Outcome(stopped=True))
    again = training.model_copy(update={"resume": True})
    with pytest.raises(BadInput, match="holds no training to resume"):
        run_job(again)
    run_job(training)
    with pytest.raises(BadInput, match=r"another lr and width"):
        run_job(again.model_copy(update={"lr": 0.5, "width": 32}))
    (training.out / CHECKPOINT).touch()
    run_job(again)
    assert logged(training.out) == ["stopped", "stopped"]
    assert read_job(training.out / JOB) == training


def test_bad_input_found_late_leaves_nothing(training: FinetuneJob, install: Install) -> None:
    def work(emit: Callable[[Event], None], stop: Callable[[], bool]) -> Outcome:
        emit(Started(action="fine-tuning", device="CPU"))
        (training.out / "cache").mkdir()
        raise BadInput("x.nii.gz is broken; export it again.")

    install("finetune", work)
    events: list[Event] = []
    with pytest.raises(BadInput):
        run_job(training, events.append)
    assert events[-1] == Failed(sentence="x.nii.gz is broken; export it again.", bad_input=True)
    assert not training.out.parent.exists()


def test_what_was_learned_before_bad_input_stays(training: FinetuneJob, install: Install) -> None:
    def work(emit: Callable[[Event], None], stop: Callable[[], bool]) -> Outcome:
        (training.out / "checkpoint.safetensors").touch()
        raise BadInput("The loss became infinite; choose a lower rate.")

    install("finetune", work)
    with pytest.raises(BadInput):
        run_job(training)
    assert logged(training.out) == ["failed"]


def test_stopping_before_the_first_step_leaves_the_folder_free(
    training: FinetuneJob, install: Install
) -> None:
    def work(emit: Callable[[Event], None], stop: Callable[[], bool]) -> Outcome:
        raise StoppedByUser

    install("finetune", work)
    events: list[Event] = []
    run_job(training, events.append)
    assert isinstance(events[-1], Stopped)
    assert not training.out.exists()


def test_an_unexpected_error_is_a_sentence_and_its_traceback_is_logged(
    training: FinetuneJob, install: Install
) -> None:
    def work(emit: Callable[[Event], None], stop: Callable[[], bool]) -> Outcome:
        raise KeyError("muscle")

    install("finetune", work)
    with pytest.raises(JobFailed, match=r"It failed unexpectedly: 'muscle' \(KeyError\)\."):
        run_job(training)
    last = from_line((training.out / EVENTS).read_text(encoding="utf-8").splitlines()[-1])
    assert isinstance(last, Failed)
    assert not last.bad_input
    assert "Traceback" in last.details


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_folder_that_vanishes_is_said_in_one_sentence(
    training: FinetuneJob, install: Install, fails: bool
) -> None:
    def work(emit: Callable[[Event], None], stop: Callable[[], bool]) -> Outcome:
        shutil.rmtree(training.out)
        if fails:
            raise OSError("a consequence")
        emit(EpochEnd(step=1, epoch=1, metrics={}))
        return Outcome()

    install("finetune", work)
    events: list[Event] = []
    with pytest.raises(JobFailed, match=r"run folder .* is gone"):
        run_job(training, events.append)
    assert [type(event) for event in events] == [Failed]
    assert not training.out.exists()


def test_jobs_without_a_run_folder_write_none(tmp_path: Path, install: Install) -> None:
    install("measure", lambda emit, stop: Outcome({"files": []}))
    run_job(MeasureJob(labels=[tmp_path / "a.nii"], out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"
        ),
    ],
)
def test_too_little_memory_is_said_with_a_way_out(error: Exception) -> None:
    assert format_error(error).startswith("There is not enough memory")


def test_a_full_disk_is_said() -> None:
    assert format_error(OSError(28, "No space left on device", "/x")) == (
        "The disk is full (/x); free some space."
    )


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="is a file"):
        check_writable(tmp_path / "file" / "below")
    check_writable(tmp_path / "new" / "deeper")
    assert not (tmp_path / "new").exists()


def test_a_folder_without_permission_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(BadInput) as caught:
        check_writable(tmp_path / "new")
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("kind", JOBS)
def test_every_job_goes_to_the_module_of_its_action(
    kind: type[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    action = kind.model_fields["action"].default
    elsewhere = {
        "compare-freezing": "experiments.freeze_modes",
        "experiments": "experiments.published.action",
        "import": "jobs.actions.import_dicom",  # "import" is a word of Python
    }
    room = elsewhere.get(action, "jobs.actions." + action.replace("-", "_"))
    monkeypatch.setattr(f"napari_ssl_muscle.{room}.prepare", lambda job: job.action)
    job: Any = kind.model_construct()
    assert prepare(job) == action


def test_the_result_of_saved_files_is_plain_data(tmp_path: Path) -> None:
    outcome = saved_results(tmp_path, [tmp_path / "a.csv"], "A table.", dice={"a": 0.5})
    assert outcome == Outcome(
        {
            "text": "A table.",
            "files": [str(tmp_path / "a.csv")],
            "out": str(tmp_path),
            "dice": {"a": 0.5},
        }
    )


# --- one job in a folder


def test_the_second_job_in_a_folder_is_told_who_writes_there(
    training: FinetuneJob, install: Install
) -> None:
    refused: list[str] = []

    def work(emit: Callable[[Event], None], stop: Callable[[], bool]) -> Outcome:
        for job in (training, training.model_copy(update={"resume": True})):
            with pytest.raises(BadInput, match=f"process {os.getpid()} on ") as error:
                run_job(job)
            refused.append(str(error.value))
        return Outcome({"files": []})

    install("finetune", work)
    run_job(training)
    assert len(refused) == 2
    assert logged(training.out) == ["finished"]
    assert not list(training.out.glob(".*"))


def test_a_job_that_loses_the_race_for_a_new_folder_is_refused(
    training: FinetuneJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def quicker(job: FinetuneJob) -> PreparedJob:
        job.out.mkdir(parents=True)
        (job.out / "theirs").touch()
        return lambda emit, stop: Outcome()

    monkeypatch.setattr("napari_ssl_muscle.actions.prepare", quicker)
    with pytest.raises(BadInput, match="Another job has written"):
        run_job(training)
    assert [path.name for path in training.out.iterdir()] == ["theirs"]


def test_a_job_that_wrote_nothing_leaves_no_folder(tmp_path: Path, install: Install) -> None:
    install("measure", lambda emit, stop: Outcome())
    run_job(MeasureJob(labels=[tmp_path], out=tmp_path / "new" / "out"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_that_was_killed_before_its_first_checkpoint_is_begun_again(
    training: FinetuneJob, install: Install, resume: bool
) -> None:
    class Killed(BaseException):
        pass

    def killed(emit: Callable[[Event], None], stop: Callable[[], bool]) -> Outcome:
        emit(Started(action="fine-tuning", device="CPU"))
        raise Killed

    install("finetune", killed)
    with pytest.raises(Killed):
        run_job(training)
    asked: list[bool] = []

    def prepare_again(job: FinetuneJob) -> PreparedJob:
        asked.append(job.resume)
        return lambda emit, stop: Outcome()

    monkeypatch = pytest.MonkeyPatch()
    with monkeypatch.context() as patch:
        patch.setattr("napari_ssl_muscle.actions.prepare", prepare_again)
        run_job(training.model_copy(update={"resume": resume}))
    assert asked == [False]
    assert logged(training.out) == ["finished"]


# --- trouble with the disk


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("where", ["log", "file", "elsewhere"])
def test_a_disk_that_takes_no_more_ends_a_training_in_one_sentence(
    training: FinetuneJob,
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    checkpoint: bool,
    where: str,
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    def work(emit: Callable[[Event], None], stop: Callable[[], bool]) -> Outcome:
        if checkpoint:
            (training.out / CHECKPOINT).touch()
        if where == "log":
            monkeypatch.setattr("napari_ssl_muscle.jobs.run_folder.append_event", fail)
            emit(Started(action="fine-tuning", device="CPU"))
        elif where == "file":
            write_whole(training.out / "model.safetensors", fail)
        fail()
        return Outcome()

    install("finetune", work)
    events: list[Event] = []
    with pytest.raises(JobFailed, match="cannot be written any more") as error:
        run_job(training, events.append)
    assert error.value.__cause__ is None  # no traceback in the shell
    assert os.strerror(number) in str(error.value)
    assert ("last checkpoint is kept" in str(error.value)) == checkpoint
    assert isinstance(events[-1], Failed)
    assert (training.out / CHECKPOINT).exists() == checkpoint
