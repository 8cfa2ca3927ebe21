"""The form "Pretrain", driven as a person does; the training itself is tested elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ssl_muscle.jobs.cli_options import shell_command
from napari_ssl_muscle.jobs.recipe import recipe_of
from napari_ssl_muscle.jobs.settings import PretrainJob
from napari_ssl_muscle.learning.events import EpochEnd, Event, Failed, Finished, Preview, Progress
from napari_ssl_muscle.viewer.layers.scan_layers import unwrap
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.train import training_form
from napari_ssl_muscle.viewer.train.pretrain_form import PretrainForm
from napari_ssl_muscle.viewer.widgets.background import EventBridge
from tests.viewer.conftest import DialogRecorder, write_scan
from tests.viewer.helpers import end_of, press, until

PLUGIN = "napari-ssl-muscle"


class Rehearsal:
    """Work of which a test tells the events."""

    last: Rehearsal

    def __init__(self, job: PretrainJob) -> None:
        self.job = job
        self.bridge = EventBridge()
        self.stopped = False
        Rehearsal.last = self

    def start(self) -> None:
        """Do nothing: the test goes on."""

    def stop(self) -> None:
        self.stopped = True

    def tell(self, *events: Event) -> None:
        """Deliver events as if they had come through the queue."""
        for event in events:
            self.bridge.arrived.emit(event)


@pytest.fixture
def form(viewer: Any, monkeypatch: pytest.MonkeyPatch) -> PretrainForm:
    monkeypatch.setattr(training_form, "ChildTask", Rehearsal)
    _, step = viewer.window.add_plugin_dock_widget(PLUGIN, "Pretrain")
    found: PretrainForm = unwrap(step).pretrain
    return found


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("anna", "ben"):
        write_scan(folder / f"{name}.nii.gz")
    return folder


def choose(form: PretrainForm, *folders: Path) -> None:
    form.scans.folders.value = "; ".join(map(str, folders))
    until(lambda: form.scans.contents is not None)


def probes(folder: Path, step: float) -> Path:
    """Write a probes' file: one masked square, whose reconstruction is `step`."""
    original = np.random.default_rng(0).normal(size=(3, 32, 32)).astype(np.float32)
    masked = original.copy()
    masked[:, 8:16, 8:16] = 0
    restored = np.full_like(original, step)
    path = folder / "probes.npz"
    np.savez(
        path,
        original=original,
        masked=masked,
        reconstruction=restored,
        error=np.abs(restored - original),
    )
    return path


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


def test_what_the_form_says_reaches_the_job_and_the_shell(
    form: PretrainForm, cohort: Path, tmp_path: Path
) -> None:
    other = tmp_path / "more"
    other.mkdir()
    write_scan(other / "carl.nii.gz")
    choose(form, cohort, other)
    assert "3 images of 3 subjects" in form.scans.summary.value
    form.settings.preset.value = "quick"
    form.settings.percent.value = 30
    form.settings.kernel.value = 8
    form.settings.exact.value = True
    form.settings.scored.value = "image"
    form.settings.steps.value = 40
    form.settings.seed.value = 5
    form.settings.leave_out.value = "ben, carl"
    form.settings.transductive.value = True
    form.out.value = str(tmp_path / "run")
    expected = PretrainJob(
        cohorts=[cohort, other],
        out=tmp_path / "run",
        preset="quick",
        mask_percent=30,
        kernel_size=8,
        exact=True,
        scored="image",
        steps=40,
        seed=5,
        leave_out=["ben", "carl"],
        transductive=True,
    )
    assert form.job() == expected
    assert form.command.line.value == shell_command(expected)
    press(form.start_button)
    assert Rehearsal.last.job == expected
    assert not form.start_button.enabled


def test_a_preset_shows_its_masks_and_asks_for_nothing_else(
    form: PretrainForm, cohort: Path
) -> None:
    choose(form, cohort)
    for preset in ("quick", "poster", "recommended"):
        form.settings.percent.value = 77
        form.settings.preset.value = preset
        job = form.job()
        assert job == PretrainJob(cohorts=[cohort], out=job.out, preset=preset)  # type: ignore[arg-type]
        assert form.settings.percent.value == recipe_of(job).pretext.mask_percent


