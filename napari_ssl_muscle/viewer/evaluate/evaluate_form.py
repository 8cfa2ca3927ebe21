"""The form "Evaluate (Dice)": labels against ground truth, muscle by muscle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, PushButton

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.report import FILES
from napari_ssl_muscle.jobs.cli_options import shell_command
from napari_ssl_muscle.jobs.settings import EvaluateJob
from napari_ssl_muscle.learning.events import Finished
from napari_ssl_muscle.viewer.evaluate import evaluate_worker
from napari_ssl_muscle.viewer.evaluate.error_layers import KINDS, ErrorLayers
from napari_ssl_muscle.viewer.evaluate.evaluate_view import (
    dice_plot,
    headline,
    sentences,
    table_rows,
)
from napari_ssl_muscle.viewer.evaluate.evaluate_worker import EvaluationAnswer
from napari_ssl_muscle.viewer.evaluate.label_pair_picker import LabelPairPicker
from napari_ssl_muscle.viewer.evaluate.save_tables import save_tables
from napari_ssl_muscle.viewer.layers.navigation import bring_forward, show_slice
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, unwrap
from napari_ssl_muscle.viewer.session import session_of
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.background import ThreadTask
from napari_ssl_muscle.viewer.widgets.form import (
    CommandLine,
    Form,
    column,
    main_button,
    paragraph,
    wrap_qt_widget,
)
from napari_ssl_muscle.viewer.widgets.job_fields import JobFields
from napari_ssl_muscle.viewer.widgets.plot import PlotArea
from napari_ssl_muscle.viewer.widgets.qt_lifetime import listen
from napari_ssl_muscle.viewer.widgets.result_table import ResultTable
from napari_ssl_muscle.viewer.widgets.run_panel import RunPanel

if TYPE_CHECKING:
    import napari.viewer

NO_LABELS = "Open a scan that has ground truth, and segment it first."
GONE = "The labels of this row are no longer open."


class EvaluateForm(Form):
    """Compares labels with ground truth: of all open scans, of one, or any two layers.

    Parameters
    ----------
    napari_viewer
        The viewer; napari fills it in.

    Attributes
    ----------
    answer
        What the last evaluation found; None if there was none.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        self.viewer = unwrap(napari_viewer)
        session_of(self.viewer)
        self.answer: EvaluationAnswer | None = None
        self.errors = ErrorLayers(self.viewer)
        self._work: ThreadTask | None = None
        self._targets: list[tuple[int, int | None]] = []
        super().__init__("Evaluate (Dice)")
        self.pairs = LabelPairPicker(self.viewer)
        fields = JobFields(EvaluateJob)
        self.by_side = fields.check_box("by_side", "Each leg by itself")
        self.all_slices = fields.check_box("all_slices", "Slices without ground truth are empty")
        self.switches = column(self.by_side, self.all_slices)
        self.evaluate_button = main_button(
            "Evaluate (Dice)", "Compare the labels with the ground truth, muscle by muscle."
        )
        self.panel = RunPanel("scan")
        self.table = ResultTable()
        self.hint = paragraph("Click a row to see its worst slice, a heading to sort.")
        self.show_errors = CheckBox(
            text="Show errors in the picture",
            tooltip="A layer for each scan; with a row chosen, the errors of its muscle only.",
            value=True,
        )
        self.legend = paragraph(_legend())
        self.plot = PlotArea()
        self.notes = paragraph()
        self.save_button = PushButton(
            text="Save tables…",
            tooltip="Write evaluation.csv and evaluation.json into a folder that you choose.",
        )
        self.command = CommandLine()
        self.results = column(
            self.hint,
            wrap_qt_widget(self.table),
            self.show_errors,
            self.legend,
            wrap_qt_widget(self.plot),
            self.notes,
            self.save_button,
        )
        self.add_parts(
            self.pairs,
            self.switches,
            self.evaluate_button,
            self.panel,
            self.results,
            self.command,
        )
        self.results.visible = False
        self.evaluate_button.changed.connect(self.start)
        self.save_button.changed.connect(self._on_save)
        self.panel.ended.connect(self._on_ended)
        self.table.chosen.connect(self.go_to)
        self.show_errors.changed.connect(self.errors.set_visible)
        for signal in (self.pairs.picked, self.by_side.changed, self.all_slices.changed):
            signal.connect(self._update)
        listen(self.native, self.viewer.layers.events.removed, self._on_removed)
        self._update()

    # --- the work

    def start(self) -> None:
        """Begin to compare (the button); a problem is told in a dialog."""
        try:
            work = self._ask_for()
        except BadInput as problem:
            dialogs.tell(str(problem), parent=self.native.window())
            return
        self._work = work
        self._enable(False)
        self.panel.run(work)

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

    def _ask_for(self) -> ThreadTask:
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

    # --- results

    def save(self, folder: Path) -> list[Path]:
        """Write the tables of the last evaluation.

        Raises
        ------
        BadInput
            If there is none, or the folder cannot be written.
        """
        if self.answer is None:
            raise BadInput("There is nothing to save yet; press 'Evaluate (Dice)' first.")
        return self.answer.report.write(folder)

    def go_to(self, row: int) -> None:
        """Show the worst slice of a row's muscle, and only its errors.

        Parameters
        ----------
        row
            Its number in the table as it was before sorting. Of a scan's mean, all errors and the
            slice with most of them are shown.
        """
        if self.answer is None or not 0 <= row < len(self._targets):
            return
        number, index = self._targets[row]
        finding = self.answer.findings[number]
        labels = finding.pair.prediction
        if labels not in self.viewer.layers:
            self.panel.say(GONE)
            return
        bring_forward(
            self.viewer, labels, [f.pair.prediction for f in self.answer.findings if f != finding]
        )
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
            layer = self.errors.of(finding.pair.prediction)
            if layer is not None:
                mine = finding.pair.prediction is labels
                layer.visible = bool(self.show_errors.value) and mine

    def _on_ended(self, event: object) -> None:
        work, self._work = self._work, None
        self._enable(True)
        if not isinstance(event, Finished) or work is None:
            return
        self.answer = answer = work.result
        columns, rows, self._targets = table_rows(answer)
        self.table.show_rows(columns, rows)
        paint, height = dice_plot(answer)
        self.plot.set_height(height)
        self.plot.show_plot(paint)
        self.panel.say(headline(answer))
        self.notes.value = sentences(answer)
        self.results.visible = True
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
        self.fit_width()
        self.scroll_to(self.table_part)

    @property
    def table_part(self) -> Any:
        """The part of the form that holds the table."""
        return self.results[1]

    def _on_removed(self, event: Any) -> None:
        self.errors.forget(unwrap(event.value))

    def _on_save(self) -> None:
        saved = save_tables(self.save, FILES, self.native.window())
        if saved:
            self.panel.say(saved)

    def _enable(self, free: bool) -> None:
        for part in (self.pairs, self.switches, self.evaluate_button):
            part.enabled = free
        self.save_button.enabled = free
        if free:
            self._update()

    def _update(self, *_: object) -> None:
        pairs = self.pairs.pairs()
        self.evaluate_button.enabled = bool(pairs) and not self.panel.running
        if not pairs and not self.panel.running:
            self.panel.say(NO_LABELS)
        elif self.panel.status.value == NO_LABELS:
            self.panel.say("")
        job = self.job()
        why = "for one scan at a time" if len(pairs) > 1 else "once the labels are saved"
        self.command.show_command(shell_command(job) if job is not None else None, why)


def _legend() -> str:
    return " &nbsp; ".join(
        f'<span style="color:{colour}">■</span>&nbsp;{words.replace(" ", "&nbsp;")}'
        for words, colour in KINDS.values()
    )
