"""The dialogs themselves, and opening what needs a choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QDialogButtonBox, QMainWindow, QMessageBox

from napari_ssl_muscle.scans.cohort import open_cohort
from napari_ssl_muscle.viewer.layers.scan_layers import info_of
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.dialogs import CaseDialog, confirm, show_problem
from tests.viewer.conftest import DialogRecorder, write_labels, write_scan


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Two cases of two channels each; the first one is labelled."""
    folder = tmp_path / "nnunet"
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for case in ("leg1", "leg2"):
        for channel in ("0000", "0001"):
            write_scan(folder / "imagesTr" / f"{case}_{channel}.nii.gz")
    write_labels(folder / "labelsTr" / "leg1.nii.gz")
    return folder


def answer(button: str) -> list[str]:
    """Press a button of the dialog that opens next; return what will stand in the dialog."""
    seen: list[str] = []

    def look() -> None:
        box = QApplication.activeModalWidget()
        if not isinstance(box, QMessageBox):
            QTimer.singleShot(5, look)
            return
        seen.extend([box.text(), box.detailedText()])
        pressed = [b for b in box.buttons() if b.text().replace("&", "") == button]
        (pressed or box.buttons())[0].click()

    QTimer.singleShot(0, look)
    return seen


def test_a_problem_is_shown_as_text_and_the_log_behind_a_button(qtbot: Any) -> None:
    seen = answer("OK")
    show_problem("Choose <another> file.", "Traceback")
    assert seen == ["Choose <another> file.", "Traceback"]


def test_a_dialog_belongs_to_the_main_window_and_takes_its_theme(qtbot: Any) -> None:
    window = QMainWindow()
    qtbot.addWidget(window)
    window.show()
    parents: list[Any] = []

    def look() -> None:
        box = QApplication.activeModalWidget()
        if not isinstance(box, QMessageBox):
            QTimer.singleShot(5, look)
            return
        parents.append(box.parent())
        box.reject()

    QTimer.singleShot(0, look)
    show_problem("Choose another file.")
    assert parents == [window]


@pytest.mark.parametrize(("button", "agreed"), [("Replace", True), ("Cancel", False)])
def test_a_question_goes_ahead_only_with_its_own_button(
    qtbot: Any, button: str, agreed: bool
) -> None:
    answer(button)
    assert confirm("Replace?", "Replace") is agreed


def test_the_dialog_offers_cases_and_their_images(qtbot: Any, cohort: Path) -> None:
    dialog = CaseDialog(open_cohort(cohort))
    shown = [
        [dialog.table.item(row, column).text() for column in range(3)]
        for row in range(dialog.table.rowCount())
    ]
    assert shown == [["leg1", "0000, 0001", "yes"], ["leg2", "0000, 0001", "no"]]
    assert (dialog.case.name, dialog.channels) == ("leg1", ["0000"])
    dialog.table.selectRow(1)
    dialog.channel.setCurrentText(CaseDialog.ALL)
    assert (dialog.case.name, dialog.channels) == ("leg2", ["0000", "0001"])
    buttons = dialog.findChild(QDialogButtonBox)
    buttons.button(QDialogButtonBox.StandardButton.Open).click()
    assert dialog.result() == CaseDialog.DialogCode.Accepted
    dialog.deleteLater()


def test_a_cohort_s_folder_opens_the_chosen_case_with_all_its_images(
    layers_only: Any, cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogs, "can_ask", lambda: True)
    monkeypatch.setattr(dialogs, "ask_case", lambda found: (found.cases[0], ["0000", "0001"]))
    layers = commands.open_paths(layers_only, [cohort])
    assert [layer.name for layer in layers] == [
        "leg1_0000",
        "leg1_0001",
        "Ground truth",
        "Prediction",
    ]
    infos = [info_of(layer) for layer in layers]
    assert len({id(info.scan) for info in infos if info is not None}) == 1
    assert [info.channel for info in infos[:2] if info is not None] == ["0000", "0001"]
    assert not layers[2].editable
    assert set(np.unique(layers[2].data)) == {0, 1, 2}


def test_a_bad_file_dropped_on_the_window_is_a_dialog_and_no_traceback(
    layers_only: Any, tmp_path: Path, dialogs_shown: DialogRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "leg.nii.gz"
    path.write_text("no image")
    monkeypatch.setattr(dialogs, "can_ask", lambda: True)
    assert layers_only.open(str(path), plugin="napari-ssl-muscle") == []
    (sentence,) = dialogs_shown.problems
    assert "leg.nii.gz" in sentence


def test_where_nobody_looks_nothing_is_asked(make_napari_viewer: Any) -> None:
    make_napari_viewer(show=True)
    assert dialogs.can_ask()
    with dialogs.suppressed():
        assert not dialogs.can_ask()
    assert dialogs.can_ask()


def test_the_menu_commands_open_what_is_chosen_in_the_viewer_in_front(
    make_napari_viewer: Any, scan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari._app_model import get_app_model

    viewer = make_napari_viewer()
    execute = get_app_model().commands.execute_command
    monkeypatch.setattr(dialogs, "ask_files", lambda *_: [scan_file])
    execute("napari-ssl-muscle.open_files").result()
    assert [layer.name for layer in viewer.layers] == ["leg", "Prediction"]
    viewer.layers.clear()
    folder = tmp_path / "flat"
    folder.mkdir()
    write_scan(folder / "one.nii.gz")
    monkeypatch.setattr(dialogs, "ask_folder", lambda *_: folder)
    execute("napari-ssl-muscle.open_folder").result()
    assert [layer.name for layer in viewer.layers] == ["one", "Prediction"]
