"""After a fine-tuning on corrections: old and new model compared, and one of them kept."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial
from html import escape
from pathlib import Path
from typing import Any
from weakref import ref

from magicgui.widgets import Container, PushButton, Widget
from psygnal import Signal
from qtpy.QtCore import Qt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.settings import CompareJob
from napari_ssl_muscle.learning.events import Emit, Finished, ShouldStop
from napari_ssl_muscle.learning.models import card
from napari_ssl_muscle.learning.models.card import find_model, read_card
from napari_ssl_muscle.study.study import Study
from napari_ssl_muscle.viewer.train.side_by_side import (
    FrontScan,
    SideBySide,
    predict_both,
    scan_in_front,
)
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.background import Target, ThreadTask
from napari_ssl_muscle.viewer.widgets.form import heading, paragraph, row
from napari_ssl_muscle.viewer.widgets.qt_lifetime import when_destroyed
from napari_ssl_muscle.viewer.widgets.run_panel import RunPanel

NO_OLD = (
    "This training did not start from a model that knows muscles, so there is no old model to "
    "compare the new one with."
)
NO_SCAN = "Open a scan to see both predictions side by side."


class ModelDecision(Container[Widget]):
    """Compares the model that a fine-tuning started from with what came out, and asks which stays.

    Nothing is chosen silently: the better one is named, and the person presses a button.
    """

    model_kept = Signal(object, description="The file of the model that the person keeps.")
    segmentation_requested = Signal(
        object, description="The scan is to be segmented again with this model's file."
    )
    ended = Signal(description="Comparing, or predicting, has ended one way or another.")

    def __init__(self, viewer: Any) -> None:
        self.side = SideBySide(viewer)
        self._viewer = viewer
        self._study: Path | None = None
        self._old: Path | None = None
        self._new: Path | None = None
        self._work: ThreadTask | None = None
        self._front: FrontScan | None = None
        self._kept: str | None = None
        self.title = heading("Keep the old or the new model?")
        self.panel = RunPanel("scan")
        self.text = paragraph()
        self.table = paragraph()
        self.table.native.setTextFormat(Qt.TextFormat.RichText)
        self.advice = paragraph()
        self.new_button = PushButton(
            text="Keep the new model", tooltip="Go on with the model that was just trained."
        )
        self.old_button = PushButton(
            text="Keep the old model", tooltip="Go on with the model that the training began with."
        )
        self.side_button = PushButton(
            text="Show both side by side",
            tooltip="Let both models label the open scan, and show the results beside each other.",
        )
        self.back_button = PushButton(
            text="Back to my labels", tooltip="Take both predictions away again."
        )
        self.answer = paragraph()
        self.again_button = PushButton(
            text="Segment again with it",
            tooltip="Label the open scan with the new model; what you drew and accepted stays.",
        )
        self.keep_row = row(self.new_button, self.old_button)
        self.keep_row.native.layout().setStretch(1, 1)
        super().__init__(
            widgets=[
                self.title,
                self.panel,
                self.text,
                self.table,
                self.advice,
                self.side_button,
                self.back_button,
                self.keep_row,
                self.answer,
                self.again_button,
            ],
            labels=False,
        )
        self.margins = (0, 0, 0, 0)
        self.native.layout().setSpacing(6)
        self.new_button.changed.connect(self.keep_new)
        self.old_button.changed.connect(self.keep_old)
        self.side_button.changed.connect(self.show_both)
        self.back_button.changed.connect(self.leave)
        self.again_button.changed.connect(self._ask_again)
        self.panel.ended.connect(self._on_ended)
        when_destroyed(self.native, partial(_leave, ref(self.side)))
        self.clear()

    def begin(self, study: Path, old: str | None, new: Path) -> None:
        """Ask which model stays, and compare them on the study's held-out slices if there is one.

        Parameters
        ----------
        study
            The study's folder.
        old
            The model that the training began with, as a job names it; None for nothing.
        new
            The file of the model that came out.
        """
        self.clear()
        self._study, self._new = study, new
        with contextlib.suppress(BadInput):
            path = None if old is None else find_model(old)
            if path is not None and read_card(path).task == "segmentation":
                self._old = path
        self.show()
        self._offer()
        if self._old is None:
            _say(self.text, NO_OLD)
            return
        job = CompareJob(
            old=str(self._old), new=str(new), study=study, out=new.parent, overwrite=True
        )

        def work(emit: Emit, stop: ShouldStop) -> dict[str, Any]:
            from napari_ssl_muscle.jobs.actions import compare  # here, because it imports scipy

            return compare.prepare(job)(emit, stop).result

        self._run(work)

    def clear(self) -> None:
        """Forget what was asked, end what runs for it, and hide."""
        self.panel.cancel()
        self.side.leave()
        self._study = self._old = self._new = self._work = self._front = self._kept = None
        for text in (self.text, self.table, self.advice, self.answer):
            _say(text, "")
        self._offer()
        self.hide()

    def show_both(self) -> None:
        """Let both models label the scan in front, and show the results side by side."""
        if self._old is None or self._new is None or self._work is not None:
            return
        front = scan_in_front(self._viewer)
        if front is None:
            _say(self.answer, NO_SCAN)
            return
        self._front = front
        self._run(partial(predict_both, (self._old, self._new), front.image.data, front.scan))

    def leave(self) -> None:
        """Take both predictions away again."""
        self.side.leave()
        if self._kept is None:
            _say(self.answer, "")
        self._offer()

    def keep_new(self) -> None:
        """Go on with the new model."""
        self._keep("new", self._new, self._old)

    def keep_old(self) -> None:
        """Go on with the old model."""
        self._keep("old", self._old, self._new)

    def _keep(self, which: str, model: Path | None, other: Path | None) -> None:
        if model is None or self._study is None:
            return
        self._kept = which
        self.leave()
        study, name = self._study, model.stem if _shipped(model) else model
        # Where that fails, it is still the one to go on with, until the window closes.
        dialogs.attempt(lambda: Study.read(study).set_model(name), self.native.window())
        text = f"✓ You go on with the {which} model."
        if other is not None:
            where = "in the list of models" if _shipped(other) else f"in {other.parent}"
            text += f" The {'old' if which == 'new' else 'new'} one stays {where}."
        _say(self.answer, text)
        self.model_kept.emit(model)

    def _ask_again(self) -> None:
        if self._new is not None:
            self.segmentation_requested.emit(self._new)

    def _run(self, target: Target) -> None:
        self._work = ThreadTask(target, self.native)
        self._offer()
        self.panel.run(self._work)

    def _on_ended(self, event: object) -> None:
        work, self._work = self._work, None
        front, self._front = self._front, None
        result = work.result if work is not None and isinstance(event, Finished) else None
        if front is None:
            self._on_compared(result)
        elif result is not None and front.image in self._viewer.layers:
            where = self.side.show(front, result)
            _say(self.answer, f"The old model's labels are {where}. The slider moves both.")
        self._offer()
        self.panel.visible = self._work is not None or result is None  # it says why not
        self.ended.emit()

    def _on_compared(self, result: Mapping[str, Any] | None) -> None:
        """Show what the comparison found; where that says too little, both predictions as well."""
        if result is None:
            return
        _say(self.text, "\n".join(result.get("notes") or [result["text"]]))
        if "muscles" in result:
            _say(self.table, _table(result["muscles"], result["mean_dice"]))
        better = result["better"]
        if better is not None:
            means = result["mean_dice"]
            high, low = means[better], means["old" if better == "new" else "new"]
            advice = (
                f"The {better} model does better on these slices (mean Dice {high:.3f} instead of "
                f"{low:.3f}): keeping it is recommended."
            )
        elif result["enough"]:
            advice = "Neither does better on these slices."
        else:
            advice = "Look at both predictions, and keep the one that needs less correcting."
        _say(self.advice, advice)
        # Not while the person draws in another step: the labels would vanish under the pen.
        if not result["enough"] and self.native.isVisible():
            self.show_both()

    def _offer(self) -> None:
        """Show the buttons that make sense now."""
        busy, both = self._work is not None, self._old is not None and self._new is not None
        self.panel.visible = busy
        self.side_button.visible = both and not self.side.shown
        self.side_button.enabled = not busy
        self.back_button.visible = self.side.shown
        self.old_button.visible = both
        self.new_button.enabled = not busy and self._kept != "new"
        self.old_button.enabled = not busy and self._kept != "old"
        self.again_button.visible = self._kept == "new"


def remembered_model(study: Study) -> Path | None:
    """Return the file of the model that was kept in a study; None if there is none any more."""
    with contextlib.suppress(BadInput):
        kept = study.model
        return None if kept is None else find_model(kept)
    return None


def _shipped(model: Path) -> bool:
    return model.parent == card.shipped_folder()


def _say(label: Widget, text: str) -> None:
    label.value = text  # type: ignore[attr-defined]
    label.visible = bool(text)


def _table(
    muscles: Mapping[str, Mapping[str, float | None]], mean: Mapping[str, float | None]
) -> str:
    """Return the Dice of both models, muscle by muscle and on average, as rich text."""
    rows = "".join(_line(escape(name), dice) for name, dice in muscles.items())
    return (
        "<table width='100%' cellspacing='0' cellpadding='2'><tr><td><b>Dice</b></td>"
        "<td align='right'><b>old</b></td><td align='right'><b>new</b></td>"
        f"<td align='right'><b>change</b></td></tr>{_line('<b>mean</b>', mean)}{rows}</table>"
    )


def _line(name: str, dice: Mapping[str, float | None]) -> str:
    old, new = dice["old"], dice["new"]
    change = "–" if old is None or new is None else f"{new - old:+.3f}".replace("-", "−")
    cells = ("–" if old is None else f"{old:.3f}", "–" if new is None else f"{new:.3f}", change)
    numbers = "".join(f"<td align='right'>&nbsp;{cell}</td>" for cell in cells)
    return f"<tr><td>{name}</td>{numbers}</tr>"


def _leave(side: ref[SideBySide]) -> None:
    there = side()
    if there is not None:
        with contextlib.suppress(RuntimeError):  # the whole window is being closed
            there.leave()
