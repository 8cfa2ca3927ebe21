"""The magicgui building blocks of the forms: scrolling forms, rows, wrapped text, shell command."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from magicgui.widgets import ComboBox, Container, Label, LineEdit, PushButton, Widget
from qtpy.QtCore import QEvent, QObject, Qt, QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import (
    QDockWidget,
    QFrame,
    QMainWindow,
    QScrollArea,
    QSizePolicy,
    QWidget,
)

NARROW = QSizePolicy.Policy.Ignored
_IS_FORM = "ssl_muscle_form"
INSIDE = "ssl_muscle_inside"
"""Qt property of a form that is a part of another widget, whose dock is not the form's own."""

WIDTH = 340
"""Least width of a form in pixels: nothing in it is cut off."""


CPU = "CPU"
"""What `expected_device` says where there is nothing else."""


def expected_device() -> str:
    """Say what work will run on as far as that is known without importing torch."""
    try:
        build = version("torch")
    except PackageNotFoundError:
        return "unknown: PyTorch is not installed"
    return CPU if build.endswith("+cpu") else "GPU if PyTorch finds one, else CPU"


class Form(Container[Widget]):
    """A form that scrolls when the window is too low for it.

    napari docks a magicgui container by its `native` widget, which leaves the scroll area behind;
    so here `native` is the scroll area. When it is shown first, it joins the plugin's other forms
    as a tab, because stacked docks leave none of them enough height.

    Parameters
    ----------
    title
        On its tab.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._lined_up: tuple[Container[Widget], ...] = ()
        super().__init__(labels=False, scrollable=True)
        area = self.root_native_widget
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setMinimumWidth(WIDTH)
        self._first_show = _FirstShow(area)
        self._first_show.shown.connect(self._settle)
        delete_when_undocked(area)

    def line_up(self, *parts: Container[Widget]) -> None:
        """Give the captions of these parts one width, so that their inputs line up."""
        self._lined_up = parts
        line_up(*parts)

    def _settle(self) -> None:
        """Do what needs the window: measure captions in its font, join the other forms."""
        line_up(*self._lined_up)
        self.fit_width()
        if not self.native.property(INSIDE):
            join_tabs(self.native, self._title)
        self.native.setProperty(_IS_FORM, True)  # from now on others join this one

    @property
    def native(self) -> Any:
        """The scroll area."""
        return self.root_native_widget

    def fit_width(self) -> None:
        """Be at least as wide as what is in the form, so that nothing is cut off."""
        area = self.root_native_widget
        needed = (
            area.widget().minimumSizeHint().width() + area.verticalScrollBar().sizeHint().width()
        )
        area.setMinimumWidth(max(WIDTH, needed))

    def reveal(self, part: Widget) -> None:
        """Scroll to a part, once the layout is up to date."""
        area, native = self.root_native_widget, part.native
        later(area, lambda: area.ensureWidgetVisible(native))

    def finish(self) -> None:
        """Push everything to the top; to be called after the last part was added."""
        layout = self.root_native_widget.widget().layout()
        layout.addStretch(1)
        layout.setSpacing(8)


def later(owner: QObject, act: Callable[[], None]) -> None:
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
                later(self, self._delete)
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
    """Tells once, through the event loop, that a widget was shown."""

    shown = Signal()

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Wait for the show event, then listen no more."""
        if event is not None and event.type() == QEvent.Type.Show:
            self._widget.removeEventFilter(self)
            later(self, self.shown.emit)
        return False


def join_tabs(widget: QWidget, title: str) -> None:
    """Put a docked form as a tab beside the plugin's other forms in the same dock area."""
    dock = widget.parent()
    while dock is not None and not isinstance(dock, QDockWidget):
        dock = dock.parent()
    window = dock.parent() if dock is not None else None
    if not isinstance(dock, QDockWidget) or not isinstance(window, QMainWindow):
        return
    dock.setWindowTitle(title)
    area = window.dockWidgetArea(dock)
    for other in window.findChildren(QDockWidget):
        inside = other.findChildren(QScrollArea)
        if other is dock or not any(w.property(_IS_FORM) for w in inside):
            continue
        if window.dockWidgetArea(other) == area and other not in window.tabifiedDockWidgets(dock):
            window.tabifyDockWidget(other, dock)
            dock.raise_()
            return


