"""From accepted slices to fine-tuning on them, in the workbench."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtWidgets import QApplication

from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.viewer import model_picker, opening
from napari_ssl_muscle.viewer.hand_made import origin_of
from napari_ssl_muscle.viewer.layers import difference, show_table, unwrap
from napari_ssl_muscle.viewer.workbench import Workbench
from tests.viewer.helpers import until


def test_accepted_slices_go_on_to_fine_tuning_with_the_model_that_labelled_them(
    viewer: Any, scan_file: Path, write_model: Callable[..., Path]
) -> None:
    _, found = viewer.window.add_plugin_dock_widget("napari-ssl-muscle", "Muscle workbench")
    workbench: Workbench = unwrap(found)
    opening.open_paths(viewer, [scan_file])
    model = write_model()
    workbench.segment.model.add(model)
    layer = next(unwrap(x) for x in viewer.layers if x.name == "Prediction")
    show_table(layer, default_table("thigh"))
    workbench.show_form(workbench.correct)
    form = workbench.correct
    assert not form.finetune_button.enabled
    origin_of(layer).predict(difference(layer.data, np.ones_like(layer.data)))
    for z in range(5):
        form.go_to(z)
        form.accept()
    until(lambda: form._now is not None and form._now._work is None)
    form.finetune_button.native.click()
    tune = workbench.finetune
    assert workbench.buttons.checkedButton().text().endswith("Fine-tune")
    until(lambda: tune._view is not None)
    assert "4 accepted slices of 1 scan" in tune.summary.value
    assert "1 slice held out" in tune.summary.value
    job = tune.job()
    assert job.study == scan_file.parent / "muscle-study"
    assert job.cohort is None
    assert job.init == str(model)
    assert "--study" in tune.command.line.value


def test_closed_and_opened_again_nothing_of_the_workbench_stays_behind(
    viewer: Any, scan_file: Path, write_model: Callable[..., Path]
) -> None:
    model_picker.MODELS.add(write_model())
    opening.open_paths(viewer, [scan_file])  # so that the forms look at something in threads
    counts = []
    for _ in range(3):
        dock, _ = viewer.window.add_plugin_dock_widget("napari-ssl-muscle", "Muscle workbench")
        gone: list[bool] = []
        unwrap(dock).widget().destroyed.connect(partial(gone.append, True))
        # As the cross of a dock does: napari leaves the widget to Python.
        viewer.window.remove_dock_widget(unwrap(dock))
        until(lambda gone=gone: bool(gone))
        gc.collect()
        counts.append(len(QApplication.allWidgets()))
    assert counts[2] == counts[1]
    events = viewer.layers.events
    assert not [c for c in events.inserted.callbacks if "Form" in str(c)]
