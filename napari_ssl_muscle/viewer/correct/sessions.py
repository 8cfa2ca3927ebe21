"""The corrections of a viewer: one for each scan's labels, shared by all forms that show them."""

from __future__ import annotations

import contextlib
from typing import Any
from weakref import ref

from psygnal import Signal

from napari_ssl_muscle.viewer.correct.session import CorrectionSession
from napari_ssl_muscle.viewer.layers.scan_layers import has_role, info_of, unwrap


class CorrectionSessions:
    """Follows a viewer's labels from the first form that needs it until the last one closes.

    Parameters
    ----------
    layers
        The viewer's list of layers.

    Attributes
    ----------
    changed
        Signal: other layers are followed now.
    """

    changed = Signal()

    def __init__(self, layers: Any) -> None:
        # Weakly: the viewer's session must not keep its key alive.
        self._list = ref(layers)
        self._users = 0
        self._open: dict[Any, CorrectionSession] = {}

    @property
    def _layers(self) -> Any:
        return self._list()

    def acquire(self) -> None:
        """Count another user; the first one begins to follow the labels."""
        self._users += 1
        if self._users == 1:
            self._layers.events.inserted.connect(self._follow)
            self._layers.events.removed.connect(self._on_removed)
            self._follow()

    def release(self) -> None:
        """Count a user less; after the last one, all corrections are written and closed."""
        self._users -= 1
        if self._users == 0:
            if self._layers is not None:
                for signal, act in (
                    (self._layers.events.inserted, self._follow),
                    (self._layers.events.removed, self._on_removed),
                ):
                    with contextlib.suppress(ValueError, TypeError, RuntimeError):
                        signal.disconnect(act)
            for corrections in self._open.values():
                corrections.close()
            self._open.clear()

    def of(self, layer: Any) -> CorrectionSession | None:
        """Return what follows a layer, or else the labels of the same scan; None if nothing."""
        layer = unwrap(layer)
        if layer in self._open:
            return self._open[layer]
        info = info_of(layer) if layer is not None else None
        if info is None:
            return None
        return next((c for c in self._open.values() if c.scan is info.scan), None)

    def only(self) -> CorrectionSession | None:
        """Return the only one there is; None if there are none or several."""
        return next(iter(self._open.values())) if len(self._open) == 1 else None

    def labels_saved(self, layer: Any) -> None:
        """Take note that a layer's labels were just saved to a file."""
        corrections = self._open.get(unwrap(layer))
        if corrections is not None:
            corrections.labels_saved()

    def _follow(self, *_: object) -> None:
        """Begin to follow: one labels layer for each scan."""
        followed = {id(c.scan) for c in self._open.values()}
        for layer in list(self._layers):
            info = info_of(layer)
            if info is None or info.role != "prediction" or id(info.scan) in followed:
                continue
            if tuple(layer.data.shape) != tuple(info.scan.geometry.canonical_shape):
                continue
            images = [one for one in self._layers if has_role(one, info.scan, "image")]
            if images:
                followed.add(id(info.scan))
                self._open[layer] = CorrectionSession(layer, images[-1].data)
                self.changed.emit()

    def _on_removed(self, event: Any) -> None:
        corrections = self._open.pop(unwrap(event.value), None)
        if corrections is not None:
            corrections.close()
            self._follow()
            self.changed.emit()
