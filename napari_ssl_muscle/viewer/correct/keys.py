"""The keys of correcting: bound to a labels layer while the form that lists them is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

from napari_ssl_muscle.viewer.correct.focus import hide_shortcuts, is_typing, show_shortcuts

MUSCLE_KEYS: tuple[str, ...] = (
    *"1234567890",
    *(f"Alt-{number}" for number in range(1, 10)),
)
"""Keys of the muscles, in the order of the table; those after the nineteenth are clicked."""

HELP: tuple[tuple[str, str], ...] = (
    (
        "1 … 9, 0",
        "choose a muscle, in the order of the list; Alt+1 … 9: the eleventh to nineteenth",
    ),
    ("A", "accept this slice; again: take it back"),
    ("E", "accept it as empty: no muscle in it"),
    ("N", "next slice to correct"),
    ("H", "show or hide the labels"),
    ("C", "outlines only, or filled"),
    ("U", "show or hide where the model is unsure"),
    ("Ctrl+Z", "undo, but not in accepted slices; Ctrl+Shift+Z: redo"),
    ("[  ]", "smaller or larger brush"),
)
"""Keys and what they do, for people. The last two are napari's own."""


_SHOWN_OR_HIDDEN = (
    QEvent.Type.Show,
    QEvent.Type.ShowToParent,
    QEvent.Type.Hide,
    QEvent.Type.HideToParent,
)


class Keys(QObject):
    """Keys on a layer; `bind` and `unbind` as the layer changes.

    They are bound only while a widget is shown, and do nothing while somebody types into a field.

    Parameters
    ----------
    actions
        Key → what to do.
    widget
        The widget that shows what they do.
    """

    def __init__(self, actions: dict[str, Callable[[], None]], widget: QWidget) -> None:
        super().__init__(widget)
        self._actions, self._widget = actions, widget
        self._wanted: Any = None
        self._layer: Any = None
        widget.installEventFilter(self)

    def bind(self, layer: Any) -> None:
        """Bind to a layer, and no more to the one before; None for no layer."""
        self._wanted = layer
        self._update(self._is_shown())

    def unbind(self) -> None:
        """Take the keys back; napari's own count again."""
        self._wanted = None
        self._update(False)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Follow the widget as it is shown and hidden, by tabs as well."""
        if event is not None and event.type() in _SHOWN_OR_HIDDEN:
            self._update(self._is_shown())
        return False

    def _is_shown(self) -> bool:
        """Whether the widget is shown, or would be if its window were."""
        return self._widget.isVisibleTo(self._widget.window())

    def _update(self, shown: bool) -> None:
        layer = self._wanted if shown else None
        if layer is self._layer:
            return
        for old, bound in ((self._layer, False), (layer, True)):
            if old is not None:
                for key, act in self._actions.items():
                    old.bind_key(key, self._calling(act) if bound else None, overwrite=True)
        if layer is None:
            show_shortcuts()
        else:
            hide_shortcuts(self._actions)
        self._layer = layer

    def _calling(self, act: Callable[[], None]) -> Callable[[Any], None]:
        def pressed(_: Any) -> None:
            if self._is_shown() and not is_typing():
                act()

        return pressed


def format_keys() -> str:
    """Return the keys and what they do, as a table in HTML."""
    rows = "".join(
        f"<tr><td><b>{key}</b>&nbsp;&nbsp;</td><td>{what}</td></tr>" for key, what in HELP
    )
    return (
        f"<table>{rows}</table><p>The keys count while this form is shown and the labels are "
        "chosen in the layer list, and not while the pointer or the cursor is in a field. "
        "A slice that is drawn on after it was accepted has to be accepted again.</p>"
    )
