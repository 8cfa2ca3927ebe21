"""The form "Evaluate (Dice)": labels against ground truth, muscle by muscle."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, PushButton, Table
from napari.layers import Labels
from qtpy.QtWidgets import QStyledItemDelegate

from napari_ssl_muscle.jobs.command import shell_command
from napari_ssl_muscle.jobs.settings import EvaluateJob
from napari_ssl_muscle.learning.events import Emit, Finished, ShouldStop, Started
from napari_ssl_muscle.scans.errors import BadInput
from napari_ssl_muscle.viewer import questions
from napari_ssl_muscle.viewer.bridge import ThreadWork
from napari_ssl_muscle.viewer.grid_view import is_picture
from napari_ssl_muscle.viewer.layers import LayerInfo, info_of, layers_of, unwrap
from napari_ssl_muscle.viewer.parts import (
    CommandLine,
    Form,
    choice,
    column,
    listen,
    main_button,
    paragraph,
    refresh,
)
from napari_ssl_muscle.viewer.run_panel import RunPanel
from napari_ssl_muscle.viewer.watching import watch

if TYPE_CHECKING:
    import napari.viewer

    from napari_ssl_muscle.evaluation.reports import EvaluationReport

NO_LABELS = "Open a scan that has ground truth, and segment it first."
COLUMNS = ("Dice", "HD95 mm", "Mean mm", "mL", "True mL")
TOOLTIP = (
    "Dice: overlap, 1 is perfect. HD95 and mean: distance between the outlines in mm, for the "
    "worst 5 % and on average. mL: volume of the labels and of the ground truth."
)


class EvaluateForm(Form):
    """Compares a labels layer with another one that is taken as the truth.

    Parameters
    ----------
    napari_viewer
        The viewer; napari fills it in.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        self.viewer = unwrap(napari_viewer)
        watch(self.viewer)
        self.report: EvaluationReport | None = None
        self._work: ThreadWork | None = None
        self._by_hand: list[Any] = []
        super().__init__("Evaluate (Dice)")
        self.prediction = choice(
            partial(self._choices, "prediction"), label="Labels", tooltip="The labels to judge."
        )
        self.reference = choice(
            partial(self._choices, "truth"),
            label="Ground truth",
            tooltip="What they are compared with.",
        )
        self.by_side = CheckBox(text="Each leg by itself", tooltip=_help("by_side"), value=False)
        self.all_slices = CheckBox(
            text="Slices without ground truth are empty",
            tooltip=_help("all_slices"),
            value=False,
        )
        self.inputs = column(self.prediction, self.reference, labels=True)
        self.switches = column(self.by_side, self.all_slices)
        self.evaluate_button = main_button(
            "Evaluate (Dice)", "Compare the labels with the ground truth, muscle by muscle."
        )
        self.panel = RunPanel("scan")
        self.table = Table(value={"data": [], "columns": list(COLUMNS)}, tooltip=TOOLTIP)
        self.table.read_only = True
        self.table.native.setItemDelegate(QStyledItemDelegate())  # cells are shown as they are
        self.table.native.setMinimumHeight(240)
        self.notes = paragraph()
        self.save_button = PushButton(
            text="Save tables…",
            tooltip="Write evaluation.csv and evaluation.json into a folder that you choose.",
        )
        self.command = CommandLine()
        for part in (
            self.inputs,
            self.switches,
            self.evaluate_button,
            self.panel,
            self.table,
            self.notes,
            self.save_button,
            self.command,
        ):
            self.append(part)
        self.line_up(self.inputs)
        self.finish()
        self._show_results(False)
        self.evaluate_button.changed.connect(self.start)
        self.save_button.changed.connect(self._on_save)
        self.panel.ended.connect(self._on_ended)
        for box in (self.prediction, self.reference, self.by_side, self.all_slices):
            box.changed.connect(self._update)
        for box in (self.prediction, self.reference):
            box.native.activated.connect(partial(self._mark, box))
        layers = self.viewer.layers
        for name in ("inserted", "removed", "reordered", "renamed"):
            listen(self.native, getattr(layers.events, name), self.reset_choices)
        listen(self.native, layers.selection.events.active, self._follow)
        self._update()

    def reset_choices(self, *_: object) -> None:
        """Read the open layers again; chosen ones stay chosen, under whatever name."""
        usual = self._usual()
        for box, layer in zip((self.prediction, self.reference), usual, strict=True):
            refresh(box, None if box in self._by_hand else layer)
        self._update()

    def _usual(self) -> tuple[Any, Any]:
        """Return the prediction and ground truth that are meant until the user chooses.

        Those of the subject in front, if it has ground truth, or else of the newest one that has.
        """
        active = unwrap(self.viewer.layers.selection.active)
        infos = [info_of(active)] if active is not None else []
        infos += [info_of(layer) for layer in reversed(self.viewer.layers)]
        for info in infos:
            truth = layers_of(self.viewer, info.subject, "truth") if info is not None else []
            if info is not None and truth:
                mine = layers_of(self.viewer, info.subject, "prediction")
                return (mine[0] if mine else None), truth[0]
        return None, None

    def _follow(self, event: Any) -> None:
        """Turn to the subject that was picked in the layer list."""
        if not self.panel.running:
            self.reset_choices()

    def _mark(self, box: Any, _: int) -> None:
        self._by_hand.append(box)

    def start(self) -> None:
        """Begin to compare (the button); a problem is told in a dialog."""
        try:
            work = self._ask_for()
        except BadInput as problem:
            questions.tell(str(problem), parent=self.native.window())
            return
        self._work = work
        self._enable(False)
        self.panel.run(work)

    def job(self) -> EvaluateJob | None:
        """Return the job that the form equals; None unless both label maps are files."""
        paths = [
            info.path
            for layer in (self.prediction.value, self.reference.value)
            if layer is not None and (info := info_of(layer)) is not None
        ]
        if len(paths) != 2 or any(path is None for path in paths):
            return None
        prediction, reference = paths
        assert prediction is not None
        assert reference is not None
        return EvaluateJob(
            predictions=prediction,
            references=reference,
            out=prediction.parent / "evaluation",
            by_side=self.by_side.value,
            all_slices=self.all_slices.value,
        )

    def save(self, folder: Path) -> list[Path]:
        """Write the tables of the last evaluation.

        Raises
        ------
        BadInput
            If there is none, or the folder cannot be written.
        """
        if self.report is None:
            raise BadInput("There is nothing to save yet; press 'Evaluate (Dice)' first.")
        return self.report.write(folder)

    def _ask_for(self) -> ThreadWork:
        prediction, reference = self.prediction.value, self.reference.value
        layers = self.viewer.layers
        if prediction is None or reference is None:
            raise BadInput(NO_LABELS)
        if prediction not in layers or reference not in layers:
            raise BadInput("A chosen layer was removed; choose another one.")
        if prediction is reference:
            raise BadInput("Labels and ground truth are the same layer; choose two different ones.")
        infos = (info_of(prediction), info_of(reference))
        difference = _difference(prediction, reference, infos)
        if difference is not None:
            raise BadInput(
                f"'{prediction.name}' and '{reference.name}' do not lie on the same grid "
                f"({difference}); compare labels of one scan."
            )
        names = (prediction.name, reference.name)
        # Copies: the user may go on drawing.
        arrays = (prediction.data.copy(), reference.data.copy())
        options = {"all_slices": self.all_slices.value, "by_side": self.by_side.value}
        return ThreadWork(lambda emit, stop: _evaluate(names, arrays, infos, options, emit, stop))

    def _on_ended(self, event: object) -> None:
        work, self._work = self._work, None
        self._enable(True)
        if not isinstance(event, Finished) or work is None:
            return
        self.report = work.result
        case = work.result.cases[0]
        rows = [
            (f"{result.muscle} {result.side}".strip(), *_cells(result)) for result in case.muscles
        ]
        self.table.value = {
            "data": [list(cells) for _, *cells in rows],
            "index": [name for name, *_ in rows],
            "columns": list(COLUMNS),
        }
        self.table.native.resizeColumnsToContents()
        mean, batch = case.mean_dice, case.batch_dice
        if mean is None or batch.foreground is None:
            self.panel.say("No muscle is in the labels or in the ground truth.")
        else:
            background = f", background {batch.background:.2f}" if batch.background else ""
            self.panel.say(
                f"✓ Mean Dice {mean:.3f} (in batches of 10 slices: {batch.foreground:.3f}"
                f"{background})."
            )
        self.notes.value = "\n".join(work.result.sentences())
        self._show_results(True)
        self.fit_width()
        self.reveal(self.table)

    def _show_results(self, there: bool) -> None:
        for part in (self.table, self.notes, self.save_button):
            part.visible = there

    def _on_save(self) -> None:
        folder = questions.ask_folder("Folder for the tables", self.native.window())
        if folder is None:
            return
        there = [n for n in ("evaluation.csv", "evaluation.json") if (folder / n).exists()]
        sentence = f"{' and '.join(there)} exist in {folder} already. Replace?"
        if there and not questions.confirm(sentence, "Replace", self.native.window()):
            return
        try:
            files = self.save(folder)
        except BadInput as problem:
            questions.tell(str(problem), parent=self.native.window())
            return
        self.panel.say(f"✓ Saved {' and '.join(file.name for file in files)} in {folder}")

    def _enable(self, free: bool) -> None:
        for part in (self.inputs, self.switches, self.evaluate_button, self.save_button):
            part.enabled = free
        if free:
            self._update()

    def _update(self, *_: object) -> None:
        ready = self.prediction.value is not None and self.reference.value is not None
        self.evaluate_button.enabled = ready and not self.panel.running
        if not ready and not self.panel.running:
            self.panel.say(NO_LABELS)
        elif self.panel.status.value == NO_LABELS:
            self.panel.say("")
        job = self.job()
        self.command.show_command(
            shell_command(job) if job is not None else None, "once the labels are saved"
        )

    def _choices(self, first: str, _: object) -> list[tuple[str, Any]]:
        """List labels layers, those of the usual role first."""
        labels = [
            layer
            for layer in reversed(self.viewer.layers)
            if isinstance(layer, Labels) and not is_picture(layer)
        ]

        def usual(layer: Any) -> bool:
            info = info_of(layer)
            role = info.role if info is not None else "prediction"
            return role == first

        return [(layer.name, layer) for layer in sorted(labels, key=lambda x: not usual(x))]


