"""A job in a child process ends in exactly one closing event, whatever becomes of the child."""

import os
import sys
import threading
from pathlib import Path

import pytest

from napari_ssl_muscle.jobs.process.child import ChildJob, format_exit
from napari_ssl_muscle.jobs.run_folder import EVENTS, JOB
from napari_ssl_muscle.jobs.settings import AnyJob, FinetuneJob, MeasureJob
from napari_ssl_muscle.learning.events import Event, Failed, Progress, Stopped, from_line

PRINT = "import sys; from pathlib import Path; job, stop = map(Path, sys.argv[1:]); "
pytestmark = pytest.mark.usefixtures("home")  # job folders are there

LOOP = 'import time\nprint(\'{"kind": "progress", "done": 1, "total": 2}\', flush=True)\n'


class Scripted(ChildJob):
    """A child that runs a few lines instead of the program."""

    def __init__(self, job: AnyJob, script: str) -> None:
        self.events: list[Event] = []
        self.going = threading.Event()
        self.script = script
        super().__init__(job, self._heard)

    def command(self, job_file: Path, stop_file: Path) -> list[str]:
        return [sys.executable, "-c", PRINT + self.script, str(job_file), str(stop_file)]

    def _heard(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Progress):
            self.going.set()


@pytest.fixture
def job(tmp_path: Path) -> MeasureJob:
    return MeasureJob(labels=[tmp_path / "missing.nii.gz"], out=tmp_path / "out")


def test_a_real_child_refuses_bad_input_with_its_sentence(job: MeasureJob) -> None:
    events: list[Event] = []
    child = ChildJob(job, events.append)
    child.start()
    end = child.wait(120)
    assert isinstance(end, Failed)
    assert end.bad_input
    assert "missing.nii.gz" in end.sentence
    assert events == [end]
    assert not job.out.exists()
    assert not child.running


def test_events_come_as_they_are_printed_and_other_lines_do_no_harm(job: MeasureJob) -> None:
    child = Scripted(job, LOOP + "print('a library says hello')\nprint('{\"kind\": \"finished\"}')")
    child.start()
    assert child.wait(60) is not None
    assert [event.kind for event in child.events] == ["progress", "finished"]


def test_a_child_that_is_asked_ends_by_itself(job: MeasureJob) -> None:
    script = (
        LOOP + "while not stop.exists():\n    time.sleep(0.01)\n"
        'print(\'{"kind": "stopped", "result": {"kept": 1}}\')'
    )
    child = Scripted(job, script)
    child.start()
    assert child.going.wait(60)
    child.stop(grace=60)
    end = child.wait(60)
    assert end == Stopped(result={"kept": 1})


def test_a_child_that_does_not_listen_is_ended(job: MeasureJob) -> None:
    job.out.mkdir()
    old = job.out / ".part-old"
    old.touch()
    os.utime(old, (1, 1))
    script = f"open({str(job.out / '.part-new')!r}, 'w')\n" + LOOP + "time.sleep(600)"
    child = Scripted(job, script)
    child.start()
    assert child.going.wait(60)
    child.stop(grace=0.05)
    end = child.wait(60)
    assert isinstance(end, Stopped)
    assert end.result["ended"]
    # What the child was writing is gone; what somebody else writes is left alone.
    assert [path.name for path in job.out.iterdir()] == [".part-old"]


def test_a_child_that_is_writing_its_files_may_finish(job: MeasureJob, tmp_path: Path) -> None:
    release = tmp_path / "release"

    class Patient(Scripted):
        """Its grace runs out when the checkpoint is written, however slow the machine is."""

        def _ends_within(self, seconds: float) -> bool:
            if seconds == 0.5:
                assert self._saved.wait(60)
                release.touch()
                return False
            return super()._ends_within(60)

    wait = "while not {}.exists():\n    time.sleep(0.01)\n"
    script = (
        LOOP
        + wait.format("stop")
        + 'print(\'{"kind": "checkpoint", "step": 1, "path": "p"}\', flush=True)\n'
        + wait.format(f"Path({str(release)!r})")
        + 'print(\'{"kind": "stopped", "result": {"kept": 1}}\')'
    )
    child = Patient(job, script)
    child.start()
    assert child.going.wait(60)
    child.stop(grace=0.5)
    assert child.wait(60) == Stopped(result={"kept": 1})


def test_a_child_that_dies_tells_its_last_words(job: MeasureJob) -> None:
    child = Scripted(job, "sys.stderr.write('Traceback\\nNo such thing\\n'); sys.exit(3)")
    child.start()
    end = child.wait(60)
    assert isinstance(end, Failed)
    assert end.sentence == "The job's process ended unexpectedly (code 3): No such thing."
    assert end.details == "Traceback\nNo such thing\n"
    assert child.events == [end]


def test_a_child_that_the_system_killed_most_likely_ran_out_of_memory() -> None:
    assert "not enough memory" in format_exit(["loading\n"], -9)
    assert "memory" not in format_exit(["loading\n"], 1)


@pytest.mark.parametrize("learned", [False, True])
def test_the_folder_of_an_ended_training_says_so_or_is_free_again(
    tmp_path: Path, learned: bool
) -> None:
    run = tmp_path / "runs" / "one"
    job = FinetuneJob(cohort=tmp_path, out=run)
    script = (
        f"run = Path({str(run)!r}); (run / 'cache').mkdir(parents=True)\n"
        f'(run / {JOB!r}).touch(); (run / {EVENTS!r}).write_text(\'{{"kind": "star\')\n'
    )
    if learned:
        script += "(run / 'checkpoint.safetensors').touch()\n"
    child = Scripted(job, script + LOOP + "time.sleep(600)")
    child.start()
    assert child.going.wait(60)
    child.stop(grace=0.05)
    assert isinstance(child.wait(60), Stopped)
    if learned:
        assert not (run / "cache").exists()
        last = (run / EVENTS).read_text(encoding="utf-8").splitlines()[-1]
        assert isinstance(from_line(last), Stopped)
    else:
        assert not (tmp_path / "runs").exists()


def test_a_listener_that_fails_does_not_lose_the_end(job: MeasureJob) -> None:
    def broken(event: Event) -> None:
        raise RuntimeError("a deleted widget")

    child = Scripted(job, LOOP + 'print(\'{"kind": "finished"}\')')
    child._on_event = broken
    child.start()
    end = child.wait(60)
    assert end is not None
    assert end.kind == "finished"


def test_a_job_runs_once(job: MeasureJob) -> None:
    child = Scripted(job, "pass")
    child.start()
    with pytest.raises(RuntimeError, match="once"):
        child.start()
    child.wait(60)
