"""A job outlives the window that started it, is found again, followed, and told of once."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.process.child import AttachedJob, ChildJob
from napari_ssl_muscle.jobs.process.find import KEPT, running_jobs
from napari_ssl_muscle.jobs.process.job_folder import (
    Child,
    JobFolder,
    all_job_folders,
)
from napari_ssl_muscle.jobs.process.process_id import (
    OtherProcess,
    ProcessId,
    is_alive,
    process_id_of,
    this_process,
)
from napari_ssl_muscle.jobs.run_folder import JOB
from napari_ssl_muscle.jobs.settings import AnyJob, FinetuneJob, MeasureJob
from napari_ssl_muscle.learning.events import (
    EpochEnd,
    Event,
    Failed,
    Finished,
    Preview,
    Progress,
    Started,
    Stopped,
)
from napari_ssl_muscle.paths import running_folder

pytestmark = pytest.mark.usefixtures("home")

HEAD = """
import time
job, stop, release = map(Path, sys.argv[1:])
def say(**event):
    print(json.dumps(event, separators=(",", ":")), flush=True)
say(kind="started", action="measuring", device="CPU")
for n in range(1, 4):
    say(kind="progress", done=n, total=9)
    say(kind="preview", step=n, path="p")
say(kind="epoch", epoch=1, step=3, metrics={"dice": 0.5})
while not release.exists() and not stop.exists():
    time.sleep(0.01)
"""
FINISH = 'say(kind="stopped" if stop.exists() else "finished", result={"out": "there"})\n'


class Waiting(ChildJob):
    """A child that says a few things, waits for a file, and goes on with some lines."""

    def __init__(self, job: AnyJob, release: Path, script: str = FINISH) -> None:
        self.events: list[Event] = []
        self.waits = threading.Event()
        self.script = "import json, sys; from pathlib import Path\n" + HEAD + script
        self.release = release
        super().__init__(job, self._heard)

    def command(self, job_file: Path, stop_file: Path) -> list[str]:
        files = [str(job_file), str(stop_file), str(self.release)]
        return [sys.executable, "-c", self.script, *files]

    @property
    def job_folder_path(self) -> Path:
        assert self._job_folder is not None
        return self._job_folder.folder

    def _heard(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, EpochEnd):
            self.waits.set()


class Follower:
    """Collects the events of a job that was found; `heard` waits for one that it is told of."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def heard(self, wanted: Callable[[Event], bool]) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: any(map(self._ends(wanted), self.events)), 120)
            return any(map(wanted, self.events))

    def _ends(self, wanted: Callable[[Event], bool]) -> Callable[[Event], bool]:
        return lambda event: wanted(event) or isinstance(event, Finished | Stopped | Failed)


@pytest.fixture
def job(tmp_path: Path) -> MeasureJob:
    return MeasureJob(labels=[tmp_path / "labels.nii.gz"], out=tmp_path / "out")


def left(job: AnyJob, release: Path, script: str = FINISH) -> Waiting:
    """Return a job that runs, waits, and is not watched any more."""
    child = Waiting(job, release, script)
    child.start()
    assert child.waits.wait(60)
    assert child.job_folder_path not in found_folders()  # watched: no other window's business
    child.detach()
    assert not child.running
    return child


def found_folders() -> list[Path]:
    return [found.job_folder.folder for found in running_jobs()]


def end_of(child: ChildJob) -> None:
    """Wait for the process of a job that was left."""
    assert child._process is not None
    child._process.wait(60)


def test_a_job_that_was_left_is_found_and_followed_to_its_end(
    job: MeasureJob, tmp_path: Path
) -> None:
    child = left(job, tmp_path / "release")
    (found,) = running_jobs()
    assert found.job == job
    assert found.alive
    assert found.end is None
    assert found.progress == Progress(done=3, total=9)

    follow = Follower()
    attached = found.attach(follow)
    attached.start()
    assert follow.heard(lambda event: isinstance(event, EpochEnd))
    # What has happened is told from the beginning; of pictures and progress only the latest.
    assert follow.events == [
        Started(action="measuring", device="CPU"),
        Progress(done=3, total=9),
        Preview(step=3, path="p"),
        EpochEnd(epoch=1, step=3, metrics={"dice": 0.5}),
    ]
    assert running_jobs() == []
    with pytest.raises(BadInput, match="another window"):
        found.attach(Follower()).start()
    (tmp_path / "release").touch()
    end = attached.wait(60)
    assert end == Finished(result={"out": "there"})
    assert follow.events[4:] == [end]
    assert child.wait(0) is None
    assert not all_job_folders()
    assert running_jobs() == []


