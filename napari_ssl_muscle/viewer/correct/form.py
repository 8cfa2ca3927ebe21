"""The form "Correct": states of the slices, the next one to correct, and the study's folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, PushButton
from psygnal import Signal

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.study.slice_states import ACCEPTED
from napari_ssl_muscle.viewer.correct.focus import ClickToLeaveField
from napari_ssl_muscle.viewer.correct.keys import MUSCLE_KEYS, Keys, format_keys
from napari_ssl_muscle.viewer.correct.on_screen import require_slice
from napari_ssl_muscle.viewer.correct.session import CorrectionSession
from napari_ssl_muscle.viewer.correct.slice_table import SliceTable
from napari_ssl_muscle.viewer.correct.unsaved_panel import UnsavedPanel
from napari_ssl_muscle.viewer.layers.navigation import show_slice, slice_shown
from napari_ssl_muscle.viewer.layers.placement import (
    is_moved,
    listen_to_moves,
    moved_sentence,
    put_back,
    require_in_place,
)
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, layers_of, unwrap
from napari_ssl_muscle.viewer.layers.uncertainty_layer import uncertainty_of
from napari_ssl_muscle.viewer.muscles.muscle_list import MuscleList
from napari_ssl_muscle.viewer.muscles.table_editor import edit_table
from napari_ssl_muscle.viewer.session import session_of
from napari_ssl_muscle.viewer.widgets import dialogs
from napari_ssl_muscle.viewer.widgets.fold import Fold
from napari_ssl_muscle.viewer.widgets.form import (
    Fields,
    Form,
    column,
    line,
    paragraph,
    row,
    small_button,
    wrap_qt_widget,
)
from napari_ssl_muscle.viewer.widgets.qt_lifetime import listen, when_destroyed

if TYPE_CHECKING:
    import napari.viewer

    from napari_ssl_muscle.study.study import Study

NOTHING = "Open a scan first; its slices are listed here, and each can be accepted with one key."
NO_UNCERTAINTY = "Where the model is unsure is known after the next 'Segment muscles'."


class CorrectForm(Form):
    """Shows the states of a scan's slices, and sets them.

    Attributes
    ----------
    study_found
        Signal with the `Study` of the scan that is shown from now on, if it is in one.
    """

    study_found = Signal(object)

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        self.viewer = unwrap(napari_viewer)
        self._sessions = session_of(self.viewer).corrections
        self.corrections: CorrectionSession | None = None
        self._connections: list[Any] = []
        self._uncertainty_layer: Any = None
        self._uncertainty_connections: list[Any] = []
        self._finetune: Callable[[Path], None] | None = None
        self._save: Callable[[Any], str] | None = None
        super().__init__("Correct")
        self.title = paragraph(NOTHING)
        self.unsaved = UnsavedPanel()
        self.moved_text = paragraph()
        self.put_back_button = PushButton(
            text="Put it back", tooltip="Show the layer where its scan lies again."
        )
        self.moved = column(self.moved_text, self.put_back_button)
        self.muscles = MuscleList()
        self.table_button = PushButton(
            text="Muscles…", tooltip="Make or edit the table of muscles, or export it."
        )
        self.table = SliceTable()
        self.accept_button = PushButton(
            text="Accept (A)", tooltip="The labels of this slice are right. Again: take it back."
        )
        self.empty_button = PushButton(
            text="Empty (E)", tooltip="Accept this slice as having no muscle."
        )
        self.next_button = PushButton(
            text="Next (N)",
            tooltip="Go to the slice that the model is least sure of, spread along the leg.",
        )
        self.uncertainty = CheckBox(
            text="Show where the model is unsure",
            tooltip="Bright where the last prediction could as well be something else (U).",
        )
        self.status = paragraph()
        self.folder = line(
            tooltip="The study: accepted labels, and what is learned from them. It is made when "
            "the first slice is accepted."
        )
        self.folder_button = small_button("…", "Choose another folder.")
        self.folder_row = row(self.folder, self.folder_button, label="Study")
        self.place = Fields(self.folder_row)
        self.finetune_button = PushButton(
            text="Fine-tune on accepted slices…",
            tooltip="Go on to 'Fine-tune', with this study and the model that labelled the slices.",
        )
        self.finetune_button.hide()
        self.save_button = PushButton(
            text="Save labels",
            tooltip="Write the labels as NIfTI; where, and which layer, is set under 'Segment'.",
        )
        self.save_button.hide()
        self.help = paragraph(format_keys())
        buttons = row(self.accept_button, self.empty_button, self.next_button)
        for index in range(3):
            buttons.native.layout().setStretch(index, 1)
        for part in (
            self.title,
            self.unsaved,
            self.moved,
            buttons,
            self.uncertainty,
            self.status,
            wrap_qt_widget(self.muscles),
            self.table_button,
            self.place,
        ):
            self.append(part)
        self.append(self.finetune_button)
        self.append(self.save_button)
        self.append(Fold("Keys", self.help))
        layout = self.native.widget().layout()
        layout.insertWidget(3, self.table, 1)
        layout.setSpacing(8)
        self.accept_button.changed.connect(self.accept)
        self.empty_button.changed.connect(self.accept_empty)
        self.next_button.changed.connect(self.go_to_next)
        self.put_back_button.changed.connect(self._put_back)
        self.table_button.changed.connect(self._edit_table)
        self.muscles.chosen.connect(self.choose_value)
        self.folder_button.changed.connect(self._browse)
        self.table.chosen.connect(self.go_to)
        self.uncertainty.changed.connect(self._set_uncertainty_visible)
        self.finetune_button.changed.connect(self._ask_to_finetune)
        self.save_button.changed.connect(self._ask_to_save)
        self.keys = Keys(
            {
                "A": self.accept,
                "E": self.accept_empty,
                "N": self.go_to_next,
                "H": self.toggle_labels,
                "C": self.toggle_contour,
                "U": self.toggle_uncertainty,
                **{
                    key: partial(self.choose_muscle, number)
                    for number, key in enumerate(MUSCLE_KEYS, 1)
                },
            },
            self.native,
        )
        ClickToLeaveField(self.viewer, self.native)
        layers = self.viewer.layers
        for name in ("inserted", "removed"):
            listen(self.native, getattr(layers.events, name), self._follow)
        listen(self.native, layers.selection.events.active, self._follow)
        listen(self.native, self.viewer.dims.events.current_step, self._show_current)
        listen(self.native, self._sessions.changed, self._follow)
        self._sessions.acquire()
        connections = (self._connections, self._uncertainty_connections)
        when_destroyed(self.native, partial(_close, self._sessions, self.keys, connections))
        self._follow()

    @property
    def study(self) -> Study | None:
        """The study of the scan that is shown; None if it is in none."""
        return None if self.corrections is None else self.corrections.store.study

    # --- what the keys and buttons do

    @property
    def current(self) -> int | None:
        """The slice that is shown; None if there is none, or another place is shown."""
        if self.corrections is None:
            return None
        return slice_shown(self.viewer, self.corrections.layer)

    def go_to(self, z: int) -> None:
        """Show a slice."""
        if self.corrections is not None:
            show_slice(self.viewer, self.corrections.layer, z)

    def go_to_next(self) -> None:
        """Show the slice that is to be corrected next."""
        if self.corrections is not None:
            wanted = self.corrections.suggestion(-1 if self.current is None else self.current)
            if wanted is None:
                self._say("Every slice is accepted.")
            else:
                self.go_to(wanted)
                self._say(f"Slice {wanted} comes next.")

    def accept(self) -> None:
        """Accept the slice that is shown, or take that back."""
        self._accept(empty=False)

    def accept_empty(self) -> None:
        """Accept the slice that is shown as having no muscle, or take that back."""
        self._accept(empty=True)

    def choose_muscle(self, number: int) -> None:
        """Choose the muscle to draw by its place in the table, counted from 1."""
        table = None if self.corrections is None else self.corrections.table
        if table is None:
            self.choose_value(number)
        elif number <= len(table.muscles):
            self.choose_value(table.muscles[number - 1].value)

    def choose_value(self, value: int) -> None:
        """Choose the muscle to draw by its label value."""
        if self.corrections is None:
            return
        self.corrections.layer.selected_label = value
        table = self.corrections.table
        names = {} if table is None else {muscle.value: muscle.name for muscle in table.muscles}
        if value in names:
            self._say(f"Drawing: {names[value]}.")

    def toggle_labels(self) -> None:
        """Show or hide the labels."""
        if self.corrections is not None:
            self.corrections.layer.visible = not self.corrections.layer.visible

    def toggle_contour(self) -> None:
        """Show outlines or filled muscles."""
        if self.corrections is not None:
            self.corrections.layer.contour = 0 if self.corrections.layer.contour else 2

    def toggle_uncertainty(self) -> None:
        """Show or hide where the model is unsure."""
        if self._uncertainty_layer is None:
            self._say(NO_UNCERTAINTY)
        else:
            self._set_uncertainty_visible(not self._uncertainty_layer.visible)

    def _set_uncertainty_visible(self, shown: bool) -> None:
        if self._uncertainty_layer is not None and self._uncertainty_layer.visible != shown:
            self._uncertainty_layer.visible = shown

    def _accept(self, *, empty: bool) -> None:
        now = self.corrections
        if now is None:
            return
        folder = None
        if now.store.study is None:
            text = self.folder.value.strip()
            folder = Path(text).expanduser() if text else None
        try:
            z = require_slice(self.viewer, now.layer, now.scan)
            require_in_place([now.layer, *layers_of(self.viewer, now.scan, "image")])
            now.accept(z, empty=empty, folder=folder)
        except BadInput as problem:
            self._say(f"⚠ {problem}")

    def offer_finetuning(self, act: Callable[[Path], None]) -> None:
        """Show a button that calls `act` with the study's folder."""
        self._finetune = act
        self._show()

    def offer_saving(self, act: Callable[[Any], str]) -> None:
        """Show a button that calls `act` with the labels layer, and says what that returns."""
        self._save = act
        self._show()

    def _ask_to_save(self) -> None:
        if self._save is not None and self.corrections is not None:
            self._say(self._save(self.corrections.layer))

    def _ask_to_finetune(self) -> None:
        if (
            self._finetune is not None
            and self.corrections is not None
            and self.corrections.store.study
        ):
            self._finetune(self.corrections.store.study.folder)

    def _put_back(self) -> None:
        for layer in self._moved_layers():
            put_back(layer)

    def _moved_layers(self) -> list[Any]:
        now = self.corrections
        if now is None:
            return []
        layers = [now.layer, *layers_of(self.viewer, now.scan, "image")]
        return [layer for layer in layers if is_moved(layer)]

    def _edit_table(self) -> None:
        if self.corrections is not None:
            edit_table(self.corrections.table, self.corrections.set_table, self.native.window())

    def _browse(self) -> None:
        folder = dialogs.ask_folder("Folder of the study", self.native.window())
        if folder is not None:
            self.folder.value = str(folder)

    # --- what is shown

    def _follow(self, *_: object) -> None:
        """Show the scan whose layer is active."""
        active = unwrap(self.viewer.layers.selection.active)
        found = self._sessions.of(active) or self._sessions.only()
        if (
            found is None
            and self.corrections is not None
            and self.corrections.layer in self.viewer.layers
        ):
            found = self.corrections
        if found is not self.corrections:
            _disconnect(self._connections)
            self.corrections = found
            if found is not None:
                self._listen_to(found)
            self.keys.bind(found.layer if found is not None else None)
            self.folder.value = str(found.store.proposed_place()) if found is not None else ""
            self._say("")
            if found is not None and found.store.study is not None:
                self.study_found.emit(found.store.study)
        self._show()
        info = info_of(active) if active is not None else None
        if found is not None and info is not None and info.role == "prediction":
            self._warn_of_another(active)

    def _listen_to(self, corrections: CorrectionSession) -> None:
        layer, scan = corrections.layer, corrections.scan
        pairs: list[tuple[Any, Any]] = [
            (corrections.changed, self._show),
            (corrections.message, self._say),
            (layer.events.selected_label, self._show_muscles),
        ]
        for signal, act in pairs:
            signal.connect(act)
        self._connections += pairs
        for one in (layer, *layers_of(self.viewer, scan, "image")):
            self._connections += listen_to_moves(one, self._show_moved)

    def _warn_of_another(self, layer: Any) -> None:
        """Say so if a person turns to labels of the scan that nobody follows, such as a copy."""
        now = self.corrections
        if now is None or layer is now.layer:
            return
        self._say(
            f"⚠ '{layer.name}' is not kept: a scan has one layer that is, '{now.layer.name}'. "
            "Correct that one, or save the other to a file."
        )

    def _show(self) -> None:
        now = self.corrections
        self._show_uncertainty()
        for part in (self.accept_button, self.empty_button, self.next_button, self.place):
            part.enabled = now is not None
        self.save_button.visible = self._save is not None
        self.save_button.enabled = now is not None
        self.table_button.enabled = now is not None
        self.unsaved.show_corrections(now)
        self._show_moved()
        self._show_muscles()
        if now is None:
            self.title.value = NOTHING
            self.table.show_slices(0, {}, ())
            return
        states = now.states()
        self.table.show_slices(now.slices, states, now.held_out())
        count = sum(state in ACCEPTED for state in states.values())
        self.title.value = f"{now.scan.name}: {count} of {now.slices} slices accepted."
        study = now.store.study
        self.finetune_button.visible = self._finetune is not None
        self.finetune_button.enabled = study is not None and count > 0
        self.folder.native.setReadOnly(study is not None)
        self.folder_button.enabled = study is None
        if study is not None:
            self.folder.value = str(study.folder)
        if now.problem is not None:
            self._say(f"⚠ {now.problem}")
        self._show_current()

    def _show_muscles(self, *_: object) -> None:
        now = self.corrections
        self.muscles.show_table(
            None if now is None else now.table,
            0 if now is None else int(now.layer.selected_label),
        )

    def _show_moved(self, *_: object) -> None:
        moved = self._moved_layers()
        self.moved.visible = bool(moved)
        if moved:
            self.moved_text.value = f"⚠ {moved_sentence(moved[0].name)}"

    def _show_uncertainty(self, *_: object) -> None:
        """Follow the scan's uncertainty layer, which a person may also show, hide or remove."""
        layer = (
            uncertainty_of(self.viewer, self.corrections.scan)
            if self.corrections is not None
            else None
        )
        if layer is not self._uncertainty_layer:
            _disconnect(self._uncertainty_connections)
            self._uncertainty_layer = layer
            if layer is not None:
                layer.events.visible.connect(self._show_uncertainty)
                self._uncertainty_connections.append((layer.events.visible, self._show_uncertainty))
        self.uncertainty.enabled = layer is not None
        with self.uncertainty.changed.blocked():
            self.uncertainty.value = layer is not None and layer.visible

    def _show_current(self, *_: object) -> None:
        z = self.current
        if z is not None:
            self.table.show_current(z)

    def _say(self, text: str) -> None:
        self.status.value = text


def _disconnect(connections: list[Any]) -> None:
    for signal, act in connections:
        signal.disconnect(act)
    connections.clear()


def _close(sessions: Any, keys: Keys, connections: Sequence[list[Any]], *_: object) -> None:
    for some in connections:
        _disconnect(some)
    keys.unbind()
    sessions.release()
