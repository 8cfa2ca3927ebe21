"""Whether a key or a click is meant for the picture, or for a field that is being filled in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from napari.layers import Labels
from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QCursor
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)

from napari_ssl_muscle.viewer.layers.scan_layers import unwrap

_FIELDS = (QLineEdit, QAbstractSpinBox, QComboBox, QTextEdit, QPlainTextEdit)


def is_field(widget: QWidget | None) -> bool:
    """Whether a widget, or what it is a part of, takes letters or figures."""
    while widget is not None and not widget.isWindow():
        if isinstance(widget, _FIELDS):
            return True
        widget = widget.parentWidget()
    return False


def is_typing() -> bool:
    """Whether the focus or the pointer is in a field."""
    return is_field(QApplication.focusWidget()) or is_field(QApplication.widgetAt(QCursor.pos()))


class ClickToLeaveField(QObject):
    """Lets a click into the picture that ends the work in a field draw nothing.

    Parameters
    ----------
    viewer
        A viewer with a window; without one nothing is done.
    owner
        The widget with which this ends.
    """

    def __init__(self, viewer: Any, owner: QWidget) -> None:
        super().__init__(owner)
        self._viewer = unwrap(viewer)
        self._swallowing = False
        canvas = None
        with contextlib.suppress(AttributeError):  # a viewer without a window, or a newer napari
            canvas = self._viewer.window._qt_viewer.canvas.native
        if canvas is not None:
            canvas.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Keep the mouse from the canvas from such a press to its release."""
        if event is None:
            return False
        kind = event.type()
        if kind == QEvent.Type.MouseButtonPress:
            active = unwrap(self._viewer.layers.selection.active)
            draws = isinstance(active, Labels) and str(active.mode) not in ("pan_zoom", "pick")
            self._swallowing = draws and is_field(QApplication.focusWidget())
            if self._swallowing and isinstance(watched, QWidget):
                watched.setFocus()
            return self._swallowing
        if not self._swallowing:
            return False
        if kind == QEvent.Type.MouseButtonRelease:
            self._swallowing = False
            return True
        return kind in (QEvent.Type.MouseMove, QEvent.Type.MouseButtonDblClick)


def hide_shortcuts(keys: Iterable[str]) -> None:
    """Take keys out of the tooltips of napari's buttons while they do something else here."""
    wanted = {key.upper() for key in keys}
    for name, description, shortcuts in _napari_actions():
        left = [text for text in shortcuts if text.upper() not in wanted]
        if len(left) < len(shortcuts):
            _show(name, description + (f" ({' or '.join(left)})" if left else ""))


def show_shortcuts() -> None:
    """Show all of napari's keys again in the tooltips of its buttons."""
    for name, description, shortcuts in _napari_actions():
        _show(name, description + (f" ({' or '.join(shortcuts)})" if shortcuts else ""))


def _napari_actions() -> list[tuple[str, str, list[str]]]:
    """Return name, description and keys of what napari does with labels; empty if it is unknown."""
    # napari has no public list of shortcuts; without one the tooltips stay as they are.
    with contextlib.suppress(AttributeError, ImportError, KeyError):
        from napari.utils.action_manager import action_manager

        return [
            (name, str(action.description), [str(key) for key in action_manager._shortcuts[name]])
            for name, action in dict(action_manager._actions).items()
            if action_manager._shortcuts.get(name) and action.keymapprovider is Labels
        ]
    return []


def _show(name: str, tooltip: str) -> None:
    from napari.utils.action_manager import action_manager

    action_manager.events.shortcut_changed(name=name, shortcut="", tooltip=tooltip)