def test_a_job_that_was_left_can_be_stopped(job: MeasureJob, tmp_path: Path) -> None:
    left(job, tmp_path / "release")
    attached = running_jobs()[0].attach(Follower())
    attached.start()
    attached.stop(grace=60)
    assert attached.wait(60) == Stopped(result={"out": "there"})


def test_a_job_that_was_left_and_does_not_listen_is_ended(job: MeasureJob, tmp_path: Path) -> None:
    child = left(job, tmp_path / "release", "time.sleep(600)")
    (tmp_path / "release").touch()
    attached = running_jobs()[0].attach(Follower())
    attached.start()
    attached.stop(grace=0.05)
    end = attached.wait(60)
    assert isinstance(end, Stopped)
    assert end.result["ended"]
    end_of(child)


def test_what_ended_unwatched_is_news_until_somebody_was_told(
    job: MeasureJob, tmp_path: Path
) -> None:
    child = left(job, tmp_path / "release")
    (tmp_path / "release").touch()
    end_of(child)
    for _ in range(2):  # looking is not telling
        (found,) = running_jobs()
        assert not found.alive
        assert found.end == Finished(result={"out": "there"})
    follow = Follower()
    attached = found.attach(follow)
    attached.start()
    assert attached.wait(60) == found.end
    assert [event.kind for event in follow.events][-2:] == ["epoch", "finished"]
    assert running_jobs() == []


def test_an_end_may_be_taken_note_of_without_looking_or_is_old_news(
    job: MeasureJob, tmp_path: Path
) -> None:
    children = [left(job, tmp_path / "release") for _ in range(2)]
    (tmp_path / "release").touch()
    for child in children:
        end_of(child)
    old, young = running_jobs()
    young.forget()
    assert found_folders() == [old.job_folder.folder]
    for path in [*old.job_folder.folder.iterdir(), old.job_folder.folder]:
        os.utime(path, (1, path.stat().st_mtime - KEPT - 60))
    assert running_jobs() == []
    assert not all_job_folders()


def test_a_child_that_dies_unwatched_tells_its_last_words_and_is_tidied_up_after(
    tmp_path: Path,
) -> None:
    run = tmp_path / "runs" / "one"
    job = FinetuneJob(cohort=tmp_path, out=run)
    script = f"""
run = Path({str(run)!r})
run.mkdir(parents=True)
(run / {JOB!r}).touch()
(run / ".part-model").touch()
sys.stdout.write('{{"kind":"progress","do')
sys.stderr.write("Traceback\\nNo such thing\\n")
sys.exit(3)
"""
    child = left(job, tmp_path / "release", script)
    (tmp_path / "release").touch()
    end_of(child)
    (found,) = running_jobs()
    assert isinstance(found.end, Failed)
    assert found.end.sentence == "The job's process ended unexpectedly: No such thing."
    assert run.exists()  # looking changes nothing
    attached = found.attach(Follower())
    attached.start()
    end = attached.wait(60)
    assert isinstance(end, Failed)
    assert end.sentence == found.end.sentence
    assert end.details == "Traceback\nNo such thing\n"
    assert not (tmp_path / "runs").exists()


def test_another_process_with_the_number_of_a_dead_child_is_not_taken_for_it(
    job: MeasureJob,
) -> None:
    job_folder = JobFolder.set_up(job)
    here = this_process()
    job_folder.note_child(ProcessId(pid=here.pid, started="another time"), 0.0, [])
    job_folder.release()
    (found,) = running_jobs()
    assert not found.alive
    assert isinstance(found.end, Failed)
    stranger = OtherProcess(ProcessId(pid=here.pid, started="another time"))
    stranger.kill()  # or these would be our last words
    assert is_alive(here)


def test_a_watcher_that_was_killed_watches_no_more(job: MeasureJob) -> None:
    job_folder = JobFolder.set_up(job)
    job_folder.note_child(this_process(), 0.0, [])
    assert running_jobs() == []
    dead = {"pid": os.getpid(), "started": "before"}
    (job_folder.folder / "watcher.json").write_text(json.dumps(dead), encoding="utf-8")
    assert found_folders() == [job_folder.folder]
    # One that was cut short, too.
    (job_folder.folder / "watcher.json").write_text("", encoding="utf-8")
    assert len(running_jobs()) == 1
    job_folder.clear()


