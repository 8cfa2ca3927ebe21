"""When Qt calls back, and for how long: later, once shown, until or once something is destroyed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QWidget


def call_later(owner: QObject, act: Callable[[], None]) -> None:
    """Do something once the event loop gets to it, unless its owner is gone by then."""
    timer = QTimer(owner)
    timer.setSingleShot(True)
    timer.timeout.connect(act)
    timer.timeout.connect(timer.deleteLater)
    timer.start(0)


def listen(owner: QObject, signal: Any, act: Callable[..., None]) -> None:
    """Connect to something that outlives a widget, until the widget is destroyed.

    Parameters
    ----------
    owner
        The Qt widget.
    signal
        Anything with `connect` and `disconnect`: of napari, psygnal or Qt.
    act
        What to call.
    """
    signal.connect(act)

    def stop(*_: object) -> None:
        with contextlib.suppress(ValueError, TypeError, RuntimeError):
            signal.disconnect(act)

    when_destroyed(owner, stop)


_waiting: set[Callable[..., None]] = set()
"""What is to be called once something is destroyed."""


def when_destroyed(owner: QObject, act: Callable[[], None]) -> None:
    """Call something once a Qt object is destroyed.

    It is held here until then. Held by the object alone, it would go with it when Python collects
    both, and Qt would call a function that has been emptied already: the program would crash.
    """

    def once(*_: object) -> None:
        _waiting.discard(once)
        act()

    _waiting.add(once)
    owner.destroyed.connect(once)


class _Undocked(QObject):
    """Deletes a docked widget that has lost its dock, unless it soon has another parent."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        self._docked = widget.parent() is not None
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Notice a change of the parent."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self._widget.parent() is not None:
                self._docked = True
            elif self._docked:
                call_later(self, self._delete)
        return False

    def _delete(self) -> None:
        if self._widget.parent() is None:
            self._widget.deleteLater()


def delete_when_undocked(widget: QWidget) -> None:
    """Delete a widget once its dock is closed.

    napari takes the widget out of a dock that is closed and leaves it to Python, which may get rid
    of it in the middle of anything, or never.
    """
    _Undocked(widget)


class _FirstShow(QObject):
    """Calls something once, through the event loop, when a widget was shown first."""

    def __init__(self, widget: QWidget, act: Callable[[], None]) -> None:
        super().__init__(widget)
        self._act = act
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Wait for the show event, then remove this filter."""
        if watched is not None and event is not None and event.type() == QEvent.Type.Show:
            watched.removeEventFilter(self)
            call_later(self, self._act)
        return False


def on_first_show(widget: QWidget, act: Callable[[], None]) -> None:
    """Call something once a widget has been shown for the first time."""
    _FirstShow(widget, act)
