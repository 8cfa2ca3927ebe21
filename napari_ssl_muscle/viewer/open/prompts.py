"""The questions of opening, asked in the window."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QProgressDialog

from napari_ssl_muscle.viewer.open.series_dialog import SeriesDialog
from napari_ssl_muscle.viewer.widgets import dialogs

if TYPE_CHECKING:
    from napari_ssl_muscle.scans.cohort import Case, Cohort
    from napari_ssl_muscle.scans.formats.dicom.listing import Export
    from napari_ssl_muscle.scans.formats.dicom.series import Series
    from napari_ssl_muscle.viewer.open.loading import Report

_SHOWN_AFTER_MS = 400


class WindowPrompts:
    """Asks with dialogs; see `loading.UserPrompts`."""

    def ask_volume(self, name: str, volumes: int) -> int | None:
        """Ask which volume of a 4D scan to open."""
        return dialogs.ask_volume(name, volumes)

    def ask_case(self, cohort: Cohort) -> tuple[Case, list[str]] | None:
        """Ask which case of a cohort to open."""
        return dialogs.ask_case(cohort)

    def ask_series(self, export: Export) -> list[Series] | None:
        """Ask which series of DICOM to open."""
        dialog = SeriesDialog(export, dialogs.main_window())
        agreed = dialog.exec() == QDialog.DialogCode.Accepted
        chosen = dialog.chosen if agreed else None
        dialog.deleteLater()
        return chosen

    def show_problem(self, sentence: str) -> None:
        """Show a sentence."""
        dialogs.show_problem(sentence)

    @contextlib.contextmanager
    def progress(self, text: str) -> Iterator[Report]:
        """Show a bar with a button "Cancel", once something takes a moment."""
        box = QProgressDialog(text, "Cancel", 0, 0, dialogs.main_window())
        box.setWindowTitle(dialogs.TITLE)
        box.setWindowModality(Qt.WindowModality.ApplicationModal)
        box.setMinimumDuration(_SHOWN_AFTER_MS)
        box.setAutoReset(False)

        def report(done: int, total: int) -> bool:
            box.setMaximum(total)
            box.setValue(done)  # lets the window breathe, too
            return not box.wasCanceled()

        try:
            yield report
        finally:
            box.close()
            box.deleteLater()
