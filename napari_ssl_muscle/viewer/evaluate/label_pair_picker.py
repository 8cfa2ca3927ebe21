"""Choosing what is compared: labels with ground truth of open scans, or any two layers."""

from __future__ import annotations

from functools import partial
from typing import Any

from magicgui.widgets import Container, Widget
from psygnal import Signal

from napari_ssl_muscle.viewer.evaluate.evaluate_worker import LabelPair, label_pairs_in
from napari_ssl_muscle.viewer.layers.layer_lists import (
    Choices,
    by_name,
    labels_layers,
    listen_to_layers,
)
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, unwrap
from napari_ssl_muscle.viewer.widgets.form import Fields, choice, refresh_in_order

ALL, BY_HAND = "all", "by hand"


class LabelPairPicker(Container[Widget]):
    """Offers all open scans with ground truth, each of them, and two layers of one's own choice.

    Until the user chooses, it is all of them.

    Attributes
    ----------
    selection_changed
        Signal: something else may be chosen now.
    """

    selection_changed = Signal()

    def __init__(self, viewer: Any) -> None:
        self._viewer = unwrap(viewer)
        self._chosen = False
        self.scans = choice(
            self._scan_choices,
            label="Compare",
            tooltip="Open scans that have labels and ground truth, or two layers of your choice.",
        )
        self.prediction = choice(
            partial(self._layer_choices, "prediction"),
            label="Labels",
            tooltip="The labels to judge.",
        )
        self.reference = choice(
            partial(self._layer_choices, "truth"),
            label="Ground truth",
            tooltip="What they are compared with.",
        )
        self.top = Fields(self.scans)
        self.pair = Fields(self.prediction, self.reference)
        super().__init__(widgets=[self.top, self.pair], labels=False)
        self.margins = (0, 0, 0, 0)
        self.scans.native.activated.connect(self._on_chosen)
        for box in (self.scans, self.prediction, self.reference):
            box.changed.connect(self._on_changed)
        listen_to_layers(self.native, self._viewer, self.reset_choices)
        self.reset_choices()

    @property
    def by_hand(self) -> bool:
        """Whether two layers are chosen by hand."""
        return bool(self.scans.value == BY_HAND)

    def pairs(self) -> list[LabelPair]:
        """Return the labels that are compared, each with its ground truth."""
        if self.by_hand:
            if self.prediction.value is None or self.reference.value is None:
                return []
            return [LabelPair(self.prediction.value, self.reference.value)]
        there = label_pairs_in(self._viewer)
        if self.scans.value == ALL:
            return there
        return [pair for pair in there if pair.scan is self.scans.value]

    def choose(self, prediction: Any) -> None:
        """Choose the scan that a labels layer belongs to."""
        self._chosen = True
        info = info_of(prediction)
        self.scans.value = info.scan if info is not None else None

    def choose_by_hand(self, prediction: Any, reference: Any) -> None:
        """Choose two layers."""
        self._chosen = True
        self.scans.value = BY_HAND
        self.prediction.value, self.reference.value = prediction, reference

    def reset_choices(self, *_: object) -> None:
        """Read the open layers again; chosen ones stay chosen, under whatever name."""
        refresh_in_order(self.scans, first=not self._chosen)
        refresh_in_order(self.prediction)
        refresh_in_order(self.reference)
        self._on_changed()

    def _on_chosen(self, _: int) -> None:
        self._chosen = True

    def _on_changed(self, *_: object) -> None:
        self.pair.visible = self.by_hand
        self.selection_changed.emit()

    def _scan_choices(self, _: object) -> Choices:
        there = label_pairs_in(self._viewer)
        entries: Choices = []
        if len(there) > 1:
            entries.append((f"All with ground truth ({len(there)})", ALL))
        entries += [(pair.name, pair.scan) for pair in there]
        if len(labels_layers(self._viewer)) > 1:
            entries.append(("Two layers of my choice", BY_HAND))
        return entries

    def _layer_choices(self, first: str, _: object) -> Choices:
        """List labels layers, those of the usual role first."""

        def unusual(layer: Any) -> bool:
            info = info_of(layer)
            return (info.role if info is not None else "prediction") != first

        return by_name(sorted(labels_layers(self._viewer), key=unusual))
