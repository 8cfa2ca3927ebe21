"""The form "Measure"."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_ssl_muscle.actions import run_job
from napari_ssl_muscle.jobs.cli_options import shell_command
from napari_ssl_muscle.learning.events import Failed, Finished
from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.viewer.evaluate.measure_form import NO_LABELS, MeasureForm
from napari_ssl_muscle.viewer.evaluate.results_form import GONE
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, show_table, unwrap
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.segment.save_panel import SavePanel
from napari_ssl_muscle.viewer.widgets import dialogs
from tests.viewer.conftest import DialogRecorder, MakeForm, oblique, write_scan
from tests.viewer.helpers import end_of, press, until

SPACING = np.diag([2.0, 2.0, 6.0, 1.0])
"""Voxels of 2 × 2 × 6 mm: 24 mm³, 4 mm² in a slice."""


@pytest.fixture
def form(make_form: MakeForm) -> MeasureForm:
    return make_form(MeasureForm)


@pytest.fixture
def boxes(viewer: Any, tmp_path: Path) -> Any:
    """Draw muscles 1 and 2 in two legs of a scan; return the labels layer."""
    scan = write_scan(tmp_path / "leg.nii.gz", affine=SPACING)
    _, prediction = commands.open_paths(viewer, [scan])
    draw(prediction)
    return unwrap(prediction)


def draw(prediction: Any) -> None:
    """Draw: x runs from the patient's right to the left."""
    show_table(unwrap(prediction), default_table("thigh"))
    labels = np.zeros(prediction.data.shape, np.uint8)
    labels[1:5, 10:20, 5:15] = 1  # right: 4 slices of 100 voxels
    labels[1:5, 10:20, 30:40] = 1
    labels[3, 20:22, 30:40] = 1  # left: 20 voxels more in slice 3
    labels[1:3, 24:28, 5:15] = 2
    labels[1:3, 24:28, 30:40] = 2
    where = np.nonzero(labels)
    prediction.data_setitem(where, labels[where])


def measure(form: MeasureForm) -> None:
    press(form.measure_button)
    assert isinstance(end_of(form.panel), Finished)


def click_row(form: MeasureForm, row: int) -> None:
    place = form.table.visualItemRect(form.table.item(row, 0)).center()
    QTest.mouseClick(form.table.viewport(), Qt.MouseButton.LeftButton, pos=place)


def titles(form: MeasureForm) -> list[str]:
    return [" ".join(column.title.split()) for column in form.table.columns]


def test_known_boxes_have_their_volumes_areas_and_sides(form: MeasureForm, boxes: Any) -> None:
    measure(form)
    assert titles(form) == [
        *("Muscle", "Side", "mL", "L−R %", "Largest mm²", "Mean mm²", "From slice", "To slice")
    ]
    # 420 × 24 mm³ against 400 × 24 mm³: 4.9 % of their mean
    first, second = default_table("thigh").names[:2]
    assert form.table.texts() == [
        [first, "left", "10.1", "+4.9", "480", "420", "1", "4"],
        [first, "right", "9.6", "+4.9", "400", "400", "1", "4"],
        [second, "left", "1.9", "0.0", "160", "160", "1", "2"],
        [second, "right", "1.9", "0.0", "160", "160", "1", "2"],
        ["total", "", "23.5", "", "", "", "", ""],
    ]
    assert "23.5 mL" in form.panel.status.value
    assert "Not in the label map" in form.notes.value


def test_a_click_on_a_row_shows_its_largest_cross_section(
    viewer: Any, form: MeasureForm, boxes: Any
) -> None:
    measure(form)
    viewer.layers.selection.active = viewer.layers[0]
    boxes.visible = False
    form.table.sort_by(2)
    row = [texts[1] for texts in form.table.texts()].index("left", 1)  # the larger left one
    click_row(form, row)
    assert round(float(boxes.world_to_data(viewer.dims.point)[0])) == 3
    assert viewer.layers.selection.active is boxes
    assert boxes.visible
    assert boxes.selected_label == 1
    click_row(form, 0)
    assert boxes.selected_label == 2
    assert round(float(boxes.world_to_data(viewer.dims.point)[0])) == 1


