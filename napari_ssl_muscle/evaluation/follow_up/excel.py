"""The tables of a follow-up as an Excel workbook, with units in the headings."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from napari_ssl_muscle.evaluation.follow_up.tables import Sheet
from napari_ssl_muscle.files import write_whole

MISSING = (
    "No Excel workbook was written, as openpyxl is not installed: "
    "pip install 'napari-ssl-muscle[excel]'."
)


def can_write() -> bool:
    """Whether the optional library is installed."""
    return importlib.util.find_spec("openpyxl") is not None


def write_workbook(path: Path, sheets: Sequence[Sheet], notes: Sequence[str]) -> None:
    """Write a sheet for each table, and one with what belongs to the figures.

    Raises
    ------
    BadInput
        If the file cannot be written.
    """
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter

    book = Workbook()
    book.remove(book.active)
    for table in sheets:
        sheet = book.create_sheet(table.name)
        sheet.append(list(table.columns.values()))
        for row in table.rows:
            sheet.append([row[name] for name in table.columns])
        sheet.freeze_panes = "A2"
        for number, heading in enumerate(table.columns.values(), 1):
            cell = sheet.cell(1, number)
            cell.font, cell.alignment = Font(bold=True), Alignment(wrap_text=True, vertical="top")
            sheet.column_dimensions[get_column_letter(number)].width = min(max(len(heading), 9), 24)
        if table.rows:
            sheet.auto_filter.ref = sheet.dimensions
    sheet = book.create_sheet("notes")
    for note in notes:
        sheet.append([note])
    write_whole(path, lambda part: book.save(part))
