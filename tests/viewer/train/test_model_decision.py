"""After a fine-tuning on corrections: the comparison, both predictions, and which model stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from magicgui.widgets import Container
from napari.components import ViewerModel

from napari_ssl_muscle.jobs.cli_options import shell_command
from napari_ssl_muscle.learning.events import Failed, Finished, Progress, Stopped
from napari_ssl_muscle.learning.models import card
from napari_ssl_muscle.learning.models.card import read_card
from napari_ssl_muscle.scans.muscles import default_table, write_tsv
from napari_ssl_muscle.study.study import Study
from napari_ssl_muscle.viewer.layers.changes import find_changes
from napari_ssl_muscle.viewer.layers.prediction_history import history_of
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, show_table, unwrap
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.session import session_of
from napari_ssl_muscle.viewer.train.finetune_form import FinetuneForm
from napari_ssl_muscle.viewer.train.model_decision import (
    NO_OLD,
    NO_SCAN,
    ModelDecision,
    remembered_model,
)
from napari_ssl_muscle.viewer.train.side_by_side import TITLES
from tests.viewer.conftest import DialogRecorder, oblique, write_labels, write_scan
from tests.viewer.helpers import end_of, press, until

WriteModel = Callable[..., Path]
DEEP = (48, 40, 17)
PLUGIN = "napari-ssl-muscle"


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """Seventeen slices, so that four of the accepted ones are held out."""
    array = np.zeros(DEEP, np.int16)
    array[4:20, 8:32] = 100
    array[28:44, 8:32] = 120
    noise = np.random.default_rng(0).integers(0, 9, DEEP)
    return write_scan(tmp_path / "leg.nii.gz", (array + noise).astype(np.int16), oblique())


@pytest.fixture
def study(tmp_path: Path, scan: Path) -> Study:
    """All slices accepted, and labelled as muscle 1 where the leg is."""
    made = Study.create(tmp_path / "muscle-study", default_table("thigh"))
    case = made.add_scan(scan)
    for z in range(16):
        made.set_states(case, {z: "accepted"})
    depth, *plane = made.open_scan(case).geometry.canonical_shape
    made.save_labels(case, np.ones((depth, *plane), np.uint8))
    assert len(made.held_out(case)) == 4
    made.close()
    return Study.read(made.folder)


def accept_fewer(study: Study) -> None:
    (case,) = study.scans
    opened = Study.open(study.folder)
    opened.set_states(case, {min(opened.held_out(case)): "touched"})
    opened.close()


@pytest.fixture
def models(write_model: WriteModel, study: Study) -> tuple[Path, Path]:
    """An old one that is wrong everywhere, and a new one that is right, in its run."""
    old = write_model("old", muscle=2)
    new = study.next_run() / "model.safetensors"
    new.parent.mkdir(parents=True)
    write_model("new", muscle=1).rename(new)
    return old, new


@pytest.fixture
def choice(layers_only: ViewerModel) -> Any:
    made = ModelDecision(layers_only)
    yield made
    made.clear()
    made.native.deleteLater()


def hidden(part: Any) -> bool:
    return bool(part.native.isHidden())


def test_both_models_are_compared_per_muscle_and_the_better_one_is_recommended(
    choice: ModelDecision, study: Study, models: tuple[Path, Path]
) -> None:
    old, new = models
    choice.begin(study.folder, str(old), new)
    assert not choice.new_button.enabled
    assert isinstance(end_of(choice.panel), Finished)
    assert "4 held-out slices of 1 subject" in choice.text.value
    assert "not enough" not in choice.text.value
    cells = choice.table.value.replace("&nbsp;", "").replace("<td align='right'>", " ")
    plain = cells.replace("</td>", "").replace("<td>", "").split("<tr>")
    assert "vastus lateralis 0.000 0.974 +0.974</tr>" in plain
    assert "vastus intermedius 0.000 – –</tr>" in plain
    assert "<b>mean</b> 0.000 0.974 +0.974</tr>" in plain  # of the muscles that count for both
    assert "The new model does better" in choice.advice.value
    assert (new.parent / "comparison.csv").is_file()
    assert study.model is None  # nothing is chosen silently
    assert not choice.side.shown


@pytest.mark.parametrize("which", ["new", "old"])
def test_what_is_kept_is_told_and_is_there_tomorrow(
    choice: ModelDecision, study: Study, models: tuple[Path, Path], which: str
) -> None:
    old, new = models
    wanted, other = (new, old) if which == "new" else (old, new)
    heard: list[Path] = []
    again: list[Path] = []
    choice.model_kept.connect(heard.append)
    choice.segmentation_requested.connect(again.append)
    choice.begin(study.folder, str(old), new)
    end_of(choice.panel)
    press(choice.new_button if which == "new" else choice.old_button)
    assert heard == [wanted]
    assert f"You go on with the {which} model" in choice.answer.value
    assert str(other.parent) in choice.answer.value
    assert other.is_file()
    assert remembered_model(Study.read(study.folder)) == wanted
    assert hidden(choice.again_button) is (which == "old")
    if which == "new":
        press(choice.again_button)
        assert again == [new]
        press(choice.old_button)  # a second thought
        assert heard == [new, old]
        assert remembered_model(Study.read(study.folder)) == old


def test_a_shipped_model_is_remembered_by_its_name(
    choice: ModelDecision, study: Study, models: tuple[Path, Path]
) -> None:
    """So that the study can be opened where the program lies elsewhere."""
    old, new = models
    card.shipped_folder().mkdir(parents=True)
    shipped = old.rename(card.shipped_folder() / "starter.safetensors")
    choice.begin(study.folder, "starter", new)
    end_of(choice.panel)
    press(choice.old_button)
    assert Study.read(study.folder).model == "starter"
    assert remembered_model(Study.read(study.folder)) == shipped
    press(choice.new_button)
    assert "stays in the list of models" in choice.answer.value


def test_a_training_from_nothing_has_no_old_model(
    choice: ModelDecision, study: Study, models: tuple[Path, Path]
) -> None:
    heard: list[Path] = []
    choice.model_kept.connect(heard.append)
    choice.begin(study.folder, None, models[1])
    assert not choice.panel.running
    assert choice.text.value == NO_OLD
    assert hidden(choice.old_button)
    assert hidden(choice.side_button)
    press(choice.new_button)
    assert heard == [models[1]]


def test_too_few_held_out_slices_recommend_nothing(
    choice: ModelDecision, study: Study, models: tuple[Path, Path], layers_only: ViewerModel
) -> None:
    accept_fewer(study)
    choice.begin(study.folder, str(models[0]), models[1])
    end_of(choice.panel)
    text = choice.text.value
    assert "not enough held-out slices to compare: there are 3, and 4 are needed" in text
    assert "+0.974" in choice.table.value
    assert "does better" not in choice.advice.value
    press(choice.side_button)  # with no scan open
    assert choice.answer.value == NO_SCAN
    assert not choice.panel.running
    assert choice.new_button.enabled


def test_a_failure_is_one_sentence_and_the_model_can_still_be_chosen(
    choice: ModelDecision,
    study: Study,
    models: tuple[Path, Path],
    dialogs_shown: DialogRecorder,
    scan: Path,
) -> None:
    scan.unlink()
    choice.begin(study.folder, str(models[0]), models[1])
    assert isinstance(end_of(choice.panel), Failed)
    assert "is not there any more" in dialogs_shown.problems[0]
    assert not hidden(choice.panel)
    press(choice.new_button)
    assert remembered_model(study) == models[1]


def test_what_is_cleared_while_it_compares_does_not_come_back(
    choice: ModelDecision, study: Study, models: tuple[Path, Path]
) -> None:
    choice.begin(study.folder, str(models[0]), models[1])
    first = choice._work
    assert first is not None
    choice.clear()
    assert hidden(choice)
    choice.begin(study.folder, str(models[0]), models[1])
    second = choice._work
    first.wait()
    first.bridge.post(Stopped())
    assert choice._work is second
    assert isinstance(end_of(choice.panel), Finished)
    assert "The new model does better" in choice.advice.value


def test_both_predictions_side_by_side_leave_the_own_labels_alone(
    viewer: Any, study: Study, models: tuple[Path, Path], scan: Path
) -> None:
    accept_fewer(study)
    commands.open_paths(viewer, [scan])
    layer = next(unwrap(one) for one in viewer.layers if one.name == "Prediction")
    show_table(layer, default_table("thigh"))
    labels = np.zeros_like(layer.data)
    labels[3, 4:9] = 5
    history_of(layer).predict(find_changes(layer.data, labels))
    viewer.layers.selection.active = layer
    session_of(viewer).corrections.acquire()
    names = [one.name for one in viewer.layers]
    before, history = layer.data.copy(), list(layer._undo_history)
    viewer.dims.set_point(0, layer.data_to_world((6, 0, 0))[0])
    point = viewer.dims.point
    _, step = viewer.window.add_plugin_dock_widget(PLUGIN, "Fine-tune")
    choice = unwrap(step).finetune.decision
    choice.native.window().show()
    choice.begin(study.folder, str(models[0]), models[1])
    end_of(choice.panel)
    end_of(choice.panel)  # too few slices: without a further press both models predict

    assert choice.side.shown
    shown = [unwrap(one) for one in viewer.layers if one.visible]
    assert [one.name for one in shown] == [
        "Scan, old model",
        TITLES[0],
        "Scan, new model",
        TITLES[1],
    ]
    inner = viewer.layers
    places = [viewer.canvas.grid.position(inner.index(one), list(inner)) for one in shown]
    assert places[0] == places[1] != places[2] == places[3]
    assert viewer.dims.point == point
    image = next(unwrap(one) for one in viewer.layers if one.name == names[0])
    for picture, predicted, value in ((*shown[:2], 2), (*shown[2:], 1)):
        assert set(np.unique(predicted.data)) == {0, value}
        assert info_of(predicted) is None  # no prediction to save or to go on with
        assert not predicted.editable
        for point_in in np.argwhere(predicted.data)[::900]:
            world = picture.data_to_world(point_in)
            there = tuple(np.round(image.world_to_data(world)).astype(int))
            assert picture.data[tuple(point_in)] == image.data[there]
        assert picture.data.max() > 100  # the legs are in the picture
    assert session_of(viewer).corrections.of(layer) is not None

    press(choice.back_button)
    assert [one.name for one in viewer.layers] == names
    assert not viewer.canvas.grid.enabled
    assert layer.visible
    assert unwrap(viewer.layers.selection.active) is layer
    np.testing.assert_array_equal(layer.data, before)
    assert list(layer._undo_history) == history
    layer.undo()
    assert not layer.data.any()
    # Once more, and this time the user throws the pictures away by hand.
    press(choice.side_button)
    end_of(choice.panel)
    for one in [one for one in viewer.layers if one.name not in names]:
        viewer.layers.remove(one)
    press(choice.new_button)
    assert [one.name for one in viewer.layers] == names
    assert layer.visible
    session_of(viewer).corrections.release()


def test_the_form_asks_after_a_training_on_corrections_and_goes_on_from_what_is_kept(
    layers_only: ViewerModel, study: Study, models: tuple[Path, Path]
) -> None:
    """A real child process trains for a moment."""
    form = FinetuneForm(layers_only)
    form.model.add(models[0])
    form.choose_study(study.folder, models[0])
    until(lambda: form.scans.contents is not None)
    assert form.minutes.value == 0.5
    run = Path(form.out.value)
    assert run == study.folder / "runs" / "002-finetune"
    assert hidden(form.decision)
    form.preset.value = "quick"
    form.minutes.value = 0.1
    press(form.start_button)
    assert isinstance(end_of(form.panel), Finished)
    assert not hidden(form.decision)
    assert Path(form.out.value) == study.folder / "runs" / "003-finetune"
    assert isinstance(end_of(form.decision.panel), Finished)
    assert "4 held-out slices" in form.decision.text.value
    press(form.decision.new_button)
    assert form.model.model is not None
    assert form.model.model.path == run / "model.safetensors"
    form.muscles._boxes[5].value = False
    form.choose_study(study.folder, run / "model.safetensors")
    until(lambda: form.scans.contents is not None)
    assert len(form.muscles.checked) == 5
    assert form.minutes.value == pytest.approx(0.1)  # the person's own choice stays
    assert form.job().init == str(run / "model.safetensors")
    form.native.deleteLater()


def test_another_training_takes_the_question_of_the_last_one_away(
    layers_only: ViewerModel,
    study: Study,
    models: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from napari_ssl_muscle.viewer.train import training_form
    from napari_ssl_muscle.viewer.widgets.background import EventBridge

    class FakeTask:
        def __init__(self, job: Any) -> None:
            self.job = job
            self.bridge = EventBridge()

        def start(self) -> None:
            self.bridge.post(Progress(done=1, total=2))

        def stop(self) -> None:
            pass

    monkeypatch.setattr(training_form, "ChildTask", FakeTask)
    form = FinetuneForm(layers_only)
    assert isinstance(form.decision, Container)
    form.choose_study(study.folder, models[0])
    until(lambda: form.scans.contents is not None)
    form.show_result(form.job().model_copy(update={"init": str(models[0])}), models[1])
    end_of(form.decision.panel)
    assert not hidden(form.decision)
    press(form.start_button)
    assert hidden(form.decision)
    assert form.decision.table.value == ""
    form.native.deleteLater()


def test_a_cohort_after_a_study_takes_what_was_proposed_back(
    layers_only: ViewerModel, study: Study, models: tuple[Path, Path], home: Path, tmp_path: Path
) -> None:
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    write_scan(cohort / "a.nii.gz")
    write_labels(cohort / "a_seg.nii.gz")
    form = FinetuneForm(layers_only)
    form.choose_study(study.folder, models[0])
    until(lambda: form.scans.contents is not None)
    form.scans.folders.value = str(cohort)
    until(lambda: form.scans.contents is not None)
    assert form.minutes.value == 0
    assert Path(form.out.value).parent == home / "ssl-muscle" / "runs"
    form.native.deleteLater()


def test_accepted_slices_join_the_labels_of_before(
    layers_only: ViewerModel,
    study: Study,
    models: tuple[Path, Path],
    tmp_path: Path,
    dialogs_shown: DialogRecorder,
) -> None:
    """A real child process trains for a moment."""
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    write_scan(cohort / "before.nii.gz")
    write_labels(cohort / "before_seg.nii.gz")
    write_tsv(default_table("thigh"), cohort / "dseg.tsv")
    form = FinetuneForm(layers_only)
    assert hidden(form.earlier_row)
    form.choose_study(study.folder, models[0])
    until(lambda: form.scans.contents is not None)
    assert not hidden(form.earlier_row)
    form.earlier.value = str(tmp_path / "nowhere")
    press(form.start_button)
    assert "There is no folder" in dialogs_shown.problems.pop()
    form.earlier.value = str(cohort)
    job = form.job()
    assert (job.cohort, job.study) == (cohort, study.folder)
    assert form.command.line.value == shell_command(job)
    form.preset.value = "quick"
    form.minutes.value = 0.05
    form.split.value = "none"
    press(form.start_button)
    assert isinstance(end_of(form.panel), Finished), dialogs_shown.problems
    (case,) = study.scans
    card = read_card(Path(job.out) / "model.safetensors")
    assert set(card.training_subjects) >= {"before", study.scans[case].subject}
    form.scans.folders.value = str(cohort)
    until(lambda: form.scans.contents is not None)
    assert hidden(form.earlier_row)
    assert form.job().study is None
    form.native.deleteLater()
