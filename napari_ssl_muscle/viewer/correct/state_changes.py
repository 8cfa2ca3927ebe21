"""Which state a slice comes to when its labels change: by who changed them, also by undo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from napari_ssl_muscle.study.slice_states import ACCEPTED, SliceState
from napari_ssl_muscle.viewer.layers.prediction_history import PredictionHistory


class StateChanges:
    """Finds the new states of changed slices, and the old ones when a prediction is undone.

    Parameters
    ----------
    history
        That of the labels layer.
    slices
        How many there are.
    """

    def __init__(self, history: PredictionHistory, slices: int) -> None:
        self._history, self._slices = history, slices
        self._before: dict[int, dict[int, SliceState]] = {}
        self._position = history.position()

    def refresh(self) -> None:
        """Take the predictions that are in the labels now for known."""
        self._position = self._history.position()

    def after(
        self, changed: Iterable[int], position: int, states: Mapping[int, SliceState]
    ) -> dict[int, SliceState]:
        """Return the new states.

        Parameters
        ----------
        changed
            Slices whose labels have changed.
        position
            The history's, when they were found.
        states
            The present ones.
        """
        everywhere = range(self._slices)
        if position < self._position:  # a prediction was undone
            before = self._before.pop(position + 1, {})
            wanted = {
                z: before.get(z, "unseen") for z in everywhere if states.get(z) not in ACCEPTED
            }
        elif position > self._position:
            self._before[position] = dict(states)
            wanted = dict.fromkeys(changed, "predicted")
            for z in everywhere:
                if self._history.is_drawn(z):
                    wanted.pop(z, None)
        else:
            wanted = {z: self._state_without_prediction(z, states) for z in changed}
        self._position = position
        return wanted

    def _state_without_prediction(self, z: int, states: Mapping[int, SliceState]) -> SliceState:
        if self._history.is_drawn(z):
            return "touched"
        return "predicted" if self._history.position() > 0 or z in states else "unseen"
