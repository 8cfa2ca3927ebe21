"""Which voxels of a labels layer a person has drawn, and which a model: through undo and redo.

A prediction is one step of napari's undo history. What differs from the labels as the last
prediction left them was drawn since; when that prediction is undone, the one before counts again.
napari has no public way to know a step of that history again, or to write one during a stroke;
so its private `_undo_history`, `_redo_history`, `_block_history` and `_commit_staged_history` are
used, and only here (with `_reset_history`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.viewer.layers.changes import Changes, apply_changes, find_changes
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, unwrap

if TYPE_CHECKING:
    from napari_ssl_muscle.evaluation.provenance import Provenance


@dataclass(eq=False)
class _Step:
    """The labels as a model, or the file that they came from, has left them."""

    after: npt.NDArray[Any]
    """A copy of all labels."""
    kept: npt.NDArray[np.bool_] | None
    """True where they are a person's all the same; None for nowhere."""
    undo_item: Any = None
    """The step's item in napari's history; None for the first one, which is not in it."""
    undone: bool = False
    made_by: Provenance | None = None


class PredictionHistory:
    """Where the voxels of a layer come from; `history_of` returns that of a layer.

    Attributes
    ----------
    confidence
        How sure the last model was of each slice, `(z,)` from 0 to 1; None if nobody knows.
    accepted
        Slices that a person has accepted: theirs as a whole, drawn or not.
    before_predicted
        Signal before a prediction is written.
    predicted
        Signal after it, with the `Changes` that were written.
    """

    before_predicted = Signal()
    predicted = Signal(object)

    def __init__(self, layer: Any) -> None:
        self._reference = ref(layer)
        self.confidence: npt.NDArray[np.floating[Any]] | None = None
        self.accepted: frozenset[int] = frozenset()
        self._steps = [_Step(np.array(layer.data, copy=True), None)]
        # Atoms of napari's history at the last look, held so that their ids are not used again.
        self._done: dict[int, Any] = {}
        self._undone: dict[int, Any] = {}

    @property
    def _layer(self) -> Any:
        return self._reference()

    def reset(self, kept: npt.NDArray[np.bool_] | None = None) -> None:
        """Take the labels as they are for a model's, but for those that `kept` marks."""
        self._steps = [_Step(np.array(self._layer.data, copy=True), kept)]

    def begin(self, labels: npt.NDArray[Any]) -> None:
        """Put labels into the layer as the start of its history: undo does not go behind them."""
        layer = self._layer
        layer._commit_staged_history()
        apply_changes(layer, find_changes(layer.data, labels))
        layer._reset_history()
        self.reset()

    def take_undone(self) -> bool:
        """Return whether anything was undone or redone since the last call."""
        undo, redo = (
            {id(atom): atom for item in line for atom in item}
            for line in (self._layer._undo_history, self._layer._redo_history)
        )
        found = bool(self._done.keys() & redo.keys() or self._undone.keys() & undo.keys())
        self._done, self._undone = undo, redo
        return found

    def position(self) -> int:
        """Return how many predictions are in the labels, undone ones not counted."""
        self._find_undone()
        return sum(not step.undone for step in self._steps) - 1

    @property
    def made_by(self) -> Provenance | None:
        """The model whose labels these are, apart from what was drawn; None if nobody knows."""
        return self._current().made_by

    def drawn(self) -> npt.NDArray[np.bool_]:
        """Return where a person has drawn since the last prediction; shape of the labels."""
        step, data = self._current(), self._layer.data
        if step.after.shape != data.shape:
            return np.zeros(data.shape, np.bool_)
        mask: npt.NDArray[np.bool_] = data != step.after
        return mask if step.kept is None else mask | step.kept

    def is_drawn(self, z: int) -> bool:
        """Whether a person has drawn in a slice since the last prediction."""
        step, data = self._current(), self._layer.data
        if step.after.shape != data.shape:
            return False
        return bool(
            (data[z] != step.after[z]).any() or (step.kept is not None and step.kept[z].any())
        )

    def predict(
        self,
        changes: Changes,
        *,
        keep_drawn: bool = False,
        confidence: npt.NDArray[np.floating[Any]] | None = None,
        made_by: Provenance | None = None,
    ) -> int:
        """Write a prediction into the layer as one undo step.

        Parameters
        ----------
        changes
            Where the labels would change, and into what.
        keep_drawn
            Leave the voxels alone that a person has drawn, and accepted slices.
        confidence
            How sure the model was of each slice, if known.
        made_by
            The model.

        Returns
        -------
        How many voxels were left as they were drawn although the model says otherwise.
        """
        self.before_predicted.emit()
        mask = self.drawn() if keep_drawn else None
        spared = 0
        if mask is not None:
            mask[sorted(self.accepted)] = True
            # Looked up now, not when the work began: drawing goes on while a model computes.
            free = ~mask[changes.where]
            spared = int(free.size - np.count_nonzero(free))
            if spared:
                changes = Changes(
                    tuple(axis[free] for axis in changes.where), np.asarray(changes.values)[free]
                )
        # An undone prediction cannot come back once another one is written.
        self._steps = [step for step in self._steps if not step.undone]
        self._layer._commit_staged_history()  # of a stroke that is going on
        before = self._last_undo_item()
        self._write(changes)
        item = self._last_undo_item()
        after = np.array(self._layer.data, copy=True)
        if item is before:  # nothing changed, so there is nothing to undo either
            self._steps[-1].after, self._steps[-1].kept = after, mask
            self._steps[-1].made_by = made_by
        else:
            self._steps.append(_Step(after, mask, item, made_by=made_by))
        self.confidence = confidence
        self.predicted.emit(changes)
        return spared

    def _write(self, changes: Changes) -> None:
        """Write the changes as an undo step of their own, also in the middle of a stroke.

        napari gathers what comes during a stroke into the stroke's step.
        """
        layer = self._layer
        drawing, layer._block_history = layer._block_history, False
        try:
            apply_changes(layer, changes)
        finally:
            layer._block_history = drawing

    def _current(self) -> _Step:
        self._find_undone()
        return next(step for step in reversed(self._steps) if not step.undone)

    def _find_undone(self) -> None:
        """Find out which predictions are undone now."""
        undo, redo = self._layer._undo_history, self._layer._redo_history
        done, undone = ({id(item) for entry in line for item in entry} for line in (undo, redo))
        for step in self._steps[1:]:
            if id(step.undo_item) in done:
                step.undone = False
            elif id(step.undo_item) in undone or len(undo) < (undo.maxlen or 0):
                # In neither, with room left in the history: undone, then drawn over.
                step.undone = True

    def _last_undo_item(self) -> Any:
        history = self._layer._undo_history
        return history[-1][0] if history else None


_histories: WeakKeyDictionary[Any, PredictionHistory] = WeakKeyDictionary()
"""Not in the layer's metadata: napari copies that with a layer, and its history starts anew."""


def history_of(layer: Any) -> PredictionHistory:
    """Return where a labels layer's voxels come from; the first time, all of them as they are."""
    layer = unwrap(layer)
    if layer not in _histories:
        _histories[layer] = PredictionHistory(layer)
    return _histories[layer]


def origin_of_labels(layer: Any) -> tuple[Provenance | None, bool | None]:
    """Return the model that made a layer's labels, and whether they were corrected by hand.

    For labels that no model wrote here, what the record beside their file says counts; without
    one, nothing is known.

    Returns
    -------
    provenance, corrected
        None where it is not known.
    """
    info = info_of(layer)
    if info is None or info.role != "prediction":
        return None, None
    history = history_of(layer)
    drawn = bool(history.drawn().any())
    if history.made_by is not None:
        return history.made_by, drawn
    if info.path is None or not info.path.exists():
        return None, None
    from napari_ssl_muscle.jobs.record import origin_of_file

    try:
        made_by, corrected = origin_of_file(info.path)
    except BadInput:
        return None, None
    return made_by, None if made_by is None else (corrected or drawn)