@pytest.mark.parametrize(("kernel", "copying"), [(4, True), (80, False)])
def test_the_masks_are_drawn_on_the_open_scan_with_coverage_and_a_word_on_copying(
    viewer: Any, form: PretrainForm, scan_file: Path, kernel: int, copying: bool
) -> None:
    scan = unwrap(commands.open_paths(viewer, [scan_file])[0])
    form.settings.inside_body.value = kernel == 4
    form.settings.kernel.value = kernel
    press(form.preview_button)
    until(lambda: "visible one" in form.coverage.value)
    assert "% of the image" in form.coverage.value
    assert ("of the body" in form.coverage.value) == (kernel == 4)
    assert ("mostly copying" in form.coverage.value) == copying
    (mask,) = [layer for layer in viewer.layers if layer.name == "Inpainting mask"]
    assert mask.data.shape == scan.data.shape
    np.testing.assert_array_equal(mask.scale, scan.scale)
    np.testing.assert_array_equal(mask.translate, scan.translate)
    assert set(np.unique(mask.data)) == {0, 1}
    # Other settings: the figures were those of the old ones. One layer, drawn anew.
    before = mask.data.copy()
    form.settings.seed.value = 9
    assert form.coverage.value == ""
    press(form.preview_button)
    until(lambda: "visible one" in form.coverage.value)
    assert names(viewer).count("Inpainting mask") == 1
    assert (mask.data != before).any() == (kernel == 4)  # the large ones cover all of it


def test_squares_larger_than_the_images_are_one_sentence_and_the_form_goes_on(
    viewer: Any, form: PretrainForm, scan_file: Path, dialogs_shown: DialogRecorder
) -> None:
    commands.open_paths(viewer, [scan_file])
    form.settings.kernel.value = 400
    press(form.preview_button)
    until(lambda: dialogs_shown.problems)
    (sentence,) = dialogs_shown.problems
    assert "A square of 400 pixels does not fit" in sentence
    assert dialogs_shown.details == [""]
    form.settings.kernel.value = 4
    press(form.preview_button)
    until(lambda: "visible one" in form.coverage.value)


def test_a_percentage_of_zero_and_two_lengths_are_refused_in_a_sentence(
    form: PretrainForm, cohort: Path, dialogs_shown: DialogRecorder
) -> None:
    choose(form, cohort)
    form.settings.percent.value = 0
    press(form.start_button)
    form.settings.percent.value = 20
    form.settings.steps.value = 10
    form.settings.minutes.value = 3
    press(form.start_button)
    zero, lengths = dialogs_shown.problems
    assert "masked percentage is 0" in zero
    assert "steps and minutes both say how long" in lengths
    assert not form.panel.running


def test_a_folder_without_scans_says_so_and_the_button_waits(
    form: PretrainForm, tmp_path: Path
) -> None:
    form.scans.folders.value = str(tmp_path / "nowhere")
    assert "There is no folder" in form.scans.summary.value
    (tmp_path / "empty").mkdir()
    form.scans.folders.value = str(tmp_path / "empty")
    until(lambda: form.scans.summary.value.startswith("⚠") and "empty" in form.scans.summary.value)
    assert not form.start_button.enabled


def test_pictures_are_refreshed_as_it_learns_and_removed_ones_stay_away(
    viewer: Any, form: PretrainForm, cohort: Path, tmp_path: Path, dialogs_shown: DialogRecorder
) -> None:
    scan = unwrap(commands.open_paths(viewer, [cohort / "anna.nii.gz"])[0])
    choose(form, cohort)
    press(form.start_button)
    work = Rehearsal.last
    work.tell(Preview(step=1, path=str(probes(tmp_path, 2.0))))
    pictures = {layer.name: unwrap(layer) for layer in viewer.layers[-4:]}
    assert list(pictures) == ["Original", "Masked input", "Reconstruction", "Absolute error"]
    grey = [pictures[name].contrast_limits for name in list(pictures)[:3]]
    assert grey[0] == grey[1] == grey[2]
    assert viewer.canvas.grid.enabled
    assert not scan.visible
    # Only masked pixels are scored: elsewhere one sees the original.
    restored = pictures["Reconstruction"]
    assert (restored.data[:, 8:16, 8:16] == 2).all()
    np.testing.assert_array_equal(restored.data[:, 20:], pictures["Original"].data[:, 20:])
    assert not pictures["Absolute error"].data[:, 20:].any()

    viewer.layers.remove(pictures["Masked input"])
    pictures["Reconstruction"].name = "mine"
    work.tell(Preview(step=2, path=str(probes(tmp_path, 3.0))))
    assert (restored.data[:, 8:16, 8:16] == 3).all()
    assert names(viewer)[-3:] == ["Original", "mine", "Absolute error"]
    while viewer.layers:
        viewer.layers.pop()
    work.tell(Preview(step=3, path=str(probes(tmp_path, 4.0))), Finished())
    assert not viewer.layers
    assert not dialogs_shown.problems


