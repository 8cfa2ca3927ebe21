"""Which slice to correct next: where the model was least sure, spread along the leg."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_ssl_muscle.study.correction_store import CorrectionStore
from napari_ssl_muscle.study.next_slice import suggest_slices
from napari_ssl_muscle.study.slice_states import ACCEPTED
from napari_ssl_muscle.viewer.layers.prediction_history import PredictionHistory


class Suggestions:
    """Suggests slices of one scan.

    Parameters
    ----------
    store
        Knows their states.
    history
        Knows how sure the last model was.
    slices
        How many there are.
    """

    def __init__(self, store: CorrectionStore, history: PredictionHistory, slices: int) -> None:
        self._store, self._history, self._slices = store, history, slices
        self._last: int | None = None

    def after(self, current: int) -> int | None:
        """Return the slice to correct next, seen from the current one; None if all are accepted.

        Asked again on a slice that was just suggested, the one after it.
        """
        store = self._store
        study = store.study
        held_out = frozenset[int]() if study is None else study.held_out(store.case)
        done = frozenset(z for z, s in store.states().items() if s in ACCEPTED) | held_out
        confidence: Any = self._history.confidence
        if confidence is None and study is not None:
            confidence = study.confidence(store.case)
        if confidence is None or len(confidence) != self._slices:
            confidence = np.full(self._slices, 0.5)
        order = suggest_slices(confidence, store.geometry.spacing[0], done=done)
        if not order:
            return None
        passed_by = current == self._last and current in order
        self._last = order[(order.index(current) + 1) % len(order) if passed_by else 0]
        return self._last
