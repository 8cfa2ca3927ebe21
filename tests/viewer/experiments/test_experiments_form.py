"""The form "Experiments": what it asks for, the plan from a real child process, the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_ssl_muscle.jobs.settings import ExperimentsJob
from napari_ssl_muscle.learning.events import Finished, Progress, Started, Stopped
from napari_ssl_muscle.phantom.cohort import write_phantom
from napari_ssl_muscle.phantom.settings import PhantomSettings
from napari_ssl_muscle.viewer.experiments import form as form_module
from napari_ssl_muscle.viewer.experiments.form import ExperimentsForm
from napari_ssl_muscle.viewer.widgets import dialogs
from tests.viewer.conftest import MakeForm
from tests.viewer.helpers import FakeTask, end_of, press, until


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    folder = tmp_path / "cohort"
    write_phantom(folder, PhantomSettings(subjects=2, sessions=1, slices=8, size=64), None)
    return folder


@pytest.fixture
def form(make_form: MakeForm, cohort: Path, tmp_path: Path) -> ExperimentsForm:
    """Return the form with a cohort chosen."""
    form = make_form(ExperimentsForm)
    assert not form.start_button.enabled
    form.out.value = str(tmp_path / "out")
    form.scans.choose(cohort)
    until(lambda: form.scans.contents is not None)
    return form


@pytest.fixture
def works(monkeypatch: pytest.MonkeyPatch) -> list[FakeTask]:
    monkeypatch.setattr(FakeTask, "made", [], raising=False)
    monkeypatch.setattr(form_module, "ChildTask", FakeTask)
    return FakeTask.made


def test_what_is_chosen_becomes_the_job(
    form: ExperimentsForm, cohort: Path, tmp_path: Path
) -> None:
    assert form.job() == ExperimentsJob(cohort=cohort, out=tmp_path / "out", seeds=1)
    form.tasks.value = True
    form.preset.value = "poster"
    job = form.job()
    assert (job.preset, job.experiment, job.seeds) == ("poster", [4, 6], 3)


def test_progress_and_the_way_to_the_report(
    form: ExperimentsForm, works: list[FakeTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(
        form_module.QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile())
    )
    press(form.start_button)
    (work,) = works
    assert not form.start_button.enabled
    assert not form.report_button.enabled
    work.bridge.arrived.emit(Started(action="experiments", device="2 worker processes"))
    work.bridge.arrived.emit(
        Progress(done=3, total=68, unit="trial", text="2 running, 63 waiting", seconds_left=120)
    )
    text = form.panel.status.value
    assert "2 running, 63 waiting" in text
    assert "trial 3 of 68" in text
    assert "2 min left" in text
    report = work.job.out / "report.html"
    report.parent.mkdir()
    report.write_text("<html></html>", encoding="utf-8")
    work.bridge.arrived.emit(Finished(result={"out": str(work.job.out)}))
    press(form.report_button)
    assert opened == [str(report)]


def test_a_stopped_study_says_that_it_can_go_on(
    form: ExperimentsForm, works: list[FakeTask]
) -> None:
    press(form.start_button)
    works[0].bridge.arrived.emit(Stopped())
    assert "can go on" in form.panel.status.value
    assert form.start_button.enabled


def test_the_plan_of_a_real_child_process(
    form: ExperimentsForm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(dialogs, "show_log", lambda text, parent=None: shown.append(text))
    press(form.plan_button)
    assert isinstance(end_of(form.panel), Finished)
    assert "2. Masking" in shown[0]
    assert "trials, 0 done" in form.panel.status.value
    assert not (tmp_path / "out").exists()
