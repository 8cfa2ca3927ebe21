"""A training that was stopped or killed goes on to the same weights as one that never was."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch

from napari_ssl_muscle.actions import run_job
from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.job_file import read_job
from napari_ssl_muscle.jobs.process.child import ChildJob
from napari_ssl_muscle.jobs.settings import FinetuneJob, LearningJob, PretrainJob
from napari_ssl_muscle.learning.events import (
    Checkpoint,
    Event,
    Failed,
    Finished,
    Progress,
    Stopped,
    from_line,
)
from napari_ssl_muscle.learning.training import loop

pytestmark = pytest.mark.usefixtures("home")  # job folders are there

STEPS = 8
"""More than two epochs of three steps each."""


def a_job(action: str, cohort: Path, out: Path, **more: Any) -> LearningJob:
    values: dict[str, Any] = {
        "out": out,
        "preset": "quick",
        "width": 4,
        "depth": 1,
        "size": 32,
        "threads": 1,
        "device": "cpu",
        "steps": STEPS,
        "validate_every": 4,
    } | more
    if action == "pretrain":
        return PretrainJob(cohorts=[cohort], kernel_size=4, **values)
    return FinetuneJob(cohort=cohort, **values)


@pytest.fixture(scope="module")
def whole(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Trainings that were never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    for action in ("pretrain", "finetune"):
        run_job(a_job(action, cohort, folder / action))
    return {action: folder / action for action in ("pretrain", "finetune")}


def assert_same(first: Path, second: Path) -> None:
    """Weights, optimiser and kept weights are the same, bit for bit; so are the figures."""
    for name in ("checkpoint.safetensors", "model.safetensors"):
        one, two = (safetensors.torch.load_file(run / name) for run in (first, second))
        assert one.keys() == two.keys()
        for tensor in one:
            np.testing.assert_array_equal(one[tensor].numpy(), two[tensor].numpy(), tensor)
    steps = [table(run)[0] for run in (first, second)]
    assert steps[0] == steps[1]


def table(run: Path) -> tuple[list[str], list[str]]:
    """Return the steps and the validation figures of a run's metrics.csv."""
    rows = (run / "metrics.csv").read_text(encoding="utf-8").splitlines()[1:]
    return [row.split(",")[0] for row in rows], rows


