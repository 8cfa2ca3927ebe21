"""What the forms with figures share: a table, a plot, a slice for each row, tables to save."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import PushButton, Widget

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.cli_options import shell_command
from napari_ssl_muscle.jobs.settings import AnyJob
from napari_ssl_muscle.viewer.evaluate.save_tables import save_tables
from napari_ssl_muscle.viewer.layers.navigation import bring_forward
from napari_ssl_muscle.viewer.viewer_form import WorkForm
from napari_ssl_muscle.viewer.widgets.fold import Fold
from napari_ssl_muscle.viewer.widgets.form import (
    CommandLine,
    column,
    paragraph,
    wrap_qt_widget,
)
from napari_ssl_muscle.viewer.widgets.plot import PlotArea
from napari_ssl_muscle.viewer.widgets.result_table import Column, ResultTable, Row

if TYPE_CHECKING:
    import napari.viewer

GONE = "The labels of this row are no longer open."
Target = tuple[int, int | None]
"""What a row of the table is about: the number of a scan, and of its result (None: all)."""


class ResultsForm(WorkForm):
    """A form that computes figures of labels in a thread.

    Parameters
    ----------
    napari_viewer
        The viewer.
    title
        On the form's tab.
    button
        Text and tooltip of the button that starts.
    no_labels
        Said while there is nothing to compute.
    files
        What the saved tables are called.
    save_tooltip
        Of the button that saves them.
    plot
        Where the figures are drawn.

    Attributes
    ----------
    answer
        What the last computation found; None if there was none.
    """

    def __init__(
        self,
        napari_viewer: napari.viewer.Viewer,
        title: str,
        button: tuple[str, str],
        no_labels: str,
        files: Sequence[str],
        save_tooltip: str,
        plot: PlotArea,
    ) -> None:
        super().__init__(napari_viewer, title, button, "scan")
        self.answer: Any = None
        self._no_labels, self._files = no_labels, files
        self._targets: list[Target] = []
        self._inputs: Sequence[Widget] = ()
        self.table = ResultTable()
        self.table_part = wrap_qt_widget(self.table)
        self.plot = plot
        self.plot_part = wrap_qt_widget(plot)
        self.legend = paragraph()
        self.notes = paragraph()
        self.details = paragraph()
        self.details_fold = Fold("Details", self.details, "Show or hide how else it is computed.")
        self.save_button = PushButton(text="Save tables…", tooltip=save_tooltip)
        self.command = CommandLine()

    def lay_out(self, inputs: Sequence[Widget], hint: str, results: Sequence[Widget]) -> None:
        """Put all parts into the form; `results` lie between the table and its notes."""
        self._inputs = inputs
        self.results = column(
            paragraph(hint),
            self.table_part,
            *results,
            self.notes,
            self.details_fold,
            self.save_button,
        )
        self.add_parts(*inputs, self.start_button, self.panel, self.results, self.command)
        self.results.visible = False
        self.save_button.changed.connect(self._on_save)
        self.table.row_selected.connect(self.go_to)

    @property
    def inputs(self) -> Sequence[Widget]:
        """What cannot be changed while it computes."""
        return (*self._inputs, self.save_button)

    @abstractmethod
    def job(self) -> AnyJob | None:
        """Return the job that the form equals; None where a shell could not do it."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether labels are chosen."""

    @abstractmethod
    def show_figures(self, answer: Any) -> None:
        """Call `show_results`, and show whatever else belongs to the figures."""

    @abstractmethod
    def show_target(self, number: int, index: int | None) -> None:
        """Show what a row of the table is about."""

    def why_no_command(self) -> str:
        """Say when there will be a command for the shell."""
        return "once the labels are saved"

    def save(self, folder: Path) -> list[Path]:
        """Write the tables of the last figures.

        Raises
        ------
        BadInput
            If there are none, or the folder cannot be written.
        """
        if self.answer is None:
            raise BadInput(f"There is nothing to save yet; press '{self.start_button.text}' first.")
        files: list[Path] = self.answer.report.write(folder)
        return files

    def go_to(self, row: int) -> None:
        """Show what a row is about, by its number in the table as it was before sorting."""
        if self.answer is not None and 0 <= row < len(self._targets):
            self.show_target(*self._targets[row])

    def bring_forward(self, layers: Sequence[Any], number: int) -> bool:
        """Show one of several labels layers and hide the others; False if it is closed."""
        if layers[number] not in self.viewer.layers:
            self.panel.show_text(GONE)
            return False
        others = [layer for layer in layers if layer is not layers[number]]
        bring_forward(self.viewer, layers[number], others)
        return True

    def show_results(
        self,
        table: tuple[list[Column], list[Row], list[Target]],
        headline: str,
        notes: str,
        details: str = "",
        *,
        layers: Sequence[Any],
    ) -> None:
        """Fill the table and the sentences on labels `layers`; details are folded away."""
        columns, rows, self._targets = table
        self.table.show_rows(columns, rows)
        self.show_message(headline, layers)
        self.notes.value = notes
        self.notes.visible = bool(notes)
        self.results.visible = True
        self.details.value = details
        self.details_fold.visible = bool(details)

    def show_answer(self, answer: Any) -> None:
        """Keep the answer and show its figures."""
        self.answer = answer
        self.show_figures(answer)
        self.fit_width()
        self.scroll_to(self.table_part)

    def _on_save(self) -> None:
        saved = save_tables(self.save, self._files, self.native.window())
        if saved:
            self.panel.show_text(saved)

    def _update(self, *_: object) -> None:
        self.show_missing("" if self.is_ready() else self._no_labels)
        job = self.job()
        command = shell_command(job) if job is not None else None
        self.command.show_command(command, self.why_no_command())
