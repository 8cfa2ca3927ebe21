"""The "Muscle workbench": every step in one dock, in the order in which people work."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_ssl_muscle.viewer.correct_form import CorrectForm
from napari_ssl_muscle.viewer.evaluate_form import EvaluateForm
from napari_ssl_muscle.viewer.finetune_form import FinetuneForm
from napari_ssl_muscle.viewer.layers import unwrap
from napari_ssl_muscle.viewer.open_form import OpenForm
from napari_ssl_muscle.viewer.parts import INSIDE
from napari_ssl_muscle.viewer.pretrain_form import PretrainForm
from napari_ssl_muscle.viewer.segment_form import SegmentForm

if TYPE_CHECKING:
    import napari.viewer

COLUMNS = 3
SELECTED = "QPushButton:checked { font-weight: bold; background-color: #1f6f8b; color: white; }"


class Workbench(QWidget):
    """The forms of all steps, one at a time.

    Parameters
    ----------
    napari_viewer
        The viewer; napari fills it in.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        viewer = unwrap(napari_viewer)
        self.open = OpenForm(viewer)
        self.pretrain = PretrainForm(viewer)
        self.finetune = FinetuneForm(viewer)
        self.segment = SegmentForm(viewer)
        self.correct = CorrectForm(viewer)
        self.evaluate = EvaluateForm(viewer)
        self.steps: tuple[tuple[str, Any], ...] = (
            ("Open", self.open),
            ("Pretrain", self.pretrain),
            ("Fine-tune", self.finetune),
            ("Segment", self.segment),
            ("Correct", self.correct),
            ("Evaluate", self.evaluate),
        )
        self.buttons = QButtonGroup(self)
        self.stack = QStackedWidget()
        grid = QGridLayout()
        grid.setSpacing(4)
        for index, (name, form) in enumerate(self.steps):
            button = QPushButton(f"{index + 1}  {name}")
            button.setCheckable(True)
            button.setStyleSheet(SELECTED)
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            self.buttons.addButton(button, index)
            grid.addWidget(button, index // COLUMNS, index % COLUMNS)
            button.clicked.connect(partial(self.stack.setCurrentIndex, index))
            form.native.setProperty(INSIDE, True)
            self.stack.addWidget(form.native)
        self.stack.currentChanged.connect(self._on_step)
        layout = QVBoxLayout(self)
        layout.addSpacing(6)  # napari takes the margins of a docked widget away
        layout.addLayout(grid)
        layout.addWidget(self.stack, 1)
        self.correct.offer_finetuning(self._finetune)
        self.show_step("Open")

    def show_step(self, name: str) -> None:
        """Bring a step to the front, by its name."""
        index = [step for step, _ in self.steps].index(name)
        self.stack.setCurrentIndex(index)
        self._on_step(index)

    def _finetune(self, study: Path) -> None:
        model = self.segment.model.model
        self.finetune.choose_study(study, model.path if model is not None else None)
        self.show_step("Fine-tune")

    def _on_step(self, index: int) -> None:
        button = self.buttons.button(index)
        if button is not None:
            button.setChecked(True)
