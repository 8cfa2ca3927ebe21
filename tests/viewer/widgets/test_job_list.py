"""Jobs that run without a window: listed, shown in a form with all that has happened, stopped."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.process.child import ChildJob
from napari_ssl_muscle.jobs.process.find import FoundJob, running_jobs
from napari_ssl_muscle.jobs.process.process_id import OtherProcess
from napari_ssl_muscle.jobs.settings import AnyJob, FinetuneJob, PretrainJob
from napari_ssl_muscle.learning.events import EpochEnd, Event, Failed, Finished, Stopped
from napari_ssl_muscle.viewer.widgets.background import AttachedTask
from napari_ssl_muscle.viewer.widgets.job_list import FoundJobs, format_event
from napari_ssl_muscle.viewer.widgets.run_panel import RunPanel
from tests.viewer.conftest import DialogRecorder
from tests.viewer.helpers import end_of, press, until

SCRIPT = """
import json, sys, time
from pathlib import Path
stop, release = map(Path, sys.argv[1:])
def say(**event):
    print(json.dumps(event, separators=(",", ":")), flush=True)
say(kind="started", action="fine-tuning", device="CPU, 7 threads")
for epoch in (1, 2):
    say(kind="epoch", epoch=epoch, step=epoch, metrics={"train_loss": 1 / epoch, "dice": 0.5})
say(kind="progress", done=210, total=800, unit="step", text="epoch 2")
while not stop.exists() and not release.exists():
    time.sleep(0.01)
if release.exists() and release.read_text():
    sys.exit(release.read_text())
if release.exists():
    say(kind="progress", done=800, total=800)