def test_what_is_another_computer_s_or_makes_no_sense_is_left_alone(job: MeasureJob) -> None:
    other = JobFolder.set_up(job)
    child = Child(computer="elsewhere", process=this_process(), began=0.0, missing=[])
    (other.folder / "child.json").write_text(child.model_dump_json(), encoding="utf-8")
    other.release()
    (running_folder() / "notes").mkdir()
    (running_folder() / "a file").touch()
    broken = JobFolder.set_up(job)
    broken.note_child(this_process(), 0.0, [])
    broken.job_file.write_text("{}", encoding="utf-8")
    broken.release()
    assert running_jobs() == []
    assert len(all_job_folders()) == 3
    with pytest.raises(BadInput):
        AttachedJob(broken, Follower())


def test_a_home_that_cannot_be_written_to_does_not_keep_a_job_from_running(
    job: MeasureJob, tmp_path: Path, home: Path
) -> None:
    (home / "ssl-muscle").write_text("in the way", encoding="utf-8")
    (tmp_path / "release").touch()
    child = Waiting(job, tmp_path / "release")
    child.start()
    assert child.wait(60) == Finished(result={"out": "there"})
    assert running_jobs() == []


PARENT = """
import sys
from pathlib import Path
from napari_ssl_muscle.jobs.process.child import ChildJob
from napari_ssl_muscle.jobs.job_file import read_job

def heard(event):
    if event.kind == "progress":
        print(child.process_id, flush=True)

child = ChildJob(read_job(Path(sys.argv[1])), heard)
child.start()
child.wait()
"""


LEAVING = """
import sys, threading
from pathlib import Path
from napari_ssl_muscle.jobs.process.child import ChildJob
from napari_ssl_muscle.jobs.job_file import read_job

class Deaf(ChildJob):
    def command(self, job_file, stop_file):
        line = '{"kind":"progress","done":1,"total":2}'
        return [sys.executable, "-c", f"import time; print('{line}', flush=True); time.sleep(600)"]

going = threading.Event()
child = Deaf(read_job(Path(sys.argv[1])), lambda event: going.set())
child.start()
going.wait()
child.stop(grace=0.05)
print(child.process_id)
"""


def test_a_program_that_ends_right_after_stopping_a_job_leaves_nothing_running(
    job: MeasureJob, tmp_path: Path
) -> None:
    (tmp_path / "a job").write_text(job.model_dump_json(), encoding="utf-8")
    words = [sys.executable, "-c", LEAVING, str(tmp_path / "a job")]
    child = int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert process_id_of(child) is None
    assert not all_job_folders()


def test_a_training_goes_on_when_its_parent_is_killed(cohort: Path, tmp_path: Path) -> None:
    """The real program in a real child of a real parent, which gets no chance to say good-bye."""
    job = FinetuneJob(
        cohort=cohort,
        out=tmp_path / "run",
        preset="quick",
        width=4,
        depth=1,
        size=32,
        threads=1,
        device="cpu",
        steps=1_000_000,
        validate_every=50,
    )
    (tmp_path / "a job").write_text(job.model_dump_json(), encoding="utf-8")
    words = [sys.executable, "-c", PARENT, str(tmp_path / "a job")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait(60)
    mark = process_id_of(child)
    assert mark is not None
    try:
        (found,) = running_jobs()
        assert found.alive
        assert found.job == job
        follow = Follower()
        attached = found.attach(follow)
        attached.start()
        assert attached.process_id == child
        reached = found.progress.done if found.progress is not None else 0
        assert follow.heard(lambda event: isinstance(event, Progress) and event.done > reached)
        assert follow.heard(
            lambda event: isinstance(event, EpochEnd) and "dice" in event.metrics
        ), follow.events
        assert any(isinstance(event, Started) for event in follow.events)
        attached.stop(grace=120)
        end = attached.wait(120)
    finally:
        OtherProcess(mark).kill()
    assert isinstance(end, Stopped)
    assert Path(end.result["model"]).is_file()
    assert not all_job_folders()
