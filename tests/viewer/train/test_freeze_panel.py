"""The panel "Compare freeze modes": four curves while it runs, a table at the end, one model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from magicgui.widgets import Container
from qtpy.QtWidgets import QApplication

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.freeze_results import FreezeComparison, ModeResult, write_results
from napari_ssl_muscle.jobs.cli_options import shell_command
from napari_ssl_muscle.jobs.job_file import read_job
from napari_ssl_muscle.jobs.settings import CompareFreezingJob, FinetuneJob
from napari_ssl_muscle.learning.events import (
    EpochEnd,
    Failed,
    Finished,
    Progress,
    Started,
    Stopped,
)
from napari_ssl_muscle.learning.models.card import read_card
from napari_ssl_muscle.scans.muscles import default_table, write_tsv
from napari_ssl_muscle.viewer.train import freeze_panel, training_form
from napari_ssl_muscle.viewer.train.finetune_form import FinetuneForm
from napari_ssl_muscle.viewer.train.freeze_panel import FreezingPanel, comparison_of
from napari_ssl_muscle.viewer.widgets.model_picker import MODELS
from tests.viewer.conftest import DialogRecorder, MakeForm, write_labels, write_scan
from tests.viewer.helpers import FakeTask, end_of, press, until

DICE = {"none": 0.7, "encoder": 0.9, "decoder": 0.8, "both": 0.6}
LEARNS = {"none": 1_900_000, "encoder": 700_000, "decoder": 1_200_000, "both": 119}
MINUTES = {"none": 10.0, "encoder": 6.0, "decoder": 7.0, "both": 5.0}


@pytest.fixture
def works(monkeypatch: pytest.MonkeyPatch) -> list[FakeTask]:
    monkeypatch.setattr(FakeTask, "made", [], raising=False)
    monkeypatch.setattr(freeze_panel, "ChildTask", FakeTask)
    return FakeTask.made


@dataclass
class Host:
    """What the form would ask for, and what it hears of the panel."""

    job: FinetuneJob | BadInput
    chosen: list[tuple[Any, Path]] = field(default_factory=list)
    began: int = 0

    def ask(self) -> FinetuneJob:
        if isinstance(self.job, BadInput):
            raise self.job
        return self.job

    def hear(self) -> None:
        self.began += 1


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(
        FinetuneJob(
            cohort=tmp_path / "scans",
            out=tmp_path / "run",
            init="start",
            freeze="encoder",
            minutes=3,
            muscles=["VL"],
        )
    )


@pytest.fixture
def panel(qapp: QApplication, host: Host) -> Iterator[FreezingPanel]:
    panel = FreezingPanel(host.ask)
    panel.model_chosen.connect(lambda job, path: host.chosen.append((job, path)))
    panel.began.connect(host.hear)
    panel.set_free(free=True)
    form = Container(widgets=[panel.button, panel], labels=False)
    form.native.resize(320, 900)
    form.native.show()
    yield panel
    until(lambda: not panel.plot.painting)
    form.native.close()
    form.native.deleteLater()


def write_cohort(folder: Path) -> Path:
    """Write three labelled scans."""
    folder.mkdir()
    for name in ("a", "b", "c"):
        write_labels(folder / f"{name}_seg.nii.gz")
        write_scan(folder / f"{name}.nii.gz")
    write_tsv(default_table("thigh"), folder / "dseg.tsv")
    return folder


def write_found(out: Path, write_model: Callable[..., Path], *modes: str) -> None:
    """Write what a comparison of these modes would leave."""
    results = []
    names = default_table("thigh").names
    for mode in modes:
        (out / mode).mkdir(parents=True)
        write_model(f"m-{mode}").rename(out / mode / "model.safetensors")
        results.append(
            ModeResult(
                mode=mode,
                trainable=LEARNS[mode],
                parameters=LEARNS["none"],
                steps=50,
                best_step=40,
                seconds=60 * MINUTES[mode],
                dice={"mean": DICE[mode], names[0]: DICE[mode] / 2},
                muscles=list(names),
                model=f"{mode}/model.safetensors",
                seed=0,
                split_hash="abc",
                leaking=False,
                notes=[],
                versions={},
            )
        )
    write_results(
        out,
        FreezeComparison(start="start", labels="0", validated_on="Validated on b.", modes=results),
    )


def test_the_form_and_the_shell_ask_for_the_same_job(
    panel: FreezingPanel, host: Host, works: list[FakeTask], tmp_path: Path
) -> None:
    assert not panel.content.visible
    press(panel.button)
    assert panel.content.visible
    expected = CompareFreezingJob(
        cohort=tmp_path / "scans",
        out=tmp_path / "run-freezing",
        init="start",
        minutes=3,
        muscles=["VL"],
    )
    assert panel.command.line.value == shell_command(expected)
    press(panel.start_button)
    assert works[0].job == expected
    assert host.began == 1
    assert not panel.start_button.enabled


def test_every_setting_but_the_mode_is_the_forms(host: Host) -> None:
    assert isinstance(host.job, FinetuneJob)
    ours = comparison_of(host.job).model_dump(exclude={"action", "out"})
    assert ours == host.job.model_dump(exclude={"action", "out", "freeze"})


def test_a_second_comparison_gets_a_folder_of_its_own(host: Host, tmp_path: Path) -> None:
    (tmp_path / "run-freezing").mkdir()
    assert isinstance(host.job, FinetuneJob)
    assert comparison_of(host.job).out == tmp_path / "run-freezing-2"


def test_without_a_model_to_start_from_it_cannot_begin(
    panel: FreezingPanel, host: Host, works: list[FakeTask], dialogs_shown: DialogRecorder
) -> None:
    press(panel.button)
    assert isinstance(host.job, FinetuneJob)
    host.job = host.job.model_copy(update={"init": None})
    panel.set_free(free=False)
    assert not panel.start_button.enabled
    assert panel.command.line.value == ""
    panel.start()
    assert "nothing worth keeping fixed" in dialogs_shown.problems[0]
    assert not works


def test_four_curves_are_drawn_while_it_runs(
    panel: FreezingPanel, works: list[FakeTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[dict[str, list[int]]] = []
    real = freeze_panel.draw_curves

    def draw(figure: Any, curves: Any) -> None:
        real(figure, curves)
        lines = figure.axes[0].get_lines()
        drawn.append({line.get_label(): list(line.get_xdata()) for line in lines})

    monkeypatch.setattr(freeze_panel, "draw_curves", draw)
    press(panel.button)
    press(panel.start_button)
    post = works[0].bridge.post
    post(Started(action="comparing freeze modes", device="CPU"))
    for number, mode in enumerate(DICE):
        for step in (5, 10):
            metrics = {"train_loss": 1 / step, "dice": DICE[mode]}
            post(EpochEnd(epoch=1, step=step, metrics=metrics, arm=mode))
        until(lambda number=number: drawn and len(drawn[-1]) == number + 1)
    until(lambda: len(drawn[-1]["All but last layer fixed"]) == 2)
    assert drawn[-1] == {
        "Nothing fixed": [5, 10],
        "Encoder fixed": [5, 10],
        "Decoder fixed": [5, 10],
        "All but last layer fixed": [5, 10],
    }
    assert panel.panel.figures.value.startswith("All but last layer fixed: Epoch 1")
    post(Progress(done=30, total=40, text="Decoder fixed (3 of 4)", seconds_left=100))
    until(lambda: "step 30 of 40" in panel.panel.status.value)
    post(Failed(sentence="It failed.", details=""))
    end_of(panel.panel)


def test_the_table_names_what_learns_and_sorts_by_any_column(
    panel: FreezingPanel,
    host: Host,
    works: list[FakeTask],
    write_model: Callable[..., Path],
    tmp_path: Path,
) -> None:
    press(panel.button)
    press(panel.start_button)
    out = works[0].job.out
    write_found(out, write_model, *DICE)
    works[0].bridge.post(Finished(result={"out": str(out)}))
    end_of(panel.panel)
    assert [row[:5] for row in panel.table.texts()] == [
        ["Nothing", "1.9 of 1.9 million", "10.0", "0.700", "0.350"],
        ["Encoder", "0.7 of 1.9 million", "6.0", "0.900", "0.450"],
        ["Decoder", "1.2 of 1.9 million", "7.0", "0.800", "0.400"],
        ["All but last layer", "119 of 1.9 million", "5.0", "0.600", "0.300"],
    ]
    assert [c.title for c in panel.table.columns][3:6] == ["Dice", "VL", "VI"]
    panel.table.sort_by(1)
    assert [row[0] for row in panel.table.texts()] == [
        "All but last layer",
        "Encoder",
        "Decoder",
        "Nothing",
    ]
    assert "Highest Dice: encoder fixed (0.900)" in panel.verdict.value
    assert "Validated on b." in panel.verdict.value
    assert panel.start_button.enabled is False  # until the form says that it is free
    panel.set_free(free=True)
    assert panel.start_button.enabled

    # The best one is marked; another row may be chosen.
    assert panel.use_button.text == "Use this model (encoder fixed)"
    panel.table.setCurrentCell(2, 0)
    press(panel.use_button)
    path = out / "decoder" / "model.safetensors"
    assert host.chosen == [(works[0].job, path)]
    assert path in MODELS.paths


def test_stopped_it_shows_those_that_are_done(
    panel: FreezingPanel, works: list[FakeTask], write_model: Callable[..., Path]
) -> None:
    press(panel.button)
    press(panel.start_button)
    write_found(works[0].job.out, write_model, "none", "encoder")
    press(panel.panel.stop_button)
    assert works[0].stopped
    works[0].bridge.post(Stopped(result={}))
    end_of(panel.panel)
    assert panel.table.rowCount() == 2
    assert panel.panel.status.value.startswith("Stopped; 2 of the four are done")


def test_a_comparison_that_was_found_running_is_shown(
    panel: FreezingPanel, host: Host, works: list[FakeTask], write_model: Callable[..., Path]
) -> None:
    assert isinstance(host.job, FinetuneJob)
    job = comparison_of(host.job)
    host.job = BadInput("Choose the folder first.")  # the form knows nothing of it
    panel.follow(FakeTask(job))  # type: ignore[arg-type]
    assert panel.content.visible
    assert panel.command.line.value == shell_command(job)
    write_found(job.out, write_model, "none")
    works[0].bridge.post(Finished(result={}))
    end_of(panel.panel)
    assert panel.table.rowCount() == 1


def test_stopped_before_anything_was_done_it_says_so(
    panel: FreezingPanel, works: list[FakeTask]
) -> None:
    press(panel.button)
    press(panel.start_button)
    works[0].bridge.post(Stopped(result={}))
    end_of(panel.panel)
    assert panel.panel.status.value == "Stopped before the first of the four was done."
    assert not panel.use_button.native.isVisible()


def test_a_real_child_process_compares_what_the_form_says(
    panel: FreezingPanel,
    host: Host,
    write_model: Callable[..., Path],
    tmp_path: Path,
    dialogs_shown: DialogRecorder,
) -> None:
    folder = write_cohort(tmp_path / "scans")
    model = write_model(channels=["image"])
    host.job = FinetuneJob(
        cohort=folder, out=tmp_path / "run", init=str(model), preset="quick", steps=2, threads=1
    )
    press(panel.button)
    expected = comparison_of(host.job)
    press(panel.start_button)
    event = end_of(panel.panel)
    assert isinstance(event, Finished), dialogs_shown.problems
    assert read_job(expected.out / "job.json") == expected
    assert panel.table.rowCount() == 4
    for row, mode in enumerate(DICE):
        card = read_card(expected.out / mode / "model.safetensors")
        assert panel.table.texts()[row][3] == f"{card.dice['mean']:.3f}"


# --- in the form "Fine-tune"


@pytest.fixture
def form(make_form: MakeForm, tmp_path: Path) -> FinetuneForm:
    form = make_form(FinetuneForm)
    form.scans.folders.value = str(write_cohort(tmp_path / "scans"))
    until(lambda: form.start_button.enabled)
    return form


def test_the_form_offers_it_once_there_is_a_model_to_start_from(
    form: FinetuneForm, write_model: Callable[..., Path], works: list[FakeTask]
) -> None:
    assert not form.freezing.button.enabled
    model = write_model("start", channels=["image"])
    form.model.add(model)
    form.preset.value = "quick"
    form.minutes.value = 2
    press(form.freezing.button)
    press(form.freezing.start_button)
    job = works[0].job
    assert (job.init, job.preset, job.minutes) == (str(model), "quick", 2)
    assert job == comparison_of(form.job())
    assert not form.start_button.enabled
    assert not form.settings.enabled

    write_found(job.out, write_model, "none", "encoder")
    works[0].bridge.post(Stopped(result={}))
    end_of(form.freezing.panel)
    assert form.start_button.enabled
    assert form.freezing.start_button.enabled
    press(form.freezing.use_button)
    assert form.model.reference == str(job.out / "encoder" / "model.safetensors")
    assert form.job().init == form.model.reference


def test_while_one_is_trained_four_cannot_be(
    form: FinetuneForm,
    write_model: Callable[..., Path],
    works: list[FakeTask],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training_form, "ChildTask", FakeTask)
    form.model.add(write_model("start", channels=["image"]))
    press(form.freezing.button)
    press(form.start_button)
    assert not form.freezing.start_button.enabled
    works[0].bridge.post(Failed(sentence="It failed.", details=""))
    end_of(form.panel)
    assert form.freezing.start_button.enabled