def _evaluate(
    names: tuple[str, str],
    arrays: tuple[Any, Any],
    infos: tuple[LayerInfo | None, LayerInfo | None],
    options: dict[str, bool],
    emit: Emit,
    stop: ShouldStop,
) -> EvaluationReport:
    """Compare two arrays; runs in a thread."""
    from napari_ssl_muscle.evaluation.evaluate import evaluate_labels
    from napari_ssl_muscle.evaluation.matching import Pair
    from napari_ssl_muscle.evaluation.provenance import Provenance
    from napari_ssl_muscle.evaluation.reports import EvaluationReport
    from napari_ssl_muscle.viewer.layers import plain_geometry

    emit(Started(action="evaluating", device="CPU", total=1))
    known = infos[1] or infos[0]
    geometry = (
        known.subject.geometry if known is not None else plain_geometry(arrays[0].shape, (1, 1, 1))
    )
    files = [info.path if info is not None and info.path is not None else None for info in infos]
    case = evaluate_labels(
        Pair(
            known.subject.name if known is not None else names[0],
            files[0] or Path(names[0]),
            files[1] or Path(names[1]),
        ),
        arrays[0],
        arrays[1],
        prediction_table=infos[0].table if infos[0] is not None else None,
        reference_table=infos[1].table if infos[1] is not None else None,
        geometry=geometry,
        **options,
    )
    made_by = infos[0].provenance if infos[0] is not None else None
    return EvaluationReport((case,), made_by or Provenance())


def _difference(
    one: Any, other: Any, infos: tuple[LayerInfo | None, LayerInfo | None]
) -> str | None:
    if one.data.shape != other.data.shape:
        return f"{one.data.shape} voxels against {other.data.shape}"
    if infos[0] is None or infos[1] is None:
        return None
    return infos[0].subject.geometry.differs_from(infos[1].subject.geometry)


def _cells(result: Any) -> tuple[str, ...]:
    return (
        _number(result.dice, 3),
        _number(result.hd95_mm, 1),
        _number(result.msd_mm, 2),
        _number(result.volume_pred_ml, 1),
        _number(result.volume_ref_ml, 1),
    )


def _number(value: float | None, digits: int) -> str:
    if value is None:
        return "–"
    return "∞" if value == float("inf") else f"{value:.{digits}f}"


def _help(field: str) -> str:
    return EvaluateJob.model_fields[field].description or ""
