"""The form "Measure": volumes and cross-sections of labels, muscle by muscle and leg by leg."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import PushButton
from napari.layers import Labels
from qtpy.QtCore import QTimer

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.measure_report import FILES
from napari_ssl_muscle.jobs.cli_options import shell_command
from napari_ssl_muscle.jobs.settings import MeasureJob
from napari_ssl_muscle.learning.events import Finished
from napari_ssl_muscle.viewer.evaluate import measure_worker
from napari_ssl_muscle.viewer.evaluate.measure_view import (
    area_plot,
    headline,
    legend,
    sentences,
    table_rows,
)
from napari_ssl_muscle.viewer.evaluate.measure_worker import MeasureAnswer
from napari_ssl_muscle.viewer.evaluate.save_tables import save_tables
from napari_ssl_muscle.viewer.layers.grid import is_picture
from napari_ssl_muscle.viewer.layers.navigation import bring_forward, show_slice, slice_shown
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, unwrap
from napari_ssl_muscle.viewer.session import session_of
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.background import ThreadTask
from napari_ssl_muscle.viewer.widgets.form import (
    CommandLine,
    Fields,
    Form,
    choice,
    column,
    main_button,
    paragraph,
    refresh_in_order,
    wrap_qt_widget,
)
from napari_ssl_muscle.viewer.widgets.plot import PlotArea
from napari_ssl_muscle.viewer.widgets.qt_lifetime import listen
from napari_ssl_muscle.viewer.widgets.result_table import ResultTable
from napari_ssl_muscle.viewer.widgets.run_panel import RunPanel

if TYPE_CHECKING:
    import napari.viewer

NO_LABELS = "Open a scan and segment it, or open labels, first."
GONE = "The labels of this row are no longer open."
ALL = "all"
REST_MS = 300
"""The slice's line in the plot follows once the slider rests for so long."""


