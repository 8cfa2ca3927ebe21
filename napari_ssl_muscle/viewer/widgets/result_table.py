"""A table of figures: sorted by a click on a heading, copied as text, rows can be chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QEvent, QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QGuiApplication, QKeyEvent, QKeySequence
from qtpy.QtWidgets import (
    QAbstractItemView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

Cell = str | float | None

ROW_HEIGHT = 22
MOST_ROWS = 14
"""So many rows are shown without scrolling."""


@dataclass(frozen=True)
class Column:
    """A column of figures or words.

    Attributes
    ----------
    title
        Its heading; may have two lines.
    digits
        After the point; None for words.
    signed
        Whether a number above zero has a plus sign.
    tooltip
        What the figures mean.
    """

    title: str
    digits: int | None = None
    signed: bool = False
    tooltip: str = ""

    def text(self, value: Cell) -> str:
        """Return the text of a cell: "–" for None, "∞" if infinite."""
        if value is None:
            return "–"
        if isinstance(value, str):
            return value
        if math.isinf(value):
            return "∞" if value > 0 else "−∞"
        digits = self.digits or 0
        rounded = round(value, digits) + 0.0  # no minus zero
        return f"{rounded:+.{digits}f}" if self.signed and rounded else f"{rounded:.{digits}f}"


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes
    ----------
    cells
        One value for each column.
    summary
        Whether it sums others up: it is bold and stays below them however the table is sorted.
    tooltip
        A sentence about it.
    """

    cells: tuple[Cell, ...]
    summary: bool = False
    tooltip: str = ""