def test_the_next_pretraining_brings_the_pictures_back_and_the_grid_can_be_left(
    viewer: Any, form: PretrainForm, cohort: Path, tmp_path: Path
) -> None:
    scan = unwrap(commands.open_paths(viewer, [cohort / "anna.nii.gz"])[0])
    choose(form, cohort)
    for step in (1.0, 2.0):
        press(form.start_button)
        Rehearsal.last.tell(Preview(step=1, path=str(probes(tmp_path, step))), Finished())
        assert names(viewer).count("Reconstruction") == 1
    assert (viewer.layers["Reconstruction"].data[:, 8:16, 8:16] == 2).all()
    press(form.back_button)
    assert not viewer.canvas.grid.enabled
    assert scan.visible
    assert not viewer.layers["Reconstruction"].visible
    # Pictures are results, no scans to draw masks on.
    assert list(form.scan.choices) == [scan]


def test_a_file_that_is_being_replaced_does_no_harm(
    viewer: Any, form: PretrainForm, cohort: Path, tmp_path: Path
) -> None:
    choose(form, cohort)
    press(form.start_button)
    (tmp_path / "half.npz").write_bytes(b"PK half a file")
    for path in ("half.npz", "gone.npz"):
        Rehearsal.last.tell(Preview(step=1, path=str(tmp_path / path)))
    assert not viewer.layers
    Rehearsal.last.tell(Preview(step=2, path=str(probes(tmp_path, 1.0))), Finished())
    assert len(viewer.layers) == 4


def test_before_the_start_it_is_said_how_long_it_will_take(
    form: PretrainForm, cohort: Path
) -> None:
    assert not form.panel.expected.value
    choose(form, cohort)
    form.settings.minutes.value = 5
    assert form.panel.expected.value.startswith("Will take 5 min")
    form.settings.minutes.value = 0
    form.settings.preset.value = "quick"
    assert form.panel.expected.value
    assert "5 min, as set" not in form.panel.expected.value


def test_progress_and_end_are_told_with_the_error_inside_the_masks(
    form: PretrainForm, cohort: Path, tmp_path: Path, write_model: Any
) -> None:
    choose(form, cohort)
    press(form.start_button)
    work = Rehearsal.last
    metrics = {"train_loss": 0.5, "masked_error": 0.25, "constant_error": 1.125}
    work.tell(
        Progress(done=3, total=40),
        EpochEnd(epoch=1, step=3, metrics=metrics, best=True),
    )
    assert "error inside the masks of 0.250 (a plain grey: 1.125)" in form.panel.figures.value
    press(form.panel.stop_button)
    assert work.stopped
    model = write_model("pre")
    out = form.out.value
    work.tell(Finished(result={"model": str(model), "metrics": metrics, "out": out}))
    assert "✓ Done" in form.panel.status.value
    assert "0.250" in form.panel.status.value
    assert any(listed.path == model for listed in form.model.models)
    assert form.start_button.enabled


def test_a_failure_is_one_sentence_and_the_form_can_be_used_again(
    form: PretrainForm, cohort: Path, dialogs_shown: DialogRecorder
) -> None:
    choose(form, cohort)
    press(form.start_button)
    Rehearsal.last.tell(Failed(sentence="A square does not fit.", bad_input=True))
    assert dialogs_shown.problems == ["A square does not fit."]
    press(form.start_button)
    assert form.panel.running


def test_a_press_trains_in_a_child_process(
    viewer: Any,
    form: PretrainForm,
    cohort: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dialogs_shown: DialogRecorder,
) -> None:
    """A refusal in the child comes back as a sentence: the way there and back works."""
    from napari_ssl_muscle.viewer.widgets.background import ChildTask

    monkeypatch.setattr(training_form, "ChildTask", ChildTask)
    choose(form, cohort)
    form.settings.preset.value = "quick"
    form.settings.kernel.value = 300
    press(form.start_button)
    assert isinstance(end_of(form.panel), Failed)
    (sentence,) = dialogs_shown.problems
    assert "300 pixels does not fit" in sentence
    assert form.start_button.enabled
