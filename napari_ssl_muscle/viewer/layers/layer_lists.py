"""The layers that the lists of the forms offer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from magicgui.widgets import ComboBox
from napari.layers import Image, Labels
from qtpy.QtCore import QObject

from napari_ssl_muscle.viewer.layers.grid import is_picture
from napari_ssl_muscle.viewer.widgets.form import choice
from napari_ssl_muscle.viewer.widgets.qt_lifetime import listen

Choices = list[tuple[str, Any]]
"""Caption and layer of each entry."""


def image_layers(viewer: Any) -> list[Any]:
    """Return the open scans, topmost first: images of a kind that can be worked on."""
    return [
        layer
        for layer in reversed(viewer.layers)
        if isinstance(layer, Image)
        and not is_picture(layer)
        and not layer.rgb
        and not layer.multiscale
        and layer.ndim in (2, 3)
    ]


def labels_layers(viewer: Any) -> list[Any]:
    """Return the labels that can be worked on, topmost first."""
    return [
        layer
        for layer in reversed(viewer.layers)
        if isinstance(layer, Labels) and not is_picture(layer)
    ]


def by_name(layers: Iterable[Any]) -> Choices:
    """Return layers as the entries of a list."""
    return [(layer.name, layer) for layer in layers]


def scan_choice(viewer: Any, tooltip: str) -> ComboBox:
    """Return a list of the open scans."""
    return choice(lambda _: by_name(image_layers(viewer)), tooltip=tooltip)


def listen_to_layers(owner: QObject, viewer: Any, act: Callable[..., None]) -> None:
    """Call something when layers come, go, move or get another name, while `owner` exists."""
    for name in ("inserted", "removed", "reordered", "renamed"):
        listen(owner, getattr(viewer.layers.events, name), act)
