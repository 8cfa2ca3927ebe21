"""The form "Fine-tune": what is in it reaches the trainer, and what comes back is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ssl_muscle.jobs.cli_options import shell_command
from napari_ssl_muscle.jobs.job_file import read_job, write_job
from napari_ssl_muscle.jobs.settings import FinetuneJob, PretrainJob
from napari_ssl_muscle.learning.events import (
    EpochEnd,
    Failed,
    Finished,
    Note,
    Progress,
    Started,
    Stopped,
)
from napari_ssl_muscle.learning.models.card import read_card
from napari_ssl_muscle.scans.muscles import default_table, write_tsv
from napari_ssl_muscle.viewer.train import training_form
from napari_ssl_muscle.viewer.train.finetune_form import NO_COHORT, SHORT, FinetuneForm
from napari_ssl_muscle.viewer.train.folder_picker import TOGETHER
from napari_ssl_muscle.viewer.widgets import dialogs, run_panel
from tests.viewer.conftest import DialogRecorder, MakeForm, write_labels, write_scan
from tests.viewer.helpers import FakeTask, end_of, press, until

WriteModel = Callable[..., Path]


@pytest.fixture
def works(monkeypatch: pytest.MonkeyPatch) -> list[FakeTask]:
    """Collect the jobs that would have been run."""
    monkeypatch.setattr(FakeTask, "made", [], raising=False)
    monkeypatch.setattr(training_form, "ChildTask", FakeTask)
    return FakeTask.made


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Three labelled scans, and one without labels."""
    folder = tmp_path / "cohort"
    folder.mkdir()
    for name in ("a", "b", "c"):
        write_labels(folder / f"{name}_seg.nii.gz")
        write_scan(folder / f"{name}.nii.gz")
    write_scan(folder / "d.nii.gz")
    write_tsv(default_table("thigh"), folder / "dseg.tsv")
    return folder


@pytest.fixture
def viewer(layers_only: Any) -> Any:
    return layers_only


@pytest.fixture
def form(make_form: MakeForm) -> FinetuneForm:
    return make_form(FinetuneForm)


def look_at(form: FinetuneForm, folder: Path) -> None:
    form.scans.folders.value = str(folder)
    until(lambda: form.scans.summary.value not in ("", "Looking into the folder …"))


def choose_two_muscles(form: FinetuneForm) -> list[str]:
    """Uncheck all but the first two; return these."""
    for box in form.muscles._boxes[2:]:
        box.value = False
    return form.muscles.checked


def test_a_folder_is_summed_up_and_its_muscles_offered(form: FinetuneForm, cohort: Path) -> None:
    assert not form.start_button.enabled
    look_at(form, cohort)
    assert form.scans.summary.value.startswith("3 labelled scans of 3 subjects (4 scans in all)")
    assert form.muscles.names == default_table("thigh").names
    assert form.muscles.checked == list(default_table("thigh").names)
    assert form.start_button.enabled


def test_every_value_in_the_form_reaches_the_job(
    form: FinetuneForm, cohort: Path, works: list[FakeTask], write_model: WriteModel, tmp_path: Path
) -> None:
    look_at(form, cohort)
    model = write_model()
    form.model.add(model)
    form.freeze.value = "decoder"
    form.preset.value = "quick"
    form.minutes.value = 12.5
    form.split.value = "block"
    form.out.value = str(tmp_path / "my run")
    choose_two_muscles(form)
    press(form.start_button)
    (work,) = works
    expected = FinetuneJob(
        cohort=cohort,
        out=tmp_path / "my run",
        init=str(model),
        freeze="decoder",
        preset="quick",
        minutes=12.5,
        split="block",
        muscles=["vastus lateralis", "vastus intermedius"],
    )
    assert work.job == expected
    assert form.command.line.value == shell_command(expected)


def test_untouched_the_form_asks_for_the_defaults(
    form: FinetuneForm, cohort: Path, works: list[FakeTask], home: Path
) -> None:
    look_at(form, cohort)
    press(form.start_button)
    job = works[0].job
    assert job == FinetuneJob(cohort=cohort, out=job.out)
    assert job.out.parent == home / "ssl-muscle" / "runs"


def test_freezing_needs_something_to_start_from(
    form: FinetuneForm, cohort: Path, write_model: WriteModel
) -> None:
    look_at(form, cohort)
    form.freeze.value = "encoder"
    assert not form.freeze.enabled
    assert form.job().freeze == "none"
    form.model.add(write_model())
    assert form.freeze.enabled
    assert form.job().freeze == "encoder"


