"""What is drawn by hand stays when a model labels again; undo and redo keep the books right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Labels

from napari_ssl_muscle.viewer.layers.changes import find_changes
from napari_ssl_muscle.viewer.layers.prediction_history import history_of
from napari_ssl_muscle.viewer.layers.scan_layers import unwrap
from napari_ssl_muscle.viewer.open import commands
from tests.viewer.helpers import end_of, press


@pytest.fixture
def layer() -> Labels:
    found = Labels(np.zeros((3, 12, 12), np.uint8))
    history_of(found)
    return found


def predict(layer: Labels, value: int, **options: Any) -> int:
    labels = np.full(layer.data.shape, value, np.uint8)
    return history_of(layer).predict(find_changes(layer.data, labels), **options)


def test_drawn_voxels_survive_one_prediction_after_another_and_undo_and_redo(
    layer: Labels,
) -> None:
    predict(layer, 1)
    layer.brush_size = 3
    layer.paint((1, 5, 5), 4)
    drawn = layer.data == 4
    before = layer.data.copy()
    assert 0 < drawn.sum() < 30
    assert predict(layer, 2, keep_drawn=True) == drawn.sum()
    np.testing.assert_array_equal(layer.data == 4, drawn)
    assert (layer.data[~drawn] == 2).all()
    after = layer.data.copy()
    layer.undo()  # one step
    np.testing.assert_array_equal(layer.data, before)
    np.testing.assert_array_equal(history_of(layer).drawn(), drawn)
    layer.redo()
    np.testing.assert_array_equal(layer.data, after)
    # Also where the model agreed with the person in between.
    predict(layer, 4, keep_drawn=True)
    assert predict(layer, 3, keep_drawn=True) == drawn.sum()
    np.testing.assert_array_equal(layer.data == 4, drawn)


def test_what_an_undone_prediction_had_labelled_does_not_count_as_drawn(layer: Labels) -> None:
    predict(layer, 1)
    predict(layer, 2, keep_drawn=True)
    layer.undo()
    assert not history_of(layer).drawn().any()
    layer.paint((0, 3, 3), 5)
    drawn = layer.data == 5
    np.testing.assert_array_equal(history_of(layer).drawn(), drawn)
    predict(layer, 3, keep_drawn=True)
    np.testing.assert_array_equal(layer.data == 5, drawn)
    assert (layer.data[~drawn] == 3).all()


def test_erased_voxels_are_drawn_too_and_without_the_switch_nothing_is_kept(
    layer: Labels,
) -> None:
    predict(layer, 1)
    layer.paint((2, 6, 6), 0)
    hole = layer.data == 0
    predict(layer, 2, keep_drawn=True)
    np.testing.assert_array_equal(layer.data == 0, hole)
    assert predict(layer, 3) == 0
    assert (layer.data == 3).all()


def test_a_long_history_does_not_forget_what_was_drawn(layer: Labels) -> None:
    predict(layer, 1)
    for y in range(12):
        for x in range(12):
            layer.data_setitem((np.array([1]), np.array([y]), np.array([x])), 5)
    predict(layer, 2, keep_drawn=True)
    assert (layer.data[1] == 5).all()
    assert (layer.data[[0, 2]] == 2).all()


def test_the_switch_of_the_form_reaches_the_labels(
    viewer: Any, scan_file: Path, write_model: Callable[..., Path]
) -> None:
    _, step = viewer.window.add_plugin_dock_widget("napari-ssl-muscle", "Segment & correct")
    form = unwrap(step).segment
    commands.open_paths(viewer, [scan_file])
    layer = next(unwrap(x) for x in viewer.layers if x.name == "Prediction")
    form.model.add(write_model("three", muscle=3))
    press(form.segment_button)
    end_of(form.panel)
    layer.paint((2, 20, 12), 6)
    drawn = layer.data == 6
    assert drawn.any()
    form.model.add(write_model("four", muscle=4))
    press(form.segment_button)
    end_of(form.panel)
    np.testing.assert_array_equal(layer.data == 6, drawn)
    assert set(np.unique(layer.data)) == {0, 4, 6}
    assert "stay as you drew them" in form.panel.status.value
    layer.undo()
    assert set(np.unique(layer.data)) == {0, 3, 6}
    form.keep_drawn.value = False
    press(form.segment_button)
    end_of(form.panel)
    assert set(np.unique(layer.data)) == {0, 4}
