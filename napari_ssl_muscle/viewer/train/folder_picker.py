"""Choosing folders with scans that need no labels, and what is found in them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from magicgui.widgets import Container, Widget
from psygnal import Signal

from napari_ssl_muscle.jobs.settings import PretrainJob
from napari_ssl_muscle.jobs.training_data.folder_summary import (
    FolderSummary,
    summarise_unlabelled,
)
from napari_ssl_muscle.learning.events import Emit, Finished, ShouldStop
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.background import ENDINGS, ThreadTask
from napari_ssl_muscle.viewer.widgets.form import (
    Fields,
    choice,
    paragraph,
    row,
    small_button,
)
from napari_ssl_muscle.viewer.widgets.job_fields import JobFields

BETWEEN = ";"
"""Between folders in one line; the systems' own separators differ."""

EACH = "each by itself"
TOGETHER = "all of them together"


class ScansPicker(Container[Widget]):
    """A line of folders, what is in them, and which of their images to learn from."""

    looked = Signal(description="The folders were looked into, or another choice was made.")

    def __init__(self) -> None:
        self.view: FolderSummary | None = None
        self._look: ThreadTask | None = None
        fields = JobFields(PretrainJob)
        self.folders = fields.line("cohorts", hint="folder(s) with scans")
        self.add_button = small_button("Add…", "Add a folder with scans.")
        self.channel = choice([], tooltip=fields.help("channels"), label="Images")
        self.rows = Fields(row(self.folders, self.add_button, label="Scans"))
        self.channel_row = Fields(self.channel)
        self.summary = paragraph()
        super().__init__(widgets=[self.rows, self.summary, self.channel_row], labels=False)
        self.margins = (0, 0, 0, 0)
        self.summary.hide()
        self.channel_row.hide()
        self.folders.changed.connect(self._look_again)
        self.add_button.changed.connect(self._add)

    @property
    def channels(self) -> list[str] | None:
        """The channels that are learned together; None for every image by itself."""
        if self.view is None or len(self.view.channels) < 2 or self.channel.value == EACH:
            return None
        if self.channel.value == TOGETHER:
            return list(self.view.channels)
        return [str(self.channel.value)]

    def _add(self) -> None:
        folder = dialogs.ask_folder("Folder with scans", self.native.window())
        if folder is not None:
            before = self.folders.value.strip().rstrip(BETWEEN)
            self.folders.value = f"{before}{BETWEEN} {folder}" if before else str(folder)

    def _look_again(self, *_: object) -> None:
        """Read what is in the folders, in a thread: many scans take a while."""
        self.view = None
        self._look = None
        self.channel_row.hide()
        names = [part.strip() for part in self.folders.value.split(BETWEEN) if part.strip()]
        folders = tuple(Path(name).expanduser() for name in names)
        missing = [folder for folder in folders if not folder.is_dir()]
        if not folders or missing:
            self._say(f"⚠ There is no folder {missing[0]}." if missing else "")
            self.looked.emit()
            return
        self._say("Looking into the folder …")

        def look(emit: Emit, stop: ShouldStop) -> FolderSummary:
            return summarise_unlabelled(folders)

        self._look = ThreadTask(look, self.native)
        self._look.bridge.arrived.connect(partial(self._show, self._look))
        self._look.start()
        self.looked.emit()

    def _show(self, look: ThreadTask, event: Any) -> None:
        if look is not self._look or not isinstance(event, ENDINGS):
            return  # the user has chosen other folders meanwhile
        self._look = None
        if not isinstance(event, Finished):
            self._say(f"⚠ {getattr(event, 'sentence', '')}")
            self.looked.emit()
            return
        view: FolderSummary = look.result
        self.view = view
        self._say(view.description)
        names = [EACH, *view.channels, TOGETHER]
        self.channel.choices = [(name, name) for name in names]
        self.channel_row.visible = len(view.channels) > 1
        self.looked.emit()

    def _say(self, text: str) -> None:
        self.summary.value = text
        self.summary.visible = bool(text)