def test_of_several_channels_one_or_all_are_chosen(form: FinetuneForm, tmp_path: Path) -> None:
    folder = tmp_path / "nnunet"
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for channel in ("0000", "0001"):
        write_scan(folder / "imagesTr" / f"a_{channel}.nii.gz")
    write_labels(folder / "labelsTr" / "a.nii.gz")
    look_at(form, folder)
    form.scans.channel.value = "0001"
    assert form.job().channels == ["0001"]
    form.scans.channel.value = TOGETHER
    assert form.job().channels == ["0000", "0001"]


def test_progress_epochs_and_notes_are_shown_and_the_new_model_is_listed(
    form: FinetuneForm, cohort: Path, works: list[FakeTask], write_model: WriteModel
) -> None:
    look_at(form, cohort)
    press(form.start_button)
    assert not form.start_button.enabled
    assert not form.scans.enabled
    post = works[0].bridge.post
    post(Started(action="fine-tuning", device="CPU, 2 threads", total=200))
    post(Progress(done=50, total=200, seconds_left=240))
    until(lambda: "step 50 of 200" in form.panel.status.value)
    assert form.panel.status.value == "Fine-tuning · step 50 of 200 · about 4 min left"
    assert form.panel.bar.native.value() == 50
    assert form.panel.device.value == "Computes on: CPU, 2 threads"
    post(EpochEnd(epoch=3, step=60, metrics={"train_loss": 0.5, "dice": 0.81}, best=True))
    post(Note(text="Validated on subject c.", warning=False))
    until(lambda: form.panel.notes.value != "")
    assert "validation Dice 0.810 (best so far)" in form.panel.figures.value
    assert form.panel.notes.value == "Validated on subject c."
    model = write_model("new")
    post(
        Finished(result={"model": str(model), "metrics": {"mean": 0.83}, "out": str(model.parent)})
    )
    assert isinstance(end_of(form.panel), Finished)
    assert "0.83" in form.panel.status.value
    assert "new" in [known.card.name for known in form.model.models if known.card is not None]
    assert form.start_button.enabled


