"""Closing a window while a job runs in it asks first: stop it, leave it running, or stay."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from napari.utils import notifications
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_ssl_muscle.jobs.process.child import ChildJob
from napari_ssl_muscle.jobs.process.find import running_jobs
from napari_ssl_muscle.jobs.settings import FinetuneJob
from napari_ssl_muscle.learning.events import Emit, ShouldStop, StoppedByUser
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.background import ChildTask, ThreadTask
from napari_ssl_muscle.viewer.widgets.job_list import FoundJobs
from napari_ssl_muscle.viewer.widgets.run_panel import RunPanel
from tests.viewer.conftest import DialogRecorder
from tests.viewer.helpers import until
from tests.viewer.widgets.test_dialogs import answer

ask_closing = dialogs.ask_closing

SCRIPT = """
import sys, time
from pathlib import Path
stop = Path(sys.argv[1])
print('{"kind":"started","action":"fine-tuning","device":"CPU"}', flush=True)
print('{"kind":"progress","done":210,"total":800}', flush=True)
while not stop.exists():
    time.sleep(0.01)
print('{"kind":"stopped"}')
"""


@pytest.fixture
def works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes child works which run until they are stopped."""
    made: list[ChildTask] = []

    def command(self: ChildJob, job_file: Path, stop_file: Path) -> list[str]:
        return [sys.executable, "-c", SCRIPT, str(stop_file)]

    def make() -> ChildTask:
        made.append(ChildTask(FinetuneJob(cohort=tmp_path, out=tmp_path / f"run{len(made)}")))
        return made[-1]

    monkeypatch.setattr(ChildJob, "command", command)
    yield make
    for work in made:
        process = work._child._process
        if process is not None:
            process.kill()
            process.wait(60)


@pytest.fixture
def shown(make_napari_viewer: Callable[..., Any]) -> Any:
    """A viewer whose window is on the screen, so that somebody can be asked."""
    return make_napari_viewer(show=True)


def docked(viewer: Any, name: str = "Panel") -> RunPanel:
    panel = RunPanel("step")
    viewer.window.add_dock_widget(panel, name=name)
    return panel


def close(viewer: Any) -> bool:
    """Close the window as its button does; return whether it went."""
    went = bool(viewer.window._qt_window.close())
    if went:
        viewer.close()  # while there is something left to take down: Qt deletes the window next
    return went


def going(panel: RunPanel, work: Any) -> Any:
    panel.run(work)
    until(lambda: "210 of 800" in panel.status.value)
    return work


def running(work: ChildTask) -> bool:
    process = work._child._process
    return process is not None and process.poll() is None


def test_cancel_keeps_the_window_and_the_job(
    shown: Any, works: Any, dialogs_shown: DialogRecorder
) -> None:
    panel = docked(shown)
    work = going(panel, works())
    dialogs_shown.closing = None
    assert not close(shown)
    assert dialogs_shown.asked == ["Close with ['Fine-tuning']? can_stay=True"]
    assert shown.window._qt_window.isVisible()
    assert panel.running
    assert running(work)
    panel.stop()
    until(lambda: not panel.running)


def test_stop_stops_and_nothing_is_found_again(
    shown: Any, works: Any, dialogs_shown: DialogRecorder
) -> None:
    panel = docked(shown)
    work = going(panel, works())
    dialogs_shown.closing = "stop"
    assert close(shown)
    assert not panel.running
    assert work._child.wait(60) is not None
    assert not running(work)
    assert running_jobs() == []


def test_several_jobs_are_asked_about_once_and_left_running(
    shown: Any, works: Any, dialogs_shown: DialogRecorder
) -> None:
    panels = [docked(shown, name) for name in ("One", "Two")]
    ours = [going(panel, works()) for panel in panels]
    begun, ended = threading.Event(), threading.Event()

    def target(emit: Emit, stop: ShouldStop) -> None:
        begun.set()
        while not stop():
            pass
        ended.set()
        raise StoppedByUser

    third = docked(shown, "Three")
    third.run(ThreadTask(target))
    assert begun.wait(60)
    dialogs_shown.closing = "leave"
    assert close(shown)
    assert dialogs_shown.asked == ["Close with ['Fine-tuning', 'Fine-tuning']? can_stay=True"]
    assert ended.wait(60)  # a segmentation is of no use without its window
    assert all(running(work) for work in ours)
    assert {found.job.out for found in running_jobs()} == {work.job.out for work in ours}


