"""DICOM in the window: listed by technical tags, chosen, opened with its geometry, kept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian, generate_uid
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.formats.dicom.listing import Export, find_series
from napari_ssl_muscle.scans.formats.dicom.series import Series
from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.scans.volume import open_scan
from napari_ssl_muscle.study.study import Study
from napari_ssl_muscle.viewer.correct.form import CorrectForm
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, show_table, unwrap
from napari_ssl_muscle.viewer.open import commands, prompts
from napari_ssl_muscle.viewer.open.series_dialog import SeriesDialog, ticked_at_first
from napari_ssl_muscle.viewer.segment.saving import proposed_path, save_labels
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.workbench import Workbench
from tests.scans.formats.dicom_files import oblique, voxels, write_enhanced, write_series
from tests.viewer.conftest import DialogRecorder, MakeForm
from tests.viewer.helpers import until

KINDS = {5: "W", 6: "F", 7: "P"}


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> list[Export]:
    """A window in which what is ticked at first is opened; returns what was asked about."""
    asked: list[Export] = []

    def ask_series(_: object, export: Export) -> Sequence[Series]:
        asked.append(export)
        return ticked_at_first(export.series)

    monkeypatch.setattr(dialogs, "can_ask", lambda: True)
    monkeypatch.setattr(prompts.WindowPrompts, "ask_series", ask_series)
    return asked


@pytest.fixture
def dixon(tmp_path: Path) -> Path:
    """Water, fat and phase of one visit, and what else lies in such folders."""
    folder = tmp_path / "export"
    study = generate_uid()
    for number, kind in KINDS.items():
        write_series(
            folder,
            voxels((4, 8, 7), seed=number),
            orientation=oblique(20),
            uids=(study, generate_uid()),
            prefix=kind,
            SeriesNumber=number,
            ImageType=["DERIVED", "PRIMARY", "M" if kind != "P" else "P", kind],
        )
    localiser = voxels((1, 8, 7))
    uids = (study, generate_uid())
    write_series(folder, localiser, uids=uids, SeriesNumber=1, prefix="L", ImageType=["LOCALIZER"])
    (folder / "empty").touch()
    (folder / "notes.txt").write_text("no image")
    return folder


def names(layers: Sequence[Any]) -> list[str]:
    """Names of layers without the hash of the study."""
    return [layer.name.split("_", 1)[-1] for layer in layers]


def test_a_folder_opens_by_series_with_its_geometry(
    layers_only: Any, dixon: Path, window: list[Export]
) -> None:
    layers = commands.open_paths(layers_only, [dixon])
    assert names(layers) == ["acq-5_water", "acq-6_fat", "Prediction"]
    water, _, labels = layers
    infos = [info_of(layer) for layer in layers]
    assert len({id(info.scan) for info in infos if info is not None}) == 1
    assert [info.channel for info in infos[:2] if info is not None] == ["water", "fat"]
    assert water.data.shape == labels.data.shape == (4, 8, 7)
    np.testing.assert_allclose(water.scale, (7.0, 0.8, 1.1), rtol=1e-6)
    (series,) = (s for s in window[0].series if s.contrast == "water")
    np.testing.assert_array_equal(infos[0].scan.geometry.affine, series.affine)  # type: ignore[union-attr]
    assert set(np.unique(water.data)) == set(range(4 * 8 * 7))
    assert "Secret" not in repr([(layer.name, layer.metadata) for layer in layers])


def test_the_chooser_ticks_what_a_model_can_use_and_says_why_not_the_rest(
    qapp: Any, dixon: Path
) -> None:
    dialog = SeriesDialog(find_series(dixon))
    assert [series.contrast for series in dialog.chosen] == ["water", "fat"]
    texts = [
        [dialog.table.item(row, column).text() for column in range(dialog.table.columnCount())]
        for row in range(dialog.table.rowCount())
    ]
    localiser, water, _, phase = texts
    assert water[1:9] == [
        *("5", "Secret description", "water", "DERIVED\\PRIMARY\\M\\W", ""),
        *("7 × 8", "1.1 × 0.8 × 7", "4"),
    ]
    assert "phase" in phase[-1]
    assert "localiser" in localiser[-1]
    dialog.none_button.click()
    assert dialog.chosen == []
    dialog.usable_button.click()
    assert len(dialog.chosen) == 2
    dialog.table.item(3, 1).setCheckState(Qt.CheckState.Checked)  # a phase image, if one insists
    assert [series.contrast for series in dialog.chosen] == ["water", "fat", "phase"]
    dialog.deleteLater()


def test_a_series_with_a_gap_cannot_be_ticked(qapp: Any, tmp_path: Path) -> None:
    paths = write_series(tmp_path, voxels((6, 5, 4)))
    paths[2].unlink()
    dialog = SeriesDialog(find_series(tmp_path))
    item = dialog.table.item(0, 1)
    assert not item.flags() & Qt.ItemFlag.ItemIsEnabled
    assert "missing" in dialog.table.item(0, dialog.table.columnCount() - 1).text()
    dialog.deleteLater()


def test_one_file_opens_its_whole_series_and_no_other(
    layers_only: Any, dixon: Path, window: list[Export]
) -> None:
    layers = commands.open_paths(layers_only, [dixon / "W0002"])
    assert names(layers) == ["acq-5_water", "Prediction"]
    assert layers[0].data.shape == (4, 8, 7)
    assert window == []


def test_volumes_of_a_multi_frame_file_are_found_again_by_their_number(
    layers_only: Any, tmp_path: Path, window: list[Export]
) -> None:
    types = (["DERIVED", "PRIMARY", "W", "W"], ["DERIVED", "PRIMARY", "F", "F"])
    path = write_enhanced(tmp_path / "dixon", voxels((4, 8, 7)), frame_types=types)
    layers = commands.open_paths(layers_only, [path])
    assert names(layers) == ["acq-5_water", "acq-5_fat", "Prediction"]
    for layer in layers[:2]:
        info = info_of(layer)
        assert info is not None
        assert info.path is not None
        np.testing.assert_array_equal(open_scan(info.path, info.volume).read(), layer.data)
    with pytest.raises(BadInput, match="2 volumes"):
        open_scan(path)


def test_files_and_folders_are_dropped_on_the_workbench(
    viewer: Any, dixon: Path, window: list[Export]
) -> None:
    _, found = viewer.window.add_plugin_dock_widget("napari-ssl-muscle", "Muscle workbench")
    workbench: Workbench = unwrap(found)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(dixon / "F0001"))])
    no_key, left = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton
    place: Any = QPointF(5, 5)
    try:
        event = QDropEvent(place, Qt.DropAction.CopyAction, data, left, no_key)
    except TypeError:  # PyQt5 has whole pixels in some versions
        event = QDropEvent(QPoint(5, 5), Qt.DropAction.CopyAction, data, left, no_key)
    workbench.dropEvent(event)
    assert event.isAccepted()
    until(lambda: len(viewer.layers) == 2)
    assert names(viewer.layers) == ["acq-6_fat", "Prediction"]


def test_labels_saved_beside_the_slices_come_back_with_the_scan(
    layers_only: Any, dixon: Path, window: list[Export]
) -> None:
    layer = commands.open_paths(layers_only, [dixon / "W0001"])[1]
    info = info_of(layer)
    assert info is not None
    labels = np.zeros((4, 8, 7), np.uint8)
    labels[1:3, 2:5, 2:5] = 1
    path = proposed_path(info, layer.name)
    assert path.parent == dixon
    assert path.name.endswith("_acq-5_water_dseg.nii.gz")
    save_labels(path, labels, info.scan.geometry, default_table("thigh"))
    layers_only.layers.clear()
    again = commands.open_paths(layers_only, [dixon])
    assert names(again)[:2] == ["acq-5_water", "acq-6_fat"]
    np.testing.assert_array_equal(again[2].data, labels)


def test_accepted_slices_are_kept_in_a_study_that_finds_renamed_files(
    layers_only: Any, make_form: MakeForm, dixon: Path, window: list[Export]
) -> None:
    image, layer = commands.open_paths(layers_only, [dixon / "W0001"])
    show_table(layer, default_table("thigh"))
    form = make_form(CorrectForm)
    layer.data[1, 2:5, 2:5] = 1
    layer.refresh()
    corrections = form.corrections
    assert corrections is not None
    corrections.record_changes()
    form.go_to(1)
    form.accept()
    until(lambda: corrections.store.study is not None and not corrections.saving)
    folder = corrections.store.proposed_place()
    (case,) = Study.read(folder).scans
    text = (folder / "study.json").read_text(encoding="utf-8")
    assert "Secret" not in text
    assert case.endswith("_acq-5_water")
    (entry,) = json.loads(text)["scans"]
    assert re.search(r'"series": "[0-9a-f]{16}"', json.dumps(entry))
    for path in dixon.glob("W*"):
        path.rename(dixon / f"renamed-{path.name}.dcm")
    np.testing.assert_array_equal(Study.read(folder).open_scan(case).read(), image.data)


def test_a_search_that_is_cancelled_opens_nothing(
    layers_only: Any, dixon: Path, window: list[Export], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtpy.QtWidgets.QProgressDialog.wasCanceled", lambda _: True)
    assert commands.open_paths(layers_only, [dixon]) == []
    assert window == []


def _pdf(path: Path) -> None:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.PatientName, data.Modality = "Secret^Name", "DOC"
    data.EncapsulatedDocument = b"%PDF-1.4 "
    data.save_as(path, enforce_file_format=True)


def _cut(folder: Path) -> None:
    path = write_series(folder, voxels((4, 8, 7)))[1]
    path.write_bytes(path.read_bytes()[:-40])


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "a document": (lambda folder: _pdf(folder / "a.dcm"), "no DICOM image"),
    "cut short": (_cut, "cut short"),
}


@pytest.mark.parametrize(("make", "said"), BAD.values(), ids=BAD)
def test_what_cannot_be_opened_is_said_in_one_sentence(
    layers_only: Any,
    tmp_path: Path,
    window: list[Export],
    dialogs_shown: DialogRecorder,
    make: Callable[[Path], object],
    said: str,
) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    make(folder)
    assert commands.open_paths(layers_only, [folder]) == []
    (sentence,) = dialogs_shown.problems
    assert said in sentence
    assert "Secret" not in sentence
