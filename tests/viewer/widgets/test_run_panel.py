"""The panel below every button: what runs, how far, how it learns, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QPushButton

from napari_ssl_muscle.jobs.settings import FinetuneJob
from napari_ssl_muscle.learning.events import (
    EpochEnd,
    Failed,
    Finished,
    Note,
    Progress,
    Started,
    Stopped,
)
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.background import ChildTask, EventBridge, ThreadTask
from napari_ssl_muscle.viewer.widgets.run_panel import RunPanel
from tests.viewer.conftest import DialogRecorder, write_labels, write_scan
from tests.viewer.helpers import end_of, press, until


class Rehearsal:
    """Work that tells what the test says."""

    def __init__(self) -> None:
        self.bridge = EventBridge()

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def tell(self, *events: Any) -> None:
        for event in events:
            self.bridge.arrived.emit(event)


@pytest.fixture
def panel(qapp: Any) -> Iterator[RunPanel]:
    panel = RunPanel("step")
    panel.native.show()
    yield panel
    until(lambda: not panel.plot.painting)
    panel.native.close()
    panel.native.deleteLater()


@pytest.fixture
def work(panel: RunPanel) -> Rehearsal:
    work = Rehearsal()
    panel.run(work)
    return work


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the logs that would have been shown."""
    shown: list[str] = []
    monkeypatch.setattr(dialogs, "show_log", lambda text, parent=None: shown.append(text))
    return shown


