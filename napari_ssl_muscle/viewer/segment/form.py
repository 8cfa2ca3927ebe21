"""The form "Segment muscles": scan and model in, labels as one undoable step out, save."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import CheckBox, ComboBox
from napari.layers import Image
from qtpy.QtWidgets import QMenu

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.cli_options import shell_command
from napari_ssl_muscle.jobs.settings import SegmentJob
from napari_ssl_muscle.learning.events import Finished
from napari_ssl_muscle.learning.models.model_fit import ModelFit, ScanProperties, find_fit
from napari_ssl_muscle.text_table import counted
from napari_ssl_muscle.viewer.layers.changes import find_changes
from napari_ssl_muscle.viewer.layers.grid import is_picture
from napari_ssl_muscle.viewer.layers.prediction_history import history_of
from napari_ssl_muscle.viewer.layers.scan_layers import (
    OpenScan,
    ensure_info,
    info_of,
    label_data,
    layers_of,
    show_table,
    unwrap,
)
from napari_ssl_muscle.viewer.layers.uncertainty_layer import show_uncertainty, uncertainty_of
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.segment.save_panel import SavePanel
from napari_ssl_muscle.viewer.segment.worker import SegmentAnswer, Segmenter, SegmentRequest
from napari_ssl_muscle.viewer.session import session_of
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.background import ThreadTask
from napari_ssl_muscle.viewer.widgets.form import (
    CommandLine,
    Fields,
    Form,
    choice,
    main_button,
    paragraph,
    refresh,
    row,
    small_button,
)
from napari_ssl_muscle.viewer.widgets.model_picker import ModelPicker
from napari_ssl_muscle.viewer.widgets.qt_lifetime import call_later, listen
from napari_ssl_muscle.viewer.widgets.run_panel import RunPanel

if TYPE_CHECKING:
    import napari.viewer

NO_SCAN = "Open a scan first: 'Open…' above, or try the leg phantom."
NO_MODEL = "No model is chosen; pick one from the list, or choose a file with 'Browse…'."


class SegmentForm(Form):
    """Segments the muscles of an open scan.

    Parameters
    ----------
    napari_viewer
        The viewer; napari fills it in.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        self.viewer = unwrap(napari_viewer)
        session_of(self.viewer)
        self._segmenter = Segmenter()
        self._request: SegmentRequest | None = None
        self._work: ThreadTask | None = None
        self._look: ThreadTask | None = None
        self._asked: tuple[Any, Any] | None = None
        super().__init__("Segment muscles")
        self.open_button = small_button("Open…", "Open a scan, a folder or the sample.")
        self._menu = QMenu(self.open_button.native)
        self._menu.addAction("Scans (NIfTI)…", self._open_files)
        self._menu.addAction("Cohort folder…", self._open_folder)
        self._menu.addAction("Leg phantom (sample)", self._open_sample)
        self.open_button.native.setMenu(self._menu)
        self.scans: list[ComboBox] = []
        self.scan_rows = Fields()
        self.model = ModelPicker(
            "Model", tooltip="What has learned to tell the muscles apart; its card is below."
        )
        self.segment_button = main_button(
            "Segment muscles",
            "Label the muscles in the whole scan. One undo step (Ctrl+Z) takes the labels back.",
        )
        self.keep_drawn = CheckBox(
            value=True,
            text="Keep what I drew",
            tooltip="A new prediction leaves alone what was drawn or erased by hand since the last "
            "one.",
        )
        self.fit = paragraph()
        self.panel = RunPanel("slice")
        self.saving = SavePanel(self.viewer)
        self.command = CommandLine()
        self.add_parts(
            self.scan_rows,
            self.model,
            self.fit,
            self.keep_drawn,
            self.segment_button,
            self.panel,
            self.saving,
            self.command,
        )
        self._build_scan_rows()
        self.model.picked.connect(self._on_model)
        self.segment_button.changed.connect(self.start)
        self.panel.ended.connect(self._on_ended)
        self.saving.path.changed.connect(self._show_command)
        layers = self.viewer.layers
        for name in ("inserted", "removed", "reordered", "renamed"):
            listen(self.native, getattr(layers.events, name), self.reset_choices)
        listen(self.native, layers.selection.events.active, self._follow)
        self._update()

    def reset_choices(self, *_: object) -> None:
        """Read the open layers again; chosen ones stay chosen, under whatever name."""
        for box in self.scans:
            refresh(box)
        self.saving.reset_choices()
        self._update()

    def job(self) -> SegmentJob | None:
        """Return the job that the form equals; None where a shell could not do it."""
        infos = [info_of(layer) for layer in self._images()]
        scan = infos[0].scan.file if infos and infos[0] is not None else None
        model = self.model.reference
        if scan is None or model is None or len(infos) != 1:
            return None
        path = infos[0].path if infos[0] is not None else None
        target = self.saving.path.value.strip()
        return SegmentJob(
            scans=[path or scan.path],
            model=model,
            out=Path(target).parent if target else scan.path.parent,
            volume=scan.volume,
        )

    def start(self) -> None:
        """Begin to segment (the button); a problem is told in a dialog."""
        try:
            self._request = self._ask_for()
        except BadInput as problem:
            dialogs.tell(str(problem), parent=self.native.window())
            return
        request = self._request
        self._work = ThreadTask(lambda emit, stop: self._segmenter.run(request, emit, stop))
        self._enable(False)
        self.model.fold()  # else results and "Save labels" lie below the window's edge
        self.panel.run(self._work)
        self.scroll_to(self.panel)

    def choose_fitting_model(self) -> None:
        """Choose a model that suits the chosen scan, and wait for the answer."""
        question = self._question()
        if question is not None:
            self._show_fit(find_fit(question))

    def _ask_for(self) -> SegmentRequest:
        images = self._images()
        if not images:
            raise BadInput(NO_SCAN)
        if self.model.model is None:
            raise BadInput(NO_MODEL)
        infos = [ensure_info(layer) for layer in images]
        scan = infos[0].scan
        for layer in images:
            if layer.data.shape != images[0].data.shape:
                raise BadInput(
                    f"'{images[0].name}' and '{layer.name}' do not lie on the same grid; "
                    "choose images of one scan."
                )
        target = self._target(scan)
        return SegmentRequest(
            model=self.model.model.path,
            images=tuple(layer.data for layer in images),
            scan=scan,
            current=target.data if target is not None else None,
        )

    def _images(self) -> list[Any]:
        """Return the chosen image layers that are still open."""
        chosen = [box.value for box in self.scans]
        return [layer for layer in chosen if layer is not None and layer in self.viewer.layers]

    def _targets(self, scan: OpenScan) -> list[Any]:
        """Return the scan's prediction layers: first the one whose corrections are kept."""
        there = layers_of(self.viewer, scan, "prediction")
        kept = session_of(self.viewer).corrections.of(there[0]) if there else None
        return sorted(there, key=lambda layer: kept is None or layer is not kept.layer)

    def _target(self, scan: OpenScan) -> Any:
        """Return the first of the scan's prediction layers; None if there is none."""
        return next(iter(self._targets(scan)), None)

    def _on_ended(self, event: object) -> None:
        request, self._request = self._request, None
        work, self._work = self._work, None
        self._enable(True)
        if isinstance(event, Finished) and work is not None and request is not None:
            self._show(request, work.result)

    def _show(self, request: SegmentRequest, answer: SegmentAnswer) -> None:
        there = self._targets(request.scan)
        if not there and not layers_of(self.viewer, request.scan, "image"):
            self.panel.say(
                f"{request.scan.name} was closed meanwhile; its new labels are not shown. Open "
                "it again to segment it."
            )
            return
        spared = 0
        layer = next((one for one in there if _takes(one, answer)), None)
        if layer is not None:
            changes = answer.changes
            if changes is None or layer.data is not request.current:
                # Another layer, or other data in it, than when the work began.
                changes = find_changes(layer.data, answer.labels)
            show_table(layer, answer.table)
            spared = history_of(layer).predict(
                changes,
                keep_drawn=self.keep_drawn.value,
                confidence=answer.confidence,
                made_by=answer.provenance,
            )
        else:
            # Other muscles than those of the old labels, or no layer to write into: a new one,
            # empty at first, so that here, too, one undo takes the prediction back.
            empty = answer.labels * 0
            data, meta, _ = label_data(request.scan, "prediction", empty, table=answer.table)
            layer = self.viewer.add_labels(data.astype(answer.labels.dtype), **meta)
            # Not so empty if the scan has a study: its labels are put there at once.
            spared = history_of(layer).predict(
                find_changes(layer.data, answer.labels),
                keep_drawn=self.keep_drawn.value,
                confidence=answer.confidence,
                made_by=answer.provenance,
            )
        info = info_of(layer)
        if info is not None:
            info.provenance = answer.provenance
        self._show_uncertainty(request.scan, answer.uncertainty)
        layer.visible = True
        self.viewer.layers.selection.active = layer
        self.saving.choose(layer)
        for note in answer.notes:
            if note not in self.fit.value:
                self.panel.note(note)
        count = len(answer.found)
        missing = [name for name in answer.table.names if name not in answer.found]
        self.panel.say(
            f"✓ {counted(count, 'muscle')} in {answer.seconds:.0f} s, in the layer "
            f"'{layer.name}'. Ctrl+Z takes them back."
            + (f" Not found: {', '.join(missing)}." if missing else "")
            + (f" {spared:,} voxels stay as you drew them." if spared else "")
        )

    def _show_uncertainty(self, scan: OpenScan, doubt: np.ndarray | None) -> None:
        if doubt is None:
            return
        if uncertainty_of(self.viewer, scan) is not None:
            show_uncertainty(self.viewer, scan, doubt)
            return

        def add() -> None:
            if layers_of(self.viewer, scan, "image") or self._target(scan) is not None:
                show_uncertainty(self.viewer, scan, doubt)

        # napari takes a while to make a layer: not before the labels are drawn.
        call_later(self.native, lambda: call_later(self.native, add))

    def _enable(self, free: bool) -> None:
        for part in (self.scan_rows, self.model, self.segment_button, self.open_button):
            part.enabled = free
        if free:
            self._update()

    def _on_model(self) -> None:
        self._build_scan_rows()
        self._update()

    def _build_scan_rows(self) -> None:
        """Offer one image for each channel of the model."""
        model = self.model.model
        names = model.card.channels if model is not None and model.card is not None else [""]
        if len(names) == len(self.scans):
            return
        before = [box.value for box in self.scans]
        self.scan_rows.clear()
        self.scans = []
        for index, name in enumerate(names):
            box = choice(self._image_choices, tooltip="The image to segment.")
            if index < len(before):
                refresh(box, before[index])
            self.scans.append(box)
            box.changed.connect(self._update)
            label = "Scan" if len(names) == 1 else f"{name} image".capitalize()
            extra = (self.open_button,) if index == 0 else ()
            self.scan_rows.append(row(box, *extra, label=label))
        self.align_captions()

    def _image_choices(self, _: object) -> list[tuple[str, Any]]:
        return [
            (layer.name, layer)
            for layer in reversed(self.viewer.layers)
            if isinstance(layer, Image)
            and not is_picture(layer)
            and not layer.rgb
            and not layer.multiscale
            and layer.ndim in (2, 3)
        ]

    def _follow(self, event: Any) -> None:
        """Choose the scan that was picked in the layer list."""
        layer = unwrap(event.value)
        if layer is None or len(self.scans) != 1 or self.panel.running:
            return
        info = info_of(layer)
        if isinstance(layer, Image) and not is_picture(layer):
            refresh(self.scans[0], layer)
        elif info is not None:
            images = layers_of(self.viewer, info.scan, "image")
            if images and self.scans[0].value not in images:
                refresh(self.scans[0], images[0])
        if info is not None and (target := self._target(info.scan)) is not None:
            self.saving.choose(layer if info.role == "prediction" else target)

    def _update(self, *_: object) -> None:
        ready = bool(self._images()) and self.model.model is not None
        self.segment_button.enabled = ready and not self.panel.running
        if not self.panel.running and not self._images():
            self.panel.say(NO_SCAN)
        elif self.panel.status.value == NO_SCAN:
            self.panel.say("")
        if not self.panel.running:
            self._check_fit()
        self._show_command()

    def _question(self) -> ScanProperties | None:
        images = self._images()
        if not images or len(self.scans) != 1 or images[0].data.size == 0:
            return None
        # What the user picked stays; only a choice that nobody made is made better.
        free = not self.model.picked_by_hand
        return ScanProperties(
            image=images[0].data,
            spacing=ensure_info(images[0]).scan.geometry.spacing,
            chosen=self.model.model,
            others=tuple(self.model.models) if free else (),
        )

    def _check_fit(self) -> None:
        """Find out in a thread whether the model suits the scan, and say so if not."""
        question = self._question()
        if question is None or question.chosen is None:
            self._look = self._asked = None
            self.fit.hide()
            return
        before = self._asked
        if before is not None and before[0] is question.image and before[1] == question.chosen:
            return
        self._asked = (question.image, question.chosen)
        self._look = ThreadTask(lambda emit, stop: find_fit(question), self.native)
        self._look.bridge.arrived.connect(partial(self._on_fit, self._look))
        self._look.start()

    def _on_fit(self, look: ThreadTask, event: object) -> None:
        if look is self._look and isinstance(event, Finished):
            self._look = None
            if not self.panel.running:
                self._show_fit(look.result)

    def _show_fit(self, fit: ModelFit) -> None:
        if fit.model is not None and fit.model != self.model.model:
            self.model.look_again(fit.model.path)
        self.fit.value = "\n".join(f"⚠ {note}" for note in fit.notes)
        self.fit.visible = bool(fit.notes)

    def _show_command(self, *_: object) -> None:
        job = self.job()
        self.command.show_command(
            shell_command(job) if job is not None else None,
            "for scans opened from a file",
        )

    def _open_files(self) -> None:
        commands.open_paths(self.viewer, dialogs.ask_files(self.native.window()))

    def _open_folder(self) -> None:
        folder = dialogs.ask_folder("Open a cohort folder", self.native.window())
        commands.open_paths(self.viewer, [folder] if folder is not None else [])

    def _open_sample(self) -> None:
        commands.open_sample(self.viewer)


def _takes(layer: Any, answer: SegmentAnswer) -> bool:
    """Whether a prediction layer can take these labels.

    Its type must hold their values, and what is in it must mean the same muscles; an empty layer
    takes any.
    """
    if layer.data.shape != answer.labels.shape:
        return False
    if int(answer.labels.max(initial=0)) > np.iinfo(layer.data.dtype).max:
        return False
    info = info_of(layer)
    if info is None or info.table is None:
        return not layer.data.any()
    old, new = (
        {muscle.value: muscle.name for muscle in table.muscles}
        for table in (info.table, answer.table)
    )
    return old == new or not layer.data.any()