def paragraph(text: str = "", **options: Any) -> Label:
    """Return a label whose text wraps, takes the height it needs and can be copied."""
    label = Label(value=text, **options)
    label.native.setWordWrap(True)
    label.native.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    policy = QSizePolicy(NARROW, QSizePolicy.Policy.Minimum)
    policy.setHeightForWidth(True)
    label.native.setSizePolicy(policy)
    return label


def row(first: Widget, *buttons: Widget, label: str = "") -> Container[Widget]:
    """Return widgets side by side; the first takes the space that is left."""
    line = Container(widgets=[first, *buttons], layout="horizontal", labels=False, label=label)
    line.margins = (0, 0, 0, 0)
    line.native.layout().setStretch(0, 1)
    return line


def column(*widgets: Widget, labels: bool = False) -> Container[Widget]:
    """Return widgets below each other, without margins of their own."""
    part = Container(widgets=list(widgets), labels=labels)
    part.margins = (0, 0, 0, 0)
    return part


def line_up(*parts: Container[Widget]) -> None:
    """Give the captions of several parts of a form one width, so that their inputs line up."""
    captions = [caption for part in parts for caption in _captions(part)]
    for caption in captions:
        caption.native.ensurePolished()  # in the font of the window's style
    width = max((caption.native.sizeHint().width() for caption in captions), default=0)
    for caption in captions:
        caption.native.setFixedWidth(width)


def _captions(part: Container[Widget]) -> list[Label]:
    found = []
    for widget in part:
        reference = getattr(widget, "_labeled_widget_ref", None)
        labelled = reference() if reference is not None else None
        if labelled is not None:
            found.append(labelled._label_widget)
        if isinstance(widget, Container):
            found += _captions(widget)
    return found


def heading(text: str) -> Label:
    """Return a bold line."""
    label = Label(value=text)
    font = label.native.font()
    font.setBold(True)
    label.native.setFont(font)
    return label


def main_button(text: str, tooltip: str) -> PushButton:
    """Return the button that a form is there for."""
    button = PushButton(text=text, tooltip=tooltip)
    font = button.native.font()
    font.setBold(True)
    button.native.setFont(font)
    button.native.setMinimumHeight(32)
    return button


def choice(
    choices: Callable[[Any], list[tuple[str, Any]]] | Sequence[tuple[str, Any]],
    *,
    tooltip: str = "",
    label: str = "",
) -> ComboBox:
    """Return a list to choose from that may be narrower than its longest entry."""
    box = ComboBox(choices=choices, tooltip=tooltip, label=label)
    box.native.setSizePolicy(NARROW, QSizePolicy.Policy.Fixed)
    box.native.setMinimumWidth(110)
    return box


def line(value: str = "", *, tooltip: str = "", hint: str = "") -> LineEdit:
    """Return a line of text that may be narrower than usual; `hint` shows while it is empty."""
    edit = LineEdit(value=value, tooltip=tooltip)
    edit.native.setPlaceholderText(hint)
    edit.native.setMinimumWidth(80)
    return edit


def small_button(text: str, tooltip: str) -> PushButton:
    """Return a button that is no wider than its word."""
    button = PushButton(text=text, tooltip=tooltip)
    button.native.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
    return button


def refresh(box: ComboBox, wanted: Any = None) -> None:
    """Read a list's choices again and stay with the chosen object, whatever it is called now.

    Parameters
    ----------
    box
        The list.
    wanted
        What to choose instead, if it is there.
    """
    before = box.value if wanted is None else wanted
    box.reset_choices()
    if any(value is before for value in box.choices) and box.value is not before:
        box.value = before


class CommandLine(Container[Widget]):
    """The shell command that does the same as the form, to copy."""

    def __init__(self) -> None:
        self.line = line()
        self.line.native.setReadOnly(True)
        self.copy_button = small_button("Copy", "Copy the command.")
        self.copy_button.changed.connect(self._copy)
        super().__init__(
            widgets=[Label(value="The same in a shell"), row(self.line, self.copy_button)],
            labels=False,
        )
        self.margins = (0, 0, 0, 0)
        self.show_command(None)

    def show_command(self, command: str | None, why_not: str = "") -> None:
        """Show a command, or in grey the reason why there is none."""
        self.line.value = command or ""
        self.line.native.setPlaceholderText(why_not)
        self.line.native.setCursorPosition(0)
        self.line.tooltip = command or why_not
        self.copy_button.enabled = bool(command)

    def _copy(self) -> None:
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.line.value)
