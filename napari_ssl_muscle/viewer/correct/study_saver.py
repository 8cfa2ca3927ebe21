"""Saving labels into a study without holding the window up."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from psygnal import Signal

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.events import Failed
from napari_ssl_muscle.study.correction_store import CorrectionStore
from napari_ssl_muscle.viewer.widgets.background import ThreadTask


class StudySaver:
    """Saves a layer's labels in a thread; once more at its end if that was asked for meanwhile.

    Parameters
    ----------
    layer
        The labels layer.
    store
        What writes them; nothing is saved before it has a study.

    Attributes
    ----------
    ended
        Signal at the end of each saving, with the reason why it failed or None.
    """

    ended = Signal(object)

    def __init__(self, layer: Any, store: CorrectionStore) -> None:
        self._layer, self._store = layer, store
        self._task: ThreadTask | None = None
        self._again = False

    @property
    def running(self) -> bool:
        """Whether labels are being saved."""
        return self._task is not None

    def save(self) -> None:
        """Save the labels as they are now."""
        if self._store.study is None:
            return
        if self._task is not None:
            self._again = True
            return
        labels, mark = np.array(self._layer.data, copy=True), self._store.mark()
        self._task = ThreadTask(lambda emit, stop: self._store.save(labels, mark))
        self._task.bridge.arrived.connect(self._on_ended)
        self._task.start()

    def close(self) -> None:
        """Wait for what is being saved, and save what waits."""
        if self._task is not None:
            self._task.wait()
        if self._again:
            self._again = False
            with contextlib.suppress(BadInput):  # what cannot be saved is in the journal
                self._store.save(self._layer.data, self._store.mark())

    def _on_ended(self, event: object) -> None:
        self._task = None
        if self._again:
            self._again = False
            self.save()
        self.ended.emit(event.sentence if isinstance(event, Failed) else None)