class MeasureForm(Form):
    """Measures labels; no ground truth is needed.

    Parameters
    ----------
    napari_viewer
        The viewer; napari fills it in.

    Attributes
    ----------
    answer
        What the last measurement found; None if there was none.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        self.viewer = unwrap(napari_viewer)
        session_of(self.viewer)
        self.answer: MeasureAnswer | None = None
        self._work: ThreadTask | None = None
        self._targets: list[tuple[int, int | None]] = []
        self._plotted: tuple[int, int | None] = (0, None)
        self._chosen = False
        super().__init__("Measure")
        self.labels_box = choice(
            self._choices, label="Labels", tooltip="The labels to measure, or those of all scans."
        )
        self.inputs = Fields(self.labels_box)
        self.measure_button = main_button(
            "Measure muscles",
            "Volume and cross-section of each muscle, left and right; no ground truth is needed.",
        )
        self.panel = RunPanel("scan")
        self.table = ResultTable()
        self.plot = PlotArea(height=190)
        self.legend = paragraph()
        self.notes = paragraph()
        self.save_button = PushButton(
            text="Save tables…",
            tooltip="Write measures.csv, cross_sections.csv (each slice) and measures.json into a "
            "folder that you choose.",
        )
        self.command = CommandLine()
        self.results = column(
            paragraph("Click a row to see its largest cross-section, a heading to sort."),
            wrap_qt_widget(self.table),
            wrap_qt_widget(self.plot),
            self.legend,
            self.notes,
            self.save_button,
        )
        self.add_parts(self.inputs, self.measure_button, self.panel, self.results, self.command)
        self.results.visible = False
        self._rest = QTimer(self.native)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self._draw)
        self.measure_button.changed.connect(self.start)
        self.save_button.changed.connect(self._on_save)
        self.panel.ended.connect(self._on_ended)
        self.table.chosen.connect(self.go_to)
        self.labels_box.native.activated.connect(self._on_chosen)
        self.labels_box.changed.connect(self._update)
        layers = self.viewer.layers
        for name in ("inserted", "removed", "reordered", "renamed"):
            listen(self.native, getattr(layers.events, name), self.reset_choices)
        listen(self.native, self.viewer.dims.events.current_step, self._on_slice)
        self.reset_choices()

    def reset_choices(self, *_: object) -> None:
        """Read the open layers again; a chosen one stays chosen, under whatever name."""
        refresh_in_order(self.labels_box, first=not self._chosen)
        self._update()

    def layers_to_measure(self) -> list[Any]:
        """Return the chosen labels layers."""
        wanted = self.labels_box.value
        if wanted is None:
            return []
        return self._predictions() if wanted == ALL else [wanted]

    def start(self) -> None:
        """Begin to measure (the button); a problem is told in a dialog."""
        try:
            layers = self.layers_to_measure()
            if not layers:
                raise BadInput(NO_LABELS)
            if len(layers) > 1:  # those that are still empty are no news
                layers = [layer for layer in layers if layer.data.any()] or layers[:1]
            given = [measure_worker.labels_to_measure(layer) for layer in layers]
        except BadInput as problem:
            dialogs.tell(str(problem), parent=self.native.window())
            return
        self._work = ThreadTask(
            lambda emit, stop: measure_worker.measure_layers(layers, given, emit, stop)
        )
        self._enable(False)
        self.panel.run(self._work)

    def job(self) -> MeasureJob | None:
        """Return the job that the form equals; None unless all labels are files."""
        infos = [info_of(layer) for layer in self.layers_to_measure()]
        paths = [info.path for info in infos if info is not None and info.path is not None]
        if not paths or len(paths) < len(infos):
            return None
        return MeasureJob(labels=paths, out=paths[0].parent / "measures")

    def save(self, folder: Path) -> list[Path]:
        """Write the tables of the last measurement.

        Raises
        ------
        BadInput
            If there is none, or the folder cannot be written.
        """
        if self.answer is None:
            raise BadInput("There is nothing to save yet; press 'Measure muscles' first.")
        return self.answer.report.write(folder)

    def go_to(self, row: int) -> None:
        """Show the slice in which a row's muscle has its largest cross-section.

        Parameters
        ----------
        row
            Its number in the table as it was before sorting. The total only brings its scan.
        """
        if self.answer is None or not 0 <= row < len(self._targets):
            return
        number, index = self._targets[row]
        one = self.answer.measured[number]
        self._plotted = (number, index)
        self._draw()
        if one.layer not in self.viewer.layers:
            self.panel.say(GONE)
            return
        bring_forward(
            self.viewer, one.layer, [other.layer for other in self.answer.measured if other != one]
        )
        if index is not None:
            one.layer.selected_label = one.found.measures[index].value
            show_slice(self.viewer, one.layer, one.found.measures[index].max_csa_slice)

    def _on_ended(self, event: object) -> None:
        work, self._work = self._work, None
        self._enable(True)
        if not isinstance(event, Finished) or work is None:
            return
        self.answer = work.result
        columns, rows, self._targets = table_rows(self.answer)
        self.table.show_rows(columns, rows)
        self.panel.say(headline(self.answer))
        self.notes.value = sentences(self.answer)
        self.notes.visible = bool(self.notes.value)
        self.results.visible = True
        self._plotted = (0, None)
        self._draw()
        self.fit_width()
        self.scroll_to(self.results[1])

    def _draw(self) -> None:
        """Plot the scan of the chosen row; the first one if none is chosen."""
        if self.answer is None:
            return
        number, index = self._plotted
        one = self.answer.measured[number]
        there = one.layer in self.viewer.layers
        current = slice_shown(self.viewer, one.layer) if there else None
        self.legend.value = legend(one)
        self.plot.show_plot(area_plot(one, current, index))

    def _on_slice(self, *_: object) -> None:
        if self.answer is not None:
            self._rest.start()

    def _on_save(self) -> None:
        saved = save_tables(self.save, FILES, self.native.window())
        if saved:
            self.panel.say(saved)

    def _on_chosen(self, _: int) -> None:
        self._chosen = True

    def _enable(self, free: bool) -> None:
        for part in (self.inputs, self.measure_button, self.save_button):
            part.enabled = free
        if free:
            self._update()

    def _update(self, *_: object) -> None:
        ready = bool(self.layers_to_measure())
        self.measure_button.enabled = ready and not self.panel.running
        if not ready and not self.panel.running:
            self.panel.say(NO_LABELS)
        elif self.panel.status.value == NO_LABELS:
            self.panel.say("")
        job = self.job()
        self.command.show_command(
            shell_command(job) if job is not None else None, "once the labels are saved"
        )

    def _choices(self, _: object) -> list[tuple[str, Any]]:
        """List labels layers: predictions first, ground truth last."""
        labels = [
            layer
            for layer in reversed(self.viewer.layers)
            if isinstance(layer, Labels) and not is_picture(layer)
        ]
        entries: list[tuple[str, Any]] = []
        if len(self._predictions()) > 1:
            entries.append((f"All open scans ({len(self._predictions())})", ALL))
        return entries + [(layer.name, layer) for layer in sorted(labels, key=_is_truth)]

    def _predictions(self) -> list[Any]:
        """Return one labels layer for each scan: the topmost of its predictions."""
        found: dict[int, Any] = {}
        for layer in self.viewer.layers:
            info = info_of(layer)
            if isinstance(layer, Labels) and info is not None and info.role == "prediction":
                found[id(info.scan)] = layer
        return list(found.values())


def _is_truth(layer: Any) -> bool:
    info = info_of(layer)
    return info is not None and info.role == "truth"
