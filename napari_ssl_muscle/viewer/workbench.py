"""The "Muscle workbench": every step in one dock, in the order in which people work."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QMimeData, QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_ssl_muscle.jobs.settings import ExperimentsJob, PretrainJob
from napari_ssl_muscle.viewer.experiments.form import ExperimentsForm
from napari_ssl_muscle.viewer.layers.scan_layers import unwrap
from napari_ssl_muscle.viewer.open.commands import open_paths
from napari_ssl_muscle.viewer.steps import (
    ABOVE,
    EvaluateStep,
    ExperimentsStep,
    FinetuneStep,
    OpenStep,
    PretrainStep,
    SegmentStep,
    Step,
)
from napari_ssl_muscle.viewer.train.finetune_form import FinetuneForm
from napari_ssl_muscle.viewer.train.pretrain_form import PretrainForm
from napari_ssl_muscle.viewer.widgets.background import AttachedTask
from napari_ssl_muscle.viewer.widgets.form import INSIDE, Form
from napari_ssl_muscle.viewer.widgets.job_list import FoundJobs
from napari_ssl_muscle.viewer.widgets.qt_lifetime import delete_when_undocked

if TYPE_CHECKING:
    import napari.viewer

_COLUMNS = 2
"""Of the steps' buttons: in three, "Evaluate & measure" would be cut off."""

SELECTED = "QPushButton:checked { background-color: #1f6f8b; color: white; }"


class Workbench(QWidget):
    """The steps, one at a time, and what leads from one to the next.

    Parameters
    ----------
    napari_viewer
        The viewer; napari fills it in.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        delete_when_undocked(self)
        viewer = unwrap(napari_viewer)
        opening, pretraining = OpenStep(viewer), PretrainStep(viewer)
        finetuning, segmenting = FinetuneStep(viewer), SegmentStep(viewer)
        evaluating, experimenting = EvaluateStep(viewer), ExperimentsStep(viewer)
        self.steps: tuple[tuple[str, Step], ...] = (
            ("Open", opening),
            ("Pretrain", pretraining),
            ("Fine-tune", finetuning),
            ("Segment && correct", segmenting),  # Qt underlines after a single ampersand
            ("Evaluate && measure", evaluating),
            ("Experiments", experimenting),
        )
        self.open = opening.open
        self.pretrain, self.compare = pretraining.pretrain, pretraining.compare
        self.finetune = finetuning.finetune
        self.segment, self.correct = segmenting.segment, segmenting.correct
        self.evaluate, self.measure = evaluating.evaluate, evaluating.measure
        self.experiments = experimenting.experiments
        self.buttons = QButtonGroup(self)
        self.stack = QStackedWidget()
        # napari puts a stretch below a widget in which nothing asks for height.
        self.stack.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        grid = QGridLayout()
        grid.setSpacing(4)
        for index, (name, step) in enumerate(self.steps):
            button = QPushButton(f"{index + 1}  {name}")
            button.setCheckable(True)
            button.setStyleSheet(SELECTED)
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            self.buttons.addButton(button, index)
            grid.addWidget(button, *divmod(index, _COLUMNS))
            button.clicked.connect(partial(self.stack.setCurrentIndex, index))
            step.setProperty(INSIDE, True)
            self.stack.addWidget(step)
        self.stack.currentChanged.connect(self._on_step)
        self.found = FoundJobs(self._take_up)
        layout = QVBoxLayout(self)
        layout.addSpacing(ABOVE)
        layout.addLayout(grid)
        layout.addWidget(self.found.native)
        layout.addWidget(self.stack, 1)
        self.correct.offer_finetuning(self._finetune)
        self.finetune.decision.model_kept.connect(self.segment.model.add)
        self.finetune.decision.segmentation_requested.connect(self._segment_again)
        self.setAcceptDrops(True)
        self._viewer, self._dropped = viewer, list[Path]()
        self.show_form(self.open)
        self._on_step(0)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802 - Qt's name
        """Take files and folders: also those without an ending, which napari leaves to nobody."""
        if event is not None and _paths(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802 - Qt's name
        """Open what was dropped, once the other program has let go of it."""
        if event is not None and (paths := _paths(event.mimeData())):
            event.acceptProposedAction()
            self._dropped += paths
            QTimer.singleShot(0, self._open_dropped)

    def _open_dropped(self) -> None:
        paths, self._dropped = self._dropped, []
        open_paths(self._viewer, paths)

    def show_form(self, form: Form) -> None:
        """Bring a form to the front, and with it its step."""
        for index, (_, step) in enumerate(self.steps):
            if any(form is there for _, there in step.forms):
                step.show_form(form)
                self.stack.setCurrentIndex(index)

    def _finetune(self, study: Path) -> None:
        model = self.segment.model.model
        self.finetune.choose_study(study, model.path if model is not None else None)
        self.show_form(self.finetune)

    def _segment_again(self, model: Path) -> None:
        self.segment.model.add(model)
        self.show_form(self.segment)
        self.segment.start()

    def _take_up(self, work: AttachedTask) -> None:
        """Show a job of an earlier session in the form that it belongs to."""
        form: PretrainForm | FinetuneForm | ExperimentsForm = self.finetune
        if isinstance(work.job, PretrainJob):
            form = self.pretrain
        elif isinstance(work.job, ExperimentsJob):
            form = self.experiments
        form.attach(work)
        self.show_form(form)

    def _on_step(self, index: int) -> None:
        button = self.buttons.button(index)
        if button is not None:
            button.setChecked(True)


def _paths(dropped: QMimeData | None) -> list[Path]:
    """Return the files and folders that are dragged."""
    urls = dropped.urls() if dropped is not None else []
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