def test_work_in_a_thread_is_stopped_unasked(shown: Any, dialogs_shown: DialogRecorder) -> None:
    ended = threading.Event()

    def target(emit: Emit, stop: ShouldStop) -> None:
        while not stop():
            pass
        ended.set()
        raise StoppedByUser

    docked(shown).run(ThreadTask(target))
    assert close(shown)
    assert ended.wait(60)
    assert dialogs_shown.asked == []


def test_where_nobody_looks_it_stops_unasked(
    make_napari_viewer: Callable[..., Any], works: Any, dialogs_shown: DialogRecorder
) -> None:
    viewer = make_napari_viewer()
    work = going(docked(viewer), works())
    viewer.close()
    assert work._child.wait(60) is not None
    assert dialogs_shown.asked == []


def test_a_script_that_closes_the_viewer_cannot_be_told_to_keep_it(
    shown: Any, works: Any, dialogs_shown: DialogRecorder
) -> None:
    work = going(docked(shown), works())
    dialogs_shown.closing = "leave"
    shown.close()
    assert dialogs_shown.asked == ["Close with ['Fine-tuning']? can_stay=False"]
    assert running(work)
    assert len(running_jobs()) == 1


def test_napari_s_own_question_still_counts(
    shown: Any, works: Any, dialogs_shown: DialogRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever says "stop" to us and "no" to napari has stopped nothing."""
    work = going(docked(shown), works())
    window = shown.window._qt_window
    monkeypatch.setattr(type(window), "closeEvent", lambda self, event: event.ignore())
    assert not close(shown)
    assert len(dialogs_shown.asked) == 1
    assert running(work)
    monkeypatch.undo()
    work.stop()
    assert work._child.wait(60) is not None


def test_a_job_whose_dock_is_closed_goes_on_says_so_and_is_found(
    shown: Any, works: Any, dialogs_shown: DialogRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(notifications, "show_info", told.append)
    panel = docked(shown)
    listed = FoundJobs(lambda work: None)
    shown.window.add_dock_widget(listed)
    work = going(panel, works())
    assert running_jobs() == []
    shown.window.remove_dock_widget(panel.native)
    panel.native.deleteLater()
    until(lambda: told)
    assert told[0].startswith("Fine-tuning goes on without its form;")
    assert running(work)
    assert len(running_jobs()) == 1
    until(lambda: len(listed.rows) == 1)  # another form of this window shows it from now on
    assert dialogs_shown.asked == []


def test_a_hidden_dock_changes_nothing(shown: Any, works: Any) -> None:
    panel = docked(shown)
    work = going(panel, works())
    panel.native.parent().close()
    assert panel.running
    panel.stop()
    until(lambda: not panel.running)
    assert work._child.wait(0) is not None


@pytest.mark.parametrize(
    ("button", "wanted"), [("Stop it", "stop"), ("Leave it running", "leave"), ("Cancel", None)]
)
def test_the_question_itself(qtbot: Any, button: str, wanted: str | None) -> None:
    seen = answer(button)
    assert ask_closing(["Fine-tuning"], True) == wanted
    assert seen[0] == "Fine-tuning is still running."


@pytest.mark.parametrize(("can_stay", "wanted"), [(True, None), (False, "leave")])
def test_escape_does_no_harm(qtbot: Any, can_stay: bool, wanted: str | None) -> None:
    def look() -> None:
        box = QApplication.activeModalWidget()
        if isinstance(box, QMessageBox):
            box.reject()
        else:
            QTimer.singleShot(5, look)

    QTimer.singleShot(0, look)
    assert ask_closing(["Fine-tuning", "Pretraining"], can_stay) == wanted
