"""What happens to the labels of one scan: states of its slices, and nothing drawn is lost.

Every change of the labels, from whatever tool and also by undo, is found by comparing them with a
copy a moment later; it goes to the journal, and its slices become "touched", or "predicted" if a
model wrote them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.events import Failed
from napari_ssl_muscle.study.correction_store import CorrectionStore
from napari_ssl_muscle.study.next_slice import suggest_slices
from napari_ssl_muscle.study.slice_states import ACCEPTED, SliceState
from napari_ssl_muscle.viewer.layers.changes import Changes, apply_changes, find_changes
from napari_ssl_muscle.viewer.layers.prediction_history import history_of
from napari_ssl_muscle.viewer.layers.scan_layers import info_of
from napari_ssl_muscle.viewer.widgets.background import ThreadTask

if TYPE_CHECKING:
    from napari_ssl_muscle.scans.muscles import MuscleTable
    from napari_ssl_muscle.study.journal import UnsavedChanges

WAIT_MS = 300
"""Rest after a change before it is looked at; a stroke is long over by then, or goes on."""

_EVENTS = ("paint", "labels_update", "set_data", "data")


class CorrectionSession:
    """Follows the labels layer of a scan.

    Parameters
    ----------
    layer
        A prediction's labels layer `(z, y, x)`.
    image
        The scan's voxels.

    Attributes
    ----------
    offer
        Changes of an earlier session that wait for `restore` or `discard`; None if there are none.
    changed
        Signal: states, the offer or the sentence have changed.
    said
        Signal with a sentence for the user.
    """

    changed = Signal()
    said = Signal(str)

    def __init__(self, layer: Any, image: Any) -> None:
        info = info_of(layer)
        assert info is not None
        self.layer = layer
        self.scan = info.scan
        self._history = history_of(layer)
        scan = info.scan
        self.store = CorrectionStore(scan.name, scan.geometry, scan.file, image)
        self._work: ThreadTask | None = None
        self._again = False
        self._suggested: int | None = None
        self._before: dict[int, dict[int, SliceState]] = {}
        self._shadow = np.array(layer.data, copy=True)
        self._fits = True
        self._first = bool(self._shadow.any())  # labels from a file, in no journal yet
        self.offer: UnsavedChanges | None = None
        self._upto = 0
        try:
            self._recall()
            self.offer = self.store.pending()
            self._upto = self.store.mark()
        except BadInput as problem:
            self.store.problem = str(problem)
        self._position = self._history.position()
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(WAIT_MS)
        self._timer.timeout.connect(self.settle)
        for name in _EVENTS:
            getattr(layer.events, name).connect(self._notice)
        self._history.before_predicted.connect(self.settle)
        self._history.predicted.connect(self._on_prediction)
        self._tell_accepted()

    def close(self) -> None:
        """Look a last time, write what is waiting, and listen no more."""
        self._timer.stop()
        for name in _EVENTS:
            getattr(self.layer.events, name).disconnect(self._notice)
        self._history.before_predicted.disconnect(self.settle)
        self._history.predicted.disconnect(self._on_prediction)
        self.settle()
        if self._work is not None:
            self._work.wait()
        if self._again:
            with contextlib.suppress(BadInput):  # what cannot be saved is in the journal
                self.store.save(self.layer.data, self.store.mark())
        self.store.close()

    # --- states

    @property
    def slices(self) -> int:
        """How many slices there are."""
        return int(self._shadow.shape[0])

    @property
    def problem(self) -> str | None:
        """A sentence if what is drawn is not kept, else None."""
        if not self._fits:
            return (
                f"The labels of {self.scan.name} have another shape than the scan now, so they "
                "are not kept. Remove the layer; 'Segment muscles' makes a new one."
            )
        return self.store.problem

    def states(self) -> dict[int, SliceState]:
        """Return z → state; slices that are not there are unseen."""
        return self.store.states()

    def held_out(self) -> frozenset[int]:
        """Return the slices that compare models and never train."""
        study = self.store.study
        return frozenset() if study is None else study.held_out(self.store.case)

    def accept(self, z: int, *, empty: bool = False, folder: Path | None = None) -> None:
        """Accept a slice, or take an acceptance of the same kind back.

        Parameters
        ----------
        z
            The slice.
        empty
            Whether it is accepted as having no muscle.
        folder
            Where the study is made if there is none yet; by default the proposed place.

        Raises
        ------
        BadInput
            If the slice is not what it is accepted as, or the study cannot be made or written.
        """
        self.settle()
        self._require_fit()
        if self.offer is not None:
            # What is saved now would count for all, and the offer would be gone.
            raise BadInput(
                "Changes of an earlier session wait above; press 'Restore' or 'Discard' first."
            )
        wanted: SliceState = "accepted as empty" if empty else "accepted"
        if self.states().get(z) == wanted:
            back: SliceState = "touched" if self._history.is_drawn(z) else "predicted"
            self._set({z: back})
            self.said.emit(f"Slice {z}: acceptance taken back.")
        else:
            drawn = bool(self.layer.data[z].any())
            if empty and drawn:
                raise BadInput(
                    f"Slice {z} has labels; erase them before it is accepted as empty, or press A "
                    "to accept it as it is."
                )
            if not empty and not drawn:
                raise BadInput(
                    f"Slice {z} has no labels; press E to accept it as having no muscle."
                )
            made = self._need_study(folder)
            self._set({z: wanted})
            count = sum(state in ACCEPTED for state in self.states().values())
            self.said.emit(
                f"✓ Slice {z} {wanted}; {count} accepted in all."
                + (f" The study is in {made}." if made is not None else "")
            )
        self._save()

    def suggestion(self, current: int) -> int | None:
        """Return the slice to correct next, seen from the current one; None if all are accepted.

        The one that the model was least sure of, spread along the leg; asked again on a slice
        that was just suggested, the one after it.
        """
        study = self.store.study
        done = frozenset(z for z, s in self.states().items() if s in ACCEPTED) | self.held_out()
        confidence: Any = self._history.confidence
        if confidence is None and study is not None:
            confidence = study.confidence(self.store.case)
        if confidence is None or len(confidence) != self.slices:
            confidence = np.full(self.slices, 0.5)
        order = suggest_slices(confidence, self.scan.geometry.spacing[0], done=done)
        if not order:
            return None
        passed_by = current == self._suggested and current in order
        self._suggested = order[(order.index(current) + 1) % len(order) if passed_by else 0]
        return self._suggested

    # --- changes

    def settle(self) -> None:
        """Compare the labels with the copy: journal what changed, and mark its slices."""
        self._timer.stop()
        data = self.layer.data
        fits = data.shape == self._shadow.shape
        if fits != self._fits:
            self._fits = fits
            self.changed.emit()
        if not fits:
            return  # somebody has put another array there, of another scan
        position = self._history.position()
        changed = data != self._shadow
        planes = np.flatnonzero(changed.reshape(len(changed), -1).any(axis=1))
        if not planes.size:
            self._position = position
            return
        changed = changed[planes]
        values = data[planes][changed]
        inside = np.nonzero(changed)
        self._take((planes[inside[0]], *inside[1:]), values, planes)
        self._set(self._after(planes.tolist(), position))

    def restore(self) -> None:
        """Put the journal's changes back, as one undo step.

        Raises
        ------
        BadInput
            If they do not fit.
        """
        self.settle()  # the latest strokes stay: they come after the others in the journal
        self._require_fit()
        offer, self.offer = self.offer, None
        saved = self.store.saved()
        base = np.zeros_like(self.layer.data) if saved is None else saved
        labels = self.store.replay(base.astype(self.layer.data.dtype))
        apply_changes(self.layer, find_changes(self.layer.data, labels))
        self._shadow = np.array(self.layer.data, copy=True)
        self._protect()
        if offer is not None:
            self.said.emit(f"✓ {offer.voxels:,} voxels are back. Ctrl+Z takes them away again.")
        self.changed.emit()

    def discard(self) -> None:
        """Forget the changes of the earlier session, but not those made since it was opened."""
        self.settle()
        self.offer = None
        self.store.forget(self._upto)
        if self.store.study is None and self._history.position() == 0:
            # The draft's states were those of the labels that are not wanted.
            drawn = {z for z in range(self.slices) if self._history.is_drawn(z)}
            self._set({z: "touched" if z in drawn else "unseen" for z in range(self.slices)})
        self.changed.emit()

    def labels_saved(self) -> None:
        """Take note that the labels were saved to a file: a draft needs no journal any more."""
        self.settle()
        if self.store.study is None and self.offer is None:
            self.store.forget()

    # --- inside

    def _require_fit(self) -> None:
        if not self._fits and self.problem is not None:
            raise BadInput(self.problem)

    def _recall(self) -> None:
        """Put the study's labels into a layer that is still empty."""
        table, study = self._table(), self.store.study
        if study is not None and table is not None and not study.table.same_muscles(table):
            return
        saved = self.store.saved()
        if saved is not None and saved.shape == self._shadow.shape and not self._shadow.any():
            apply_changes(self.layer, find_changes(self.layer.data, saved))
            self._shadow = np.array(self.layer.data, copy=True)
            self._first = False
            self._protect()

    def _protect(self) -> None:
        """Count all of a touched or accepted slice as drawn: strokes of old are not known."""
        mask = np.zeros(self.layer.data.shape, np.bool_)
        mask[[z for z, state in self.states().items() if state != "predicted"]] = True
        self._history.reset(mask)
        self._position = self._history.position()

    def _on_prediction(self, changes: Changes) -> None:
        # What changed is known here; looking for it again would hold the window up.
        self._timer.stop()
        position = self._history.position()
        planes: list[int] = []
        if self.layer.data.shape == self._shadow.shape:
            found = np.flatnonzero(np.bincount(changes.where[0], minlength=1))
            self._take(changes.where, np.asarray(changes.values), found)
            planes = found.tolist()
        wanted = self._after(planes, position)
        states = self.states()
        for z in range(self.slices):
            if z not in states:
                wanted.setdefault(z, "touched" if self._history.is_drawn(z) else "predicted")
        self._set(wanted)
        study, sure = self.store.study, self._history.confidence
        if study is not None and sure is not None and len(sure) == self.slices:
            try:
                study.set_prediction(self.store.case, sure)
            except BadInput as problem:
                self.store.problem = str(problem)

    def _take(self, where: tuple[Any, ...], values: Any, planes: Any) -> None:
        """Journal changed voxels, and copy the slices that they are in."""
        if not where[0].size:
            return
        if self._first:  # the journal must make sense without the file
            there = np.nonzero(self._shadow)
            self._record(there, self._shadow[there])
            self._first = False
        self._record(where, values)
        if self.layer.data.dtype != self._shadow.dtype:
            self._shadow = np.array(self.layer.data, copy=True)
        else:
            self._shadow[planes] = self.layer.data[planes]

    def _notice(self, *_: object) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _record(self, where: tuple[Any, ...], new: Any) -> None:
        try:
            self.store.record(where, new)
        except BadInput as problem:
            self.store.problem = str(problem)

    def _after(self, planes: Iterable[int], position: int) -> dict[int, SliceState]:
        """Return the new states of changed slices, by who changed them."""
        states = self.states()
        if position < self._position:  # a prediction was undone
            wanted = self._before.pop(position + 1, {})
            wanted = {z: wanted.get(z, "unseen") for z in range(self.slices)}
        elif position > self._position:
            self._before[position] = states
            wanted = dict.fromkeys(planes, "predicted")
            for z in range(self.slices):
                if self._history.is_drawn(z):
                    wanted.pop(z, None)
        else:
            wanted = {z: self._state_by_hand(z, states) for z in planes}
        self._position = position
        return wanted

    def _state_by_hand(self, z: int, states: dict[int, SliceState]) -> SliceState:
        if self._history.is_drawn(z):
            return "touched"
        return "predicted" if self._history.position() > 0 or z in states else "unseen"

    def _set(self, states: dict[int, SliceState]) -> None:
        try:
            self.store.set_states(states)
        except BadInput as problem:
            self.store.problem = str(problem)
        self._tell_accepted()
        self.changed.emit()

    def _tell_accepted(self) -> None:
        states = self.states()
        self._history.accepted = frozenset(z for z, s in states.items() if s in ACCEPTED)

    def _table(self) -> MuscleTable | None:
        info = info_of(self.layer)
        return (info.table if info is not None else None) or self.scan.table

    def _need_study(self, folder: Path | None) -> Path | None:
        """Make the study if there is none; return its folder if it was made now."""
        table = self._table()
        study = self.store.study
        if study is not None:
            if table is not None and not study.table.same_muscles(table):
                raise BadInput(
                    f"The study {study.folder} is about other muscles than these labels; save "
                    "them to a file instead."
                )
            return None
        if table is None:
            raise BadInput(
                "It is not known which muscles these labels stand for; press 'Segment muscles' "
                "first, or open labels with a muscle table."
            )
        folder = folder or self.store.proposed_place()
        study = self.store.make_study(folder, table)
        if self._history.confidence is not None:
            study.set_prediction(self.store.case, self._history.confidence)
        return folder

    def _save(self) -> None:
        """Save the labels into the study, in a thread; once more at its end if asked meanwhile."""
        if self.store.study is None:
            return
        if self._work is not None:
            self._again = True
            return
        labels, mark = np.array(self.layer.data, copy=True), self.store.mark()
        self._work = ThreadTask(lambda emit, stop: self.store.save(labels, mark))
        self._work.bridge.arrived.connect(self._on_saved)
        self._work.start()

    def _on_saved(self, event: object) -> None:
        self._work = None
        if isinstance(event, Failed):
            self.said.emit(event.sentence)
        if self._again:
            self._again = False
            self._save()
        self.changed.emit()
