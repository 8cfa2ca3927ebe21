"""Choosing folders to learn from (cohorts with or without labels, a study), and what they hold."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from magicgui.widgets import Container, Widget
from psygnal import Signal

from napari_ssl_muscle.jobs.training_data.folder_summary import FolderSummary
from napari_ssl_muscle.learning.events import Emit, Finished, ShouldStop
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.background import ENDINGS, ThreadTask
from napari_ssl_muscle.viewer.widgets.form import (
    Fields,
    choice,
    line,
    paragraph,
    row,
    small_button,
)

BETWEEN = ";"
"""Between folders in one line; the systems' own separators differ."""

LOOKING = "Looking into the folder …"
EACH = "each by itself"
TOGETHER = "all of them together"


class FolderPicker(Container[Widget]):
    """A line of folders, what is in them, and which of their images to learn from.

    Parameters
    ----------
    summarise
        Looks into the folders, in a thread.
    tooltip, hint
        Of the line.
    channel_tooltip
        Of the list of image channels, which is shown where there are several.
    title
        Of the dialog.
    several
        Whether several folders may be chosen, and each image learned from by itself.

    Attributes
    ----------
    contents
        What is in the folders; None while that is not known.
    """

    contents_changed = Signal(description="The folders were read, or other ones were chosen.")

    def __init__(
        self,
        summarise: Callable[[tuple[Path, ...]], FolderSummary],
        *,
        tooltip: str,
        hint: str,
        channel_tooltip: str,
        title: str,
        several: bool = False,
    ) -> None:
        self.contents: FolderSummary | None = None
        self._summarise = summarise
        self._title = title
        self._several = several
        self._look: ThreadTask | None = None
        self.folders = line(tooltip=tooltip, hint=hint)
        self.choose_button = (
            small_button("Add…", "Add a folder with scans.")
            if several
            else small_button("Choose…", "Choose the folder.")
        )
        self.summary = paragraph()
        self.channel = choice([], tooltip=channel_tooltip, label="Images" if several else "Image")
        self.channel_row = Fields(self.channel)
        super().__init__(
            widgets=[
                Fields(row(self.folders, self.choose_button, label="Scans")),
                self.summary,
                self.channel_row,
            ],
            labels=False,
        )
        self.margins = (0, 0, 0, 0)
        self.summary.hide()
        self.channel_row.hide()
        self.folders.changed.connect(self.reload)
        self.choose_button.changed.connect(self._choose)

    @property
    def channels(self) -> list[str] | None:
        """The channels that are learned together; None for each image by itself."""
        if self.contents is None or len(self.contents.channels) < 2 or self.channel.value == EACH:
            return None
        if self.channel.value == TOGETHER:
            return list(self.contents.channels)
        return [str(self.channel.value)]

    def choose(self, folder: Path) -> None:
        """Choose a folder; the chosen one is looked into again."""
        if self.folders.value.strip() == str(folder):
            self.reload()
        else:
            self.folders.value = str(folder)

    def reload(self, *_: object) -> None:
        """Read what is in the folders, in a thread: many scans take a while."""
        self.contents = None
        self._look = None
        self.channel_row.hide()
        text = self.folders.value
        names = [name.strip() for name in (text.split(BETWEEN) if self._several else [text])]
        folders = tuple(Path(name).expanduser() for name in names if name)
        missing = [folder for folder in folders if not folder.is_dir()]
        if not folders or missing:
            self._show_summary(f"⚠ There is no folder {missing[0]}." if missing else "")
            self.contents_changed.emit()
            return
        self._show_summary(LOOKING)

        def look(emit: Emit, stop: ShouldStop) -> FolderSummary:
            return self._summarise(folders)

        self._look = ThreadTask(look, self.native)
        self._look.bridge.arrived.connect(partial(self._on_event, self._look))
        self._look.start()
        self.contents_changed.emit()

    def _choose(self) -> None:
        folder = dialogs.ask_folder(self._title, self.native.window())
        if folder is not None:
            before = self.folders.value.strip().rstrip(BETWEEN) if self._several else ""
            self.folders.value = f"{before}{BETWEEN} {folder}" if before else str(folder)

    def _on_event(self, look: ThreadTask, event: Any) -> None:
        if look is not self._look or not isinstance(event, ENDINGS):
            return  # the user has chosen other folders meanwhile
        self._look = None
        if isinstance(event, Finished):
            self.contents = contents = look.result
            self._show_summary(contents.description)
            names = [*([EACH] if self._several else []), *contents.channels, TOGETHER]
            self.channel.choices = [(name, name) for name in names]
            self.channel_row.visible = len(contents.channels) > 1
        else:
            self._show_summary(f"⚠ {getattr(event, 'sentence', '')}")
        self.contents_changed.emit()

    def _show_summary(self, text: str) -> None:
        self.summary.value = text
        self.summary.visible = bool(text)