def test_before_the_start_it_is_said_how_long_it_will_take(
    form: FinetuneForm, cohort: Path, works: list[FakeTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_panel, "expected_device", lambda: "CPU")
    assert not form.panel.expected.value
    look_at(form, cohort)
    assert form.panel.expected.value.endswith("on this CPU: nothing was trained here yet.")
    usual = form.panel.expected.value
    form.preset.value = "poster"  # counts in epochs, so the slices must be known
    assert form.panel.expected.value.startswith("Roughly")
    assert form.panel.expected.value != usual
    form.minutes.value = 5
    assert form.panel.expected.value.startswith("Will take 5 min")
    monkeypatch.setattr(run_panel, "expected_device", lambda: "GPU if PyTorch finds one, else CPU")
    form.minutes.value = 0
    assert "cannot be told yet" in form.panel.expected.value


def test_stop_reaches_the_work_and_says_what_was_kept(
    form: FinetuneForm, cohort: Path, works: list[FakeTask], tmp_path: Path
) -> None:
    look_at(form, cohort)
    press(form.start_button)
    press(form.panel.stop_button)
    assert works[0].stopped
    assert form.panel.status.value == "Stopping …"
    works[0].bridge.post(Stopped(result={"out": str(tmp_path / "nothing")}))
    end_of(form.panel)
    assert form.panel.status.value == "Stopped before there was anything to keep."
    assert form.start_button.enabled


def test_a_failure_is_a_sentence_with_the_log_and_the_form_goes_on(
    form: FinetuneForm, cohort: Path, works: list[FakeTask], dialogs_shown: DialogRecorder
) -> None:
    look_at(form, cohort)
    press(form.start_button)
    works[0].bridge.post(Failed(sentence="It failed unexpectedly.", details="Traceback …"))
    end_of(form.panel)
    assert dialogs_shown.problems == ["It failed unexpectedly."]
    assert dialogs_shown.details == ["Traceback …"]
    assert form.panel.status.value == "It failed unexpectedly."
    press(form.start_button)
    assert len(works) == 2


def test_a_folder_that_holds_another_run_is_refused_before_anything_starts(
    form: FinetuneForm,
    cohort: Path,
    works: list[FakeTask],
    dialogs_shown: DialogRecorder,
    tmp_path: Path,
) -> None:
    look_at(form, cohort)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.safetensors").write_bytes(b"another run")
    form.out.value = str(tmp_path / "run")
    press(form.start_button)
    assert "already holds a training" in dialogs_shown.problems[0]
    assert not works
    assert form.start_button.enabled


def test_no_muscle_checked_is_refused(
    form: FinetuneForm, cohort: Path, works: list[FakeTask], dialogs_shown: DialogRecorder
) -> None:
    look_at(form, cohort)
    for box in form.muscles._boxes:
        box.value = False
    press(form.start_button)
    assert dialogs_shown.problems == ["No muscle is chosen; check at least one."]
    assert not works


@pytest.mark.parametrize("kind", ["missing", "empty", "unlabelled", "other values"])
def test_a_folder_that_cannot_be_learned_from_says_why(
    form: FinetuneForm, tmp_path: Path, dialogs_shown: DialogRecorder, kind: str
) -> None:
    folder = tmp_path / "cohort"
    words = {
        "missing": "There is no folder",
        "empty": "holds no scans",
        "unlabelled": "no label map",
        "other values": "does not name",
    }[kind]
    if kind != "missing":
        folder.mkdir()
    if kind in ("unlabelled", "other values"):
        write_scan(folder / "a.nii.gz")
    if kind == "other values":
        labels = np.zeros((48, 40, 6), np.uint8)
        labels[4:20, 8:30] = 77
        write_scan(folder / "a_seg.nii.gz", labels)
        write_tsv(default_table("thigh"), folder / "dseg.tsv")
    look_at(form, folder)
    assert words in form.scans.summary.value
    assert not form.start_button.enabled
    form.start()
    assert dialogs_shown.problems == [NO_COHORT]


def test_the_folder_comes_from_the_dialog(
    form: FinetuneForm, cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogs, "ask_folder", lambda *_: cohort)
    press(form.scans.choose_button)
    until(lambda: "labelled" in form.scans.summary.value)


def test_closing_the_form_stops_its_work(
    form: FinetuneForm, cohort: Path, works: list[FakeTask]
) -> None:
    look_at(form, cohort)
    press(form.start_button)
    form.native.deleteLater()
    until(lambda: works[0].stopped)


def test_a_real_child_process_trains_what_the_form_says(
    form: FinetuneForm, cohort: Path, tmp_path: Path, dialogs_shown: DialogRecorder
) -> None:
    look_at(form, cohort)
    form.preset.value = "quick"
    form.minutes.value = 0.1
    form.split.value = "none"
    form.out.value = str(tmp_path / "run")
    choose_two_muscles(form)
    expected = form.job()
    press(form.start_button)
    event = end_of(form.panel)
    assert isinstance(event, Finished), dialogs_shown.problems
    assert read_job(tmp_path / "run" / "job.json") == expected
    card = read_card(tmp_path / "run" / "model.safetensors")
    assert card.table.names == ("vastus lateralis", "vastus intermedius")
    assert card.recipe is not None
    assert card.recipe.training.minutes == pytest.approx(0.1)
    assert form.panel.device.value.startswith("Computes on: CPU, ")


def test_a_stopped_training_goes_on_with_its_own_settings_from_its_folder(
    form: FinetuneForm,
    cohort: Path,
    works: list[FakeTask],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dialogs_shown: DialogRecorder,
) -> None:
    job = FinetuneJob(cohort=cohort, out=tmp_path / "run", freeze="encoder", init="starter")
    write_job(job.out / "job.json", job)
    (job.out / "checkpoint.safetensors").write_bytes(b"")
    monkeypatch.setattr(dialogs, "ask_folder", lambda *_: job.out)
    press(form.resume_button)
    (work,) = works
    assert work.job == job.model_copy(update={"resume": True})
    assert not form.resume_button.enabled
    work.bridge.post(Stopped(result={"out": str(job.out)}))
    end_of(form.panel)
    assert form.resume_button.enabled
    other = PretrainJob(cohorts=[cohort], out=tmp_path / "pretraining")
    write_job(other.out / "job.json", other)
    (other.out / "checkpoint.safetensors").write_bytes(b"")
    form.resume(other.out)
    assert "Pretraining; resume it there" in dialogs_shown.problems[0]
    assert len(works) == 1


def test_a_form_that_opens_again_has_what_was_entered(
    form: FinetuneForm, make_form: MakeForm, cohort: Path, write_model: WriteModel
) -> None:
    look_at(form, cohort)
    model = write_model()
    form.model.add(model)
    form.freeze.value = "decoder"
    form.minutes.value = 12.5
    form.native.deleteLater()
    again = make_form(FinetuneForm)
    until(lambda: again.scans.contents is not None)
    assert again.scans.folders.value == str(cohort)
    assert again.model.reference == str(model)
    assert (again.freeze.value, again.minutes.value) == ("decoder", 12.5)
    assert again.split.value == "auto"


def test_the_short_time_that_is_proposed_for_corrections_is_not_remembered(
    form: FinetuneForm, make_form: MakeForm, cohort: Path, write_model: WriteModel
) -> None:
    form.choose_study(cohort, write_model())
    assert form.minutes.value == SHORT
    assert make_form(FinetuneForm).minutes.value == 0
