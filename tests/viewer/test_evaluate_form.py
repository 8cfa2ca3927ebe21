"""The form "Evaluate (Dice)"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ssl_muscle.evaluation.evaluate import evaluate_case
from napari_ssl_muscle.evaluation.matching import Pair
from napari_ssl_muscle.jobs.command import shell_command
from napari_ssl_muscle.jobs.settings import EvaluateJob
from napari_ssl_muscle.learning.events import Failed, Finished
from napari_ssl_muscle.viewer import opening, questions
from napari_ssl_muscle.viewer.evaluate_form import NO_LABELS, EvaluateForm
from napari_ssl_muscle.viewer.layers import unwrap
from tests.viewer.conftest import SHAPE, Ears, write_labels, write_scan
from tests.viewer.helpers import end_of, press

PLUGIN = "napari-ssl-muscle"


@pytest.fixture
def viewer(layers_only: Any) -> Any:
    return layers_only


@pytest.fixture
def form(viewer: Any) -> Iterator[EvaluateForm]:
    form = EvaluateForm(viewer)
    yield form
    form.native.deleteLater()


@pytest.fixture
def predicted(viewer: Any, labelled_file: Path) -> Any:
    """Open the labelled scan and fill its prediction: muscle 1 shifted by three columns."""
    _, truth, prediction = opening.open_paths(viewer, [labelled_file])
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
    (couple,) = form.couples.couples()
    assert couple.prediction is unwrap(predicted)
    assert couple.reference.name == "Ground truth"
    press(form.evaluate_button)
    assert isinstance(end_of(form.panel), Finished)
    unwrap(predicted).save(str(tmp_path / "saved_dseg.nii.gz"), plugin=PLUGIN)
    case = evaluate_case(
        Pair("leg", tmp_path / "saved_dseg.nii.gz", labelled_file.with_name("leg_seg.nii.gz"))
    )
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
    _, truth, prediction = opening.open_sample(viewer)
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
    viewer: Any, form: EvaluateForm, predicted: Any, tmp_path: Path, ears: Ears
) -> None:
    write_labels(tmp_path / "other_seg.nii.gz", np.diag([2.0, 2.0, 5.0, 1.0]))
    _, truth, _ = opening.open_paths(
        viewer, [write_scan(tmp_path / "other.nii.gz", affine=np.diag([2.0, 2.0, 5.0, 1.0]))]
    )
    form.couples.choose_by_hand(unwrap(predicted), unwrap(truth))
    press(form.evaluate_button)
    (sentence,) = ears.told
    assert "same grid" in sentence
    assert not form.panel.running


def test_the_same_layer_twice_is_refused(
    viewer: Any, form: EvaluateForm, predicted: Any, ears: Ears
) -> None:
    form.couples.choose_by_hand(unwrap(predicted), unwrap(predicted))
    press(form.evaluate_button)
    assert "same layer" in ears.told[0]


def test_ground_truth_without_a_label_is_a_sentence_and_the_form_goes_on(
    viewer: Any, form: EvaluateForm, scan_file: Path, ears: Ears
) -> None:
    image, prediction = opening.open_paths(viewer, [scan_file])
    empty = unwrap(
        viewer.add_labels(
            np.zeros(image.data.shape, int), scale=image.scale, translate=image.translate
        )
    )
    form.couples.choose_by_hand(unwrap(prediction), empty)
    press(form.evaluate_button)
    assert isinstance(end_of(form.panel), Failed)
    assert "no label in any slice" in ears.told[0]
    assert form.evaluate_button.enabled


def test_nothing_to_compare_is_said(viewer: Any, form: EvaluateForm, ears: Ears) -> None:
    assert not form.evaluate_button.enabled
    assert form.panel.status.value == NO_LABELS
    form.start()
    assert ears.told == [NO_LABELS]


def test_tables_are_saved_where_the_user_says_and_replaced_only_when_asked_for(
    viewer: Any,
    form: EvaluateForm,
    predicted: Any,
    tmp_path: Path,
    ears: Ears,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    press(form.evaluate_button)
    end_of(form.panel)
    monkeypatch.setattr(questions, "ask_folder", lambda *_: tmp_path / "tables")
    press(form.save_button)
    assert not ears.asked
    report = json.loads((tmp_path / "tables" / "evaluation.json").read_text(encoding="utf-8"))
    assert report["rows"][0]["muscle"] == "label 1"
    csv = tmp_path / "tables" / "evaluation.csv"
    csv.write_text("precious")
    ears.agree = False
    press(form.save_button)
    assert csv.read_text() == "precious"
    assert "evaluation.csv" in ears.asked[0]


def test_the_command_appears_once_both_are_files(
    form: EvaluateForm, predicted: Any, labelled_file: Path, tmp_path: Path
) -> None:
    assert form.command.line.value == ""
    from napari_ssl_muscle.viewer.layers import info_of

    info = info_of(unwrap(predicted))
    assert info is not None
    info.path = tmp_path / "p.nii.gz"
    form.couples.reset_choices()
    form.by_side.value = True
    expected = EvaluateJob(
        predictions=tmp_path / "p.nii.gz",
        references=labelled_file.with_name("leg_seg.nii.gz"),
        out=tmp_path / "evaluation",
        by_side=True,
    )
    assert form.command.line.value == shell_command(expected)
