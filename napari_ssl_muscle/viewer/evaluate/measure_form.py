"""The form "Measure": volumes and cross-sections of labels, muscle by muscle and leg by leg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import QTimer

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.measures.report import MeasureReport
from napari_ssl_muscle.jobs.cohort_jobs import MeasureJob
from napari_ssl_muscle.viewer.evaluate import measure_worker
from napari_ssl_muscle.viewer.evaluate.measure_view import (
    area_plot,
    headline,
    legend,
    sentences,
    table_rows,
)
from napari_ssl_muscle.viewer.evaluate.measure_worker import MeasureAnswer
from napari_ssl_muscle.viewer.evaluate.results_form import ResultsForm
from napari_ssl_muscle.viewer.layers.layer_lists import (
    Choices,
    by_name,
    labels_layers,
    listen_to_layers,
)
from napari_ssl_muscle.viewer.layers.navigation import show_slice, slice_shown
from napari_ssl_muscle.viewer.layers.scan_layers import info_of
from napari_ssl_muscle.viewer.open.voxel_size_field import VoxelSizeField
from napari_ssl_muscle.viewer.widgets.background import ThreadTask
from napari_ssl_muscle.viewer.widgets.form import Fields, choice, refresh_in_order
from napari_ssl_muscle.viewer.widgets.plot import PlotArea
from napari_ssl_muscle.viewer.widgets.qt_lifetime import listen

if TYPE_CHECKING:
    import napari.viewer

NO_LABELS = "Open a scan and segment it, or open labels, first."
ALL = "all"
REST_MS = 300
"""The slice's line in the plot follows once the slider rests for so long."""


class MeasureForm(ResultsForm):
    """Measures labels; no ground truth is needed."""

    answer: MeasureAnswer | None

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(
            napari_viewer,
            "Measure",
            (
                "Measure muscles",
                "Volume and cross-section of each muscle, left and right; no ground truth is "
                "needed.",
            ),
            NO_LABELS,
            MeasureReport.FILES,
            "Write measures.csv, cross_sections.csv (each slice) and measures.json into a folder "
            "that you choose.",
            PlotArea(height=190),
        )
        self._plotted: tuple[int, int | None] = (0, None)
        self._chosen = False
        self.measure_button = self.start_button
        self.labels_box = choice(
            self._choices, label="Labels", tooltip="The labels to measure, or those of all scans."
        )
        self.voxel_size = VoxelSizeField(self.viewer)
        self.voxel_size.entered.connect(self._update)
        self.lay_out(
            (Fields(self.labels_box), self.voxel_size),
            "Click a row to see its largest cross-section, a heading to sort.",
            (self.plot_part, self.legend),
        )
        self._rest = QTimer(self.native)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self._draw)
        self.labels_box.native.activated.connect(self._on_chosen)
        self.labels_box.changed.connect(self._update)
        listen_to_layers(self.native, self.viewer, self.reset_choices)
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

    def task(self) -> ThreadTask:
        """Return the measurement that the form asks for."""
        layers = self.layers_to_measure()
        if not layers:
            raise BadInput(NO_LABELS)
        if len(layers) > 1:  # those that are still empty are no news
            layers = [layer for layer in layers if layer.data.any()] or layers[:1]
        given = [measure_worker.labels_to_measure(layer) for layer in layers]
        return ThreadTask(
            lambda emit, stop: measure_worker.measure_layers(layers, given, emit, stop)
        )

    def job(self) -> MeasureJob | None:
        """Return the job that the form equals; None unless all labels are files."""
        infos = [info_of(layer) for layer in self.layers_to_measure()]
        paths = [info.path for info in infos if info is not None and info.path is not None]
        if not paths or len(paths) < len(infos):
            return None
        return MeasureJob(labels=paths, out=paths[0].parent / "measures")

    def _update(self, *_: object) -> None:
        self.voxel_size.ask_for(self.layers_to_measure())
        super()._update()

    def is_ready(self) -> bool:
        """Whether labels are chosen."""
        return bool(self.layers_to_measure())

    def show_target(self, number: int, index: int | None) -> None:
        """Show the slice of a muscle's largest cross-section; the total only brings its scan."""
        if self.answer is None:
            return
        one = self.answer.measured[number]
        self._plotted = (number, index)
        self._draw()
        if not self.bring_forward([each.layer for each in self.answer.measured], number):
            return
        if index is not None:
            shown = one.found.measures[index]
            one.layer.selected_label = shown.value
            show_slice(self.viewer, one.layer, shown.max_csa_slice)

    def show_figures(self, answer: MeasureAnswer) -> None:
        """Show the figures and the cross-sections of the first scan."""
        self.show_results(
            table_rows(answer),
            headline(answer),
            sentences(answer),
            layers=[one.layer for one in answer.measured],
        )
        self._plotted = (0, None)
        self._draw()

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

    def _on_chosen(self, _: int) -> None:
        self._chosen = True

    def _choices(self, _: object) -> Choices:
        """List labels layers: predictions first, ground truth last."""
        entries: Choices = []
        if len(self._predictions()) > 1:
            entries.append((f"All open scans ({len(self._predictions())})", ALL))
        return entries + by_name(sorted(labels_layers(self.viewer), key=_is_truth))

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
