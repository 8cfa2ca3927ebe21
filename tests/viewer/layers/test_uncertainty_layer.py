"""Where the model is unsure: one hidden picture for each scan, with a key and a box."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_ssl_muscle.viewer.correct.form import CorrectForm
from napari_ssl_muscle.viewer.correct.keys import HELP
from napari_ssl_muscle.viewer.layers.scan_layers import layers_of, unwrap
from napari_ssl_muscle.viewer.layers.uncertainty_layer import show_uncertainty
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.segment.form import SegmentForm
from tests.viewer.conftest import write_scan
from tests.viewer.helpers import end_of, press, until

WriteModel = Callable[..., Path]


@pytest.fixture
def window(make_napari_viewer: Callable[..., Any]) -> Any:
    """A viewer with the two forms: `(viewer, segment form, correct form)`."""
    viewer = make_napari_viewer()
    segment, correct = SegmentForm(viewer), CorrectForm(viewer)
    for form in (segment, correct):
        viewer.window.add_dock_widget(form.native)
    return viewer, segment, correct


def named(viewer: Any, name: str) -> Any:
    return next(unwrap(layer) for layer in viewer.layers if layer.name == name)


def segment_scan(viewer: Any, segment: SegmentForm) -> None:
    press(segment.segment_button)
    end_of(segment.panel)
    until(lambda: "Uncertainty" in viewer.layers)


def press_key(layer: Any, key: str) -> None:
    bound = next(one for one in layer.keymap if str(one) == key)
    layer.keymap[bound](layer)


def test_a_prediction_brings_a_hidden_picture_and_the_labels_stay_active(
    window: Any, scan_file: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_ssl_muscle.learning import predict

    given: list[Any] = []
    real = predict.segment_volume

    def spy(*args: Any, **options: Any) -> Any:
        given.append(real(*args, **options))
        return given[-1]

    monkeypatch.setattr(predict, "segment_volume", spy)
    viewer, segment, correct = window
    commands.open_paths(viewer, [scan_file])
    segment.model.add(write_model())
    assert not correct.uncertainty.enabled
    press_key(named(viewer, "Prediction"), "U")
    assert "after the next 'Segment muscles'" in correct.status.value
    segment_scan(viewer, segment)
    layer, labels, image = (named(viewer, name) for name in ("Uncertainty", "Prediction", "leg"))
    np.testing.assert_array_equal(layer.data, given[0].uncertainty)
    assert layer.data.dtype == np.uint8
    assert not layer.visible
    assert viewer.layers.selection.active is labels
    assert set(viewer.layers.selection) == {labels}
    np.testing.assert_array_equal(layer.scale, image.scale)
    np.testing.assert_array_equal(layer.translate, image.translate)
    assert layer.units == image.units
    # Over the labels; and nobody takes it for a scan.
    assert list(viewer.layers) == [image, labels, layer]
    viewer.layers.selection.active = layer
    assert segment.scans[0].choices == (image,)
    assert segment.scans[0].value is image
    assert correct.accept_button.enabled


def test_key_and_box_show_it_and_the_next_prediction_replaces_it_in_place(
    window: Any, scan_file: Path, write_model: WriteModel
) -> None:
    viewer, segment, correct = window
    commands.open_paths(viewer, [scan_file])
    segment.model.add(write_model())
    segment_scan(viewer, segment)
    layer, labels = named(viewer, "Uncertainty"), named(viewer, "Prediction")
    assert "U" in dict(HELP)
    press_key(labels, "U")
    assert layer.visible
    assert correct.uncertainty.value
    correct.uncertainty.value = False
    assert not layer.visible
    layer.visible = True  # by the eye in the layer list
    assert correct.uncertainty.value
    layer.opacity = 0.3
    layer.data = np.full_like(layer.data, 77)
    labels.undo()  # of the prediction: the picture stays
    assert (layer.data == 77).all()
    segment_scan(viewer, segment)
    assert len(viewer.layers) == 3
    assert named(viewer, "Uncertainty") is layer
    assert not (layer.data == 77).any()
    assert layer.visible
    assert layer.opacity == 0.3
    viewer.layers.remove(layer)
    assert not correct.uncertainty.enabled
    assert not correct.uncertainty.value
    segment_scan(viewer, segment)
    assert named(viewer, "Uncertainty") is not layer
    assert correct.uncertainty.enabled


def test_each_subject_has_its_own_and_is_named_in_it(layers_only: Any, tmp_path: Path) -> None:
    viewer = layers_only
    layers = [
        commands.open_paths(viewer, [write_scan(tmp_path / f"{name}.nii.gz")])
        for name in ("one", "two")
    ]
    subjects = [each[0].metadata["ssl_muscle"].scan for each in layers]
    shape = layers[0][0].data.shape
    for value, scan in enumerate(subjects, 1):
        show_uncertainty(viewer, scan, np.full(shape, value, np.uint8))
    assert [named(viewer, f"{name} · Uncertainty").data.max() for name in ("one", "two")] == [1, 2]
    show_uncertainty(viewer, subjects[0], np.full(shape, 9, np.uint8))
    assert [named(viewer, f"{name} · Uncertainty").data.max() for name in ("one", "two")] == [9, 2]


def test_a_picture_of_another_shape_replaces_the_layer(layers_only: Any, scan_file: Path) -> None:
    (image, _) = commands.open_paths(layers_only, [scan_file])
    scan = image.metadata["ssl_muscle"].scan
    first = show_uncertainty(layers_only, scan, np.zeros(image.data.shape, np.uint8))
    first.data = first.data[:2]  # by another plugin
    second = show_uncertainty(layers_only, scan, np.ones(image.data.shape, np.uint8))
    assert layers_of(layers_only, scan, "uncertainty") == [second]
    assert isinstance(second, Image)
    assert second.data.all()