def test_the_plot_is_painted_and_follows_the_slice(
    viewer: Any, form: MeasureForm, boxes: Any
) -> None:
    measure(form)
    until(lambda: form.plot.picture is not None and not form.plot.painting)
    before = form.plot.picture.toImage()
    until(lambda: not form._rest.isActive() and not form.plot.painting)
    viewer.dims.set_point(0, float(boxes.data_to_world((4, 0, 0))[0]))
    until(lambda: not form._rest.isActive() and not form.plot.painting)
    assert form.plot.picture.toImage() != before
    assert all(name.replace(" ", "&nbsp;") in form.legend.value for name in ("vastus lateralis",))


@pytest.mark.parametrize("affine", [SPACING, oblique()], ids=["straight", "oblique"])
def test_window_and_shell_write_the_same_tables(
    viewer: Any, form: MeasureForm, tmp_path: Path, affine: np.ndarray
) -> None:
    _, prediction = commands.open_paths(
        viewer, [write_scan(tmp_path / "sub-07_ses-2.nii.gz", affine=affine)]
    )
    draw(prediction)
    assert form.command.line.value == ""
    saving = SavePanel(viewer)
    saving.choose(unwrap(prediction))
    assert saving.save()
    saving.native.deleteLater()
    form.reset_choices()
    measure(form)
    window = form.save(tmp_path / "window")
    job = form.job()
    assert job is not None
    assert form.command.line.value == shell_command(job)
    run_job(job.model_copy(update={"out": tmp_path / "shell"}), lambda _: None)
    assert len(window) == 3
    for path in window:
        texts = [(p / path.name).read_text() for p in (path.parent, tmp_path / "shell")]
        if path.suffix == ".json":
            reports = [json.loads(text) for text in texts]
            assert all(report.pop("created") for report in reports)
            assert reports[0] == reports[1]
        else:
            assert texts[0] == texts[1]
            assert "sub-07,ses-2" in texts[0]


def test_all_open_scans_are_measured_together_without_those_still_empty(
    viewer: Any, form: MeasureForm, boxes: Any, tmp_path: Path
) -> None:
    for name in ("two", "three"):
        _, prediction = commands.open_paths(
            viewer, [write_scan(tmp_path / f"{name}.nii.gz", affine=SPACING)]
        )
        if name == "two":
            draw(prediction)
    measure(form)
    texts = form.table.texts()
    assert titles(form)[:2] == ["Scan", "Muscle"]
    assert {row[0] for row in texts} == {"leg", "two"}
    assert [row[1] for row in texts[-2:]] == ["total", "total"]
    click_row(form, 4)
    assert viewer.layers.selection.active is not boxes
    assert not boxes.visible


def test_no_labels_is_said(form: MeasureForm, dialogs_shown: DialogRecorder) -> None:
    assert not form.measure_button.enabled
    assert form.panel.status.value == NO_LABELS
    form.start()
    assert dialogs_shown.problems == [NO_LABELS]


def test_empty_labels_are_said(
    viewer: Any, form: MeasureForm, scan_file: Path, dialogs_shown: DialogRecorder
) -> None:
    commands.open_paths(viewer, [scan_file])
    press(form.measure_button)
    assert "has no labels yet" in dialogs_shown.problems[0]
    assert not form.panel.running


def test_a_value_without_a_muscle_is_a_sentence_and_the_form_goes_on(
    form: MeasureForm, boxes: Any, dialogs_shown: DialogRecorder
) -> None:
    boxes.data_setitem((np.array([0]), np.array([0]), np.array([0])), 99)
    press(form.measure_button)
    assert isinstance(end_of(form.panel), Failed)
    assert "99" in dialogs_shown.problems[0]
    boxes.undo()
    measure(form)