say(kind="stopped" if stop.exists() else "finished", result={"out": "there"})
"""


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """The jobs end once this is there; with what it holds as last words, if anything."""
    return tmp_path / "release"


@pytest.fixture
def leave(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., ChildJob]]:
    """Return a function that leaves a job running, as a window that was closed does."""
    made: list[ChildJob] = []

    def command(self: ChildJob, job_file: Path, stop_file: Path) -> list[str]:
        return [sys.executable, "-c", SCRIPT, str(stop_file), str(release)]

    def start(job: AnyJob | None = None) -> ChildJob:
        events: list[Event] = []
        out = tmp_path / f"run{len(made)}"
        child = ChildJob(job or FinetuneJob(cohort=tmp_path, out=out), events.append)
        made.append(child)
        child.start()
        until(lambda: any(event.kind == "progress" for event in events))
        child.detach()
        return child

    monkeypatch.setattr(ChildJob, "command", command)
    yield start
    for child in made:
        assert child._process is not None
        child._process.kill()
        child._process.wait(60)


@pytest.fixture
def panel(qtbot: Any) -> Iterator[RunPanel]:
    panel = RunPanel("step")
    qtbot.addWidget(panel.native)
    yield panel
    panel.cancel()


def banner(qtbot: Any, show: Callable[[AttachedTask], None]) -> FoundJobs:
    found = FoundJobs(show)
    qtbot.addWidget(found.native)
    return found


def nowhere(work: AttachedTask) -> None:
    raise AssertionError("nobody pressed 'Show'")


def finish(child: ChildJob, release: Path, words: str = "") -> None:
    """Let a job end that nobody watches."""
    release.write_text(words, encoding="utf-8")
    assert child._process is not None
    child._process.wait(60)


def test_without_jobs_there_is_nothing_to_see(qtbot: Any) -> None:
    found = banner(qtbot, nowhere)
    assert not found.rows
    assert not found.visible


def test_a_job_is_listed_and_shown_with_all_that_has_happened(
    qtbot: Any, leave: Any, panel: RunPanel, release: Path
) -> None:
    leave()
    epochs: list[EpochEnd] = []
    panel.event.connect(lambda event: epochs.append(event) if event.kind == "epoch" else None)
    found = banner(qtbot, panel.run)
    (line,) = found.rows
    now = datetime.datetime.now()
    assert line.text.value.startswith("Fine-tuning has been running since ")
    assert f"since {line.found.since:%H:%M}" in line.text.value or now.hour == 0
    assert line.text.value.endswith(", step 210 of 800.")
    press(line.show_button)
    assert not found.rows
    assert not found.visible
    until(lambda: "210 of 800" in panel.status.value)
    assert panel.device.value == "Computes on: CPU, 7 threads"
    assert [event.epoch for event in epochs] == [1, 2]
    assert running_jobs() == []
    release.touch()
    assert end_of(panel) == Finished(result={"out": "there"})
    assert running_jobs() == []


def test_a_job_that_is_shown_can_be_stopped_there(qtbot: Any, leave: Any, panel: RunPanel) -> None:
    leave()
    press(banner(qtbot, panel.run).rows[0].show_button)
    until(lambda: "210 of 800" in panel.status.value)
    press(panel.stop_button)
    assert isinstance(end_of(panel), Stopped)


def test_a_form_that_is_busy_says_so_and_the_job_stays_listed(
    qtbot: Any, leave: Any, dialogs_shown: DialogRecorder
) -> None:
    def busy(work: AttachedTask) -> None:
        raise BadInput("Something else is running there; wait for its end.")

    leave()
    found = banner(qtbot, busy)
    press(found.rows[0].show_button)
    assert dialogs_shown.problems == ["Something else is running there; wait for its end."]
    assert len(found.rows) == 1
    assert len(running_jobs()) == 1


def test_a_job_is_stopped_from_its_line(qtbot: Any, leave: Any, tmp_path: Path) -> None:
    child, other = leave(), leave(PretrainJob(cohorts=[tmp_path], out=tmp_path / "pre"))
    found = banner(qtbot, nowhere)
    line, second = found.rows
    assert second.text.value.startswith("Pretraining has been running")
    press(line.stop_button)
    until(lambda: "was stopped" in line.text.value)
    assert child._process.poll() is not None
    assert other._process.poll() is None
    found.refresh()
    assert "was stopped" in line.text.value
    press(line.forget_button)
    assert found.rows == [second]


def test_what_ended_meanwhile_is_said_once(
    qtbot: Any, leave: Any, release: Path, panel: RunPanel
) -> None:
    children = [leave(), leave()]
    found = banner(qtbot, panel.run)
    for child in children:
        finish(child, release)
    found.refresh()
    first, second = found.rows
    assert "has finished meanwhile" in first.text.value
    assert not first.stop_button.visible or not first.stop_button.native.isVisibleTo(first.native)
    press(first.forget_button)
    assert found.rows == [second]
    press(second.show_button)
    assert end_of(panel) == Finished(result={"out": "there"})
    assert banner(qtbot, nowhere).rows == []


def test_what_died_meanwhile_tells_its_last_words(
    qtbot: Any, leave: Any, release: Path, panel: RunPanel, dialogs_shown: DialogRecorder
) -> None:
    finish(leave(), release, "The cat pulled the plug")
    found = banner(qtbot, panel.run)
    assert "has failed" in found.rows[0].text.value
    assert "The cat pulled the plug" in found.rows[0].text.value
    press(found.rows[0].show_button)
    end = end_of(panel)
    assert isinstance(end, Failed)
    assert dialogs_shown.problems == [end.sentence]
    assert "The cat pulled the plug" in end.sentence


def test_what_another_window_shows_meanwhile_is_not_offered(
    qtbot: Any, leave: Any, panel: RunPanel, dialogs_shown: DialogRecorder
) -> None:
    leave()
    found, late = banner(qtbot, nowhere), banner(qtbot, panel.run)
    (job,) = running_jobs()
    first = AttachedTask(job)
    first.start()
    found.refresh()
    assert found.rows == []
    press(late.rows[0].show_button)  # it had not looked again
    end = end_of(panel)
    assert isinstance(end, Failed)
    assert "shown in another window" in end.sentence
    first.stop()
    assert first._child.wait(60) == Stopped(result={"out": "there"})


def test_a_later_look_finds_what_was_left_meanwhile(qtbot: Any, leave: Any) -> None:
    found = banner(qtbot, nowhere)
    leave()
    found.look()
    found.look()
    assert len(found.rows) == 1


def test_the_day_is_said_of_what_began_on_another_one(leave: Any) -> None:
    leave()
    (job,) = running_jobs()
    assert isinstance(job, FoundJob)
    when = datetime.datetime(2024, 5, 3, 14, 2).astimezone()
    assert "since 3 May, 14:02" in format_event(replace(job, since=when))
    child = job.job_folder.child()
    assert child is not None
    OtherProcess(child.process).kill()