class ResultTable(QTableWidget):
    """Shows rows; headings sort: upwards, downwards, as at first.

    Numbers are sorted as numbers. What is not counted ("–") and infinite stays last either way.

    Attributes
    ----------
    chosen
        Signal with the number of a row, counted as they were given, when it is clicked or reached
        by the keyboard.
    """

    row_selected = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.columns: tuple[Column, ...] = ()
        self.rows: tuple[Row, ...] = ()
        self._order: list[int] = []
        self._sorted: tuple[int, bool] | None = None  # column, whether downwards
        self._quiet = False
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        self.setShowGrid(False)
        _there(self.verticalHeader()).hide()
        _there(self.verticalHeader()).setDefaultSectionSize(ROW_HEIGHT)
        header = _there(self.horizontalHeader())
        header.setStyleSheet("QHeaderView::section { padding: 2px; }")
        header.setSectionsClickable(True)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(24)
        header.sectionClicked.connect(self.sort_by)
        self.currentCellChanged.connect(self._on_current)
        self.cellClicked.connect(self._on_clicked)
        self.cellActivated.connect(self._on_clicked)

    def show_rows(self, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        """Show a table, in the order given."""
        self._quiet = True
        self.clear()
        self.columns, self.rows = tuple(columns), tuple(rows)
        self._sorted = None
        self.setColumnCount(len(self.columns))
        self.setRowCount(len(self.rows))
        for index, column in enumerate(self.columns):
            item = QTableWidgetItem(column.title)
            item.setToolTip(f"{column.tooltip}\nClick to sort.".strip())
            self.setHorizontalHeaderItem(index, item)
        self._fill()
        self.setCurrentCell(-1, -1)
        self._quiet = False
        self.fit()

    def sort_by(self, column: int) -> None:
        """Sort by a column: upwards; if it is so already, downwards; then as at first."""
        self._sorted = {
            (column, False): (column, True),
            (column, True): None,
        }.get(self._sorted or (-1, False), (column, False))
        marked = {self._order[index.row()] for index in self.selectedIndexes()}
        current = self._order[self.currentRow()] if self.currentRow() >= 0 else None
        self._quiet = True
        self.clearSelection()
        self._fill()
        header = _there(self.horizontalHeader())
        header.setSortIndicatorShown(self._sorted is not None)
        if self._sorted is not None:
            down = self._sorted[1]
            header.setSortIndicator(
                column, Qt.SortOrder.DescendingOrder if down else Qt.SortOrder.AscendingOrder
            )
        if current is not None:
            self.setCurrentCell(self._order.index(current), max(self.currentColumn(), 0))
        self.clearSelection()
        for row in marked:
            for index in range(len(self.columns)):
                _there(self.item(self._order.index(row), index)).setSelected(True)
        self._quiet = False

    def texts(self) -> list[list[str]]:
        """Return the texts of the cells, row by row as shown."""
        return [
            [_there(self.item(row, column)).text() for column in range(self.columnCount())]
            for row in range(self.rowCount())
        ]

    def copy(self) -> None:
        """Put the marked rows, or all if none is, on the clipboard, with tabs between cells."""
        marked = sorted({index.row() for index in self.selectedIndexes()})
        texts = self.texts()
        lines = [[" ".join(column.title.split()) for column in self.columns]]
        lines += [texts[row] for row in marked or range(len(texts))]
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText("\n".join("\t".join(line) for line in lines))

    def fit(self) -> None:
        """Make columns as wide, and the table as high, as what is in them."""
        self.resizeColumnsToContents()
        self.setFixedHeight(self._full_height())

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the size that it likes to have, in pixels."""
        return QSize(300, self._full_height())

    def event(self, event: QEvent | None) -> bool:
        """Claim the copy keys, which would otherwise go to the window's own shortcut."""
        if (
            event is not None
            and event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.matches(QKeySequence.StandardKey.Copy)
        ):
            event.accept()
            return True
        return bool(super().event(event))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Copy, or move as tables do."""
        if event is not None and event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        else:
            super().keyPressEvent(event)

    def _full_height(self) -> int:
        header = _there(self.horizontalHeader()).sizeHint().height()
        bar = _there(self.horizontalScrollBar()).sizeHint().height()
        rows = min(max(self.rowCount(), 2), MOST_ROWS)
        return int(header + rows * ROW_HEIGHT + bar + 2 * self.frameWidth())

    def _fill(self) -> None:
        self._order = self._ordered()
        for place, number in enumerate(self._order):
            row = self.rows[number]
            for index, (column, value) in enumerate(zip(self.columns, row.cells, strict=True)):
                item = QTableWidgetItem(column.text(value))
                item.setToolTip(row.tooltip)
                if column.digits is not None:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                if row.summary:
                    font = item.font()
                    font.setBold(True)
                    item.setFont(font)
                self.setItem(place, index, item)

    def _ordered(self) -> list[int]:
        numbers = range(len(self.rows))
        if self._sorted is None:
            return list(numbers)
        column, down = self._sorted

        def value(number: int) -> Any:
            return self.rows[number].cells[column]

        last = [n for n in numbers if not _counts(value(n))]
        first: list[Any] = sorted(
            (n for n in numbers if _counts(value(n))), key=value, reverse=down
        )
        last.sort(key=lambda n: value(n) is None)  # infinite before what is not counted
        return sorted(first + last, key=lambda n: self.rows[n].summary)

    def _on_current(self, row: int, *_: int) -> None:
        if not self._quiet and row >= 0:
            self.row_selected.emit(self._order[row])

    def _on_clicked(self, row: int, _: int) -> None:
        self.row_selected.emit(self._order[row])


def muscle_cell(muscle: str, *, short: bool) -> str:
    """Return a muscle's name, or its abbreviation where room is scarce and it has one."""
    from napari_ssl_muscle.scans.muscles.names import known_muscle

    known = known_muscle(muscle) if short else None
    return known.abbreviation if known is not None else muscle


def _counts(value: Cell) -> bool:
    return bool(value) if isinstance(value, str) else value is not None and math.isfinite(value)


def _there(part: Any) -> Any:
    assert part is not None  # a table always has headers, bars and items
    return part
