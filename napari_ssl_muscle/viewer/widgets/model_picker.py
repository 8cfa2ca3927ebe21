"""Choosing a model: shipped ones, runs and files, with the card of the one that is chosen."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from html import escape
from pathlib import Path

from magicgui.widgets import Container, Widget
from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.text import format_card
from napari_ssl_muscle.learning.models.card import (
    RUN_FILE,
    ListedModel,
    check_segments,
    list_models,
    read_card,
)
from napari_ssl_muscle.paths import runs_folder
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.fold import Fold
from napari_ssl_muscle.viewer.widgets.form import (
    Fields,
    choice,
    paragraph,
    row,
    small_button,
)
from napari_ssl_muscle.viewer.widgets.qt_lifetime import listen


class KnownModels:
    """Model files that were browsed to or trained elsewhere since the program started.

    All model lists share them.
    """

    changed = Signal(description="There may be other models than before.")

    def __init__(self) -> None:
        self.paths: list[Path] = []

    def add(self, path: Path) -> None:
        """Remember a model file."""
        if path not in self.paths:
            self.paths.append(path)
        self.changed.emit()

    def listed(self) -> list[ListedModel]:
        """Return shipped models, those in the runs folder, and the ones remembered here."""
        found = list_models([runs_folder()])
        known = {model.path.resolve() for model in found}
        for path in self.paths:
            if path.resolve() not in known and path.is_file():
                with contextlib.suppress(BadInput):
                    found.append(ListedModel(path, read_card(path)))
        return found


MODELS = KnownModels()
"""The one list of this process."""


def title_of(model: ListedModel) -> str:
    """Return what a model is called in the list: its name, and where it is from if not shipped."""
    assert model.card is not None
    if model.shipped:
        return model.card.name
    place = model.path.parent.name if model.path.name == RUN_FILE else model.path.name
    return model.card.name if place == model.card.name else f"{model.card.name} ({place})"


class ModelPicker(Container[Widget]):
    """A list of models with "Browse…", and the card of the chosen one.

    Parameters
    ----------
    caption
        The word before the list.
    tasks
        Which kinds of models are listed.
    nothing
        If given, a first choice of this text means "no model".
    tooltip
        Of the list.
    unfolded
        Whether the card is shown from the start.
    """

    model_changed = Signal(description="Another model was chosen.")

    def __init__(
        self,
        caption: str,
        tasks: Sequence[str] = ("segmentation",),
        *,
        nothing: str | None = None,
        tooltip: str = "",
        unfolded: bool = True,
    ) -> None:
        self._tasks = tuple(tasks)
        self._nothing = nothing
        self.chosen_by_user = False
        self.list = choice(self._choices, tooltip=tooltip)
        self.browse_button = small_button(
            "Browse…", "Use a model file (.safetensors) from somewhere else."
        )
        self.card = paragraph()
        self.card.native.setTextFormat(Qt.TextFormat.RichText)
        self.card.native.setFrameShape(QFrame.Shape.StyledPanel)
        self.card.native.setMargin(6)
        self.about = Fold(
            "About this model",
            self.card,
            "Show or hide what is known of this model.",
            unfolded=unfolded,
        )
        super().__init__(
            widgets=[Fields(row(self.list, self.browse_button, label=caption)), self.about],
            labels=False,
        )
        self.margins = (0, 0, 0, 0)
        self.native.layout().setSpacing(2)
        self.browse_button.changed.connect(self._browse)
        self.list.changed.connect(self._on_changed)
        self.list.native.activated.connect(self._on_activated)
        listen(self.native, MODELS.changed, self.reset_choices)
        self._show_card()

    @property
    def model(self) -> ListedModel | None:
        """The chosen model; None for none."""
        value = self.list.value
        return value if isinstance(value, ListedModel) else None

    @property
    def reference(self) -> str | None:
        """The chosen model as a job names it: a shipped one's name, otherwise its path."""
        model = self.model
        if model is None:
            return None
        return model.path.stem if model.shipped else str(model.path)

    @property
    def models(self) -> list[ListedModel]:
        """All models in the list."""
        return [value for value in self.list.choices if isinstance(value, ListedModel)]

    def reset_choices(self, *_: object) -> None:
        """Look for models again; the chosen one stays chosen."""
        self.choose()

    def choose(self, path: Path | None = None) -> None:
        """Look for models again, and choose one by its file."""
        wanted = path or (self.model.path if self.model is not None else None)
        self.list.reset_choices()
        for model in self.models:
            if model.path == wanted:
                self.list.value = model
        self._show_card()

    def add(self, path: Path) -> None:
        """Put a model file into the list and choose it.

        Raises
        ------
        BadInput
            If it is no model, or one of another kind.
        """
        card = read_card(path)
        if card.task not in self._tasks:
            check_segments(card)
        self.chosen_by_user = True
        MODELS.add(path)
        self.choose(path)

    def _choices(self, _: object) -> list[tuple[str, object]]:
        choices: list[tuple[str, object]] = [(self._nothing, "")] if self._nothing else []
        names: set[str] = set()
        for model in MODELS.listed():
            if model.card is None or model.card.task not in self._tasks:
                continue
            title = title_of(model)
            if title in names:
                title = f"{title} – {model.path}"
            names.add(title)
            choices.append((title, model))
        return choices or [("none found", "")]

    def _browse(self) -> None:
        path = dialogs.ask_model(self.native.window())
        if path is None:
            return
        dialogs.attempt(lambda: self.add(path), self.native.window())

    def _on_activated(self, _: int) -> None:
        self.chosen_by_user = True

    def _on_changed(self) -> None:
        self._show_card()
        self.model_changed.emit()

    def fold(self) -> None:
        """Fold the card away, to make room for what comes of the choice."""
        self.about.set_unfolded(False)

    def _show_card(self) -> None:
        model = self.model
        self.about.visible = model is not None
        if model is None or model.card is None:
            return
        self.card.value = "".join(
            f"<p style='margin:0 0 3px 0'><b>{escape(caption)}:</b> {escape(text)}</p>"
            for caption, text in format_card(model.card)
        )
        self.card.tooltip = str(model.path)
