"""What happens to our layers as they arrive in a viewer: ground truth is locked, names are set.

napari's reader and sample hooks return data and cannot set a layer read-only or see what else is
open, so the list of layers is followed from the moment that the plugin first meets the viewer.
"""

from __future__ import annotations

from typing import Any

from napari_ssl_muscle.scans.distinct_names import distinct_names
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
    elif info is not None and info.role == "image" and info.path is not None:
        info.own_name = info.given_name = _without_number(layer.name)
    elif info is not None and info.role == "prediction":
        history_of(layer)  # what is drawn from now on is known as drawn


def _keep_locked(event: Any) -> None:
    if event.source.editable:
        event.source.editable = False


def _name(layers: Any) -> None:
    """Say whose a layer is as soon as there are several scans, and tell scans of one name apart.

    With one scan: "Prediction"; with several: "sub-01 · Prediction". A name that the user gave
    stays.
    """
    known = [(layer, info) for layer in layers if (info := info_of(layer)) is not None]
    ours = {id(layer) for layer, info in known if _is_ours(layer.name, info)}
    scans = {id(info.scan): info.scan for _, info in known}
    paths = {id(info.scan): info.path for _, info in reversed(known)}
    paths |= {key: scan.file.path for key, scan in scans.items() if scan.file is not None}
    names = distinct_names([s.own_name for s in scans.values()], [paths[key] for key in scans])
    for scan, name in zip(scans.values(), names, strict=True):
        scan.name = name
    images = [(layer, info) for layer, info in known if info.own_name is not None]
    shown = distinct_names([str(i.own_name) for _, i in images], [i.path for _, i in images])
    given = {id(layer): name for (layer, _), name in zip(images, shown, strict=True)}
    for layer, info in known:
        word = name_of_role(info.role)
        if word is not None:
            given[id(layer)] = f"{info.scan.name} · {word}" if len(scans) > 1 else word
        if id(layer) in ours and id(layer) in given:
            layer.name = info.given_name = given[id(layer)]


def _is_ours(name: str, info: LayerInfo) -> bool:
    """Whether the name is one that was given here, with napari's " [1]" or without."""
    return _without_number(name) in (name_of_role(info.role), info.given_name)


def _without_number(name: str) -> str:
    stem, bracket, number = name.rpartition(" [")
    return stem if bracket and number.rstrip("]").isdigit() else name
