"""Makes and edits the table of muscles: value, name, side and colour; reads and exports it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QColorDialog,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.muscles import (
    Muscle,
    MuscleTable,
    read_table,
    split_side,
    write_itksnap,
    write_tsv,
)
from napari_ssl_muscle.viewer.widgets import dialogs

_TABLES = "Muscle tables (*.label *.txt *.tsv *.json);;All files (*)"
_EXPORTS = "ITK-SNAP (*.label);;BIDS (*.tsv)"
_SIDES = ("", "left", "right")
VALUE, NAME, SIDE, COLOUR = range(4)


class TableEditor(QDialog):
    """Edits a table of muscles.

    Parameters
    ----------
    table
        The muscles to begin with.
    parent
        Qt parent.
    """

    def __init__(self, table: MuscleTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Muscles")
        self._short: dict[str, str] = {}
        self.rows = QTableWidget(0, 4, self)
        self.rows.setHorizontalHeaderLabels(["Value", "Name", "Side", "Colour"])
        header, numbers = self.rows.horizontalHeader(), self.rows.verticalHeader()
        assert header is not None
        assert numbers is not None
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        numbers.hide()
        self.rows.cellDoubleClicked.connect(self._pick_colour)
        hint = QLabel(
            "The value is what is stored for each voxel. Double-click a colour to change it.", self
        )
        hint.setWordWrap(True)
        self.buttons = QDialogButtonBox(self)
        action = QDialogButtonBox.ButtonRole.ActionRole
        self.add_button = self._button("Add", action, self._add)
        self.remove_button = self._button("Remove", action, self._remove)
        self.read_button = self._button("Read…", action, self._read)
        self.export_button = self._button("Export…", action, self._export)
        self.buttons.addButton(QDialogButtonBox.StandardButton.Ok)
        self.buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        self.buttons.accepted.connect(self._accept)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(hint)
        layout.addWidget(self.rows)
        layout.addWidget(self.buttons)
        self.resize(560, 420)
        self.show_table(table)

    def show_table(self, table: MuscleTable) -> None:
        """Fill the rows with a table."""
        self.rows.setRowCount(0)
        self._short = {muscle.name: muscle.abbreviation for muscle in table.muscles}
        for muscle in table.muscles:
            self._append(muscle)

    def table(self) -> MuscleTable:
        """Return the table that the rows say.

        Raises
        ------
        BadInput
            If a value or name is missing, wrong or there twice.
        """
        muscles = []
        for row in range(self.rows.rowCount()):
            text, name = self._text(row, VALUE), " ".join(self._text(row, NAME).split())
            if not text.isdecimal() or not 0 < int(text) < 2**31:
                raise BadInput(f"Row {row + 1} has the value '{text}'; write a number above 0.")
            if not name:
                raise BadInput(f"Row {row + 1} has no name; write the muscle's name.")
            side: Any = self.rows.cellWidget(row, SIDE)
            full = f"{name} {side.currentText()}".strip()
            item = self.rows.item(row, COLOUR)
            assert item is not None  # every row gets one
            colour = item.data(Qt.ItemDataRole.UserRole)
            muscles.append(
                Muscle(
                    int(text),
                    full,
                    self._short.get(full, ""),
                    None if colour is None else (colour[0], colour[1], colour[2]),
                )
            )
        if not muscles:
            raise BadInput("The table has no muscle; add one.")
        return MuscleTable(tuple(muscles))

    def export(self, path: Path) -> None:
        """Write the table for ITK-SNAP (`.label`) or, where the name ends in `.tsv`, for BIDS.

        Raises
        ------
        BadInput
            If it is not right, or cannot be written.
        """
        if path.suffix.lower() == ".tsv":
            write_tsv(self.table(), path)
        else:
            is_itksnap = path.suffix.lower() in (".label", ".txt")
            write_itksnap(
                self.table(), path if is_itksnap else path.with_name(f"{path.name}.label")
            )

    def _button(self, text: str, role: QDialogButtonBox.ButtonRole, act: Callable[[], None]) -> Any:
        button = self.buttons.addButton(text, role)
        assert button is not None  # Qt makes one
        button.clicked.connect(lambda *_: act())
        return button

    def _text(self, row: int, column: int) -> str:
        item = self.rows.item(row, column)
        return "" if item is None else item.text().strip()

    def _append(self, muscle: Muscle) -> None:
        row = self.rows.rowCount()
        self.rows.insertRow(row)
        name, side = split_side(muscle.name)
        if not side:
            name = muscle.name  # as the file writes it
        self.rows.setItem(row, VALUE, QTableWidgetItem(str(muscle.value)))
        self.rows.setItem(row, NAME, QTableWidgetItem(name))
        box = QComboBox(self.rows)
        box.addItems(list(_SIDES))
        box.setCurrentText(side)
        self.rows.setCellWidget(row, SIDE, box)
        item = QTableWidgetItem()
        flags: Any = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        item.setFlags(flags)
        item.setData(Qt.ItemDataRole.UserRole, muscle.colour)
        item.setBackground(QColor(*muscle.shown_colour))
        self.rows.setItem(row, COLOUR, item)

    def _add(self) -> None:
        values = [self._text(row, VALUE) for row in range(self.rows.rowCount())]
        value = max((int(text) for text in values if text.isdecimal()), default=0) + 1
        self._append(Muscle(value, ""))
        self.rows.setCurrentCell(self.rows.rowCount() - 1, NAME)
        self.rows.setFocus()

    def _remove(self) -> None:
        if self.rows.currentRow() >= 0:
            self.rows.removeRow(self.rows.currentRow())

    def _pick_colour(self, row: int, column: int) -> None:
        item = self.rows.item(row, COLOUR)
        if column != COLOUR or item is None:
            return
        colour = QColorDialog.getColor(item.background().color(), self, "Colour of the muscle")
        if colour.isValid():
            item.setData(Qt.ItemDataRole.UserRole, (colour.red(), colour.green(), colour.blue()))
            item.setBackground(colour)

    def _read(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Read a muscle table", "", _TABLES)
        if name:
            self._try(lambda: self.show_table(read_table(Path(name))))

    def _export(self) -> None:
        name, kind = QFileDialog.getSaveFileName(self, "Export the table", "muscles", _EXPORTS)
        if name:
            path = Path(name)
            if path.suffix.lower() not in (".label", ".txt", ".tsv"):
                path = path.with_name(path.name + (".tsv" if "BIDS" in kind else ".label"))
            self._try(lambda: self.export(path))

    def _accept(self) -> None:
        if self._try(lambda: self.table()):
            self.accept()

    def _try(self, act: Callable[[], object]) -> bool:
        try:
            act()
        except BadInput as problem:
            dialogs.show_problem(str(problem), parent=self)
            return False
        return True


def edit_table(
    table: MuscleTable | None, apply: Callable[[MuscleTable], None], parent: QWidget | None = None
) -> None:
    """Let a person make or edit a table; problems are shown in a dialog.

    Parameters
    ----------
    table
        The muscles to begin with; None for none.
    apply
        Called with the new table; may raise BadInput.
    parent
        Qt parent.
    """
    dialog = TableEditor(table or MuscleTable(()), parent)
    if dialog.exec() == QDialog.DialogCode.Accepted:
        try:
            apply(dialog.table())
        except BadInput as problem:
            dialogs.show_problem(str(problem), parent=parent)
    dialog.deleteLater()
