"""The bases of the forms that work on what is open in a viewer."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any

from magicgui.widgets import PushButton, Widget
from magicgui.widgets.bases import ValueWidget

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.events import Finished
from napari_ssl_muscle.viewer.layers.layer_lists import listen_to_layers
from napari_ssl_muscle.viewer.layers.scan_layers import unwrap
from napari_ssl_muscle.viewer.session import session_of
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.background import BackgroundTask
from napari_ssl_muscle.viewer.widgets.form import Form, main_button
from napari_ssl_muscle.viewer.widgets.model_picker import ModelPicker
from napari_ssl_muscle.viewer.widgets.qt_lifetime import listen
from napari_ssl_muscle.viewer.widgets.run_panel import RunPanel


class ViewerForm(Form):
    """A form that belongs to a viewer, whose session begins with it.

    Parameters
    ----------
    napari_viewer
        The viewer.
    title
        On its tab.
    """

    def __init__(self, napari_viewer: Any, title: str) -> None:
        self.viewer = unwrap(napari_viewer)
        self.session = session_of(self.viewer)
        super().__init__(title)

    def follow_layers(self) -> None:
        """From now on, read the open layers again when they change, and follow the active one."""
        listen_to_layers(self.native, self.viewer, self.reset_choices)
        active = self.viewer.layers.selection.events.active
        listen(self.native, active, lambda event: self.follow(unwrap(event.value)))

    def remember(self, **widgets: ValueWidget[Any]) -> None:
        """Fill in what was entered in an earlier form of the viewer, and note what is from now on.

        Called once the form is complete. A widget that sets others comes before them.
        """
        keys = {f"{self._title}/{name}": widget for name, widget in widgets.items()}
        for key, widget in keys.items():
            if key in self.session.entered:
                with contextlib.suppress(ValueError):  # no longer among the choices
                    widget.value = self.session.entered[key]
        for key, widget in keys.items():
            widget.changed.connect(partial(self.session.entered.__setitem__, key))

    def remember_model(self, name: str, picker: ModelPicker) -> None:
        """Choose the model that was chosen by hand in an earlier form, and note who is next."""
        key, entered = f"{self._title}/{name}", self.session.entered
        if key in entered:
            with contextlib.suppress(BadInput):  # its file may be gone
                picker.add(entered[key])

        def note(*_: object) -> None:
            if picker.chosen_by_user and picker.model is not None:
                entered[key] = picker.model.path
            elif picker.chosen_by_user:
                entered.pop(key, None)

        picker.model_changed.connect(note)
        picker.list.native.activated.connect(note)  # comes after the change that the user made

    def follow(self, layer: Any) -> None:
        """Choose what belongs to a layer that was picked in the layer list."""


class WorkForm(ViewerForm):
    """A form with a button that starts work, and a panel that shows it.

    A subclass puts the parts into the form, and calls `_update` at the end. `button` is text and
    tooltip of the one that starts, `unit` what the panel counts.
    """

    def __init__(self, napari_viewer: Any, title: str, button: tuple[str, str], unit: str) -> None:
        super().__init__(napari_viewer, title)
        self._task: Any = None
        self.start_button: PushButton = main_button(*button)
        self.panel = RunPanel(unit)
        self._message: tuple[str, Sequence[Any]] = ("", ())
        self.start_button.changed.connect(self.start)
        listen(self.native, self.viewer.layers.events.removed, self._on_layer_removed)
        self.panel.ended.connect(self._on_ended)

    @property
    @abstractmethod
    def inputs(self) -> Sequence[Widget]:
        """What cannot be changed while the work goes on."""

    @abstractmethod
    def task(self) -> BackgroundTask:
        """Return the work that the form asks for.

        Raises
        ------
        BadInput
            If something is missing or refused.
        """

    def show_answer(self, answer: Any) -> None:
        """Show what the work returned; only work in a thread returns something."""

    def start(self) -> None:
        """Begin (the button); a problem is shown in a dialog."""
        task = dialogs.attempt(self.task, self.native.window())
        if task is not None:
            self.run(task)

    def run(self, task: BackgroundTask) -> None:
        """Start work and show it."""
        self._task = task
        self._enable(False)
        self.panel.run(task)
        self.scroll_to(self.panel)

    def show_message(self, text: str, layers: Sequence[Any]) -> None:
        """Show what came out; it goes when none of the layers that it is about is left."""
        self._message = (text, list(layers))
        self.panel.show_text(text)

    def forget_answer(self) -> None:
        """Show no longer what makes no sense without the layers, which are gone."""

    def _on_layer_removed(self, *_: object) -> None:
        text, layers = self._message
        if not layers or any(layer in self.viewer.layers for layer in layers):
            return
        self._message = ("", ())
        if self.panel.status.value == text:
            self.panel.show_text("")
        self.forget_answer()
        self._update()

    def _on_ended(self, event: object) -> None:
        task, self._task = self._task, None
        self._enable(True)
        if isinstance(event, Finished) and task is not None:
            self.show_answer(task.result)

    def _enable(self, free: bool) -> None:
        for part in (*self.inputs, self.start_button):
            part.enabled = free
        if free:
            self._update()

    def _update(self, *_: object) -> None:
        """Say what is missing, and show the shell command."""

    def show_missing(self, sentence: str) -> None:
        """Say what is missing; "" says that it no longer is. The button is enabled accordingly."""
        if self.panel.running:
            return
        self.start_button.enabled = not sentence
        if sentence or self.panel.status.value == self._missing:
            self.panel.show_text(sentence)
        self._missing = sentence

    _missing = ""
