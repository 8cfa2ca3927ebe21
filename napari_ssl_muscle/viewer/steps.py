"""The steps of the work, each a widget of its own: one form, or a few that belong together."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.viewer.correct.form import CorrectForm
from napari_ssl_muscle.viewer.evaluate.evaluate_form import EvaluateForm
from napari_ssl_muscle.viewer.evaluate.measure_form import MeasureForm
from napari_ssl_muscle.viewer.experiments.form import ExperimentsForm
from napari_ssl_muscle.viewer.layers.scan_layers import unwrap
from napari_ssl_muscle.viewer.open.form import OpenForm
from napari_ssl_muscle.viewer.segment.form import SegmentForm
from napari_ssl_muscle.viewer.train.finetune_form import FinetuneForm
from napari_ssl_muscle.viewer.train.model_decision import remembered_model
from napari_ssl_muscle.viewer.train.pretrain_form import PretrainForm
from napari_ssl_muscle.viewer.train.reconstruction_form import ReconstructionForm
from napari_ssl_muscle.viewer.widgets.form import INSIDE, Form, join_tabs
from napari_ssl_muscle.viewer.widgets.qt_lifetime import call_later, delete_when_undocked

if TYPE_CHECKING:
    import napari.viewer

    from napari_ssl_muscle.study.study import Study

ABOVE = 6
"""Pixels above the content: napari takes the margins of a docked widget away."""


class Step(QWidget):
    """Forms under a bar with their names; a single form has no bar.

    Parameters
    ----------
    napari_viewer
        The viewer; napari fills it in.

    Attributes
    ----------
    title
        What the step is called.
    """

    title = ""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.forms = tuple(self.make_forms(unwrap(napari_viewer)))
        self.tabs: QTabWidget | None = None
        self._shown = False
        delete_when_undocked(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for _, form in self.forms:
            form.native.setProperty(INSIDE, True)
        if len(self.forms) == 1:
            layout.addWidget(self.forms[0][1].native)
            return
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        for name, form in self.forms:
            self.tabs.addTab(form.native, name)
        layout.addWidget(self.tabs)

    def make_forms(self, viewer: Any) -> Sequence[tuple[str, Form]]:
        """Return the forms, each with its name on the bar."""
        raise NotImplementedError

    def show_form(self, form: Form) -> None:
        """Bring one of the forms to the front."""
        if self.tabs is not None:
            self.tabs.setCurrentWidget(form.native)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Join the plugin's other widgets as a tab, unless it is a part of the workbench."""
        super().showEvent(event)
        if not self._shown:
            self._shown = True
            if not self.property(INSIDE):
                layout = self.layout()
                if layout is not None:
                    layout.setContentsMargins(0, ABOVE, 0, 0)
                call_later(self, lambda: join_tabs(self, self.title))


class OpenStep(Step):
    """Open scans, a cohort or the sample."""

    title = "Open scans"

    def make_forms(self, viewer: Any) -> Sequence[tuple[str, Form]]:
        """Return the form "Open"."""
        self.open = OpenForm(viewer)
        return [("Open", self.open)]


class PretrainStep(Step):
    """Pretrain on unlabelled scans, and compare what pretrainings restore."""

    title = "Pretrain"

    def make_forms(self, viewer: Any) -> Sequence[tuple[str, Form]]:
        """Return "Pretrain" and "Compare reconstructions"."""
        self.pretrain, self.compare = PretrainForm(viewer), ReconstructionForm(viewer)
        return [("Pretrain", self.pretrain), ("Compare reconstructions", self.compare)]


class FinetuneStep(Step):
    """Fine-tune a model on labelled scans or on corrections."""

    title = "Fine-tune"

    def make_forms(self, viewer: Any) -> Sequence[tuple[str, Form]]:
        """Return the form "Fine-tune"."""
        self.finetune = FinetuneForm(viewer)
        return [("Fine-tune", self.finetune)]


class SegmentStep(Step):
    """Segment the muscles of a scan, and correct and accept its slices."""

    title = "Segment & correct"

    def make_forms(self, viewer: Any) -> Sequence[tuple[str, Form]]:
        """Return "Segment" and "Correct"."""
        self.segment, self.correct = SegmentForm(viewer), CorrectForm(viewer)
        self.correct.offer_saving(self.segment.saving.save_and_tell)
        self.correct.study_found.connect(self._go_on_with)
        if (study := self.correct.study) is not None:
            self._go_on_with(study)
        return [("Segment", self.segment), ("Correct", self.correct)]

    def _go_on_with(self, study: Study) -> None:
        """Choose the model that was kept in a study, unless the person has chosen one."""
        model = remembered_model(study)
        if model is not None and not self.segment.model.chosen_by_user:
            with contextlib.suppress(BadInput):  # it is no model any more
                self.segment.model.add(model)


class EvaluateStep(Step):
    """Evaluate labels against ground truth, and measure muscles without it."""

    title = "Evaluate & measure"

    def make_forms(self, viewer: Any) -> Sequence[tuple[str, Form]]:
        """Return "Evaluate" and "Measure"."""
        self.evaluate, self.measure = EvaluateForm(viewer), MeasureForm(viewer)
        return [("Evaluate", self.evaluate), ("Measure", self.measure)]


class ExperimentsStep(Step):
    """Repeat the published study on a cohort."""

    title = "Experiments"

    def make_forms(self, viewer: Any) -> Sequence[tuple[str, Form]]:
        """Return the form "Experiments"."""
        self.experiments = ExperimentsForm(viewer)
        return [("Experiments", self.experiments)]
