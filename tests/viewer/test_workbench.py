"""From accepted slices to fine-tuning on them, in the workbench."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.settings import AnyJob, FinetuneJob, PretrainJob
from napari_ssl_muscle.learning.events import Finished, Progress, Started, Stopped
from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.scans.volume import open_label_map
from napari_ssl_muscle.study.study import Study
from napari_ssl_muscle.viewer.layers.changes import find_changes
from napari_ssl_muscle.viewer.layers.prediction_history import history_of
from napari_ssl_muscle.viewer.layers.scan_layers import show_table, unwrap
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.train import training_form
from napari_ssl_muscle.viewer.widgets import model_picker
from napari_ssl_muscle.viewer.widgets.background import EventBridge
from napari_ssl_muscle.viewer.workbench import Workbench
from tests.viewer.conftest import DialogRecorder, write_scan
from tests.viewer.helpers import end_of, press, until


def test_accepted_slices_go_on_to_fine_tuning_with_the_model_that_labelled_them(
    viewer: Any, scan_file: Path, write_model: Callable[..., Path]
) -> None:
    _, found = viewer.window.add_plugin_dock_widget("napari-ssl-muscle", "Muscle workbench")
    workbench: Workbench = unwrap(found)
    commands.open_paths(viewer, [scan_file])
    model = write_model()
    workbench.segment.model.add(model)
    layer = next(unwrap(x) for x in viewer.layers if x.name == "Prediction")
    show_table(layer, default_table("thigh"))
    workbench.show_form(workbench.correct)
    form = workbench.correct
    assert not form.finetune_button.enabled
    history_of(layer).predict(find_changes(layer.data, np.ones_like(layer.data)))
    for z in range(5):
        form.go_to(z)
        form.accept()
    until(lambda: form.corrections is not None and not form.corrections.saving)
    form.finetune_button.native.click()
    tune = workbench.finetune
    assert workbench.buttons.checkedButton().text().endswith("Fine-tune")
    until(lambda: tune.scans.contents is not None)
    assert "4 accepted slices of 1 scan" in tune.scans.summary.value
    assert "1 slice held out" in tune.scans.summary.value
    job = tune.job()
    assert job.study == scan_file.parent / "muscle-study"
    assert job.cohort is None
    assert job.init == str(model)
    assert "--study" in tune.command.line.value


def test_closed_and_opened_again_nothing_of_the_workbench_stays_behind(
    viewer: Any, scan_file: Path, write_model: Callable[..., Path]
) -> None:
    model_picker.MODELS.add(write_model())
    commands.open_paths(viewer, [scan_file])  # so that the forms look at something in threads
    counts = []
    for _ in range(3):
        dock, _ = viewer.window.add_plugin_dock_widget("napari-ssl-muscle", "Muscle workbench")
        gone: list[bool] = []
        unwrap(dock).widget().destroyed.connect(partial(gone.append, True))
        # As the cross of a dock does: napari leaves the widget to Python.
        viewer.window.remove_dock_widget(unwrap(dock))
        until(lambda gone=gone: bool(gone))
        gc.collect()
        counts.append(len(QApplication.allWidgets()))
    assert counts[2] == counts[1]
    events = viewer.layers.events
    assert not [c for c in events.inserted.callbacks if "Form" in str(c)]


class Found:
    """A job of an earlier session, as the list of found jobs hands it on."""

    def __init__(self, job: AnyJob) -> None:
        self.job = job
        self.bridge = EventBridge()

    def start(self) -> None:
        self.bridge.post(Started(action="training", device="CPU, 1 thread"))
        self.bridge.post(Progress(done=7, total=9))

    def stop(self) -> None:
        self.bridge.post(Stopped(result={"out": str(self.job.out)}))

    def detach(self) -> None:
        pass


def test_a_job_that_was_left_running_is_shown_in_its_own_form(
    viewer: Any, scan_file: Path, tmp_path: Path, dialogs_shown: DialogRecorder
) -> None:
    _, found = viewer.window.add_plugin_dock_widget("napari-ssl-muscle", "Muscle workbench")
    workbench: Workbench = unwrap(found)
    assert not workbench.found.native.isVisible()
    for job, form in (
        (PretrainJob(cohorts=[tmp_path], out=tmp_path / "a"), workbench.pretrain),
        (FinetuneJob(cohort=tmp_path, out=tmp_path / "b"), workbench.finetune),
    ):
        work: Any = Found(job)
        workbench._take_up(work)
        until(lambda form=form: "7 of 9" in form.panel.status.value)
        step = workbench.steps[workbench.buttons.checkedId()][1]
        assert form in [there for _, there in step.forms]
        with pytest.raises(BadInput, match="already"):
            workbench._take_up(work)
        press(form.panel.stop_button)
        end_of(form.panel)
        assert form.panel.status.value == "Stopped before there was anything to keep."


def test_the_model_that_is_kept_segments_from_now_on(
    viewer: Any, scan_file: Path, write_model: Callable[..., Path]
) -> None:
    _, found = viewer.window.add_plugin_dock_widget("napari-ssl-muscle", "Muscle workbench")
    workbench: Workbench = unwrap(found)
    commands.open_paths(viewer, [scan_file])
    old, new = write_model("old"), write_model("new", muscle=2)
    workbench.segment.model.add(old)
    workbench.finetune.decision.model_kept.emit(new)
    assert workbench.segment.model.reference == str(new)
    workbench.finetune.decision.segmentation_requested.emit(new)
    end_of(workbench.segment.panel)
    layer = next(unwrap(x) for x in viewer.layers if x.name == "Prediction")
    assert set(np.unique(layer.data)) == {0, 2}


def test_tomorrow_the_kept_model_is_chosen_and_the_labels_are_saved_from_where_they_are_corrected(
    viewer: Any, scan_file: Path, write_model: Callable[..., Path]
) -> None:
    table = default_table("thigh")
    other, kept = write_model("other"), write_model("kept")
    model_picker.MODELS.add(other)
    study = Study.create(scan_file.parent / "muscle-study", table)
    study.add_scan(scan_file)
    study.set_model(kept)
    study.close()
    _, found = viewer.window.add_plugin_dock_widget("napari-ssl-muscle", "Muscle workbench")
    workbench: Workbench = unwrap(found)
    assert workbench.segment.model.reference == str(other)
    commands.open_paths(viewer, [scan_file])
    assert workbench.segment.model.reference == str(kept)
    layer = next(unwrap(x) for x in viewer.layers if x.name == "Prediction")
    layer.data_setitem((np.array([1]), np.array([2]), np.array([3])), 4)
    workbench.show_form(workbench.correct)
    workbench.correct.save_button.native.click()
    assert "Saved leg_dseg.nii.gz" in workbench.correct.status.value
    saved = open_label_map(scan_file.parent / "leg_dseg.nii.gz").read()
    np.testing.assert_array_equal(saved, layer.data)


def test_a_training_ends_well_though_its_scan_was_closed_and_another_one_opened(
    viewer: Any,
    scan_file: Path,
    tmp_path: Path,
    write_model: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    dialogs_shown: DialogRecorder,
) -> None:
    works: list[Found] = []

    def begin(job: AnyJob) -> Found:
        works.append(Found(job))
        return works[0]

    monkeypatch.setattr(training_form, "ChildTask", begin)
    _, found = viewer.window.add_plugin_dock_widget("napari-ssl-muscle", "Muscle workbench")
    workbench: Workbench = unwrap(found)
    commands.open_paths(viewer, [scan_file])
    old, new = write_model("old"), write_model("new", muscle=2)
    workbench.segment.model.add(old)
    layer = next(unwrap(x) for x in viewer.layers if x.name == "Prediction")
    show_table(layer, default_table("thigh"))
    history_of(layer).predict(find_changes(layer.data, np.ones_like(layer.data)))
    workbench.correct.accept()
    until(
        lambda: (
            workbench.correct.corrections is not None and not workbench.correct.corrections.saving
        )
    )
    workbench.correct.finetune_button.native.click()
    until(lambda: workbench.finetune.scans.contents is not None)
    press(workbench.finetune.start_button)
    until(lambda: "7 of 9" in workbench.finetune.panel.status.value)
    viewer.layers.clear()
    other = write_scan(tmp_path / "other.nii.gz")
    commands.open_paths(viewer, [other])
    works[0].bridge.post(Finished(result={"model": str(new), "out": str(new.parent)}))
    assert isinstance(end_of(workbench.finetune.panel), Finished)
    until(lambda: not workbench.finetune.decision.panel.running)
    assert "not enough held-out slices" in workbench.finetune.decision.text.value
    press(workbench.finetune.decision.new_button)
    assert workbench.segment.model.reference == str(new)
    assert not dialogs_shown.problems
    # The labels of the scan that was opened meanwhile are nobody's prediction.
    assert not any(unwrap(x).data.any() for x in viewer.layers if x.name == "Prediction")
