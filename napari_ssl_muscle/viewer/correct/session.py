"""Follows the labels of one scan: journals every change, and keeps the states of slices.

Every change of the labels, from whatever tool, is found by comparing them with a copy a moment
later; it goes to the journal, and its slices become "touched", or "predicted" if a model wrote
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.study.correction_store import CorrectionStore
from napari_ssl_muscle.study.slice_states import ACCEPTED, SliceState
from napari_ssl_muscle.viewer.correct.acceptance import require_acceptable, require_study
from napari_ssl_muscle.viewer.correct.accepted_slices import AcceptedSlices
from napari_ssl_muscle.viewer.correct.state_changes import StateChanges
from napari_ssl_muscle.viewer.correct.study_saver import StudySaver
from napari_ssl_muscle.viewer.correct.suggestions import Suggestions
from napari_ssl_muscle.viewer.layers.changes import Changes
from napari_ssl_muscle.viewer.layers.prediction_history import history_of
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, show_table

if TYPE_CHECKING:
    from napari_ssl_muscle.scans.muscles import MuscleTable
    from napari_ssl_muscle.study.unsaved.journal import UnsavedChanges

WAIT_MS = 300
"""Rest after a change before it is looked for; a stroke is long over by then, or goes on."""

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
    unsaved
        Changes of an earlier session that wait for `restore` or `discard`; None if there are none.
    asked
        Whether the person has been asked about them.
    changed
        Signal: states, unsaved changes or the problem have changed.
    message
        Signal with a sentence for the user.
    """

    changed = Signal()
    message = Signal(str)

    def __init__(self, layer: Any, image: Any) -> None:
        info = info_of(layer)
        assert info is not None
        self.layer = layer
        self.scan = scan = info.scan
        self._history = history_of(layer)
        self.store = CorrectionStore(scan.own_name, scan.geometry, scan.file, image)
        self._saver = StudySaver(layer, self.store)
        self._saver.ended.connect(self._on_saved)
        self._known = np.array(layer.data, copy=True)
        """The labels as the journal has them."""
        self._fits = True
        self._unrecorded = bool(self._known.any())  # labels from a file, in no journal yet
        self._accepted = AcceptedSlices()
        self.unsaved: UnsavedChanges | None = None
        self.asked = False
        self._earlier = 0
        """Where the journal of earlier sessions ends."""
        try:
            if self.table is None and (table := self.store.saved_table()) is not None:
                show_table(layer, table)
            self._load_saved()
            self.unsaved = self.store.pending()
            self._earlier = self.store.mark()
        except BadInput as problem:
            self.store.problem = str(problem)
        self._suggestions = Suggestions(self.store, self._history, self.slices)
        self._state_changes = StateChanges(self._history, self.slices)
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(WAIT_MS)
        self._timer.timeout.connect(self.record_changes)
        for name in _EVENTS:
            getattr(layer.events, name).connect(self._start_timer)
        self._history.before_predicted.connect(self.record_changes)
        self._history.predicted.connect(self._on_predicted)
        self._share_accepted()

    def close(self) -> None:
        """Record the last changes, write what is waiting, and follow the layer no more."""
        self._timer.stop()
        for name in _EVENTS:
            getattr(self.layer.events, name).disconnect(self._start_timer)
        self._history.before_predicted.disconnect(self.record_changes)
        self._history.predicted.disconnect(self._on_predicted)
        self.record_changes()
        self._saver.close()
        self.store.close()

    @property
    def saving(self) -> bool:
        """Whether the labels are being saved into the study."""
        return self._saver.running

    # --- states

    @property
    def slices(self) -> int:
        """How many slices there are."""
        return int(self._known.shape[0])

    @property
    def problem(self) -> str | None:
        """A sentence if what is drawn is not kept, else None."""
        if not self._fits:
            return (
                f"The labels of {self.scan.name} have another shape than the scan now, so they "
                "are not kept. Remove the layer; 'Segment muscles' makes a new one."
            )
        return self.store.problem

    @property
    def table(self) -> MuscleTable | None:
        """The muscles that the label values stand for; None if nobody knows."""
        info = info_of(self.layer)
        return (info.table if info is not None else None) or self.scan.table

    def set_table(self, table: MuscleTable) -> None:
        """Give the labels another table of muscles, in the study as well.

        Raises
        ------
        BadInput
            If the study has labels of a muscle that the table lacks.
        """
        self.record_changes()
        if self.store.study is not None:
            self.store.study.set_table(table)
        show_table(self.layer, table)
        if self._known.any():
            self._note_table(table)
        self.changed.emit()

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
        lost = self._take_lost_study()
        self.record_changes()
        if lost is not None:
            raise BadInput(lost)
        self._require_fit()
        if self.unsaved is not None:
            # What is saved now would count for all, and they would be gone.
            raise BadInput(
                "Changes of an earlier session wait above; press 'Restore' or 'Discard' first."
            )
        wanted: SliceState = "accepted as empty" if empty else "accepted"
        self._accepted.forget(z)
        if self.states().get(z) == wanted:
            back: SliceState = "touched" if self._history.is_drawn(z) else "predicted"
            self._set({z: back})
            self.message.emit(f"Slice {z}: acceptance taken back.")
        else:
            require_acceptable(z, self.layer.data[z], self.table, empty=empty)
            made = require_study(self.store, self.table, self._history, folder)
            self._set({z: wanted})
            if self.states().get(z) != wanted:
                raise BadInput(self.problem or f"Slice {z} could not be accepted.")
            count = sum(state in ACCEPTED for state in self.states().values())
            self.message.emit(
                f"✓ Slice {z} {wanted}; {count} accepted in all."
                + (f" The study is in {made}." if made is not None else "")
            )
        self._saver.save()

    def suggestion(self, current: int) -> int | None:
        """Return the slice to correct next, seen from the current one; None if all are accepted."""
        return self._suggestions.after(current)

    # --- changes

    def record_changes(self) -> None:
        """Compare the labels with those that are known: journal what changed, mark its slices.

        What an undo changed in accepted slices is put back.
        """
        self._timer.stop()
        if (lost := self._take_lost_study()) is not None:
            self.message.emit(f"⚠ {lost}")
        data = self.layer.data
        fits = data.shape == self._known.shape
        if fits != self._fits:
            self._fits = fits
            self.changed.emit()
        if not fits:
            return  # somebody has put another array there, of another scan
        position = self._history.position()
        changed = data != self._known
        planes = np.flatnonzero(changed.reshape(len(changed), -1).any(axis=1))
        states = self.states()
        if self._history.take_undone():
            kept = self._accepted.put_back(self.layer, self._known, planes.tolist(), states)
            planes = np.setdiff1d(planes, kept)
            if kept:
                self.message.emit(
                    f"Slice {kept[0]} is accepted, so undo leaves it as it is; take the "
                    "acceptance back first (A)."
                )
        if not planes.size:
            if wanted := self._state_changes.after((), position, states):
                self._set(wanted)
            return
        self._accepted.drawn_on(planes.tolist(), self._known, states)
        changed = changed[planes]
        values = data[planes][changed]
        inside = np.nonzero(changed)
        self._journal((planes[inside[0]], *inside[1:]), values, planes)
        wanted = self._state_changes.after(planes.tolist(), position, states)
        wanted.update(self._accepted.accepted_again(planes.tolist(), data))
        self._set(wanted)

    def restore(self) -> None:
        """Put the journal's changes back, with the names of their muscles.

        They are the start of the layer's undo history.

        Raises
        ------
        BadInput
            If they do not fit.
        """
        self.record_changes()  # the latest strokes stay: they come after the others in the journal
        self._require_fit()
        unsaved, self.unsaved = self.unsaved, None
        saved = self.store.saved()
        base = np.zeros_like(self.layer.data) if saved is None else saved
        labels = self.store.replay(base.astype(self.layer.data.dtype))
        table = self.store.pending_table()
        if table is not None and table != self.table:
            show_table(self.layer, table)
        self._begin(labels)
        if unsaved is not None:
            self.message.emit(f"✓ {unsaved.voxels:,} voxels are back.")
        self.changed.emit()

    def discard(self) -> None:
        """Drop the changes of the earlier session, but not those made since it was opened.

        They can come back for some days, with `bring_back`.

        Raises
        ------
        BadInput
            If they cannot be moved.
        """
        self.record_changes()
        self.store.discard(self._earlier)
        self.unsaved = None
        if self.store.study is None and self._history.position() == 0:
            # The draft's states were those of the labels that are not wanted.
            drawn = {z for z in range(self.slices) if self._history.is_drawn(z)}
            self._set({z: "touched" if z in drawn else "unseen" for z in range(self.slices)})
        self.changed.emit()

    def bring_back(self) -> None:
        """Restore the changes that were discarded last; where both changed a voxel, these count.

        Raises
        ------
        BadInput
            If there are none, or they cannot be read.
        """
        self.record_changes()
        self._require_fit()
        table = self.store.bring_back()
        before = np.array(self.layer.data, copy=True)
        self._note_table(table)
        self.restore()
        changed = (self._known != before).reshape(self.slices, -1).any(axis=1)
        self._set(dict.fromkeys(np.flatnonzero(changed).tolist(), "touched"))
        self.message.emit("✓ The discarded changes are back.")

    def labels_saved(self) -> None:
        """Take note that the labels were saved to a file: a draft needs no journal any more."""
        self.record_changes()
        if self.store.study is None and self.unsaved is None:
            self.store.forget()

    # --- inside

    def _take_lost_study(self) -> str | None:
        """Keep all labels in the draft if the study is gone; return a sentence then."""
        sentence = self.store.leave_lost_study()
        if sentence is not None:
            self._unrecorded = True
            self._record_all()
            self.changed.emit()
        return sentence

    def _record_all(self) -> None:
        """Record all labels, so that the journal makes sense without a file or study."""
        there = np.nonzero(self._known)
        self._record(there, self._known[there])
        self._unrecorded = False

    def _note_table(self, table: MuscleTable | None) -> None:
        if table is not None:
            try:
                self.store.set_table(table)
            except BadInput as problem:
                self.store.problem = str(problem)

    def _require_fit(self) -> None:
        if not self._fits and self.problem is not None:
            raise BadInput(self.problem)

    def _load_saved(self) -> None:
        """Put the study's labels into a layer that is still empty."""
        table, study = self.table, self.store.study
        if study is not None and table is not None and not study.table.same_labels(table):
            return
        saved = self.store.saved()
        if saved is not None and saved.shape == self._known.shape and not self._known.any():
            self._unrecorded = False
            self._begin(saved)

    def _begin(self, labels: np.ndarray) -> None:
        """Take labels that were kept as the start of the layer's undo history."""
        self._history.begin(labels)
        self._known = np.array(self.layer.data, copy=True)
        self._count_as_drawn()
        self._history.take_undone()

    def _count_as_drawn(self) -> None:
        """Count all of a touched or accepted slice as drawn: earlier strokes are not known."""
        mask = np.zeros(self.layer.data.shape, np.bool_)
        mask[[z for z, state in self.states().items() if state != "predicted"]] = True
        self._history.reset(mask)

    def _on_predicted(self, changes: Changes) -> None:
        # What changed is known here; looking for it again would hold the window up.
        self._timer.stop()
        position = self._history.position()
        planes: list[int] = []
        if self.layer.data.shape == self._known.shape:
            found = np.flatnonzero(np.bincount(changes.where[0], minlength=1))
            self._accepted.drawn_on(found.tolist(), self._known, self.states())
            self._journal(changes.where, np.asarray(changes.values), found)
            planes = found.tolist()
        states = self.states()
        wanted = self._state_changes.after(planes, position, states)
        for z in range(self.slices):
            if z not in states:
                wanted.setdefault(z, "touched" if self._history.is_drawn(z) else "predicted")
        self._set(wanted)
        study, confidence = self.store.study, self._history.confidence
        if study is not None and confidence is not None and len(confidence) == self.slices:
            try:
                study.set_prediction(self.store.case, confidence)
            except BadInput as problem:
                self.store.problem = str(problem)

    def _journal(self, where: tuple[Any, ...], values: Any, planes: Any) -> None:
        """Journal changed voxels; their slices are known from now on."""
        if not where[0].size:
            return
        if self._unrecorded:
            self._record_all()
        self._record(where, values)
        if self.layer.data.dtype != self._known.dtype:
            self._known = np.array(self.layer.data, copy=True)
        else:
            self._known[planes] = self.layer.data[planes]

    def _record(self, where: tuple[Any, ...], values: Any) -> None:
        self._note_table(self.table)
        try:
            self.store.record(where, values)
        except BadInput as problem:
            self.store.problem = str(problem)

    def _start_timer(self, *_: object) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _set(self, states: Mapping[int, SliceState]) -> None:
        try:
            self.store.set_states(states)
        except BadInput as problem:
            self.store.problem = str(problem)
        self._share_accepted()
        self.changed.emit()

    def _share_accepted(self) -> None:
        states = self.states()
        self._history.accepted = frozenset(z for z, s in states.items() if s in ACCEPTED)

    def _on_saved(self, problem: str | None) -> None:
        if problem is not None:
            self.message.emit(f"⚠ {self._take_lost_study() or problem}")
        self.changed.emit()
