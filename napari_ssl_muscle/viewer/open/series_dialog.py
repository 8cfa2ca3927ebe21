"""The dialog in which series of DICOM are chosen."""

from __future__ import annotations

from collections.abc import Sequence

import psutil
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_ssl_muscle.scans.formats.dicom.listing import Export
from napari_ssl_muscle.scans.formats.dicom.series import Series
from napari_ssl_muscle.text_table import counted, times

_HEADERS = (
    *("Patient", "Series", "Description", "Shows", "Image type", "TE ms"),
    *("Matrix", "Voxel mm", "Slices", "Remark"),
)
_PATIENT, _SERIES, _REMARK = 0, 1, len(_HEADERS) - 1
_BYTES = 8
"""For each voxel: the image as float32, and labels with what the journal compares them with."""
_SHARE = 4
"""All series are ticked as long as they take less than this part of the free memory."""


class SeriesDialog(QDialog):
    """Lists series by technical tags; those that a model can use are ticked.

    Descriptions are free text of the scanner's operator: they are shown here and written nowhere.
    Patients are counted. Of an export that would fill the memory, only the first patient's series
    are ticked.

    Parameters
    ----------
    export
        What was found.
    parent
        Qt parent.
    """

    def __init__(self, export: Export, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Open DICOM series")
        self._series = export.series
        self.table = QTableWidget(len(self._series), len(_HEADERS), self)
        self.table.setHorizontalHeaderLabels(_HEADERS)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        patients = {patient: n for n, patient in enumerate(export.patients, 1)}
        for row, series in enumerate(self._series):
            self._fill(row, series, patients[series.acquisition.patient])
        self.table.setColumnHidden(_PATIENT, len(patients) < 2)
        rows, columns = self.table.verticalHeader(), self.table.horizontalHeader()
        assert rows is not None  # a table always has them
        assert columns is not None
        rows.hide()
        columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        columns.setStretchLastSection(True)
        self.count = QLabel(self)
        buttons = QDialogButtonBox(self)
        self._open = buttons.addButton(QDialogButtonBox.StandardButton.Open)
        buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        self.usable_button = QPushButton("All usable", self)
        self.none_button = QPushButton("None", self)
        self.usable_button.clicked.connect(lambda: self.tick(usable(self._series)))
        self.none_button.clicked.connect(lambda: self.tick([]))

        layout = QVBoxLayout(self)
        layout.addWidget(QLabel(_heading(export, len(patients)), self))
        layout.addWidget(self.table)
        below = QHBoxLayout()
        below.addWidget(self.usable_button)
        below.addWidget(self.none_button)
        below.addWidget(self.count, 1)
        layout.addLayout(below)
        notes = export.notes()
        if len(patients) > 1:
            notes.insert(
                0,
                f"These are series of {len(patients)} patients. To work with many of them, make a "
                "cohort first: ssl-muscle import.",
            )
        if notes:
            said = QLabel("\n".join(notes), self)
            said.setWordWrap(True)
            said.setTextFormat(Qt.TextFormat.PlainText)
            layout.addWidget(said)
        layout.addWidget(buttons)
        self.resize(980, 460)
        self.table.itemChanged.connect(self._count)
        self.tick(ticked_at_first(self._series))

    @property
    def chosen(self) -> list[Series]:
        """The series that are ticked."""
        return [series for row, series in enumerate(self._series) if self._is_ticked(row)]

    def tick(self, wanted: Sequence[Series]) -> None:
        """Tick these series and no others."""
        keys = {id(series) for series in wanted}
        self.table.blockSignals(True)
        for row, series in enumerate(self._series):
            item = self.table.item(row, _SERIES)
            assert item is not None
            state = Qt.CheckState.Checked if id(series) in keys else Qt.CheckState.Unchecked
            if series.problem is None:
                item.setCheckState(state)
        self.table.blockSignals(False)
        self._count()

    def _fill(self, row: int, series: Series, patient: int) -> None:
        made = series.acquisition
        columns, rows, slices = series.shape
        cells = (
            str(patient),
            str(made.number),
            made.description,
            series.contrast,
            "\\".join(made.image_type),
            "" if made.echo_time is None else f"{made.echo_time:g}",
            times((columns, rows)),
            "" if series.spacing is None else times(series.spacing, ".3g"),
            str(slices),
            series.objection or "",
        )
        for column, text in enumerate(cells):
            item = QTableWidgetItem(text)
            item.setToolTip(text)
            if series.problem is not None:
                item.setFlags(Qt.ItemFlag.ItemIsSelectable)
            elif column == _SERIES:
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            self.table.setItem(row, column, item)

    def _is_ticked(self, row: int) -> bool:
        item = self.table.item(row, _SERIES)
        return item is not None and item.checkState() == Qt.CheckState.Checked

    def _count(self, *_: object) -> None:
        chosen = self.chosen
        size = sum(map(_memory, chosen)) / 2**20
        self.count.setText(f"{len(chosen)} of {len(self._series)} ticked, about {size:,.0f} MB")
        if self._open is not None:
            self._open.setEnabled(bool(chosen))


def usable(found: Sequence[Series]) -> list[Series]:
    """Return the series that a model can use."""
    return [series for series in found if series.suggested]


def ticked_at_first(found: Sequence[Series]) -> list[Series]:
    """Return the series that a model can use; the first patient's where all are too many."""
    chosen = usable(found)
    if sum(map(_memory, chosen)) * _SHARE <= psutil.virtual_memory().available:
        return chosen
    return [s for s in chosen if s.acquisition.patient == chosen[0].acquisition.patient]


def _memory(series: Series) -> int:
    x, y, z = series.shape
    return x * y * z * _BYTES


def _heading(export: Export, patients: int) -> str:
    whose = "" if patients < 2 else f" of {patients} patients"
    return f"{counted(len(export.series), 'image')} in DICOM{whose}: which to open?"