def kinds(run: Path) -> list[str]:
    lines = (run / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return [from_line(line).kind for line in lines]


class AfterSteps:
    """Asks to stop before the step after so many."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.training = False

    def hear(self, event: Event) -> None:
        # Reading the scans asks, too; only steps count.
        self.training |= event.kind == "started"

    def __call__(self) -> bool:
        if not self.training:
            return False
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("action", ["pretrain", "finetune"])
def test_stopped_twice_it_ends_with_the_same_weights(
    action: str, cohort: Path, whole: dict[str, Path], tmp_path: Path
) -> None:
    job = a_job(action, cohort, tmp_path / "run")
    for steps in (2, 3):  # in the middle of the first and of the second epoch
        stop, events = AfterSteps(steps), []

        def hear(event: Event, stop: AfterSteps = stop, events: list[Event] = events) -> None:
            stop.hear(event)
            events.append(event)

        result = run_job(job, hear, stop)
        assert isinstance(events[-1], Stopped)
        assert Path(result["model"]).is_file()
        job = job.model_copy(update={"resume": True})
    last: list[Event] = []
    result = run_job(job, last.append)
    assert isinstance(last[-1], Finished)
    assert_same(whole[action], tmp_path / "run")
    # One log of all three parts, and the job as it was first asked for.
    closing = [kind for kind in kinds(tmp_path / "run") if kind in ("stopped", "finished")]
    assert closing == ["stopped", "stopped", "finished"]
    asked = read_job(tmp_path / "run" / "job.json")
    assert isinstance(asked, LearningJob)
    assert not asked.resume
    finished = from_line((whole[action] / "events.jsonl").read_text("utf-8").splitlines()[-1])
    assert isinstance(finished, Finished)
    assert result["metrics"] == finished.result["metrics"]


def test_checkpoints_are_written_by_time_as_well(
    cohort: Path, whole: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    events: list[Event] = []
    run_job(a_job("pretrain", cohort, tmp_path / "run"), events.append)
    saved = [event.step for event in events if isinstance(event, Checkpoint)]
    assert saved == list(range(1, STEPS + 1))
    assert_same(whole["pretrain"], tmp_path / "run")


class Halting(ChildJob):
    """The program itself in a child, but it halts after its fifth step until it is ended."""

    SCRIPT = """
import sys, time
from pathlib import Path
from napari_ssl_muscle.cli import main
from napari_ssl_muscle.learning.training import loop
from napari_ssl_muscle.learning.training.steps import Stepper

loop.CHECKPOINT_SECONDS = 0.0 if {often} else 1e9
step, stop_file = Stepper.step, Path(sys.argv[2])

def halting(stepper, number, total):
    if number == 5:
        print('{{"kind": "progress", "done": 5, "total": 5, "text": "halting"}}', flush=True)
        while not ({listens} and stop_file.exists()):
            time.sleep(0.01)
    return step(stepper, number, total)

Stepper.step = halting
main(["run", sys.argv[1], "--events", "--stop-file", sys.argv[2]])
"""

    def __init__(self, job: LearningJob, *, listens: bool, often: bool) -> None:
        self.script = self.SCRIPT.format(listens=listens, often=often)
        self.events: list[Event] = []
        super().__init__(job, self._heard)

    def command(self, job_file: Path, stop_file: Path) -> list[str]:
        return [sys.executable, "-P", "-c", self.script, str(job_file), str(stop_file)]

    def _heard(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Progress) and event.text == "halting":
            self.halted()

    def halted(self) -> None:
        self.stop(grace=0.05)


class Killed(Halting):
    """Nobody asks: the process is gone, as when the machine loses its power."""

    def halted(self) -> None:
        assert self._process is not None
        self._process.kill()


class Asked(Halting):
    """It is asked, and given all the time that it needs."""

    def halted(self) -> None:
        self.stop(grace=120)


@pytest.mark.parametrize(
    ("action", "kind", "listens", "often", "end", "steps"),
    [
        # Asked, it ends the step in progress and writes a checkpoint.
        ("pretrain", Asked, True, False, Stopped, 6),
        # It does not listen and is ended: the last checkpoint stands, here the validation's.
        ("finetune", Halting, False, False, Stopped, 4),
        # Killed from outside: the last checkpoint stands, here the last step's.
        ("pretrain", Killed, False, True, Failed, 5),
    ],
)
def test_a_child_that_was_ended_is_continued_to_the_same_weights(
    action: str,
    kind: type[Halting],
    listens: bool,
    often: bool,
    end: type[Event],
    steps: int,
    cohort: Path,
    whole: dict[str, Path],
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    job = a_job(action, cohort, run)
    child = kind(job, listens=listens, often=often)
    child.start()
    assert isinstance(child.wait(240), end), child.events
    assert checkpoint_step(run) == steps
    assert not list(run.glob(".part-*"))
    run_job(job.model_copy(update={"resume": True}))
    assert_same(whole[action], run)


def checkpoint_step(run: Path) -> int:
    with safetensors.safe_open(run / "checkpoint.safetensors", framework="pt") as file:
        step: int = json.loads(file.metadata()["place"])["step"]
    return step


# --- what cannot be continued


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"steps": 50}, "steps"),
        ({"steps": None, "epochs": 9}, "epochs and steps"),
        ({"kernel_size": 8}, "kernel_size"),
        ({"transductive": True}, "transductive"),
    ],
)
def test_another_job_is_refused_and_what_differs_is_named(
    whole: dict[str, Path], changes: dict[str, Any], named: str
) -> None:
    before = {path.name: path.read_bytes() for path in whole["pretrain"].iterdir()}
    job = read_job(whole["pretrain"] / "job.json")
    with pytest.raises(BadInput, match=f"started with another {named};"):
        run_job(job.model_copy(update={"resume": True, **changes}))
    after = {path.name: path.read_bytes() for path in whole["pretrain"].iterdir()}
    assert after == before


def test_a_run_of_another_action_is_refused(cohort: Path, whole: dict[str, Path]) -> None:
    job = a_job("finetune", cohort, whole["pretrain"], resume=True)
    with pytest.raises(BadInput, match="started with another action"):
        run_job(job)


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_without_a_checkpoint_is_begun_again(
    cohort: Path, whole: dict[str, Path], tmp_path: Path, resume: bool
) -> None:
    from napari_ssl_muscle.jobs.job_file import write_job

    job = a_job("pretrain", cohort, tmp_path / "run")
    write_job(tmp_path / "run" / "job.json", job)
    run_job(job.model_copy(update={"resume": resume}))
    assert_same(whole["pretrain"], tmp_path / "run")


def test_other_scans_than_before_are_refused(cohort: Path, tmp_path: Path) -> None:
    import shutil

    scans = tmp_path / "scans"
    shutil.copytree(cohort, scans)
    job = a_job("pretrain", scans, tmp_path / "run")
    stop = AfterSteps(2)
    run_job(job, stop.hear, stop)
    shutil.rmtree(scans / "sub-03")
    with pytest.raises(BadInput, match=r"learned from \d+ images and now there are \d+"):
        run_job(job.model_copy(update={"resume": True}))
    assert (tmp_path / "run" / "checkpoint.safetensors").is_file()
