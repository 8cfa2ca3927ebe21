"""The form "Segment muscles", driven as a person does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ssl_muscle.actions import run_job
from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.cli_options import shell_command
from napari_ssl_muscle.jobs.settings import SegmentJob
from napari_ssl_muscle.learning.data.contrast import DEPTHS
from napari_ssl_muscle.learning.events import Failed, Finished, Stopped, StoppedByUser
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable, default_table
from napari_ssl_muscle.scans.volume import open_label_map
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, unwrap
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.segment.form import NO_SCAN, SegmentForm
from napari_ssl_muscle.viewer.widgets import dialogs
from tests.viewer.conftest import DialogRecorder, oblique, write_scan
from tests.viewer.helpers import end_of, press, until

PLUGIN = "napari-ssl-muscle"
FAR = [[10.0] * (len(DEPTHS) - 1)]
"""A contrast profile that no scan has."""
WriteModel = Callable[..., Path]


@pytest.fixture
def form(viewer: Any) -> SegmentForm:
    _, step = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment & correct")
    found: SegmentForm = unwrap(step).segment
    return found


@pytest.fixture
def ready(viewer: Any, form: SegmentForm, scan_file: Path, write_model: WriteModel) -> SegmentForm:
    """The form with an open scan and a model that labels everything as muscle 1."""
    commands.open_paths(viewer, [scan_file])
    form.model.add(write_model())
    return form


def segment(form: SegmentForm) -> Any:
    press(form.segment_button)
    return end_of(form.panel)


def layers(viewer: Any) -> dict[str, Any]:
    return {layer.name: unwrap(layer) for layer in viewer.layers}


def test_a_click_labels_the_scan_as_one_undo_step_and_leaves_ground_truth_alone(
    viewer: Any, form: SegmentForm, labelled_file: Path, write_model: WriteModel
) -> None:
    commands.open_paths(viewer, [labelled_file])
    form.model.add(write_model(muscle=3))
    truth, prediction = layers(viewer)["Ground truth"], layers(viewer)["Prediction"]
    before = truth.data.copy()
    assert isinstance(segment(form), Finished)
    assert set(np.unique(prediction.data)) == {0, 3}
    assert not form.model.card.visible
    np.testing.assert_array_equal(truth.data, before)
    assert set(layers(viewer)) - {"Uncertainty"} == {"leg", "Ground truth", "Prediction"}
    found = prediction.data.copy()
    prediction.undo()
    assert not prediction.data.any()
    prediction.redo()
    np.testing.assert_array_equal(prediction.data, found)
    assert "1 muscle" in form.panel.status.value
    assert "Not found" in form.panel.status.value
    status = prediction.get_status(tuple(np.argwhere(found == 3)[0]), world=False)
    assert "vastus medialis" in status["value"]


def test_window_and_shell_give_the_same_labels(
    viewer: Any, ready: SegmentForm, scan_file: Path, tmp_path: Path
) -> None:
    segment(ready)
    job = ready.job()
    assert job is not None
    assert job.scans == [scan_file]
    assert ready.command.line.value == shell_command(job)
    run_job(job.model_copy(update={"out": tmp_path / "shell"}))
    written = open_label_map(tmp_path / "shell" / "leg_dseg.nii.gz").read()
    assert written.any()
    np.testing.assert_array_equal(layers(viewer)["Prediction"].data, written)


def test_without_scan_or_model_the_button_waits_and_says_why(
    viewer: Any, form: SegmentForm, scan_file: Path, dialogs_shown: DialogRecorder
) -> None:
    assert not form.segment_button.enabled
    assert form.panel.status.value == NO_SCAN
    form.start()
    assert dialogs_shown.problems == [NO_SCAN]
    commands.open_paths(viewer, [scan_file])
    assert form.panel.status.value != NO_SCAN
    while viewer.layers:
        viewer.layers.pop()
    assert form.panel.status.value == NO_SCAN
    assert not form.segment_button.enabled


def test_after_a_failure_there_is_a_sentence_a_log_and_a_form_to_use_again(
    viewer: Any, ready: SegmentForm, dialogs_shown: DialogRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_ssl_muscle.learning import predict

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("size mismatch for head.weight")

    with monkeypatch.context() as broke:
        broke.setattr(predict, "segment_volume", broken)
        assert isinstance(segment(ready), Failed)
    (sentence,) = dialogs_shown.problems
    assert "size mismatch" in sentence
    assert "Traceback" in dialogs_shown.details[0]
    assert not layers(viewer)["Prediction"].data.any()
    assert isinstance(segment(ready), Finished)
    assert layers(viewer)["Prediction"].data.any()


def test_bad_input_in_the_work_is_one_sentence_without_a_log(
    viewer: Any,
    form: SegmentForm,
    scan_file: Path,
    write_model: WriteModel,
    dialogs_shown: DialogRecorder,
) -> None:
    commands.open_paths(viewer, [scan_file])
    model = write_model()
    form.model.add(model)
    model.write_bytes(b"\x80\x04 this is a pickle")
    segment(form)
    (sentence,) = dialogs_shown.problems
    assert "pickle" in sentence
    assert dialogs_shown.details == [""]
    assert form.segment_button.enabled


def test_stop_ends_the_work_and_leaves_the_labels_as_they_were(
    viewer: Any, ready: SegmentForm, monkeypatch: pytest.MonkeyPatch, dialogs_shown: DialogRecorder
) -> None:
    from napari_ssl_muscle.learning import predict

    begun = threading.Event()

    def endless(*_: Any, stop: Callable[[], bool], **__: Any) -> None:
        begun.set()
        while not stop():
            pass
        raise StoppedByUser

    monkeypatch.setattr(predict, "segment_volume", endless)
    press(ready.segment_button)
    assert not ready.segment_button.enabled
    until(begun.is_set)
    press(ready.panel.stop_button)
    assert isinstance(end_of(ready.panel), Stopped)
    assert ready.panel.status.value == "Stopped."
    assert not layers(viewer)["Prediction"].data.any()
    assert ready.segment_button.enabled
    assert not dialogs_shown.problems


def test_the_message_goes_with_the_labels_that_it_is_about(viewer: Any, ready: SegmentForm) -> None:
    segment(ready)
    until(lambda: "Uncertainty" in layers(viewer))
    viewer.layers.remove("Uncertainty")
    assert "1 muscle" in ready.panel.status.value
    viewer.layers.remove("Prediction")
    assert not ready.panel.status.value


def test_labels_that_are_removed_meanwhile_come_in_a_new_layer(
    viewer: Any, ready: SegmentForm, dialogs_shown: DialogRecorder
) -> None:
    press(ready.segment_button)
    viewer.layers.remove("Prediction")
    assert isinstance(end_of(ready.panel), Finished)
    assert layers(viewer)["Prediction"].data.any()
    assert not dialogs_shown.problems


def test_labels_of_a_scan_that_was_closed_meanwhile_are_dropped_and_that_is_said(
    viewer: Any, ready: SegmentForm, tmp_path: Path, dialogs_shown: DialogRecorder
) -> None:
    press(ready.segment_button)
    while viewer.layers:
        viewer.layers.pop()
    other = commands.open_paths(viewer, [write_scan(tmp_path / "other.nii.gz")])
    until(lambda: not ready.panel.running)  # opening lets events through, so it may have ended
    assert set(layers(viewer)) == {"other", "Prediction"}
    assert not other[1].data.any()
    assert "leg was closed meanwhile" in ready.panel.status.value
    assert not dialogs_shown.problems
    segment(ready)
    assert other[1].data.any()


def test_labels_go_to_their_own_scan_when_another_was_opened_and_chosen_meanwhile(
    viewer: Any, form: SegmentForm, scan_file: Path, tmp_path: Path, write_model: WriteModel
) -> None:
    own = commands.open_paths(viewer, [scan_file])
    form.model.add(write_model())
    press(form.segment_button)
    other = commands.open_paths(viewer, [write_scan(tmp_path / "other.nii.gz")])
    viewer.layers.selection.active = other[0]
    until(lambda: not form.panel.running)
    assert own[1].data.any()
    assert not other[1].data.any()
    assert "leg · Prediction" in form.panel.status.value


def test_labels_of_other_muscles_are_never_mixed_up(
    viewer: Any, form: SegmentForm, scan_file: Path, write_model: WriteModel
) -> None:
    commands.open_paths(viewer, [scan_file])
    form.model.add(write_model("thigh", muscle=2))
    segment(form)
    first = layers(viewer)["Prediction"]
    before = first.data.copy()
    form.model.add(write_model("calf", muscle=2, table=default_table("calf")))
    segment(form)
    np.testing.assert_array_equal(first.data, before)
    second = unwrap(viewer.layers.selection.active)
    assert second is not first
    info = info_of(second)
    assert info is not None
    assert info.table == default_table("calf")
    second.undo()
    assert not second.data.any()


def test_values_above_255_get_a_layer_that_holds_them(
    viewer: Any, form: SegmentForm, scan_file: Path, write_model: WriteModel
) -> None:
    commands.open_paths(viewer, [scan_file])
    form.model.add(write_model(table=MuscleTable((Muscle(1201, "soleus"),))))
    segment(form)
    assert set(np.unique(unwrap(viewer.layers.selection.active).data)) == {0, 1201}


def test_with_two_subjects_the_labels_go_to_the_chosen_one(
    viewer: Any, form: SegmentForm, tmp_path: Path, write_model: WriteModel
) -> None:
    one = commands.open_paths(viewer, [write_scan(tmp_path / "one.nii.gz")])
    two = commands.open_paths(viewer, [write_scan(tmp_path / "two.nii.gz")])
    form.model.add(write_model())
    assert form.scans[0].value is unwrap(two[0])
    viewer.layers.selection.active = one[0]
    assert form.scans[0].value is unwrap(one[0])
    assert form.saving.path.value == str(tmp_path / "one_dseg.nii.gz")
    segment(form)
    assert one[1].data.any()
    assert not two[1].data.any()


def test_the_scan_chosen_in_the_list_comes_to_the_front_and_only_it_can_be_painted(
    viewer: Any, form: SegmentForm, tmp_path: Path
) -> None:
    one = commands.open_paths(viewer, [write_scan(tmp_path / "one.nii.gz")])
    two = commands.open_paths(viewer, [write_scan(tmp_path / "two.nii.gz")])
    form.scans[0].value = unwrap(one[0])
    assert unwrap(viewer.layers.selection.active) is unwrap(one[1])
    assert [layer.visible for layer in (*one, *two)] == [True, True, False, False]
    assert form.scans[0].value is unwrap(one[0])


def test_a_chosen_scan_stays_chosen_when_it_is_renamed(
    viewer: Any, form: SegmentForm, tmp_path: Path
) -> None:
    one = commands.open_paths(viewer, [write_scan(tmp_path / "one.nii.gz")])
    commands.open_paths(viewer, [write_scan(tmp_path / "two.nii.gz")])
    viewer.layers.selection.active = one[0]
    one[0].name = "zebra"
    assert form.scans[0].value is unwrap(one[0])


def test_a_model_of_two_channels_gets_both_images_in_its_order(
    viewer: Any,
    form: SegmentForm,
    tmp_path: Path,
    write_model: WriteModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from napari_ssl_muscle.learning import predict

    seen: list[np.ndarray] = []
    real = predict.segment_volume

    def spy(model: Any, channels: np.ndarray, *args: Any, **options: Any) -> Any:
        seen.append(channels)
        return real(model, channels, *args, **options)

    monkeypatch.setattr(predict, "segment_volume", spy)
    fat, _ = commands.open_paths(viewer, [write_scan(tmp_path / "fat.nii.gz")])
    water, _ = commands.open_paths(viewer, [write_scan(tmp_path / "water.nii.gz", affine=None)])
    water.data = water.data[:, ::-1]
    form.model.add(write_model(channels=["water", "fat"]))
    assert len(form.scans) == 2
    form.scans[0].value = unwrap(water)
    form.scans[1].value = unwrap(fat)
    segment(form)
    np.testing.assert_array_equal(seen[0], np.stack([water.data, fat.data]))
    assert form.job() is None  # the shell would need the folder of a cohort


def test_a_scan_of_far_contrast_is_warned_about_before_the_button_is_pressed(
    viewer: Any, form: SegmentForm, scan_file: Path, write_model: WriteModel
) -> None:
    form.model.add(write_model(contrast_profiles=FAR, contrast="fat image"))
    commands.open_paths(viewer, [scan_file])
    until(lambda: "unlike the training scans of 'tiny'" in form.fit.value)
    assert "fat image" in form.fit.value


def test_until_the_user_picks_a_model_that_suits_the_scan_is_chosen(
    viewer: Any, form: SegmentForm, scan_file: Path, write_model: WriteModel
) -> None:
    from napari_ssl_muscle.viewer.widgets.model_picker import MODELS

    far = write_model("far", contrast_profiles=FAR)
    near = write_model("near")
    for path in (far, near):
        MODELS.add(path)
    form.model.choose(far)
    commands.open_paths(viewer, [scan_file])
    until(lambda: form.model.model is not None and form.model.model.path == near)
    # By hand, the other one: it stays, with a warning.
    form.model.add(far)
    until(lambda: "unlike the training scans" in form.fit.value)
    assert form.model.model is not None
    assert form.model.model.path == far


def test_the_card_tells_muscles_contrast_voxels_training_and_dice(
    form: SegmentForm, write_model: WriteModel
) -> None:
    from napari_ssl_muscle.learning.models.card import TrainingSource

    data = TrainingSource(name="some cohort", subjects=3, slices=40, labels="by hand")
    form.model.add(
        write_model(
            contrast="water image",
            spacing=(24.0, 0.75, 0.75),
            dice={"mean": 0.87, "gracilis": 0.79},
            training_data=[data],
        )
    )
    card = form.model.card.value
    for words in (
        "vastus lateralis",
        "gracilis 0.79",
        "0.87 on average",
        "water image",
        "0.75 × 0.75 × 24 mm",
        "some cohort: 3 subjects, 40 slices (labels: by hand)",
    ):
        assert words in card


def test_a_file_that_is_no_model_is_refused_in_a_sentence(
    form: SegmentForm,
    tmp_path: Path,
    dialogs_shown: DialogRecorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = form.model.model
    bad = tmp_path / "weights.pth"
    bad.write_bytes(b"PK\x03\x04 zip of a pickle")
    monkeypatch.setattr(dialogs, "ask_model", lambda *_: bad)
    press(form.model.browse_button)
    (sentence,) = dialogs_shown.problems
    assert "pickle" in sentence
    assert form.model.model == before


def test_saving_writes_where_it_said_on_the_voxels_of_the_scan(
    viewer: Any, ready: SegmentForm, scan_file: Path, dialogs_shown: DialogRecorder
) -> None:
    import nibabel as nib

    segment(ready)
    target = scan_file.with_name("leg_dseg.nii.gz")
    assert ready.saving.path.value == str(target)
    assert target.name in ready.saving.hint.value
    assert not target.exists()
    press(ready.saving.save_button)
    assert not dialogs_shown.problems
    assert not dialogs_shown.asked
    saved, scan = nib.load(target), nib.load(scan_file)
    assert saved.shape == scan.shape
    np.testing.assert_array_equal(saved.affine, scan.affine)
    np.testing.assert_allclose(saved.affine, oblique(), atol=1e-5)
    np.testing.assert_array_equal(open_label_map(target).read(), layers(viewer)["Prediction"].data)
    assert "vastus lateralis" in target.with_name("leg_dseg.tsv").read_text(encoding="utf-8")
    assert "vastus lateralis" in target.with_name("leg_dseg.label").read_text(encoding="utf-8")


def test_an_existing_file_is_replaced_only_when_asked_for(
    viewer: Any, form: SegmentForm, scan_file: Path, dialogs_shown: DialogRecorder
) -> None:
    commands.open_paths(viewer, [scan_file])
    target = scan_file.with_name("mine.nii.gz")
    target.write_bytes(b"precious")
    form.saving.path.value = str(target)
    assert "you will be asked" in form.saving.hint.value
    dialogs_shown.agree = False
    press(form.saving.save_button)
    assert target.read_bytes() == b"precious"
    assert "mine.nii.gz" in dialogs_shown.asked[0]
    dialogs_shown.agree = True
    press(form.saving.save_button)
    assert open_label_map(target).read().shape == layers(viewer)["Prediction"].data.shape


def test_the_ground_truth_s_file_is_never_proposed_and_its_layer_not_listed(
    viewer: Any, form: SegmentForm, labelled_file: Path
) -> None:
    labelled_file.with_name("leg_seg.nii.gz").rename(labelled_file.with_name("leg_dseg.nii.gz"))
    commands.open_paths(viewer, [labelled_file])
    assert [layer.name for layer in form.saving.layer.choices] == ["Prediction"]
    assert form.saving.path.value.endswith("leg_prediction.nii.gz")


@pytest.mark.parametrize(
    ("path", "words"), [("", "No file name"), ("labels.nii.gz", "names no folder")]
)
def test_a_place_that_makes_no_sense_is_refused(
    viewer: Any,
    form: SegmentForm,
    scan_file: Path,
    dialogs_shown: DialogRecorder,
    path: str,
    words: str,
) -> None:
    commands.open_paths(viewer, [scan_file])
    form.saving.path.value = path
    press(form.saving.save_button)
    (sentence,) = dialogs_shown.problems
    assert words in sentence


def test_a_folder_that_cannot_be_written_is_one_sentence(
    viewer: Any, form: SegmentForm, scan_file: Path, dialogs_shown: DialogRecorder, tmp_path: Path
) -> None:
    commands.open_paths(viewer, [scan_file])
    (tmp_path / "file").write_text("in the way")
    form.saving.path.value = str(tmp_path / "file" / "labels.nii.gz")
    press(form.saving.save_button)
    (sentence,) = dialogs_shown.problems
    assert "Cannot write" in sentence
    with pytest.raises(BadInput):
        form.saving.save()


def test_a_foreign_image_can_be_segmented_and_saved(
    viewer: Any, form: SegmentForm, write_model: WriteModel, tmp_path: Path
) -> None:
    image = np.zeros((5, 48, 64), np.float32)
    image[:, 8:40, 6:58] = np.random.default_rng(0).normal(100, 5, (5, 32, 52))
    viewer.add_image(image, name="from elsewhere", scale=(6, 2, 2), translate=(3, 5, 7))
    form.model.add(write_model())
    segment(form)
    layer = layers(viewer)["Prediction"]
    np.testing.assert_allclose(layer.translate, (3, 5, 7))
    assert layer.data.any()
    form.saving.path.value = str(tmp_path / "out.nii.gz")
    press(form.saving.save_button)
    saved = open_label_map(tmp_path / "out.nii.gz")
    np.testing.assert_allclose(saved.geometry.spacing, (6, 2, 2))
    np.testing.assert_array_equal(saved.read(), layer.data)


def test_a_saved_command_quotes_the_folder_that_is_shown(
    viewer: Any, form: SegmentForm, scan_file: Path, write_model: WriteModel, tmp_path: Path
) -> None:
    commands.open_paths(viewer, [scan_file])
    model = write_model()
    form.model.add(model)
    form.saving.path.value = str(tmp_path / "my labels" / "x.nii.gz")
    expected = SegmentJob(scans=[scan_file], model=str(model), out=tmp_path / "my labels")
    assert form.command.line.value == shell_command(expected)