def test_one_leg_has_no_sides_and_says_so(form: MeasureForm, boxes: Any) -> None:
    where = np.nonzero(boxes.data * (np.arange(boxes.data.shape[2]) > 20))
    boxes.data_setitem(where, 0)
    measure(form)
    assert "Side" not in titles(form)
    assert "L−R %" not in titles(form)
    assert "one leg only" in form.notes.value


def test_labels_without_a_scan_say_what_is_not_known(viewer: Any, form: MeasureForm) -> None:
    labels = np.zeros((6, 40, 48), np.uint8)
    labels[1:5, 10:20, 5:15] = labels[1:5, 10:20, 30:40] = 1
    viewer.add_labels(labels, name="drawn elsewhere")
    measure(form)
    assert [row[:3] for row in form.table.texts()[:2]] == [
        ["label 1", "first leg", "400"],
        ["label 1", "second leg", "400"],
    ]
    assert "size of a voxel is not known" in form.notes.value
    assert "first and second leg" in form.notes.value


def test_a_flat_picture_is_measured(viewer: Any, form: MeasureForm) -> None:
    labels = np.zeros((40, 48), np.uint8)
    labels[10:20, 5:15] = 1
    viewer.add_labels(labels, name="flat", scale=(2, 2))
    measure(form)
    assert form.table.texts()[0][2] == "400"
    click_row(form, 0)  # there is no slice to go to


def test_labels_that_were_closed_or_renamed(viewer: Any, form: MeasureForm, boxes: Any) -> None:
    boxes.name = "mine"
    assert form.labels_box.value is boxes
    measure(form)
    viewer.layers.remove(boxes)
    click_row(form, 0)
    assert form.panel.status.value == GONE
    assert not form.measure_button.enabled


def test_ground_truth_can_be_measured(viewer: Any, form: MeasureForm, labelled_file: Path) -> None:
    _, truth, _ = commands.open_paths(viewer, [labelled_file])
    form.labels_box.value = unwrap(truth)
    measure(form)
    info = info_of(unwrap(truth))
    assert info is not None
    assert form.table.texts()[0][0] == "label 1"


def test_saved_tables_are_replaced_only_when_asked_for(
    form: MeasureForm,
    boxes: Any,
    tmp_path: Path,
    dialogs_shown: DialogRecorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measure(form)
    monkeypatch.setattr(dialogs, "ask_folder", lambda *_: tmp_path / "tables")
    press(form.save_button)
    assert not dialogs_shown.asked
    csv = tmp_path / "tables" / "measures.csv"
    assert "vastus lateralis,left" in csv.read_text()
    csv.write_text("precious")
    dialogs_shown.agree = False
    press(form.save_button)
    assert csv.read_text() == "precious"
    assert "measures.csv" in dialogs_shown.asked[0]


def test_the_message_goes_with_the_labels_and_the_figures_stay_to_be_saved(
    viewer: Any, form: MeasureForm, boxes: Any, tmp_path: Path
) -> None:
    measure(form)
    viewer.layers.remove(boxes)
    assert form.panel.status.value == NO_LABELS
    assert form.save(tmp_path / "tables")


def test_without_a_voxel_size_there_are_voxels_in_red_until_it_is_entered(
    viewer: Any, form: MeasureForm
) -> None:
    labels = np.zeros((6, 40, 48), np.uint8)
    labels[2:4, 10:20, 10:20] = 1
    layer = unwrap(viewer.add_labels(labels))  # as napari's own readers leave it
    assert not form.voxel_size.native.isHidden()
    assert "without the size of its voxels" in form.voxel_size.warning.value
    measure(form)
    assert titles(form)[1] == "Voxels"
    assert form.table.texts()[0][1:3] == ["200", "–"]
    assert "mL" not in form.panel.status.value
    form.voxel_size.size.value = "2,2,5"
    press(form.voxel_size.button)
    assert form.voxel_size.native.isHidden()
    np.testing.assert_allclose(layer.scale, (5.0, 2.0, 2.0))
    measure(form)
    assert titles(form)[1] == "mL"
    assert form.table.texts()[0][1] == "4.0"
