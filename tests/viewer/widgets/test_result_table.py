"""The table of figures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest

from napari_ssl_muscle.viewer.widgets.result_table import Column, ResultTable, Row

COLUMNS = (Column("Muscle"), Column("HD95\nmm", 1), Column("Diff.", 1, signed=True))
ROWS = (
    Row(("gracilis", 10.0, -0.04)),
    Row(("vastus", 9.0, 3.0)),
    Row(("sartorius", math.inf, -12.0)),
    Row(("rectus", None, 0.5)),
    Row(("biceps", 100.0, None)),
    Row(("mean", 50.0, ""), summary=True),
)


@pytest.fixture
def table(qapp: Any) -> Iterator[ResultTable]:
    table = ResultTable()
    table.show_rows(COLUMNS, ROWS)
    table.resize(500, 300)
    table.show()
    yield table
    table.deleteLater()


def click_heading(table: ResultTable, column: int) -> None:
    header: Any = table.horizontalHeader()
    place = QPoint(header.sectionViewportPosition(column) + 8, header.height() // 2)
    QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=place)


def shown(table: ResultTable, column: int = 0) -> list[str]:
    return [texts[column] for texts in table.texts()]


def test_a_heading_sorts_numbers_as_numbers_with_what_is_no_number_last(
    table: ResultTable,
) -> None:
    click_heading(table, 1)
    assert shown(table, 1) == ["9.0", "10.0", "100.0", "∞", "–", "50.0"]
    click_heading(table, 1)
    assert shown(table, 1) == ["100.0", "10.0", "9.0", "∞", "–", "50.0"]
    click_heading(table, 1)
    assert shown(table) == [str(row.cells[0]) for row in ROWS]
    click_heading(table, 0)
    assert shown(table) == ["biceps", "gracilis", "rectus", "sartorius", "vastus", "mean"]


def test_signed_figures_have_their_sign_and_no_minus_zero(table: ResultTable) -> None:
    assert shown(table, 2) == ["0.0", "+3.0", "-12.0", "+0.5", "–", ""]


def test_a_click_on_a_row_and_the_arrow_keys_tell_the_row_as_it_was_given(
    table: ResultTable,
) -> None:
    heard: list[int] = []
    click_heading(table, 1)
    table.row_selected.connect(heard.append)
    place = table.visualItemRect(table.item(0, 0)).center()
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert set(heard) == {1}
    QTest.keyClick(table, Qt.Key.Key_Down)
    assert heard[-1] == 0
    heard.clear()
    click_heading(table, 1)
    assert heard == []  # sorting goes nowhere
    assert table.currentRow() == 1  # and what was chosen stays chosen
    QTest.keyClick(table, Qt.Key.Key_Return)
    assert heard == [0]


def test_rows_are_copied_as_text(table: ResultTable) -> None:
    clipboard: Any = QGuiApplication.clipboard()
    table.selectRow(1)
    QTest.keyClick(table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert clipboard.text() == "Muscle\tHD95 mm\tDiff.\nvastus\t9.0\t+3.0"
    QTest.keyClick(table, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert len(clipboard.text().splitlines()) == 1 + len(ROWS)
