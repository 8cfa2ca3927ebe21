"""The slices of a scan and their states, as a table: a click goes to the slice."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QBrush, QColor, QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_ssl_muscle.study.slice_states import SliceState

LOOK: dict[SliceState, tuple[str, str]] = {
    "unseen": ("·", ""),
    "predicted": ("○", "#56B4E9"),
    "touched": ("✎", "#E69F00"),
    "accepted": ("✓", "#2CA58D"),
    "accepted as empty": ("✓", "#2CA58D"),
}
"""Sign and colour of each state; the sign tells them apart without colour."""


class SliceTable(QTableWidget):
    """One row for each slice.

    Attributes
    ----------
    chosen
        Signal with the slice of a row that was clicked or reached by the arrow keys.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 3, parent)
        self.setHorizontalHeaderLabels(["Slice", "State", "Use"])
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None
        assert columns is not None
        rows.hide()
        rows.setDefaultSectionSize(22)
        columns.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        columns.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        columns.setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)
        self.setMinimumHeight(150)
        self._quiet = False
        self.currentCellChanged.connect(self._on_current)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Move with the arrow keys; all others are for the picture, as everywhere in the form.

        Qt would look for a row that begins with the letter.
        """
        if event is not None and event.key() not in _MOVES:
            event.ignore()
        else:
            super().keyPressEvent(event)

    def show_slices(
        self, count: int, states: Mapping[int, SliceState], held_out: Collection[int]
    ) -> None:
        """Show states; the row that was current stays so."""
        self._quiet = True
        self.setRowCount(count)
        for z in range(count):
            state = states.get(z, "unseen")
            sign, colour = LOOK[state]
            use = ""
            if state in ("accepted", "accepted as empty"):
                use = "compares" if z in held_out else "trains"
            self._write(z, 0, str(z))
            self._write(z, 1, f"{sign}  {state}", colour)
            self._write(z, 2, use, tooltip=_USES.get(use, ""))
        self._quiet = False

    def show_current(self, z: int) -> None:
        """Mark the slice that is shown, without going anywhere."""
        if 0 <= z < self.rowCount() and z != self.currentRow():
            self._quiet = True
            self.setCurrentCell(z, 1)
            self._quiet = False

    def _write(self, row: int, column: int, text: str, colour: str = "", tooltip: str = "") -> None:
        item: Any = self.item(row, column)
        if item is None:
            item = QTableWidgetItem()
            self.setItem(row, column, item)
            if column == 0:
                item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
        item.setText(text)
        item.setToolTip(tooltip)
        item.setForeground(QBrush(QColor(colour)) if colour else QBrush())

    def _on_current(self, row: int, *_: int) -> None:
        if not self._quiet and row >= 0:
            self.chosen.emit(row)


_USES = {
    "trains": "A model that is fine-tuned on the study learns from this slice.",
    "compares": "Every fourth accepted slice never trains: old and new models are compared on it.",
}

_MOVES = frozenset(
    {
        Qt.Key.Key_Up,
        Qt.Key.Key_Down,
        Qt.Key.Key_PageUp,
        Qt.Key.Key_PageDown,
        Qt.Key.Key_Home,
        Qt.Key.Key_End,
        Qt.Key.Key_Tab,
        Qt.Key.Key_Backtab,
    }
)
