"""What happens to our layers as they arrive in a viewer: ground truth is locked, names are set.

napari's reader and sample hooks return data and cannot set a layer read-only or see what else is
open, so the list of layers is followed from the moment that the plugin first meets the viewer.
"""

from __future__ import annotations

from typing import Any

from napari_ssl_muscle.viewer.layers.prediction_history import history_of
from napari_ssl_muscle.viewer.layers.scan_layers import LayerInfo, info_of, name_of_role


def apply_layer_rules(layers: Any) -> None:
    """Lock ground truth and name layers by scan in this list, from now on."""
    layers.events.inserted.connect(_on_inserted)
    for layer in layers:
        _receive(layer)
    _name(layers)


def _on_inserted(event: Any) -> None:
    _receive(event.value)
    _name(event.source)


def _receive(layer: Any) -> None:
    info = info_of(layer)
    if info is not None and info.role == "truth":
        layer.editable = False
        layer.contour = 1  # an outline, so that a prediction can be seen inside it
        # napari makes a layer editable again when its data is set.
        layer.events.editable.connect(_keep_locked)
    elif info is not None and info.role == "prediction":
        history_of(layer)  # what is drawn from now on is known as drawn


def _keep_locked(event: Any) -> None:
    if event.source.editable:
        event.source.editable = False


def _name(layers: Any) -> None:
    """Say whose a layer is as soon as there are several subjects.

    With one scan: "Prediction"; with several: "sub-01 · Prediction". A name that the user gave
    stays.
    """
    known = [(layer, info) for layer in layers if (info := info_of(layer)) is not None]
    several = len({id(info.scan) for _, info in known}) > 1
    for layer, info in known:
        word = name_of_role(info.role)
        if word is not None and _is_ours(layer.name, word, info):
            layer.name = f"{info.scan.name} · {word}" if several else word


def _is_ours(name: str, word: str, info: LayerInfo) -> bool:
    """Whether the name is one that was given here, with napari's " [1]" or without."""
    stem, bracket, number = name.rpartition(" [")
    if bracket and number.rstrip("]").isdigit():
        name = stem
    return name in (word, f"{info.scan.name} · {word}")