def after(step: int, **metrics: float) -> EpochEnd:
    return EpochEnd(epoch=step // 10, step=step, metrics=metrics, best=True)


def test_what_only_specialists_need_is_folded_away(panel: RunPanel, work: Rehearsal) -> None:
    work.tell(Note(text="Validated on c."), Note(text="Encoder starts anew.", detail=True))
    assert panel.notes.value == "Validated on c."
    assert panel.details.value == "Encoder starts anew."
    assert panel.details_fold.native.isVisible()
    assert not panel.details.native.isVisible()
    panel.details_fold.toggle()
    assert panel.details.native.isVisible()
    work.tell(Finished())
    assert panel.details_fold.native.isVisible()


def test_what_runs_and_how_far_is_said(panel: RunPanel, work: Rehearsal) -> None:
    work.tell(Progress(done=1, total=3, text="Reading sub-01"))
    assert panel.status.value == "Reading sub-01 · 1 of 3"  # scans, not steps
    work.tell(
        Started(action="fine-tuning", device="CPU, 2 threads"),
        Progress(done=120, total=800, text="epoch 3", seconds_left=240),
    )
    assert panel.status.value == "Fine-tuning · epoch 3 · step 120 of 800 · about 4 min left"
    assert panel.device.value == "Computes on: CPU, 2 threads"
    assert panel.bar.native.value() == 120
    assert panel.bar.native.maximum() == 800


def test_curves_come_with_the_second_round_and_stay_until_the_next_start(
    panel: RunPanel, work: Rehearsal
) -> None:
    grown: list[bool] = []
    panel.curves_shown.connect(lambda: grown.append(True))
    work.tell(Started(action="fine-tuning", device="CPU"), after(10, train_loss=1.0, dice=0.5))
    assert panel.figures.value == "Epoch 1 · loss 1.000 · validation Dice 0.500 (best so far)"
    assert not panel.curves.visible
    work.tell(after(20, train_loss=0.8, dice=0.6))
    assert panel.curves.visible
    until(lambda: not panel.plot.painting)
    first = panel.plot.picture
    assert first is not None
    work.tell(after(30, train_loss=0.1, dice=0.9))
    until(lambda: not panel.plot.painting)
    assert panel.plot.picture is not None
    assert panel.plot.picture.toImage() != first.toImage()
    assert grown == [True]  # scrolled to once, and not again and again
    work.tell(Finished())
    assert panel.curves.visible
    assert not panel.figures.visible  # the end says what came out
    panel.run(Rehearsal())
    assert not panel.curves.visible
    assert not panel.figures.visible
    assert panel.plot.picture is None


def test_a_short_training_shows_its_loss_before_any_round(panel: RunPanel, work: Rehearsal) -> None:
    work.tell(Started(action="fine-tuning", device="CPU"))
    work.tell(*(Progress(done=step, total=60, loss=1 / step) for step in (1, 2, 3)))
    assert panel.curves.visible
    until(lambda: not panel.plot.painting)
    assert panel.plot.picture is not None
    work.tell(Stopped())
    assert panel.curves.visible


def test_curves_can_be_folded_away(panel: RunPanel, work: Rehearsal) -> None:
    work.tell(after(10, train_loss=1.0), after(20, train_loss=1.0))
    assert panel.curves.content.visible
    press(panel.curves.button)
    assert not panel.curves.content.visible
    work.tell(after(30, train_loss=1.0))
    assert not panel.curves.content.visible


def test_rounds_of_compared_trainings_are_not_drawn_here(panel: RunPanel, work: Rehearsal) -> None:
    for step in (10, 20):
        work.tell(EpochEnd(epoch=1, step=step, metrics={"train_loss": 1.0}, arm="encoder"))
    assert not panel.curves.visible
    assert not panel.figures.visible


def test_work_without_rounds_shows_no_curves(panel: RunPanel, work: Rehearsal) -> None:
    work.tell(Started(action="segmenting", device="CPU"), Progress(done=1, total=1), Finished())
    assert not panel.curves.visible
    assert not panel.figures.visible
    assert not panel.log_button.visible


def test_the_estimate_is_shown_while_nothing_runs(panel: RunPanel) -> None:
    assert not panel.expected.visible
    panel.show_expected_time("About 4 min on this computer.")
    assert panel.expected.visible
    work = Rehearsal()
    panel.run(work)
    assert not panel.expected.visible
    panel.show_expected_time("About 8 min on this computer.")  # the form was touched meanwhile
    assert not panel.expected.visible
    work.tell(Stopped())
    assert panel.expected.visible
    assert panel.expected.value == "About 8 min on this computer."
    panel.show_expected_time("")
    assert not panel.expected.visible


def test_after_a_failure_the_log_can_be_read_again_until_the_next_start(
    panel: RunPanel, work: Rehearsal, dialogs_shown: DialogRecorder, logs: list[str]
) -> None:
    assert not panel.log_button.visible
    work.tell(
        Started(action="fine-tuning", device="CPU, 2 threads"),
        Note(text="Nothing is frozen.", warning=False),
        Failed(sentence="It failed unexpectedly.", details="Traceback: the reason"),
    )
    assert dialogs_shown.problems == ["It failed unexpectedly."]
    press(panel.log_button)
    assert logs == [
        "fine-tuning on CPU, 2 threads\nNothing is frozen.\n"
        "It failed unexpectedly.\nTraceback: the reason"
    ]
    panel.run(Rehearsal())
    assert not panel.log_button.visible


def test_a_wrong_request_needs_no_log(
    panel: RunPanel, work: Rehearsal, dialogs_shown: DialogRecorder
) -> None:
    work.tell(Failed(sentence="Choose another folder.", bad_input=True))
    assert dialogs_shown.problems == ["Choose another folder."]
    assert not panel.log_button.visible


def test_the_log_can_be_copied(qapp: Any) -> None:
    dialog = dialogs.LogDialog("one\ntwo")
    try:
        (copy,) = (b for b in dialog.findChildren(QPushButton) if b.text() == "Copy")
        copy.click()
        clipboard = QGuiApplication.clipboard()
        assert clipboard is not None
        assert clipboard.text() == "one\ntwo"
    finally:
        dialog.deleteLater()


def torch_fails(emit: Any, stop: Any) -> None:
    import torch

    emit(Started(action="segmenting", device="CPU"))
    torch.zeros(2, 3) @ torch.zeros(2, 3)


def test_an_error_of_torch_in_a_thread_is_a_sentence_with_its_log(
    panel: RunPanel, dialogs_shown: DialogRecorder, logs: list[str]
) -> None:
    panel.run(ThreadTask(torch_fails))
    assert isinstance(end_of(panel), Failed)
    assert dialogs_shown.problems == [panel.status.value]
    assert "mat1 and mat2 shapes cannot be multiplied" in dialogs_shown.problems[0]
    press(panel.log_button)
    assert "RuntimeError" in logs[0]
    assert "torch_fails" in logs[0]
    assert not panel.stop_button.enabled
    panel.run(ThreadTask(lambda emit, stop: None))  # and it goes on
    assert isinstance(end_of(panel), Finished)


def test_an_error_of_torch_in_a_child_is_a_sentence_with_its_log(
    panel: RunPanel, dialogs_shown: DialogRecorder, logs: list[str], tmp_path: Path, home: Path
) -> None:
    write_labels(tmp_path / "a_seg.nii.gz")
    write_scan(tmp_path / "a.nii.gz")
    # An image takes four terabytes, which no batch is small enough for.
    job = FinetuneJob(
        cohort=tmp_path, out=tmp_path / "run", preset="quick", size=1_000_000, batch=2, steps=1
    )
    panel.run(ChildTask(job))
    assert isinstance(end_of(panel), Failed)
    assert "Not enough memory for a batch of 2: goes on with 1." in panel.notes.value
    assert dialogs_shown.problems == [panel.status.value]
    assert "not enough memory" in dialogs_shown.problems[0]
    press(panel.log_button)
    assert "RuntimeError" in logs[0]
    assert not panel.running
