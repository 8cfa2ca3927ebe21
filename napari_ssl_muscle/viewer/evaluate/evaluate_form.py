"""The form "Evaluate (Dice)": labels against ground truth, muscle by muscle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.report import EvaluationReport
from napari_ssl_muscle.jobs.settings import EvaluateJob
from napari_ssl_muscle.viewer.evaluate import evaluate_worker
from napari_ssl_muscle.viewer.evaluate.error_layers import KINDS, ErrorLayers
from napari_ssl_muscle.viewer.evaluate.evaluate_view import (
    details,
    dice_plot,
    headline,
    sentences,
    table_rows,
)
from napari_ssl_muscle.viewer.evaluate.evaluate_worker import EvaluationAnswer
from napari_ssl_muscle.viewer.evaluate.label_pair_picker import LabelPairPicker
from napari_ssl_muscle.viewer.evaluate.results_form import ResultsForm
from napari_ssl_muscle.viewer.layers.navigation import show_slice
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, unwrap
from napari_ssl_muscle.viewer.widgets.background import ThreadTask
from napari_ssl_muscle.viewer.widgets.form import column
from napari_ssl_muscle.viewer.widgets.job_fields import JobFields
from napari_ssl_muscle.viewer.widgets.plot import PlotArea
from napari_ssl_muscle.viewer.widgets.qt_lifetime import listen

if TYPE_CHECKING:
    import napari.viewer

NO_LABELS = "Open a scan that has ground truth, and segment it first."


class EvaluateForm(ResultsForm):
    """Compares labels with ground truth: of all open scans, of one, or any two layers."""

    answer: EvaluationAnswer | None

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(
            napari_viewer,
            "Evaluate (Dice)",
            ("Evaluate (Dice)", "Compare the labels with the ground truth, muscle by muscle."),
            NO_LABELS,
            EvaluationReport.FILES,
            "Write evaluation.csv and evaluation.json into a folder that you choose.",
            PlotArea(),
        )
        self.errors = ErrorLayers(self.viewer)
        self.evaluate_button = self.start_button
        self.pairs = LabelPairPicker(self.viewer)
        fields = JobFields(EvaluateJob)
        self.by_side = fields.check_box("by_side", "Each leg by itself")
        self.all_slices = fields.check_box("all_slices", "Slices without ground truth are empty")
        self.show_errors = CheckBox(
            text="Show errors in the picture",
            tooltip="A layer for each scan; with a row chosen, the errors of its muscle only.",
            value=True,
        )
        self.legend.value = _legend()
        self.lay_out(
            (self.pairs, column(self.by_side, self.all_slices)),
            "Click a row to see its worst slice, a heading to sort.",
            (self.show_errors, self.legend, self.plot_part),
        )
        self.show_errors.changed.connect(self.errors.set_visible)
        self.remember(
            by_side=self.by_side, all_slices=self.all_slices, show_errors=self.show_errors
        )
        for signal in (self.pairs.selection_changed, self.by_side.changed, self.all_slices.changed):
            signal.connect(self._update)
        listen(self.native, self.viewer.layers.events.removed, self._on_removed)
        self._update()

    def job(self) -> EvaluateJob | None:
        """Return the job that the form equals; None unless it is one pair of files."""
        pairs = self.pairs.pairs()
        if len(pairs) != 1:
            return None
        infos = [info_of(layer) for layer in (pairs[0].prediction, pairs[0].reference)]
        prediction, reference = (info.path if info is not None else None for info in infos)
        if prediction is None or reference is None:
            return None
        return EvaluateJob(
            predictions=prediction,
            references=reference,
            out=prediction.parent / "evaluation",
            by_side=self.by_side.value,
            all_slices=self.all_slices.value,
        )

    def task(self) -> ThreadTask:
        """Return the comparison that the form asks for."""
        pairs = self.pairs.pairs()
        if not pairs:
            raise BadInput(NO_LABELS)
        notes = []
        if self.pairs.by_hand and pairs[0].prediction is pairs[0].reference:
            raise BadInput("Labels and ground truth are the same layer; choose two different ones.")
        if not self.pairs.by_hand:
            empty = [c for c in pairs if evaluate_worker.is_untouched(c.prediction)]
            pairs = [c for c in pairs if c not in empty]
            if not pairs:
                raise BadInput("The labels are still empty; press 'Segment muscles' first.")
            notes = [f"{c.name} is left out: it has no labels yet." for c in empty]
        given = [evaluate_worker.labels_to_compare(pair) for pair in pairs]
        options = {"all_slices": self.all_slices.value, "by_side": self.by_side.value}
        return ThreadTask(
            lambda emit, stop: evaluate_worker.evaluate(pairs, given, notes, options, emit, stop)
        )

    def is_ready(self) -> bool:
        """Whether labels with ground truth are chosen."""
        return bool(self.pairs.pairs())

    def why_no_command(self) -> str:
        """Say when there will be a command for the shell."""
        return "for one scan at a time" if len(self.pairs.pairs()) > 1 else super().why_no_command()

    def show_target(self, number: int, index: int | None) -> None:
        """Show the worst slice of a muscle and only its errors; of a scan's mean, all errors."""
        if self.answer is None:
            return
        finding = self.answer.findings[number]
        labels = finding.pair.prediction
        if not self.bring_forward([f.pair.prediction for f in self.answer.findings], number):
            return
        if index is None:
            z, picture = finding.errors.worst_slice, finding.picture
        else:
            place = finding.error_locations[index]
            z, picture = place.slice, finding.errors.picture(place.value, place.leg)
            labels.selected_label = place.label
        self.errors.change(labels, picture.reshape(labels.data.shape))
        self._show_only_errors_of(labels)
        if z is not None:
            show_slice(self.viewer, labels, z)

    def _show_only_errors_of(self, labels: Any) -> None:
        if self.answer is None:
            return
        for finding in self.answer.findings:
            layer = self.errors.layer_of(finding.pair.prediction)
            if layer is not None:
                mine = finding.pair.prediction is labels
                layer.visible = bool(self.show_errors.value) and mine

    def show_figures(self, answer: EvaluationAnswer) -> None:
        """Show the figures, their plot and the errors in the picture."""
        paint, height = dice_plot(answer)
        self.plot.set_height(height)
        self.plot.show_plot(paint)
        self.show_results(
            table_rows(answer),
            headline(answer),
            sentences(answer),
            details(answer),
            layers=[finding.pair.prediction for finding in answer.findings],
        )
        several = len(answer.findings) > 1
        self.errors.begin()
        for finding in answer.findings:
            self.errors.show(
                finding.pair.prediction,
                finding.picture,
                finding.name if several else "",
                visible=bool(self.show_errors.value)
                and finding.pair.prediction.visible
                and finding.pair.prediction in self.viewer.layers,
            )

    def _on_removed(self, event: Any) -> None:
        self.errors.forget(unwrap(event.value))


def _legend() -> str:
    return " &nbsp; ".join(
        f'<span style="color:{colour}">■</span>&nbsp;{words.replace(" ", "&nbsp;")}'
        for words, colour in KINDS.values()
    )
