"""Offers back what was drawn in an earlier session and never saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from magicgui.widgets import Container, PushButton, Widget

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.study.unsaved.unsaved_files import DAYS_KEPT
from napari_ssl_muscle.viewer.correct.session import CorrectionSession
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.form import paragraph, row
from napari_ssl_muscle.viewer.widgets.qt_lifetime import call_later


class UnsavedPanel(Container[Widget]):
    """Restores or discards, and brings discarded work back; a dialog asks once for each scan."""

    def __init__(self) -> None:
        self._corrections: CorrectionSession | None = None
        self.text = paragraph()
        self.restore_button = PushButton(text="Restore", tooltip="Put the changes back.")
        self.discard_button = PushButton(
            text="Discard…", tooltip=f"Put them away; they can come back for {DAYS_KEPT} days."
        )
        self.back_button = PushButton(
            text="Bring discarded changes back",
            tooltip="What was discarded last comes back, over what was drawn since.",
        )
        self.answers = row(self.restore_button, self.discard_button)
        self.answers.native.layout().setStretch(1, 1)
        super().__init__(widgets=[self.text, self.answers, self.back_button], labels=False)
        self.margins = (0, 0, 0, 0)
        self.restore_button.changed.connect(self.restore)
        self.discard_button.changed.connect(self._on_discard)
        self.back_button.changed.connect(self._bring_back)

    def show_corrections(self, corrections: CorrectionSession | None) -> None:
        """Show what waits for a scan's labels."""
        self._corrections = corrections
        unsaved = None if corrections is None else corrections.unsaved
        discarded = corrections is not None and corrections.store.discarded()
        for part in (self.text, self.answers):
            part.visible = unsaved is not None
        self.back_button.visible = discarded and unsaved is None
        self.visible = unsaved is not None or discarded
        if unsaved is not None:
            self.text.value = _sentence(corrections)
        if unsaved is not None and corrections is not None and not corrections.asked:
            corrections.asked = True
            call_later(self.native, lambda: self._ask(corrections))

    def restore(self) -> None:
        """Put the changes back; a problem is shown in a dialog."""
        if self._corrections is not None:
            self._try(self._corrections.restore)

    def _ask(self, corrections: CorrectionSession) -> None:
        if corrections.unsaved is None or not dialogs.can_ask():
            return
        answer = dialogs.ask_restoring(
            f"{corrections.scan.name}: {_sentence(corrections)} Restore them?", self._window()
        )
        if answer == "restore":
            self._try(corrections.restore)
        elif answer == "discard":
            self._try(corrections.discard)

    def _on_discard(self) -> None:
        corrections = self._corrections
        if corrections is None or corrections.unsaved is None:
            return
        if dialogs.confirm(
            f"Discard {corrections.unsaved.voxels:,} voxels of {corrections.scan.name}? They can "
            f"be brought back for {DAYS_KEPT} days.",
            "Discard",
            self._window(),
        ):
            self._try(corrections.discard)

    def _bring_back(self) -> None:
        if self._corrections is not None:
            self._try(self._corrections.bring_back)

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except BadInput as problem:
            dialogs.show_problem(str(problem), parent=self._window())

    def _window(self) -> Any:
        return self.native.window()


def _sentence(corrections: CorrectionSession | None) -> str:
    unsaved = None if corrections is None else corrections.unsaved
    if unsaved is None:
        return ""
    return (
        f"{unsaved.voxels:,} voxels that were changed until {unsaved.until:%d %b, %H:%M} "
        "were not saved."
    )
