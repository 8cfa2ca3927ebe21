"""The form "Evaluate (Dice)"."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_ssl_muscle.actions import run_job
from napari_ssl_muscle.evaluation.evaluate import evaluate_pairs, open_pair
from napari_ssl_muscle.evaluation.pairing import Pair
from napari_ssl_muscle.evaluation.provenance import Provenance
from napari_ssl_muscle.files import file_hash
from napari_ssl_muscle.jobs.cli_options import shell_command
from napari_ssl_muscle.jobs.settings import EvaluateJob
from napari_ssl_muscle.learning.events import Failed, Finished
from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.viewer.evaluate.evaluate_form import NO_LABELS, EvaluateForm
from napari_ssl_muscle.viewer.evaluate.results_form import GONE
from napari_ssl_muscle.viewer.layers.changes import find_changes
from napari_ssl_muscle.viewer.layers.prediction_history import history_of
from napari_ssl_muscle.viewer.layers.scan_layers import unwrap
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.segment.form import SegmentForm
from napari_ssl_muscle.viewer.segment.save_panel import SavePanel
from napari_ssl_muscle.viewer.widgets import dialogs
from tests.viewer.conftest import DialogRecorder, MakeForm, write_labels, write_scan
from tests.viewer.helpers import end_of, press

PLUGIN = "napari-ssl-muscle"


@pytest.fixture
def form(make_form: MakeForm) -> EvaluateForm:
    return make_form(EvaluateForm)


@pytest.fixture
def predicted(viewer: Any, labelled_file: Path) -> Any:
    """Open the labelled scan and fill its prediction: muscle 1 shifted by three columns."""
    _, truth, prediction = commands.open_paths(viewer, [labelled_file])
    new = np.roll(truth.data, 3, axis=2)
    new[truth.data == 2] = 2
    new[new == 1] = 1
    prediction.data_setitem(np.nonzero(new), new[np.nonzero(new)])
    return prediction


def rows(form: EvaluateForm) -> dict[str, list[str]]:
    """Return what stands in the table of one scan: muscle → its cells."""
    return {first: rest for first, *rest in form.table.texts()}


def test_the_table_holds_what_the_shell_would_find(
    viewer: Any, form: EvaluateForm, predicted: Any, labelled_file: Path, tmp_path: Path
) -> None:
    (pair,) = form.pairs.pairs()
    assert pair.prediction is unwrap(predicted)
    assert pair.reference.name == "Ground truth"
    press(form.evaluate_button)
    assert isinstance(end_of(form.panel), Finished)
    unwrap(predicted).save(str(tmp_path / "saved_dseg.nii.gz"), plugin=PLUGIN)
    saved, truth = tmp_path / "saved_dseg.nii.gz", labelled_file.with_name("leg_seg.nii.gz")
    (case,) = evaluate_pairs([open_pair(Pair("leg", saved, truth))]).cases
    assert len(rows(form)) - 1 == len(case.muscles) == 2
    assert rows(form)["mean, total"][0] == f"{case.mean_dice:.3f}"
    for result in case.muscles:
        cells = rows(form)[result.muscle]
        assert result.dice is not None
        assert result.hd95_mm is not None
        assert 0 < result.dice < 1
        assert cells[0] == f"{result.dice:.3f}"
        assert cells[1] == f"{result.hd95_mm:.1f}"
        assert cells[3] == f"{result.volume_pred_ml:.1f}"
        assert cells[4] == f"{result.volume_ref_ml:.1f}"
        assert float(cells[5]) == pytest.approx(result.difference_ml, abs=0.06)
    assert f"{case.mean_dice:.3f}" in form.panel.status.value
    assert f"{case.batch_dice.foreground:.3f}" in form.panel.status.value


def test_slices_without_ground_truth_count_only_if_asked_for(
    viewer: Any, form: EvaluateForm, predicted: Any
) -> None:
    predicted.data_setitem((np.array([0] * 5), np.arange(5), np.arange(5)), 2)
    press(form.evaluate_button)
    end_of(form.panel)
    before = rows(form)["label 2"][0]
    assert "4 of 6 slices" in form.notes.value
    form.all_slices.value = True
    press(form.evaluate_button)
    end_of(form.panel)
    assert float(rows(form)["label 2"][0]) < float(before)


def test_legs_are_told_apart_if_asked_for(viewer: Any, form: EvaluateForm) -> None:
    _, truth, prediction = commands.open_sample(viewer)
    where = np.nonzero(truth.data)
    prediction.data_setitem(where, truth.data[where])
    form.by_side.value = True
    press(form.evaluate_button)
    end_of(form.panel)
    assert rows(form)["gracilis left"][0] == rows(form)["gracilis right"][0] == "1.000"


def test_a_missed_muscle_scores_zero_and_its_distance_is_infinite(
    viewer: Any, form: EvaluateForm, predicted: Any
) -> None:
    where = np.nonzero(predicted.data == 1)
    predicted.data_setitem(where, 0)
    press(form.evaluate_button)
    end_of(form.panel)
    assert rows(form)["label 1"][:2] == ["0.000", "∞"]


def test_labels_of_different_scans_are_refused(
    viewer: Any, form: EvaluateForm, predicted: Any, tmp_path: Path, dialogs_shown: DialogRecorder
) -> None:
    write_labels(tmp_path / "other_seg.nii.gz", np.diag([2.0, 2.0, 5.0, 1.0]))
    _, truth, _ = commands.open_paths(
        viewer, [write_scan(tmp_path / "other.nii.gz", affine=np.diag([2.0, 2.0, 5.0, 1.0]))]
    )
    form.pairs.choose_by_hand(unwrap(predicted), unwrap(truth))
    press(form.evaluate_button)
    (sentence,) = dialogs_shown.problems
    assert "same grid" in sentence
    assert not form.panel.running


def test_the_same_layer_twice_is_refused(
    viewer: Any, form: EvaluateForm, predicted: Any, dialogs_shown: DialogRecorder
) -> None:
    form.pairs.choose_by_hand(unwrap(predicted), unwrap(predicted))
    press(form.evaluate_button)
    assert "same layer" in dialogs_shown.problems[0]


def test_ground_truth_without_a_label_is_a_sentence_and_the_form_goes_on(
    viewer: Any, form: EvaluateForm, scan_file: Path, dialogs_shown: DialogRecorder
) -> None:
    image, prediction = commands.open_paths(viewer, [scan_file])
    empty = unwrap(
        viewer.add_labels(
            np.zeros(image.data.shape, int), scale=image.scale, translate=image.translate
        )
    )
    form.pairs.choose_by_hand(unwrap(prediction), empty)
    press(form.evaluate_button)
    assert isinstance(end_of(form.panel), Failed)
    assert "no label in any slice" in dialogs_shown.problems[0]
    assert form.evaluate_button.enabled


def test_nothing_to_compare_is_said(
    viewer: Any, form: EvaluateForm, dialogs_shown: DialogRecorder
) -> None:
    assert not form.evaluate_button.enabled
    assert form.panel.status.value == NO_LABELS
    form.start()
    assert dialogs_shown.problems == [NO_LABELS]


def test_tables_are_saved_where_the_user_says_and_replaced_only_when_asked_for(
    viewer: Any,
    form: EvaluateForm,
    predicted: Any,
    tmp_path: Path,
    dialogs_shown: DialogRecorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    press(form.evaluate_button)
    end_of(form.panel)
    monkeypatch.setattr(dialogs, "ask_folder", lambda *_: tmp_path / "tables")
    press(form.save_button)
    assert not dialogs_shown.asked
    report = json.loads((tmp_path / "tables" / "evaluation.json").read_text(encoding="utf-8"))
    assert report["rows"][0]["muscle"] == "label 1"
    csv = tmp_path / "tables" / "evaluation.csv"
    csv.write_text("precious")
    dialogs_shown.agree = False
    press(form.save_button)
    assert csv.read_text() == "precious"
    assert "evaluation.csv" in dialogs_shown.asked[0]


def test_the_command_appears_once_both_are_files(
    form: EvaluateForm, predicted: Any, labelled_file: Path, tmp_path: Path
) -> None:
    assert form.command.line.value == ""
    from napari_ssl_muscle.viewer.layers.scan_layers import info_of

    info = info_of(unwrap(predicted))
    assert info is not None
    info.path = tmp_path / "p.nii.gz"
    form.pairs.reset_choices()
    form.by_side.value = True
    expected = EvaluateJob(
        predictions=tmp_path / "p.nii.gz",
        references=labelled_file.with_name("leg_seg.nii.gz"),
        out=tmp_path / "evaluation",
        by_side=True,
    )
    assert form.command.line.value == shell_command(expected)


# --- places and errors


def evaluate(form: EvaluateForm) -> None:
    press(form.evaluate_button)
    assert isinstance(end_of(form.panel), Finished)


def row_of(form: EvaluateForm, *words: str) -> int:
    """Return the row, as it is shown now, that begins with these words."""
    (row,) = [n for n, texts in enumerate(form.table.texts()) if texts[: len(words)] == [*words]]
    return row


def click_row(form: EvaluateForm, row: int) -> None:
    table = form.table
    table.scrollToItem(table.item(row, 0))
    place = table.visualItemRect(table.item(row, 0)).center()
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)


def slice_of(viewer: Any, layer: Any) -> int:
    return round(float(layer.world_to_data(viewer.dims.point)[0]))


def errors_in(viewer: Any) -> list[Any]:
    return [layer for layer in viewer.layers if "Errors" in layer.name]


def test_a_click_on_a_row_shows_the_worst_slice_and_the_errors_of_its_muscle(
    viewer: Any, form: EvaluateForm, predicted: Any
) -> None:
    truth = form.pairs.pairs()[0].reference.data
    where = np.nonzero((truth == 2) & (np.arange(6)[:, None, None] == 3))
    predicted.data_setitem(where, 0)  # muscle 2 is missed in slice 3
    viewer.dims.ndisplay = 3
    evaluate(form)
    (errors,) = errors_in(viewer)
    ours, theirs = np.asarray(predicted.data), truth
    expected = np.select(
        [(ours > 0) & (theirs == 0), (ours == 0) & (theirs > 0), ours != theirs], [1, 2, 3], 0
    )
    assert set(np.unique(expected)) == {0, 1, 2}
    np.testing.assert_array_equal(errors.data, expected)
    np.testing.assert_allclose(errors.scale, predicted.scale)
    np.testing.assert_allclose(errors.translate, predicted.translate)
    assert not errors.editable

    viewer.layers.selection.active = viewer.layers[0]
    predicted.visible = False
    click_row(form, row_of(form, "label 2"))
    assert viewer.dims.ndisplay == 2
    assert slice_of(viewer, predicted) == 3
    assert viewer.layers.selection.active is unwrap(predicted)
    assert predicted.visible
    assert predicted.selected_label == 2
    expected_of_2 = np.select([(ours == 2) & (theirs != 2), (theirs == 2) & (ours != 2)], [1, 2])
    np.testing.assert_array_equal(errors.data, expected_of_2)
    assert not errors.editable
    click_row(form, row_of(form, "mean, total"))
    np.testing.assert_array_equal(errors.data, expected)


def test_the_row_still_leads_to_its_slice_when_sorted_and_renamed(
    viewer: Any, form: EvaluateForm, predicted: Any
) -> None:
    truth = form.pairs.pairs()[0].reference.data
    predicted.data_setitem(np.nonzero((truth == 2) & (np.arange(6)[:, None, None] == 4)), 0)
    evaluate(form)
    form.table.sort_by(1)
    form.table.sort_by(1)
    predicted.name = "mine"
    click_row(form, row_of(form, "label 2"))
    assert slice_of(viewer, predicted) == 4


def test_errors_are_no_labels_to_work_on_and_go_with_the_labels(
    viewer: Any, form: EvaluateForm, predicted: Any
) -> None:
    evaluate(form)
    (errors,) = errors_in(viewer)
    assert unwrap(errors) not in form.pairs.prediction.choices
    evaluate(form)
    assert len(errors_in(viewer)) == 1  # replaced, not added
    form.show_errors.value = False
    assert not errors_in(viewer)[0].visible
    viewer.layers.remove(errors_in(viewer)[0])
    form.show_errors.value = True
    assert errors_in(viewer)[0].visible  # once removed, it comes back when asked for
    viewer.layers.remove(unwrap(predicted))
    assert not errors_in(viewer)
    click_row(form, 0)
    assert form.panel.status.value == GONE


def test_errors_of_a_prediction_go_when_another_one_comes(
    viewer: Any, form: EvaluateForm, predicted: Any
) -> None:
    evaluate(form)
    predict(predicted, np.zeros_like(predicted.data))
    assert not errors_in(viewer)


def test_labels_that_are_closed_while_they_are_judged_have_figures_and_no_layer(
    viewer: Any, form: EvaluateForm, predicted: Any
) -> None:
    press(form.evaluate_button)
    viewer.layers.remove(unwrap(predicted))
    assert isinstance(end_of(form.panel), Finished)
    assert "label 1" in rows(form)
    assert not errors_in(viewer)
    assert not form.evaluate_button.enabled


def test_legs_by_themselves_have_their_own_errors(viewer: Any, form: EvaluateForm) -> None:
    _, truth, prediction = commands.open_sample(viewer)
    labels = np.array(truth.data)
    middle = labels.shape[2] // 2
    value = default_table("thigh").by_name("gracilis").value
    z = int((labels[..., middle:] == value).sum(axis=(1, 2)).argmax())
    labels[z, :, middle:][labels[z, :, middle:] == value] = 0  # missed in the left leg only
    where = np.nonzero(labels)
    prediction.data_setitem(where, labels[where])
    form.by_side.value = True
    evaluate(form)
    (errors,) = errors_in(viewer)
    assert errors.data.any()
    click_row(form, row_of(form, "gracilis right"))
    assert not errors.data.any()
    click_row(form, row_of(form, "gracilis left"))
    assert slice_of(viewer, prediction) == z
    assert set(np.unique(errors.data)) == {0, 2}


# --- several scans, and where labels come from


@pytest.fixture
def three(viewer: Any, tmp_path: Path) -> list[Any]:
    """Open three scans with ground truth; the third has no labels yet."""
    predictions = []
    for name, share in (("sub-01", 3), ("sub-02", 1), ("sub-03", None)):
        write_labels(tmp_path / f"{name}_seg.nii.gz")
        image = write_scan(tmp_path / f"{name}.nii.gz", affine=np.diag([2.0, 2.0, 6.0, 1.0]))
        _, truth, prediction = commands.open_paths(viewer, [image])
        if share is not None:
            new = np.roll(truth.data, share, axis=2)
            predict(prediction, new, trained_on=("sub-02",))
        predictions.append(unwrap(prediction))
    return predictions


def predict(layer: Any, labels: np.ndarray, trained_on: tuple[str, ...] = ()) -> Provenance:
    made_by = Provenance(
        model="tiny",
        model_hash="0123456789ab",
        split_hash="fedcba987654",
        training_subjects=frozenset(trained_on),
    )
    layer = unwrap(layer)
    history_of(layer).predict(find_changes(layer.data, labels), made_by=made_by)
    return made_by


def test_all_open_scans_are_judged_in_one_table_with_the_trained_ones_marked(
    viewer: Any, form: EvaluateForm, three: list[Any]
) -> None:
    evaluate(form)
    texts = form.table.texts()
    assert [t[:2] for t in texts] == [
        ["sub-01", "label 1"],
        ["sub-01", "label 2"],
        ["sub-02 (trained on)", "label 1"],
        ["sub-02 (trained on)", "label 2"],
        ["sub-01", "mean"],
        ["sub-02 (trained on)", "mean"],
    ]
    notes = form.notes.value
    assert "sub-03 is left out: it has no labels yet" in notes
    assert "leave out 1 case" in notes
    assert texts[4][2] in form.panel.status.value  # the mean is without the trained one
    assert [layer.name for layer in errors_in(viewer)] == ["sub-01 · Errors", "sub-02 · Errors"]
    click_row(form, row_of(form, "sub-02 (trained on)", "label 2"))
    assert viewer.layers.selection.active is three[1]
    shown = {layer.name for layer in viewer.layers if layer.visible}
    assert shown == {
        "sub-02",
        "sub-02 · Ground truth",
        "sub-02 · Prediction",
        "sub-02 · Errors",
    }


def test_one_of_several_scans_can_be_chosen_and_stays_chosen(
    viewer: Any, form: EvaluateForm, three: list[Any]
) -> None:
    form.pairs.choose(three[1])
    three[1].name = "other"
    viewer.layers.remove(three[2])
    assert [c.prediction for c in form.pairs.pairs()] == [three[1]]
    evaluate(form)
    assert form.table.texts()[0][0] == "label 1"
    assert "every one of these subjects" in form.notes.value


def test_nothing_but_empty_labels_is_said(
    viewer: Any, form: EvaluateForm, labelled_file: Path, dialogs_shown: DialogRecorder
) -> None:
    commands.open_paths(viewer, [labelled_file])
    press(form.evaluate_button)
    assert "still empty" in dialogs_shown.problems[0]


def test_the_tables_tell_the_model_that_was_pressed_for(
    viewer: Any,
    form: EvaluateForm,
    labelled_file: Path,
    write_model: Callable[..., Path],
    tmp_path: Path,
) -> None:
    path = write_model(split_hash="abcdef012345", training_subjects=["leg"])
    commands.open_paths(viewer, [labelled_file])
    segment = SegmentForm(viewer)
    segment.model.add(path)
    press(segment.segment_button)
    assert isinstance(end_of(segment.panel), Finished)
    segment.native.deleteLater()
    evaluate(form)
    csv, report = form.save(tmp_path / "tables")
    (provenance, case) = (json.loads(report.read_text())[key] for key in ("provenance", "cases"))
    assert provenance["model_hash"] == file_hash(path)
    assert provenance["split_hash"] == "abcdef012345"
    assert case[0]["training_subject"] is True
    assert case[0]["corrected_by_hand"] is False
    assert f"{file_hash(path)},abcdef012345" in csv.read_text()


def test_window_and_shell_write_the_same_tables_of_corrected_labels(
    viewer: Any, form: EvaluateForm, labelled_file: Path, tmp_path: Path
) -> None:
    _, truth, prediction = commands.open_paths(viewer, [labelled_file])
    made_by = predict(prediction, np.roll(truth.data, 3, axis=2))
    saving = SavePanel(viewer)
    for corrected, name in ((False, "leg_dseg"), (True, "leg_prediction")):
        if corrected:
            prediction.data_setitem((np.array([2]), np.array([3]), np.array([3])), 2)
        saving.choose(unwrap(prediction))
        saving.path.value = str(tmp_path / "saved" / f"{name}.nii.gz")
        assert saving.save()
        evaluate(form)
        window = form.save(tmp_path / f"window-{name}")
        job = form.job()
        assert job is not None
        run_job(job.model_copy(update={"out": tmp_path / f"shell-{name}"}), lambda _: None)
        csv, report = ((tmp_path / f"shell-{name}" / path.name).read_text() for path in window)
        assert csv == window[0].read_text()
        shell, mine = json.loads(report), json.loads(window[1].read_text())
        assert shell.pop("created")
        assert mine.pop("created")
        assert shell == mine
        assert mine["provenance"]["model_hash"] == made_by.model_hash
        assert mine["provenance"]["split_hash"] == made_by.split_hash
        assert "torch" in mine["provenance"]["versions"]
        assert [case["corrected_by_hand"] for case in mine["cases"]] == [corrected]
        assert ("Corrected by hand" in form.notes.value) is corrected
    saving.native.deleteLater()


def test_an_undone_prediction_is_not_called_the_models(
    viewer: Any, form: EvaluateForm, labelled_file: Path
) -> None:
    _, truth, prediction = commands.open_paths(viewer, [labelled_file])
    predict(prediction, np.roll(truth.data, 3, axis=2))
    predict(prediction, np.roll(truth.data, 1, axis=2), trained_on=("leg",))
    evaluate(form)
    assert "every one of these subjects" in form.notes.value
    prediction.undo()
    evaluate(form)
    assert "none of which the model was trained on" in form.notes.value
    prediction.undo()
    where = np.nonzero(truth.data)
    prediction.data_setitem(where, truth.data[where])
    evaluate(form)
    assert form.answer is not None
    assert form.answer.report.provenance.model_hash is None
    assert form.answer.report.cases[0].corrected_by_hand is None
