"""A real napari, scans on disk, a model that labels everything, and ears for dialogs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import nibabel as nib
import numpy as np
import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from napari_ssl_muscle.learning.models import card
from napari_ssl_muscle.scans.muscles import default_table
from napari_ssl_muscle.viewer.widgets import dialogs, model_picker
from napari_ssl_muscle.viewer.widgets.form import Form

F = TypeVar("F", bound=Form)
SHAPE = (48, 40, 6)
"""Of the small scan, as stored (x, y, z)."""


@pytest.fixture(autouse=True)
def nothing_remembered(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test its own home folder and list of models, without the shipped ones."""
    monkeypatch.setattr(model_picker.MODELS, "paths", [])
    monkeypatch.setattr(card, "shipped_folder", lambda: home / "shipped")


@pytest.fixture(autouse=True)
def no_leaked_widgets(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a window of its own behind.

    Tests with a napari viewer are checked by its own fixture.
    """
    if QApplication.instance() is None or "make_napari_viewer" in request.fixturenames:
        yield
        return
    before = set(QApplication.topLevelWidgets())
    yield
    deletions = QEvent.Type.DeferredDelete  # a plain number with PyQt5
    QApplication.sendPostedEvents(None, getattr(deletions, "value", deletions))
    QApplication.processEvents()
    left = set(QApplication.topLevelWidgets()) - before
    assert not left, f"left behind: {left}"


@pytest.fixture
def viewer(make_napari_viewer_proxy: Callable[..., Any]) -> Any:
    return make_napari_viewer_proxy()


@pytest.fixture
def layers_only(qapp: QApplication) -> Any:
    """A viewer without a window, for what needs layers only: it costs a tenth of a real one."""
    from napari.components import ViewerModel
    from npe2 import PluginManager

    PluginManager.instance().discover()
    return ViewerModel()


class MakeForm(Protocol):
    """Makes a form on a viewer without a window; it goes at the end of the test."""

    def __call__(self, kind: type[F]) -> F: ...


@pytest.fixture
def make_form(layers_only: Any) -> Iterator[MakeForm]:
    made: list[Any] = []

    def make(kind: Any) -> Any:
        made.append(kind(layers_only))
        return made[-1]

    yield make
    for form in made:
        with contextlib.suppress(RuntimeError):  # a test may have closed it
            form.native.deleteLater()


@dataclass
class DialogRecorder:
    """What dialogs would have shown, and what is answered to questions."""

    problems: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    agree: bool = True
    closing: Literal["stop", "leave"] | None = "stop"
    restoring: Literal["restore", "discard"] | None = None


@pytest.fixture(autouse=True)
def dialogs_shown(monkeypatch: pytest.MonkeyPatch) -> DialogRecorder:
    """Stand in for the dialogs, which would wait for a click for ever."""
    recorder = DialogRecorder()

    def show_problem(sentence: str, details: str = "", parent: object = None) -> None:
        recorder.problems.append(sentence)
        recorder.details.append(details)

    def confirm(sentence: str, yes: str, parent: object = None) -> bool:
        recorder.asked.append(sentence)
        return recorder.agree

    def ask_closing(names: list[str], can_stay: bool, parent: object = None) -> Any:
        recorder.asked.append(f"Close with {names}? {can_stay=}")
        return recorder.closing

    def ask_restoring(sentence: str, parent: object = None) -> Any:
        recorder.asked.append(sentence)
        return recorder.restoring

    monkeypatch.setattr(dialogs, "ask_restoring", ask_restoring)
    monkeypatch.setattr(dialogs, "show_problem", show_problem)
    monkeypatch.setattr(dialogs, "confirm", confirm)
    monkeypatch.setattr(dialogs, "ask_closing", ask_closing)
    return recorder


def oblique() -> np.ndarray:
    """An affine that is turned by 20 degrees, anisotropic, and stored left to right."""
    angle = np.deg2rad(20)
    turn = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-0.75, 1.5, 9.0])
    affine[:3, 3] = (31.25, -40.5, 17.0)
    return affine


def write_scan(
    path: Path, array: np.ndarray | None = None, affine: np.ndarray | None = None
) -> Path:
    """Write a scan: two bright blocks (legs) in the dark, unless an array is given."""
    if array is None:
        array = np.zeros(SHAPE, np.int16)
        noise = np.random.default_rng(0).integers(0, 9, SHAPE)
        array[4:20, 8:32] = 100
        array[28:44, 8:32] = 120
        array = (array + noise).astype(np.int16)
    image = nib.Nifti1Image(array, np.diag([2.0, 2.0, 6.0, 1.0]) if affine is None else affine)
    nib.save(image, path)
    return path


def write_labels(path: Path, affine: np.ndarray | None = None) -> Path:
    """Write labels for `write_scan`: muscles 1 and 2 in all slices but the outer ones."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[6:12, 10:30, 1:-1] = 1
    labels[30:36, 10:30, 1:-1] = 2
    return write_scan(path, labels, affine)


@pytest.fixture
def scans_folder(tmp_path: Path) -> Path:
    """A folder for scans, which no folder of another test lies beside: those look like patients."""
    folder = tmp_path / "scans"
    folder.mkdir()
    return folder


@pytest.fixture
def scan_file(scans_folder: Path) -> Path:
    """An oblique scan without labels."""
    return write_scan(scans_folder / "leg.nii.gz", affine=oblique())


@pytest.fixture
def labelled_file(scans_folder: Path) -> Path:
    """An oblique scan with ground truth beside it."""
    write_labels(scans_folder / "leg_seg.nii.gz", oblique())
    return write_scan(scans_folder / "leg.nii.gz", affine=oblique())


@pytest.fixture
def write_model(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a model which labels every voxel that it sees as one muscle."""
    import torch

    from napari_ssl_muscle.learning.models.card import ModelCard
    from napari_ssl_muscle.learning.models.model_file import save_model
    from napari_ssl_muscle.learning.network.unet import UNet
    from napari_ssl_muscle.learning.settings import NetworkSettings, SliceSettings

    def write(name: str = "tiny", muscle: int = 1, **changes: Any) -> Path:
        channels = changes.pop("channels", ["water"])
        table = changes.pop("table", default_table("thigh"))
        network = NetworkSettings(width=4, depth=1)
        card = ModelCard(
            name=name,
            task="segmentation",
            network=network,
            slices=SliceSettings(crop="body", spacing=None, size=None),
            in_channels=len(channels),
            channels=channels,
            muscles=table.to_rows(),
            **changes,
        )
        torch.manual_seed(0)
        net = UNet.from_settings(network, len(channels), card.outputs)
        state = net.state_dict()
        last_bias = list(state)[-1]
        state[last_bias].zero_()
        state[last_bias][muscle] = 100.0
        return save_model(tmp_path / f"{name}.safetensors", state, card)

    return write
