"""The form "Compare reconstructions", driven as a person does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ssl_muscle.learning.events import Finished
from napari_ssl_muscle.learning.settings import (
    NetworkSettings,
    PretextSettings,
    Recipe,
    SliceSettings,
)
from napari_ssl_muscle.viewer.layers.scan_layers import unwrap
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.train.reconstruction_form import ReconstructionForm
from napari_ssl_muscle.viewer.widgets import dialogs
from tests.viewer.conftest import DialogRecorder
from tests.viewer.helpers import end_of, press

PLUGIN = "napari-ssl-muscle"
WriteRun = Callable[..., Path]


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Return a function that writes a pretraining which restores every pixel as one number."""
    import torch

    from napari_ssl_muscle.learning.models.card import ModelCard
    from napari_ssl_muscle.learning.models.model_file import save_model
    from napari_ssl_muscle.learning.network.unet import UNet

    def write(name: str, says: float, spacing: float | None = None) -> Path:
        network = NetworkSettings(width=4, depth=1)
        slices = SliceSettings(crop="leg", spacing=spacing, margin=4)
        pretext = PretextSettings(kernel_size=4, mask_percent=40)
        card = ModelCard(
            name=name,
            task="inpainting",
            network=network,
            slices=slices,
            in_channels=2,
            channels=["image"],
            recipe=Recipe(network=network, slices=slices, pretext=pretext),
        )
        net = UNet.from_settings(network, 2, 1)
        with torch.no_grad():
            net.head.weight.zero_()
            net.head.bias.fill_(says)
        (tmp_path / name).mkdir()
        return save_model(tmp_path / name / "model.safetensors", net.state_dict(), card)

    return write


@pytest.fixture
def form(viewer: Any) -> ReconstructionForm:
    _, step = viewer.window.add_plugin_dock_widget(PLUGIN, "Pretrain")
    unwrap(step).show_form(unwrap(step).compare)
    found: ReconstructionForm = unwrap(step).compare
    return found


@pytest.fixture
def scan(viewer: Any, form: ReconstructionForm, scan_file: Path, write_run: WriteRun) -> Any:
    """The image of an open scan, on which two runs are chosen to be compared."""
    form.runs[0].add(write_run("mean", 0.0))
    form.runs[1].add(write_run("far", 3.0))
    return unwrap(commands.open_paths(viewer, [scan_file])[0])


def test_both_runs_are_shown_side_by_side_over_the_scan_with_their_errors(
    viewer: Any, form: ReconstructionForm, scan: Any
) -> None:
    form.slices.value = 2
    press(form.compare_button)
    assert isinstance(end_of(form.panel), Finished)

    shown = {layer.name: unwrap(layer) for layer in viewer.layers if layer.visible}
    assert sorted(shown) == [
        "Absolute error A",
        "Absolute error B",
        "Masked input",
        "Original",
        "Reconstruction A",
        "Reconstruction B",
    ]
    assert viewer.canvas.grid.enabled
    first = shown["Original"]
    for layer in shown.values():
        assert layer.data.shape == first.data.shape
        np.testing.assert_array_equal(layer.scale, first.scale)
        np.testing.assert_array_equal(layer.translate, first.translate)
    # On the slices of the scan, and over its legs: bright where the scan is bright.
    assert len(first.data) == len(scan.data)
    assert first.scale[0] == scan.scale[0]
    for point in np.argwhere(scan.data > 90)[::500]:
        world = np.array(scan.data_to_world(point))
        index = tuple(np.round(first.world_to_data(world)).astype(int))
        assert first.data[index] > 0
    # Same masks: where A differs from the original B does, too, and nowhere else.
    holes = shown["Masked input"].data != first.data
    assert 0.05 < holes.mean() < 0.6
    assert (shown["Reconstruction A"].data[holes] == 0).all()
    assert (shown["Reconstruction B"].data[holes] == 3).all()
    assert not shown["Absolute error B"].data[~holes].any()

    # The mean restores as well as a constant, because it is one; 3 deviations off is worse by 9
    # and what the holes' own mean adds.
    assert form._shown is not None
    overall = form._shown[0].figures.overall
    assert overall[0] == pytest.approx(overall[2])
    assert overall[1] > overall[0] + 1
    for value in overall:
        assert f"{value:.4f}" in form.table.value
    assert "A is nearer to the original in 2 of 2 slices" in form.panel.status.value


def test_the_figures_follow_the_slider_and_the_grid_can_be_left(
    viewer: Any, form: ReconstructionForm, scan: Any
) -> None:
    press(form.compare_button)
    end_of(form.panel)
    for z in (0, 4):
        viewer.dims.set_point(0, scan.data_to_world((z, 0, 0))[0])
        assert f"slice {z}<" in form.table.value
        assert form._shown is not None
        assert f"{form._shown[0].figures.by_part[z, 1]:.4f}" in form.table.value
    press(form.back_button)
    assert not viewer.canvas.grid.enabled
    assert scan.visible
    assert not any(layer.visible for layer in viewer.layers if "error" in layer.name)
    press(form.compare_button)
    end_of(form.panel)
    assert [layer.name for layer in viewer.layers].count("Absolute error A") == 1


def test_what_does_not_compare_is_one_sentence_each_and_the_form_goes_on(
    viewer: Any,
    form: ReconstructionForm,
    scan_file: Path,
    write_run: WriteRun,
    write_model: Callable[..., Path],
    dialogs_shown: DialogRecorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not form.compare_button.enabled
    assert "two pretrainings" in form.panel.status.value
    commands.open_paths(viewer, [scan_file])
    form.runs[0].add(write_run("fine", 0.0))
    form.runs[1].choose(form.runs[0].model.path if form.runs[0].model else None)
    press(form.compare_button)
    form.runs[1].add(write_run("coarse", 0.0, spacing=4.0))
    press(form.compare_button)
    monkeypatch.setattr(dialogs, "ask_model", lambda *_: write_model("muscles"))
    press(form.runs[1].browse_button)
    same, differ, other_task = dialogs_shown.problems
    assert "the same one" in same
    assert "see different images (spacing None and 4.0)" in differ
    assert "muscles is no pretraining" in other_task
    form.runs[1].add(write_run("other", 1.0))
    press(form.compare_button)
    assert isinstance(end_of(form.panel), Finished)
