"""The dialogs: one sentence for a problem, and the few questions that must be asked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from qtpy.QtCore import Qt
from qtpy.QtGui import QTextCursor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHeaderView,
    QInputDialog,
    QLabel,
    QMainWindow,
    QMessageBox,
    QPlainTextEdit,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_ssl_muscle.errors import BadInput

if TYPE_CHECKING:
    from napari_ssl_muscle.scans.cohort import Case, Cohort

T = TypeVar("T")
TITLE = "Leg muscles"
SCAN_FILES = "All files (*);;NIfTI (*.nii *.nii.gz);;DICOM (*.dcm)"


_silent = False


@contextlib.contextmanager
def suppressed() -> Iterator[None]:
    """Show no dialogs meanwhile, for programs that drive the window."""
    global _silent
    before, _silent = _silent, True
    try:
        yield
    finally:
        _silent = before


def main_window(parent: QWidget | None = None) -> QWidget | None:
    """Return a dialog's window: napari's where none is given, whose theme the dialog takes."""
    if parent is not None:
        return parent
    windows = [w for w in QApplication.topLevelWidgets() if isinstance(w, QMainWindow)]
    return next((window for window in windows if window.isVisible()), None)


def can_ask() -> bool:
    """Whether a window is on screen that a question can be asked from."""
    if _silent:
        return False
    return QApplication.instance() is not None and any(
        window.isVisible() for window in QApplication.topLevelWidgets() if window.isWindow()
    )


def show_problem(sentence: str, details: str = "", parent: QWidget | None = None) -> None:
    """Show a problem: one sentence, and behind a button the traceback, if there is one."""
    box = QMessageBox(main_window(parent))
    box.setWindowTitle(TITLE)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(sentence)
    if details:
        box.setDetailedText(details)
    box.exec()
    box.deleteLater()


def attempt(act: Callable[[], T], parent: QWidget | None = None) -> T | None:
    """Return what a function returns; its `BadInput` is shown in a dialog, and None returned."""
    try:
        return act()
    except BadInput as problem:
        show_problem(str(problem), parent=parent)
        return None


class LogDialog(QDialog):
    """Shows a text to read and to copy.

    Parameters
    ----------
    text
        Many lines.
    parent
        Qt parent.
    """

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"{TITLE}: log")
        self.text = QPlainTextEdit(text, self)
        self.text.setReadOnly(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        font = self.text.font()
        font.setStyleHint(font.StyleHint.Monospace)
        font.setFamily("monospace")
        self.text.setFont(font)
        buttons = QDialogButtonBox(self)
        buttons.addButton(QDialogButtonBox.StandardButton.Close)
        copy = buttons.addButton("Copy", QDialogButtonBox.ButtonRole.ActionRole)
        assert copy is not None  # Qt makes one
        copy.clicked.connect(self._copy)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)
        self.resize(720, 420)
        # The error is at the end.
        self.text.moveCursor(QTextCursor.MoveOperation.End)
        self.text.moveCursor(QTextCursor.MoveOperation.StartOfLine)

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.text.toPlainText())


def show_log(text: str, parent: QWidget | None = None) -> None:
    """Show what happened, word for word."""
    dialog = LogDialog(text, main_window(parent))
    dialog.exec()
    dialog.deleteLater()


def confirm(sentence: str, yes: str, parent: QWidget | None = None) -> bool:
    """Ask before something is replaced; `yes` is the word on the button that goes ahead."""
    box = QMessageBox(main_window(parent))
    box.setWindowTitle(TITLE)
    box.setIcon(QMessageBox.Icon.Question)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(sentence)
    go = box.addButton(yes, QMessageBox.ButtonRole.AcceptRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.exec()
    agreed = box.clickedButton() is go
    box.deleteLater()
    return agreed


def ask_restoring(
    sentence: str, parent: QWidget | None = None
) -> Literal["restore", "discard"] | None:
    """Ask whether unsaved work of an earlier session comes back; None to decide later."""
    box = QMessageBox(parent)
    box.setWindowTitle(TITLE)
    box.setIcon(QMessageBox.Icon.Question)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(sentence)
    restore = box.addButton("Restore", QMessageBox.ButtonRole.AcceptRole)
    discard = box.addButton("Discard", QMessageBox.ButtonRole.DestructiveRole)
    later = box.addButton("Later", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(restore)
    box.setEscapeButton(later)
    box.exec()
    clicked = box.clickedButton()
    box.deleteLater()
    if clicked is restore:
        return "restore"
    return "discard" if clicked is discard else None


def ask_closing(
    names: Sequence[str], can_stay: bool, parent: QWidget | None = None
) -> Literal["stop", "leave"] | None:
    """Ask what becomes of jobs whose window is being closed.

    Parameters
    ----------
    names
        What they do, as "Fine-tuning".
    can_stay
        Whether the window can still stay open.
    parent
        The window.

    Returns
    -------
    {"stop", "leave"} or None
        None if the window is to stay open.
    """
    several = len(names) > 1
    box = QMessageBox(main_window(parent))
    box.setWindowTitle(TITLE)
    box.setIcon(QMessageBox.Icon.Question)
    box.setTextFormat(Qt.TextFormat.PlainText)
    if several:
        box.setText("These are still running: " + ", ".join(names) + ".")
        box.setInformativeText(
            "Left running, they go on without the window, and the muscle workbench shows them "
            "when you open it again."
        )
    else:
        box.setText(f"{names[0]} is still running.")
        box.setInformativeText(
            "Left running, it goes on without the window, and the muscle workbench shows it "
            "when you open it again."
        )
    role = QMessageBox.ButtonRole
    stop = box.addButton("Stop them" if several else "Stop it", role.DestructiveRole)
    leave = box.addButton("Leave them running" if several else "Leave it running", role.AcceptRole)
    box.setDefaultButton(leave)
    box.setEscapeButton(box.addButton("Cancel", role.RejectRole) if can_stay else leave)
    box.exec()
    clicked = box.clickedButton()
    box.deleteLater()
    if clicked is stop:
        return "stop"
    return "leave" if clicked is leave or not can_stay else None


def ask_files(parent: QWidget | None = None) -> list[Path]:
    """Let the user pick scans; an empty list if they changed their mind."""
    names, _ = QFileDialog.getOpenFileNames(main_window(parent), "Open leg scans", "", SCAN_FILES)
    return [Path(name) for name in names]


def ask_folder(title: str, parent: QWidget | None = None, start: Path | None = None) -> Path | None:
    """Let the user pick a folder."""
    name = QFileDialog.getExistingDirectory(main_window(parent), title, str(start or ""))
    return Path(name) if name else None


def ask_model(parent: QWidget | None = None) -> Path | None:
    """Let the user pick a model file."""
    name, _ = QFileDialog.getOpenFileName(
        main_window(parent), "Choose a model", "", "Models (*.safetensors);;All files (*)"
    )
    return Path(name) if name else None


def ask_save(start: Path, parent: QWidget | None = None) -> Path | None:
    """Let the user pick where labels go; whether to replace a file is asked when saving."""
    name, _ = QFileDialog.getSaveFileName(
        main_window(parent),
        "Save labels",
        str(start),
        "NIfTI label map (*.nii.gz)",
        options=QFileDialog.Option.DontConfirmOverwrite,
    )
    return Path(name) if name else None


def ask_volume(name: str, volumes: int, parent: QWidget | None = None) -> int | None:
    """Ask which volume of a 4D scan to open.

    Parameters
    ----------
    name
        The file's name.
    volumes
        How many there are.

    Returns
    -------
    int or None
        Counted from 0, as the shell does; None if the user changed their mind.
    """
    number, agreed = QInputDialog.getInt(
        main_window(parent),
        TITLE,
        f"{name} holds {volumes} volumes (echoes or time points).\n"
        f"Which one do you want to open (0 to {volumes - 1})?",
        0,
        0,
        volumes - 1,
    )
    return number if agreed else None


class CaseDialog(QDialog):
    """Asks which case of a cohort to open, and which of its images.

    Parameters
    ----------
    cohort
        The folder's contents.
    parent
        Qt parent.
    """

    ALL = "All images"

    def __init__(self, cohort: Cohort, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Open from {cohort.folder.name}")
        self.cases: Sequence[Case] = cohort.cases
        self.table = QTableWidget(len(self.cases), 3, self)
        self.table.setHorizontalHeaderLabels(["Case", "Images", "Ground truth"])
        _header(self.table.verticalHeader()).hide()
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        for row, case in enumerate(self.cases):
            cells = (case.name, ", ".join(case.images), "yes" if case.labels else "no")
            for column, text in enumerate(cells):
                self.table.setItem(row, column, QTableWidgetItem(text))
        header = _header(self.table.horizontalHeader())
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        self.channel = QComboBox(self)
        buttons = QDialogButtonBox(self)
        buttons.addButton(QDialogButtonBox.StandardButton.Open)
        buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        self.table.itemSelectionChanged.connect(self._show_channels)
        self.table.itemDoubleClicked.connect(lambda _: self.accept())

        layout = QVBoxLayout(self)
        layout.addWidget(QLabel("Which scan do you want to open?", self))
        layout.addWidget(self.table)
        form = QFormLayout()
        form.addRow("Image", self.channel)
        layout.addLayout(form)
        layout.addWidget(buttons)
        self.resize(520, 380)
        self.table.selectRow(0)

    def _show_channels(self) -> None:
        self.channel.clear()
        names = list(self.case.images)
        self.channel.addItems([*names, self.ALL] if len(names) > 1 else names)
        self.channel.setEnabled(len(names) > 1)

    @property
    def case(self) -> Case:
        """The case that is marked in the table."""
        return self.cases[max(self.table.currentRow(), 0)]

    @property
    def channels(self) -> list[str]:
        """The chosen image's name, or all of them."""
        chosen = self.channel.currentText()
        return list(self.case.images) if chosen == self.ALL else [chosen]


def _header(header: QHeaderView | None) -> QHeaderView:
    assert header is not None  # a table always has them
    return header


def ask_case(cohort: Cohort, parent: QWidget | None = None) -> tuple[Case, list[str]] | None:
    """Ask which case and channels of a cohort to open; None if the user changed their mind."""
    dialog = CaseDialog(cohort, main_window(parent))
    agreed = dialog.exec() == QDialog.DialogCode.Accepted
    answer = (dialog.case, dialog.channels) if agreed else None
    dialog.deleteLater()
    return answer
