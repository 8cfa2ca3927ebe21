"""Where predictions are wrong, as one layer beside each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_ssl_muscle.evaluation.error_map import FALSE_NEGATIVE, FALSE_POSITIVE, WRONG_MUSCLE
from napari_ssl_muscle.viewer.layers.grid import picture, remove_layers
from napari_ssl_muscle.viewer.layers.prediction_history import history_of
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, unwrap

KINDS: dict[int, tuple[str, str]] = {
    FALSE_POSITIVE: ("drawn, not in the truth", "#FF3D6B"),
    FALSE_NEGATIVE: ("in the truth, not drawn", "#00D5FF"),
    WRONG_MUSCLE: ("another muscle", "#FFF200"),
}
"""What each value means, and its colour. The three differ in brightness and in blue, which all
kinds of colour blindness but the rarest tell apart; no muscle has them."""

NAME = "Errors"


@dataclass(eq=False)
class _Shown:
    """The errors of some labels; its owner keeps it, and what it listens to does not."""

    owner: ErrorLayers
    labels: Any
    array: np.ndarray
    layer: Any = None

    def listen(self) -> None:
        info = info_of(self.labels)
        if info is not None and info.role == "prediction":
            history_of(self.labels).predicted.connect(self._on_prediction, unique=True)

    def _on_prediction(self, _: object) -> None:
        self.owner.forget(self.labels)


class ErrorLayers:
    """The layers of errors of one evaluation.

    They go when the labels go that they are about, or get a new prediction. A layer that the user
    removes stays away until errors are switched on anew.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = unwrap(viewer)
        self._shown: dict[Any, _Shown] = {}

    def layer_of(self, labels: Any) -> Any:
        """Return the layer of errors of some labels; None if there is none."""
        shown = self._shown.get(labels)
        return shown.layer if shown is not None and self._there(shown.layer) else None

    def begin(self) -> None:
        """Take the layers of the last evaluation away."""
        remove_layers(self._viewer, [shown.layer for shown in self._shown.values()])
        self._shown.clear()

    def show(self, labels: Any, array: np.ndarray, whose: str, *, visible: bool = True) -> None:
        """Show errors.

        Parameters
        ----------
        labels
            The labels layer that they are about; it must be in the viewer.
        array
            Of the labels' shape; values as in `KINDS`, 0 is right.
        whose
            Name of the scan, for the layer's name; "" if it goes without saying.
        visible
            Whether it is seen at once.
        """
        if not self._there(labels):
            return
        shown = self._shown.setdefault(labels, _Shown(self, labels, array))
        shown.array = array
        shown.listen()
        if self._there(shown.layer):
            self._refresh(shown)
            return
        active = self._viewer.layers.selection.active
        shown.layer = self._make(labels, array, f"{whose} · {NAME}" if whose else NAME, visible)
        if active is not None and active in self._viewer.layers:
            self._viewer.layers.selection.active = active

    def change(self, labels: Any, array: np.ndarray) -> None:
        """Show other errors of the same labels, if their layer is still there."""
        shown = self._shown.get(labels)
        if shown is not None:
            shown.array = array
            if self._there(shown.layer):
                self._refresh(shown)

    def set_visible(self, visible: bool) -> None:
        """Show or hide them all; those that were removed come back."""
        for labels, shown in list(self._shown.items()):
            if self._there(shown.layer):
                shown.layer.visible = visible
            elif visible:
                self.show(labels, shown.array, "")

    def forget(self, labels: Any) -> None:
        """Remove the errors of labels that are no longer what they were."""
        shown = self._shown.pop(labels, None)
        if shown is not None:
            remove_layers(self._viewer, [shown.layer])

    def _make(self, labels: Any, array: np.ndarray, name: str, visible: bool) -> Any:
        import pandas as pd
        from napari.utils.colormaps import DirectLabelColormap

        colours: dict[Any, Any] = {None: "transparent", 0: "transparent"}
        colours |= {value: colour for value, (_, colour) in KINDS.items()}
        kinds = [words for words, _ in KINDS.values()]
        layer = self._viewer.add_labels(
            array,
            name=name,
            scale=labels.scale,
            translate=labels.translate,
            units=labels.units,
            axis_labels=labels.axis_labels,
            colormap=DirectLabelColormap(color_dict=colours),
            features=pd.DataFrame({"index": [0, *KINDS], "error": ["none", *kinds]}),
            metadata=picture(),
            opacity=0.85,
            visible=visible,
        )
        layer.editable = False
        # napari makes a layer editable again when its data is set or it is shown flat.
        layer.events.editable.connect(_keep_locked)
        return layer

    def _refresh(self, shown: _Shown) -> None:
        shown.layer.data = shown.array

    def _there(self, layer: Any) -> bool:
        return layer is not None and layer in self._viewer.layers


def _keep_locked(event: Any) -> None:
    if event.source.editable:
        event.source.editable = False
